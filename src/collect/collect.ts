/**
 * Carries a collection plan out, as the entries of an archive: the report, the attached files, what was asked for, and
 * last the manifest, which is made from what the archive says it holds by then. An item that fails fails alone; only the
 * caller's signal stops everything.
 */

import type { Entry, EntryBody, EntryResult } from "../archive/entries/entry.ts";
import { type Judge, judgeKey, judgePath, makeJudge, prefixesOf } from "../consent/judge.ts";
import { normalizePath, type PathFacts } from "../consent/local-path.ts";
import { type CollectionPlan, clauseOf } from "../consent/plan.ts";
import type { Policy } from "../consent/policy.ts";
import { formatRegistryPath, keySegments, type RegistryPath } from "../consent/registry-path.ts";
import { type Event, type FileType, fromFileTime } from "../event.ts";
import type { Limits } from "../system/run-program.ts";
import type { WqlQuery } from "../wql/parse.ts";
import { Budget, type BudgetOptions, TIME_REACHED, TOTAL_REACHED } from "./budget.ts";
import { type BodyNotes, bodyOfFile } from "./files/body.ts";
import { type Opened, openRegular, type Refused, realPathOf, refusalOf } from "./files/open.ts";
import type { FileVersion, NamedVersion } from "./files/version.ts";
import { formatManifest, type ManifestItem } from "./manifest.ts";
import {
  addReason,
  type EntryRecord,
  finishItems,
  type ItemRecord,
  makeManifest,
  refuseRecord,
  startRecord,
  UNTOUCHED,
} from "./record.ts";
import { redactBuffer, type TextEncoding, TextRedactor } from "./redact/redact.ts";
import type { Identity } from "./redact/rules.ts";
import type { CollectedRegistry } from "./registry/registry.ts";
import type { WmiAnswer } from "./wmi/query.ts";

export type CollectOptions = BudgetOptions & {
  readonly policy: Policy;
  readonly facts: PathFacts;
  /** The bytes of level 1, as they were sent. */
  readonly report: Buffer;
  /**
   * Where the bytes of the attached files lie, in the event's order, when that is not where the event says. The policy
   * is about where they come from.
   */
  readonly stored?: readonly string[];
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  /** This program's version. */
  readonly version: string;
  /** Null: nothing is redacted. `anonymize` null: names and paths stay. */
  readonly redact: { readonly anonymize: Identity | null } | null;
  readonly queryWmi: (query: WqlQuery, limits: Limits) => Promise<WmiAnswer>;
  readonly collectRegistry: (
    key: RegistryPath,
    kind: "RegKey" | "RegTree",
    /** Whether a key below the item's own, by its full name, may be collected too. */
    isOpen: (key: string) => boolean,
    limits: Limits,
  ) => Promise<CollectedRegistry>;
};

export type Collection = {
  /** In the order they belong in the archive; the last is the manifest. */
  readonly entries: readonly Entry[];
  /** The items as the manifest has them; final once the manifest has been opened. */
  readonly items: () => readonly ManifestItem[];
  /** The manifest's bytes; null until it has been opened. */
  readonly manifest: () => Buffer | null;
};

const REPORT_NAME = "report.xml";
const MANIFEST_NAME = "manifest.json";

type Run = CollectOptions & {
  readonly time: Date;
  readonly records: readonly ItemRecord[];
  readonly judge: () => Promise<Judge>;
  readonly budget: Budget;
};

