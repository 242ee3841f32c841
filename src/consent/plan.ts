/**
 * The collection plan: of everything the server asked for and the user attached, what will be collected and what not,
 * and why. The one place where consent turns into decisions; dry run, prompt, manifest and result all show it. Pure.
 */

import type { AttachedFile, Event } from "../event.ts";
import { stripControls } from "../printable.ts";
import type { Level1Response } from "../wire/response.ts";
import { parseWql, type WqlQuery } from "../wql/parse.ts";
import { type Judge, judgeKey, judgePath, judgeQuery, makeJudge, type Rule, type Verdict } from "./judge.ts";
import { normalizePath, type PathFacts, parseLocalPath } from "./local-path.ts";
import type { ItemKind, Policy } from "./policy.ts";
import { formatRegistryPath, keySegments, parseRegistryPath, type RegistryPath } from "./registry-path.ts";

export type CollectionPlan = {
  /** Whether level 2 runs; before there is an answer, whether it could. */
  readonly level2: boolean;
  /** Why it does not run, or on what it depends; null when it runs. A clause without a final stop. */
  readonly level2Reason: string | null;
  /** Attached files in the event's order, then what was asked for, in the order of the keys in [MS-CER2] 2.2.2. */
  readonly items: readonly PlanItem[];
};

export type PlanItem = {
  readonly kind: ItemKind;
  /** As asked for, without control characters and never longer than `MAX_SHOWN`; an attached file's name. */
  readonly item: string;
  /** `ask` waits for `applyAnswers`; `missing` was asked for, is not denied, and cannot be there. */
  readonly decision: "collect" | "ask" | "decline" | "missing";
  readonly rule: Rule;
  /** A clause without a final stop that names nothing of this machine; null when there is nothing to say. */
  readonly reason: string | null;
  /** What the collector needs; null when nothing will be collected. */
  readonly target: Target | null;
};

export type Target =
  | { readonly type: "attached"; readonly file: AttachedFile }
  | { readonly type: "path"; readonly path: string }
  | { readonly type: "key"; readonly key: RegistryPath }
  /** Narrowed to what may be answered. */
  | { readonly type: "query"; readonly query: WqlQuery }
  /** Attached files that answer MemoryDump or fDoc: their places in `items`. */
  | { readonly type: "answered-by"; readonly files: readonly number[] };

/** Characters of an item that are parsed; a longer one is declined. Longer than any path, key or query that works. */
export const MAX_ITEM_LENGTH = 8192;
/** Characters of an item, and of a reason, that are kept to be shown and recorded. */
const MAX_SHOWN = 1000;

/**
 * Decides on everything. `response` is null while the server has not answered yet: the plan then says what could go.
 */
export function planCollection(
  response: Level1Response | null,
  event: Event,
  policy: Policy,
  facts: PathFacts,
): CollectionPlan {
  const judge = makeJudge(policy, facts);
  const files = event.files.map((file) => planAttached(file, response, judge, facts));
  const asked = response === null ? [] : planAsked(response, files, judge, facts);
  const items = [...files, ...asked];
  const stop = reasonToStop(response, policy, items.length);
  if (stop !== null)
    return { level2: false, level2Reason: stop.reason, items: items.map((item) => withVerdict(item, stop)) };
  const level2Reason = response === null ? "only if the server asks for it (iData=1)" : null;
  return { level2: true, level2Reason, items };
}

/** The plan after the user was asked; what has no answer is declined. Keys are places in `items`. */
export function applyAnswers(plan: CollectionPlan, answers: ReadonlyMap<number, boolean>): CollectionPlan {
  const items = plan.items.map((item, index): PlanItem => {
    if (item.decision !== "ask") return item;
    return answers.get(index) === true
      ? { ...item, decision: "collect", rule: "answer" }
      : withVerdict(item, { decision: "decline", rule: "answer", reason: "the user did not agree" });
  });
  return { ...plan, items: items.map((item) => followFiles(item, items)) };
}

