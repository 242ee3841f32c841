/**
 * The collection plan: of everything the server asked for and the user attached, what will be collected and what not,
 * and why. The one place where consent turns into decisions; dry run, prompt, manifest and result all show it. Pure.
 */

import type { AttachedFile, Event } from "../event.ts";
import { stripControls } from "../printable.ts";
import type { Level1Response } from "../wire/response.ts";
import { parseWql, type WqlQuery } from "../wql/parse.ts";
import {
  type Decision,
  decline,
  type Judge,
  judgeKey,
  judgePath,
  judgeQuery,
  makeJudge,
  type Rule,
} from "./judge.ts";
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
  const files = event.files.map((file) => planAttached(file, response, judge));
  const asked = response === null ? [] : planAsked(response, files, judge);
  const items = [...files, ...asked];
  const stop = reasonToStop(response, policy, items.length);
  if (stop !== null)
    return {
      level2: false,
      level2Reason: stop.reason,
      items: items.map((item) => ({ ...item, ...stop, target: null })),
    };
  const level2Reason = response === null ? "only if the server asks for it (iData=1)" : null;
  return { level2: true, level2Reason, items };
}

/** The plan after the user was asked; what has no answer is declined. Keys are places in `items`. */
export function applyAnswers(plan: CollectionPlan, answers: ReadonlyMap<number, boolean>): CollectionPlan {
  const items = plan.items.map((item, index): PlanItem => {
    if (item.decision !== "ask") return item;
    return answers.get(index) === true
      ? { ...item, decision: "collect", rule: "answer" }
      : { ...item, ...REFUSED_BY_USER, target: null };
  });
  return { ...plan, items: items.map((item) => followFiles(item, items)) };
}

const REFUSED_BY_USER = decline("answer", "the user did not agree");

/**
 * The plan for a report that was made on another machine: what its user attached there travels with it. Nothing of this
 * machine answers what the server asked of that one.
 */
export function keepToAttached(plan: CollectionPlan): CollectionPlan {
  const items = plan.items.map((item) =>
    ANSWERED_BY_ATTACHED.has(item.kind) ? item : { ...item, ...FROM_ELSEWHERE, target: null },
  );
  return { ...plan, items };
}

const ANSWERED_BY_ATTACHED: ReadonlySet<ItemKind> = new Set(["File", "MemoryDump", "fDoc"]);

const FROM_ELSEWHERE = decline(
  "system",
  "the report was made on another machine, and nothing of this one answers for it",
);

/** A MemoryDump or fDoc line goes with the files that answer it. */
function followFiles(item: PlanItem, items: readonly PlanItem[]): PlanItem {
  if (item.target?.type !== "answered-by") return item;
  const files = item.target.files.filter((index) => items[index]?.decision === "collect");
  if (files.length > 0) return { ...item, target: { type: "answered-by", files } };
  return { ...item, ...REFUSED_BY_USER, target: null };
}

function reasonToStop(response: Level1Response | null, policy: Policy, count: number): Decision | null {
  if (policy.consent === "parameters")
    return decline("consent", 'consent is "parameters": level 2 never runs');
  if (!policy.level2) return decline("deny", "level 2 is switched off on this machine");
  if (response !== null && !response.iData)
    return decline("request", "the server did not ask for a cabinet (iData is not 1)");
  return count === 0 && response !== null ? decline("request", "there is nothing to upload") : null;
}

/** What a judge says, or that it cannot be there. */
type Conclusion = Pick<PlanItem, "decision" | "rule" | "reason">;

function planned(
  kind: ItemKind,
  item: string,
  conclusion: Conclusion,
  target: Target | null = null,
): PlanItem {
  const { decision, rule } = conclusion;
  const reason = conclusion.reason === null ? null : clip(conclusion.reason);
  return { kind, item: clip(item), decision, rule, reason, target: decision === "decline" ? null : target };
}

function clip(text: string): string {
  const shown = stripControls(text.slice(0, MAX_SHOWN));
  return text.length > MAX_SHOWN ? `${shown}… (${text.length} characters)` : shown;
}