/** Touches nothing before the entries are opened. */
export function collectEntries(plan: CollectionPlan, event: Event, options: CollectOptions): Collection {
  const records = plan.items.map(startRecord);
  const run: Run = {
    ...options,
    time: fromFileTime(event.eventTime),
    records,
    judge: once(() => realJudge(options)),
    budget: new Budget(options),
  };
  let results: readonly EntryResult[] = [];
  let bytes: Buffer | null = null;
  const report: EntryRecord = { place: null, notes: UNTOUCHED };
  const manifest = async (before: readonly EntryResult[]) => {
    results = [...before];
    bytes = formatManifest(
      makeManifest({ ...options, event, report, consent: options.policy.consent }, records, results),
    );
    return bytes;
  };
  const entries = [
    entryOf(run, REPORT_NAME, report, async () => ({ body: options.report, notes: UNTOUCHED })),
    ...records.flatMap((record, index) => entriesOf(run, record, index)),
    { name: MANIFEST_NAME, time: run.time, open: manifest },
  ];
  return { entries, items: () => finishItems(records, results), manifest: () => bytes };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}

/** The policy with the real paths of its patterns' directories. */
async function realJudge({ policy, facts }: CollectOptions): Promise<Judge> {
  const real = new Map<string, string>();
  for (const prefix of prefixesOf(policy, facts)) {
    const path = await realPathOf(prefix);
    if (path !== null && path !== prefix) real.set(prefix, path);
  }
  return makeJudge(policy, facts, real);
}

type Made = { readonly body: EntryBody; readonly notes: BodyNotes };

/** Gives null when there is nothing to store, having noted why. */
type Make = () => Promise<Made | null>;

function entryOf(run: Run, name: string, entry: EntryRecord, make: Make): Entry {
  return {
    name,
    time: run.time,
    open: async (before) => {
      run.signal.throwIfAborted();
      entry.place = before.length;
      const made = await make();
      if (made === null) return null;
      entry.notes = made.notes;
      return made.body;
    },
  };
}

/** An entry of one item: whatever goes wrong is that item's own failure. */
function itemEntry(run: Run, record: ItemRecord, name: string, make: Make): Entry {
  const entry: EntryRecord = { place: null, notes: UNTOUCHED };
  record.entries = [...record.entries, entry];
  return entryOf(run, name, entry, async () => {
    try {
      return await make();
    } catch (thrown) {
      run.signal.throwIfAborted();
      return refuseRecord(record, refusalOf(thrown));
    }
  });
}

function entriesOf(run: Run, record: ItemRecord, index: number): Entry[] {
  const { target, kind } = record.item;
  if (record.state !== "collected" || target === null) return [];
  switch (target.type) {
    case "attached":
      return [itemEntry(run, record, storedName(target.file.name), () => openAttached(run, record, index))];
    case "path":
      if (kind === "GetFileVersion") return versionEntries(run, index);
      return [itemEntry(run, record, storedName(target.path), () => openAsked(run, record, target.path))];
    case "query":
      return queryEntries(run, record, target.query, ordinalOf(run, index));
    case "key":
      return registryEntries(run, record, target.key, ordinalOf(run, index));
    case "answered-by":
      return [];
  }
}

/** The place among the items of its kind, from 1. */
function ordinalOf({ records }: Run, index: number): number {
  const kind = records[index]?.item.kind;
  return records.slice(0, index + 1).filter(({ item }) => item.kind === kind).length;
}

const OWN_NAMES = /^(?:report\.xml|manifest\.json|file-versions\.(?:txt|json))$/i;

/** The last part of a path; the names of this program's own entries are kept free. */
function storedName(path: string): string {
  const base = path
    .replace(/^.*[\\/]/s, "")
    .replace(/[\u0000-\u001f\u007f]/g, "")
    .replace(/^ +|[. ]+$/g, "");
  return OWN_NAMES.test(base.normalize("NFKC")) ? `file-${base}` : base || "file";
}

/** Microdump, minidump and heap dump (WerReportAddFile): a byte changed makes them useless. */
const DUMP_TYPES: ReadonlySet<FileType> = new Set<FileType>([1, 2, 3]);