/**
 * The plan for a report that was made on another machine: what its user attached there travels with it. Nothing of this
 * machine answers what the server asked of that one.
 */
export function keepToAttached(plan: CollectionPlan): CollectionPlan {
  const items = plan.items.map((item) =>
    ANSWERED_BY_ATTACHED.has(item.kind) ? item : withVerdict(item, FROM_ELSEWHERE),
  );
  return { ...plan, items };
}

const ANSWERED_BY_ATTACHED: ReadonlySet<ItemKind> = new Set(["File", "MemoryDump", "fDoc"]);

const FROM_ELSEWHERE: Verdict = {
  decision: "decline",
  rule: "system",
  reason: "the report was made on another machine, and nothing of this one answers for it",
};

/** A MemoryDump or fDoc line goes with the files that answer it. */
function followFiles(item: PlanItem, items: readonly PlanItem[]): PlanItem {
  if (item.target?.type !== "answered-by") return item;
  const files = item.target.files.filter((index) => items[index]?.decision === "collect");
  if (files.length > 0) return { ...item, target: { type: "answered-by", files } };
  return withVerdict(item, { decision: "decline", rule: "answer", reason: "the user did not agree" });
}

function reasonToStop(response: Level1Response | null, policy: Policy, count: number): Verdict | null {
  const stop = (rule: Rule, reason: string): Verdict => ({ decision: "decline", rule, reason });
  if (policy.consent === "parameters") return stop("consent", 'consent is "parameters": level 2 never runs');
  if (!policy.level2) return stop("deny", "level 2 is switched off on this machine");
  if (response !== null && !response.iData)
    return stop("request", "the server did not ask for a cabinet (iData is not 1)");
  return count === 0 && response !== null ? stop("request", "there is nothing to upload") : null;
}

function withVerdict(item: PlanItem, { decision, rule, reason }: Verdict): PlanItem {
  return { ...item, decision, rule, reason: reason === null ? null : clip(reason), target: null };
}

function clip(text: string): string {
  const shown = stripControls(text.slice(0, MAX_SHOWN));
  return text.length > MAX_SHOWN ? `${shown}… (${text.length} characters)` : shown;
}

function planned(kind: ItemKind, item: string, verdict: Verdict, target: Target): PlanItem {
  const decided = withVerdict({ kind, item: clip(item), ...verdict, target: null }, verdict);
  return verdict.decision === "decline" ? decided : { ...decided, target };
}

function unplanned(
  kind: ItemKind,
  item: string,
  reason: string,
  rule: Rule,
  decision: "decline" | "missing" = "decline",
): PlanItem {
  return { kind, item: clip(item), decision, rule, reason: clip(reason), target: null };
}

/** Types 1, 2 and 5 go with every cabinet, 3 with MemoryDump=1, 4 with fDoc=1 (WerReportAddFile). */
function planAttached(
  file: AttachedFile,
  response: Level1Response | null,
  judge: Judge,
  facts: PathFacts,
): PlanItem {
  const key = file.type === 3 ? "MemoryDump" : file.type === 4 ? "fDoc" : null;
  const what = key === "MemoryDump" ? "a heap dump" : "a document";
  const condition = `${what} goes only if the server asks for ${key}=1`;
  if (key !== null && response !== null && !isFlagSet(response, key))
    return unplanned("File", file.name, condition, "request");
  const isDenied = key !== null && judge.deny[key].length > 0;
  const verdict = judgePath(judge, "File", attachedSegments(file, facts));
  if (isDenied) return unplanned("File", file.name, `the policy of this machine denies ${key}`, "deny");
  const depends = key !== null && response === null && verdict.decision !== "decline";
  return planned("File", file.name, depends ? { ...verdict, reason: condition } : verdict, {
    type: "attached",
    file,
  });
}

function isFlagSet(response: Level1Response, key: "MemoryDump" | "fDoc"): boolean {
  return key === "MemoryDump" ? response.memoryDump : response.fDoc;
}