/** Types 1, 2 and 5 go with every cabinet, 3 with MemoryDump=1, 4 with fDoc=1 (WerReportAddFile). */
function planAttached(file: AttachedFile, response: Level1Response | null, judge: Judge): PlanItem {
  const key = file.type === 3 ? "MemoryDump" : file.type === 4 ? "fDoc" : null;
  const what = key === "MemoryDump" ? "a heap dump" : "a document";
  const condition = `${what} goes only if the server asks for ${key}=1`;
  if (key !== null && response !== null && !(key === "MemoryDump" ? response.memoryDump : response.fDoc))
    return planned("File", file.name, decline("request", condition));
  if (key !== null && judge.deny[key].length > 0)
    return planned("File", file.name, decline("deny", `the policy of this machine denies ${key}`));
  const judged = judgePath(judge, "File", attachedSegments(file, judge.facts));
  const depends = key !== null && response === null && judged.decision !== "decline";
  const conclusion = depends ? { ...judged, reason: condition } : judged;
  return planned("File", file.name, conclusion, { type: "attached", file });
}

function attachedSegments(file: AttachedFile, { platform }: PathFacts) {
  const parsed = normalizePath(file.path, platform);
  return parsed.ok ? parsed : { segments: file.path.split(/[\\/]/).filter(Boolean), remote: false };
}

function planAsked(response: Level1Response, files: readonly PlanItem[], judge: Judge): PlanItem[] {
  return [
    ...(response.memoryDump ? [planFlag("MemoryDump", [1, 2, 3], files, judge)] : []),
    ...response.regKey.map((item) => planKey("RegKey", item, judge)),
    ...response.regTree.map((item) => planKey("RegTree", item, judge)),
    ...(response.fDoc ? [planFlag("fDoc", [4], files, judge)] : []),
    ...response.wql.map((item) => planQuery(item, judge)),
    ...response.getFile.map((item) => planPath("GetFile", item, judge)),
    ...response.getFileVersion.map((item) => planPath("GetFileVersion", item, judge)),
  ];
}

/** MemoryDump=1 and fDoc=1 are answered by what the user attached. */
function planFlag(
  kind: "MemoryDump" | "fDoc",
  types: readonly number[],
  files: readonly PlanItem[],
  judge: Judge,
): PlanItem {
  if (judge.deny[kind].length > 0)
    return planned(kind, "1", decline("deny", "the policy of this machine denies it"));
  const answering = files.flatMap(({ target }, index) =>
    target?.type === "attached" && types.includes(target.file.type) ? [index] : [],
  );
  if (answering.length > 0)
    return planned(
      kind,
      "1",
      { decision: "collect", rule: "attached", reason: null },
      { type: "answered-by", files: answering },
    );
  const what = kind === "MemoryDump" ? "dump" : "document";
  const reason = `no ${what} that may be sent is attached to the event`;
  return planned(kind, "1", { decision: "missing", rule: "request", reason });
}

function planPath(kind: "GetFile" | "GetFileVersion", item: string, judge: Judge): PlanItem {
  if (item.length > MAX_ITEM_LENGTH) return planned(kind, item, tooLong(item));
  const parsed = parseLocalPath(item, judge.facts);
  if (parsed.ok)
    return planned(kind, item, judgePath(judge, kind, parsed), { type: "path", path: parsed.path });
  const decision = parsed.state === "missing" ? "missing" : "decline";
  return planned(kind, item, { decision, rule: "syntax", reason: parsed.reason });
}

function planKey(kind: "RegKey" | "RegTree", item: string, judge: Judge): PlanItem {
  if (judge.facts.platform !== "win32")
    return planned(kind, item, decline("system", "there is no registry on this system"));
  const parsed = parseRegistryPath(item);
  if (!parsed.ok) return planned(kind, item, decline("syntax", clauseOf(parsed.reason)));
  const judged = judgeKey(judge, kind, keySegments(formatRegistryPath(parsed.path)));
  return planned(kind, item, judged, { type: "key", key: parsed.path });
}

function planQuery(item: string, judge: Judge): PlanItem {
  if (item.length > MAX_ITEM_LENGTH) return planned("WQL", item, tooLong(item));
  const parsed = parseWql(item);
  if (!parsed.ok) return planned("WQL", item, decline("syntax", clauseOf(parsed.reason)));
  const { query, ...judged } = judgeQuery(judge, parsed.query);
  return planned("WQL", item, judged, query === null ? null : { type: "query", query });
}

function tooLong(item: string): Decision {
  return decline("syntax", `it is ${item.length} characters long; at most ${MAX_ITEM_LENGTH} are looked at`);
}

/** A collector's sentence as a reason is written in plan and manifest: a clause without a final stop. */
export function clauseOf(sentence: string): string {
  return sentence.replace(/\.$/, "").replace(/^[A-Z](?=[a-z]* )/, (letter) => letter.toLowerCase());
}