/** The user named it, so a link at its end is followed; what it leads to is still to be a regular file. */
async function openAttached(run: Run, record: ItemRecord, index: number): Promise<Made | null> {
  const { target } = record.item;
  if (target?.type !== "attached") return null;
  const judge = await run.judge();
  const origin = (await realPathOf(target.file.path)) ?? target.file.path;
  const stored = run.stored?.[index] ?? target.file.path;
  const isCopy = stored !== target.file.path;
  const refused = isCopy ? refusedOrigin(judge, origin, run.facts) : null;
  if (refused !== null) return refuseRecord(record, refused);
  const opened = await openRegular(isCopy ? stored : origin, run.facts.platform, (real) =>
    isCopy ? { decision: "collect", rule: "attached", reason: null } : judgePath(judge, "File", real),
  );
  if (!opened.ok) return refuseRecord(record, opened);
  const isBinary = DUMP_TYPES.has(target.file.type);
  return bodyOfFile(opened.file, { limit: null, redact: run.redact, isBinary, signal: run.signal });
}

/** A copy is no more agreed to than what it is a copy of. */
function refusedOrigin(judge: Judge, origin: string, { platform }: PathFacts): Omit<Refused, "ok"> | null {
  const parsed = normalizePath(origin, platform);
  const verdict = parsed.ok ? judgePath(judge, "File", parsed) : null;
  return verdict?.decision === "decline" ? { ...verdict, state: "declined" } : null;
}

async function openAsked(run: Run, record: ItemRecord, path: string): Promise<Made | null> {
  const opened = await openInTime(run, "GetFile", path);
  if (!opened.ok) return refuseRecord(record, opened);
  const limit = run.budget.takeBytes(opened.file.size);
  if (limit === null) {
    await opened.file.handle.close();
    return refuseRecord(record, TOTAL_REACHED);
  }
  const signal = AbortSignal.any([run.signal, AbortSignal.timeout(run.budget.timeLeft())]);
  const made = await bodyOfFile(opened.file, { limit, redact: run.redact, signal });
  if (made.notes.isCut) {
    record.state = "cut";
    addReason(
      record,
      `its middle is left out, since it has ${opened.file.size} bytes and ${limit} may be sent`,
    );
  }
  return made;
}

/** A file system that hangs holds up no more than this item. */
async function openInTime(run: Run, kind: "GetFile" | "GetFileVersion", path: string): Promise<Opened> {
  if (run.budget.timeLeft() === 0) return TIME_REACHED;
  const judge = await run.judge();
  const opening = openRegular(path, run.facts.platform, (real) => judgePath(judge, kind, real));
  const opened = await run.budget.inTime(opening);
  if (opened !== null) return opened;
  opening.then((late) => (late.ok ? late.file.handle.close() : undefined)).catch(() => undefined);
  return TIME_REACHED;
}

/** A collector's own text as an entry. */
function madeOf(run: Run, body: Buffer, encoding: TextEncoding): Made {
  run.budget.spend(body.length);
  if (run.redact === null) return { body, notes: UNTOUCHED };
  const redactor = new TextRedactor(encoding, run.redact);
  const redacted = redactBuffer(body, redactor);
  return { body: redacted, notes: { redaction: "text", counts: () => redactor.counts, isCut: false } };
}

/** The answer as text and as JSON, from one query. */
function queryEntries(run: Run, record: ItemRecord, query: WqlQuery, ordinal: number): Entry[] {
  const ask = once(() => askWmi(run, record, query));
  const name = `wql-${ordinal}-${query.className.slice(0, 60)}`;
  return (["text", "json"] as const).map((form) =>
    itemEntry(run, record, `${name}.${form === "text" ? "txt" : "json"}`, async () => {
      const answer = await ask();
      return answer === null ? null : madeOf(run, Buffer.from(answer[form]), "bytes");
    }),
  );
}

async function askWmi(run: Run, record: ItemRecord, query: WqlQuery) {
  const limits = run.budget.limits();
  if ("state" in limits) return refuseRecord(record, limits);
  const answer = await run.queryWmi(query, limits);
  if (!answer.ok)
    return refuseRecord(record, { state: "failed", rule: null, reason: clauseOf(answer.reason) });
  if (answer.unknownProperties.length > 0)
    addReason(record, `not known on this system: ${answer.unknownProperties.join(", ").slice(0, 500)}`);
  if (answer.cut) record.state = "cut";
  if (answer.cut) addReason(record, `what goes beyond ${limits.maxBytes} bytes is left out`);
  return answer;
}