function attachedSegments(file: AttachedFile, facts: PathFacts) {
  const parsed = normalizePath(file.path, facts.platform);
  return parsed.ok ? parsed : { segments: file.path.split(/[\\/]/).filter(Boolean), remote: false };
}

function planAsked(
  response: Level1Response,
  files: readonly PlanItem[],
  judge: Judge,
  facts: PathFacts,
): PlanItem[] {
  return [
    ...(response.memoryDump ? [planFlag("MemoryDump", [1, 2, 3], files, judge)] : []),
    ...response.regKey.map((item) => planKey("RegKey", item, judge, facts)),
    ...response.regTree.map((item) => planKey("RegTree", item, judge, facts)),
    ...(response.fDoc ? [planFlag("fDoc", [4], files, judge)] : []),
    ...response.wql.map((item) => planQuery(item, judge)),
    ...response.getFile.map((item) => planPath("GetFile", item, judge, facts)),
    ...response.getFileVersion.map((item) => planPath("GetFileVersion", item, judge, facts)),
  ];
}

/** MemoryDump=1 and fDoc=1 are answered by what the user attached. */
function planFlag(
  kind: "MemoryDump" | "fDoc",
  types: readonly number[],
  files: readonly PlanItem[],
  judge: Judge,
): PlanItem {
  const what = kind === "MemoryDump" ? "dump" : "document";
  if (judge.deny[kind].length > 0)
    return unplanned(kind, "1", "the policy of this machine denies it", "deny");
  const answering = files.flatMap(({ target }, index) =>
    target?.type === "attached" && types.includes(target.file.type) ? [index] : [],
  );
  if (answering.length === 0)
    return unplanned(kind, "1", `no ${what} that may be sent is attached to the event`, "request", "missing");
  const verdict: Verdict = { decision: "collect", rule: "attached", reason: null };
  return planned(kind, "1", verdict, { type: "answered-by", files: answering });
}

function complaintOfLength(item: string): string | null {
  if (item.length <= MAX_ITEM_LENGTH) return null;
  return `it is ${item.length} characters long; at most ${MAX_ITEM_LENGTH} are looked at`;
}

function planPath(
  kind: "GetFile" | "GetFileVersion",
  item: string,
  judge: Judge,
  facts: PathFacts,
): PlanItem {
  const tooLong = complaintOfLength(item);
  if (tooLong !== null) return unplanned(kind, item, tooLong, "syntax");
  const parsed = parseLocalPath(item, facts);
  if (!parsed.ok)
    return unplanned(kind, item, parsed.reason, "syntax", parsed.state === "missing" ? "missing" : "decline");
  return planned(kind, item, judgePath(judge, kind, parsed), { type: "path", path: parsed.path });
}

function planKey(kind: "RegKey" | "RegTree", item: string, judge: Judge, facts: PathFacts): PlanItem {
  if (facts.platform !== "win32")
    return unplanned(kind, item, "there is no registry on this system", "system");
  const parsed = parseRegistryPath(item);
  if (!parsed.ok) return unplanned(kind, item, clauseOf(parsed.reason), "syntax");
  const verdict = judgeKey(judge, kind, keySegments(formatRegistryPath(parsed.path)));
  return planned(kind, item, verdict, { type: "key", key: parsed.path });
}

function planQuery(item: string, judge: Judge): PlanItem {
  const tooLong = complaintOfLength(item);
  if (tooLong !== null) return unplanned("WQL", item, tooLong, "syntax");
  const parsed = parseWql(item);
  if (!parsed.ok) return unplanned("WQL", item, clauseOf(parsed.reason), "syntax");
  const { verdict, query } = judgeQuery(judge, parsed.query);
  if (query === null) return unplanned("WQL", item, verdict.reason ?? "", verdict.rule);
  return planned("WQL", item, verdict, { type: "query", query });
}

/** A collector's sentence as a reason is written in plan and manifest: a clause without a final stop. */
export function clauseOf(sentence: string): string {
  return sentence.replace(/\.$/, "").replace(/^[A-Z](?=[a-z]* )/, (letter) => letter.toLowerCase());
}