/** One .reg file per view of the registry, from one export. */
function registryEntries(run: Run, record: ItemRecord, key: RegistryPath, ordinal: number): Entry[] {
  const kind = record.item.kind === "RegTree" ? "RegTree" : "RegKey";
  const exported = once(() => exportRegistry(run, record, kind, key));
  const name = `${kind.toLowerCase()}-${ordinal}-${formatRegistryPath(key)
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .slice(0, 80)}`;
  return ["", ".32-bit"].map((view, index) =>
    itemEntry(run, record, `${name}${view}.reg`, async () => {
      const file = (await exported())?.files[index];
      return file === undefined ? null : madeOf(run, file, "utf-16le");
    }),
  );
}

async function exportRegistry(run: Run, record: ItemRecord, kind: "RegKey" | "RegTree", key: RegistryPath) {
  const limits = run.budget.limits();
  if ("state" in limits) return refuseRecord(record, limits);
  const judge = await run.judge();
  const isNamed = judgeKey(judge, kind, keySegments(formatRegistryPath(key))).rule === "allow";
  const isOpen = (found: string) => {
    const { decision, rule } = judgeKey(judge, kind, keySegments(found));
    // A value that is allowed by name is found in a key that perhaps is not.
    return decision !== "decline" || (kind === "RegKey" && isNamed && rule !== "deny");
  };
  const answer = await run.collectRegistry(key, kind, isOpen, limits);
  if (!answer.ok)
    return refuseRecord(record, { state: answer.state, rule: null, reason: clauseOf(answer.reason) });
  if (answer.cut) record.state = "cut";
  if (answer.note !== null) addReason(record, clauseOf(answer.note));
  return answer;
}

const VERSIONS_NAME = "file-versions";

/** All versions in one list, as text and as JSON, in the place of the first of them. */
function versionEntries(run: Run, index: number): Entry[] {
  const items = run.records.filter(
    ({ item, state }) => item.kind === "GetFileVersion" && state === "collected",
  );
  const [first] = items;
  if (first === undefined || run.records[index] !== first) return [];
  const read = once(() => readVersions(run, items));
  const entries = (["txt", "json"] as const).map((form) =>
    itemEntry(run, first, `${VERSIONS_NAME}.${form}`, async () => {
      const lists = await read();
      return lists === null ? null : madeOf(run, lists[form], "bytes");
    }),
  );
  for (const record of items) record.entries = first.entries;
  return entries;
}

async function readVersions(run: Run, items: readonly ItemRecord[]) {
  const { formatVersions, encodeVersions } = await import("./files/version.ts");
  const versions: NamedVersion[] = [];
  for (const record of items) {
    const version = await readVersion(run, record);
    if (version !== null) versions.push({ item: record.item.item, ...version });
  }
  if (versions.length === 0) return null;
  return { txt: Buffer.from(formatVersions(versions)), json: Buffer.from(encodeVersions(versions)) };
}

async function readVersion(run: Run, record: ItemRecord): Promise<FileVersion | null> {
  const { target } = record.item;
  if (target?.type !== "path") return null;
  const { readFileVersion } = await import("./files/version.ts");
  try {
    const opened = await openInTime(run, "GetFileVersion", target.path);
    if (!opened.ok) return refuseRecord(record, opened);
    const signal = AbortSignal.any([run.signal, AbortSignal.timeout(run.budget.timeLeft())]);
    return await readFileVersion(opened.file, { maxHashed: run.policy.maxFileSize, signal });
  } catch (thrown) {
    run.signal.throwIfAborted();
    return refuseRecord(record, refusalOf(thrown));
  }
}
