/**
 * Carries a collection plan out, as the entries of an archive: the report, the attached files, what was asked for, and
 * last the manifest, which is made from what the archive says it holds by then. An item that fails fails alone; only the
 * caller's signal stops everything.
 */

import type { Entry, EntryBody, EntryResult } from "../archive/entries/entry.ts";
import { type Judge, judgeKey, judgePath, makeJudge, prefixesOf } from "../consent/judge.ts";
import { normalizePath, type PathFacts } from "../consent/local-path.ts";
import { type CollectionPlan, clauseOf } from "../consent/plan.ts";
import { formatRegistryPath, keySegments, type RegistryPath } from "../consent/registry-path.ts";
import { type AttachedFile, type FileType, fromFileTime } from "../event.ts";
import { encodeDocument } from "../json.ts";
import type { Limits } from "../system/run-program.ts";
import type { WqlQuery } from "../wql/parse.ts";
import { Budget, type BudgetOptions, TIME_REACHED, TOTAL_REACHED } from "./budget.ts";
import { type BodyNotes, bodyOfFile, UNTOUCHED } from "./files/body.ts";
import { type Opened, openRegular, realPathOf, refusalOf, refuse } from "./files/open.ts";
import type { FileVersion } from "./files/version.ts";
import type { ManifestItem } from "./manifest.ts";
import {
  addReason,
  type CollectedEntry,
  type CollectionFacts,
  cutRecord,
  finishItems,
  type ItemRecord,
  makeManifest,
  refuseRecord,
  startRecord,
} from "./record.ts";
import { redactBuffer, type TextEncoding, TextRedactor } from "./redact/redact.ts";
import type { CollectedRegistry } from "./registry/registry.ts";
import type { WmiAnswer } from "./wmi/query.ts";

export type CollectOptions = BudgetOptions &
  CollectionFacts & {
    readonly facts: PathFacts;
    /** The bytes of level 1, as they were sent. */
    readonly report: Buffer;
    /** Where the bytes of the attached files lie, in the event's order. The policy is about where they come from. */
    readonly stored: readonly string[];
    /** Bytes that the archive can hold of one file; null for any number. */
    readonly maxEntrySize: number | null;
    /** For each of them, why those bytes are not to be sent: a clause; null, or nothing, when they may be. */
    readonly damaged?: readonly (string | null)[];
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

type CollectionRun = CollectOptions & {
  readonly time: Date;
  readonly records: readonly ItemRecord[];
  readonly judge: () => Promise<Judge>;
  readonly budget: Budget;
};

/** Touches nothing before the entries are opened. */
export function collectEntries(plan: CollectionPlan, options: CollectOptions): Collection {
  const records = plan.items.map(startRecord);
  const time = fromFileTime(options.event.eventTime);
  const judge = once(() => realJudge(options));
  const run: CollectionRun = { ...options, time, records, judge, budget: new Budget(options) };
  let results: readonly EntryResult[] = [];
  let bytes: Buffer | null = null;
  const report: CollectedEntry = { place: null, notes: UNTOUCHED };
  const manifest = async (before: readonly EntryResult[]) => {
    results = [...before];
    bytes = encodeDocument(makeManifest(options, report, records, results));
    return bytes;
  };
  const entries = [
    entryOf(run, REPORT_NAME, report, async () => ({ body: options.report, notes: UNTOUCHED })),
    ...records.flatMap((record, index) => entriesOf(run, record, index)),
    { name: MANIFEST_NAME, time, open: manifest },
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

function entryOf(run: CollectionRun, name: string, entry: CollectedEntry, make: Make): Entry {
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
function itemEntry(run: CollectionRun, record: ItemRecord, name: string, make: Make): Entry {
  const entry: CollectedEntry = { place: null, notes: UNTOUCHED };
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

function entriesOf(run: CollectionRun, record: ItemRecord, index: number): Entry[] {
  const { target, kind } = record;
  if (record.state !== "collected" || target === null) return [];
  switch (target.type) {
    case "attached":
      return [
        itemEntry(run, record, storedName(target.file.name), () =>
          openAttached(run, record, index, target.file),
        ),
      ];
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
function ordinalOf({ records }: CollectionRun, index: number): number {
  return records.slice(0, index + 1).filter(({ kind }) => kind === records[index]?.kind).length;
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

/** WerFileTypeOther: what is attached with --file. */
const LOG_TYPE: FileType = 5;

/**
 * The user named it, so a link at its end is followed; what it leads to is still to be a regular file.
 * Its bytes may lie elsewhere; a copy is no more agreed to than what it is a copy of.
 * @param index its place among the items
 */
async function openAttached(
  run: CollectionRun,
  record: ItemRecord,
  index: number,
  file: AttachedFile,
): Promise<Made | null> {
  const { [index]: stored = file.path } = run.stored;
  const { [index]: damage = null } = run.damaged ?? [];
  const judge = await run.judge();
  const { platform } = run.facts;
  const origin = (await realPathOf(file.path)) ?? file.path;
  const isCopy = stored !== file.path;
  const parsed = normalizePath(origin, platform);
  const judged = isCopy && parsed.ok ? judgePath(judge, "File", parsed) : null;
  if (judged?.decision === "decline") return refuseRecord(record, { ...judged, state: "declined" });
  if (damage !== null) return refuseRecord(record, refuse("declined", damage, "system"));
  const opened = await openRegular(isCopy ? stored : origin, platform, (real) =>
    isCopy ? { decision: "collect", rule: "attached", reason: null } : judgePath(judge, "File", real),
  );
  if (!opened.ok) return refuseRecord(record, opened);
  const isBinary = DUMP_TYPES.has(file.type);
  const { size } = opened.file;
  const isTooLarge = run.maxEntrySize !== null && size > run.maxEntrySize;
  // Half a dump or half a document is of no use; of a log the end is what counts.
  const limit = isTooLarge && file.type === LOG_TYPE ? run.policy.maxFileSize : null;
  const made = await bodyOfFile(opened.file, { limit, redact: run.redact, isBinary, signal: run.signal });
  if (limit !== null)
    cutRecord(
      record,
      `its middle is left out, since it has ${size} bytes and the archive holds ${run.maxEntrySize}`,
    );
  return made;
}

async function openAsked(run: CollectionRun, record: ItemRecord, path: string): Promise<Made | null> {
  const opened = await openInTime(run, "GetFile", path);
  if (!opened.ok) return refuseRecord(record, opened);
  const limit = run.budget.takeBytes(opened.file.size);
  if (limit === null) {
    await opened.file.handle.close();
    return refuseRecord(record, TOTAL_REACHED);
  }
  const signal = AbortSignal.any([run.signal, AbortSignal.timeout(run.budget.timeLeft())]);
  const made = await bodyOfFile(opened.file, { limit, redact: run.redact, signal });
  const { size } = opened.file;
  if (made.notes.isCut)
    cutRecord(record, `its middle is left out, since it has ${size} bytes and ${limit} may be sent`);
  return made;
}

/** A file system that hangs holds up no more than this item. */
async function openInTime(
  run: CollectionRun,
  kind: "GetFile" | "GetFileVersion",
  path: string,
): Promise<Opened> {
  if (run.budget.timeLeft() === 0) return TIME_REACHED;
  const judge = await run.judge();
  const opening = openRegular(path, run.facts.platform, (real) => judgePath(judge, kind, real));
  const opened = await run.budget.inTime(opening);
  if (opened !== null) return opened;
  opening.then((late) => (late.ok ? late.file.handle.close() : undefined)).catch(() => undefined);
  return TIME_REACHED;
}

/** A collector's own text as an entry. */
function madeOf(run: CollectionRun, body: Buffer, encoding: TextEncoding): Made {
  run.budget.spend(body.length);
  if (run.redact === null) return { body, notes: UNTOUCHED };
  const redactor = new TextRedactor(encoding, run.redact);
  const redacted = redactBuffer(body, redactor);
  return { body: redacted, notes: { redaction: "text", counts: () => redactor.counts, isCut: false } };
}

/** The entries of an item that one asking makes, one for each name; none for a name that no body is left for. */
function entriesFrom(
  run: CollectionRun,
  record: ItemRecord,
  names: readonly string[],
  encoding: TextEncoding,
  ask: () => Promise<readonly Buffer[] | null>,
): Entry[] {
  const asked = once(ask);
  return names.map((name, index) =>
    itemEntry(run, record, name, async () => {
      const body = (await asked())?.[index];
      return body === undefined ? null : madeOf(run, body, encoding);
    }),
  );
}

/** The answer as text and as JSON. */
function queryEntries(run: CollectionRun, record: ItemRecord, query: WqlQuery, ordinal: number): Entry[] {
  const name = `wql-${ordinal}-${query.className.slice(0, 60)}`;
  return entriesFrom(run, record, [`${name}.txt`, `${name}.json`], "bytes", () => askWmi(run, record, query));
}

async function askWmi(run: CollectionRun, record: ItemRecord, query: WqlQuery) {
  const limits = run.budget.limits();
  if ("state" in limits) return refuseRecord(record, limits);
  const answer = await run.queryWmi(query, limits);
  if (!answer.ok)
    return refuseRecord(record, { state: "failed", rule: null, reason: clauseOf(answer.reason) });
  if (answer.unknownProperties.length > 0)
    addReason(record, `not known on this system: ${answer.unknownProperties.join(", ").slice(0, 500)}`);
  if (answer.cut) cutRecord(record, `what goes beyond ${limits.maxBytes} bytes is left out`);
  return [answer.text, answer.json].map((text) => Buffer.from(text));
}

/** One .reg file per view of the registry. */
function registryEntries(
  run: CollectionRun,
  record: ItemRecord,
  key: RegistryPath,
  ordinal: number,
): Entry[] {
  const kind = record.kind === "RegTree" ? "RegTree" : "RegKey";
  const name = `${kind.toLowerCase()}-${ordinal}-${formatRegistryPath(key)
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .slice(0, 80)}`;
  return entriesFrom(run, record, [`${name}.reg`, `${name}.32-bit.reg`], "utf-16le", () =>
    exportRegistry(run, record, kind, key),
  );
}

async function exportRegistry(
  run: CollectionRun,
  record: ItemRecord,
  kind: "RegKey" | "RegTree",
  key: RegistryPath,
) {
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
  if (answer.note !== null) cutRecord(record, clauseOf(answer.note));
  return answer.files;
}

/** All versions in one list, as text and as JSON, in the place of the first of them. */
function versionEntries(run: CollectionRun, index: number): Entry[] {
  const items = run.records.filter(({ kind, state }) => kind === "GetFileVersion" && state === "collected");
  const [first] = items;
  if (first === undefined || run.records[index] !== first) return [];
  const names = ["file-versions.txt", "file-versions.json"];
  const entries = entriesFrom(run, first, names, "bytes", () => readVersions(run, items));
  for (const record of items) record.entries = first.entries;
  return entries;
}

async function readVersions(run: CollectionRun, items: readonly ItemRecord[]) {
  const { formatVersions, encodeVersions } = await import("./files/version.ts");
  const versions: FileVersion[] = [];
  for (const record of items) {
    const version = await readVersion(run, record);
    if (version !== null) versions.push(version);
  }
  if (versions.length === 0) return null;
  return [formatVersions(versions), encodeVersions(versions)].map((text) => Buffer.from(text));
}

async function readVersion(run: CollectionRun, record: ItemRecord): Promise<FileVersion | null> {
  const { target, item } = record;
  if (target?.type !== "path") return null;
  const { readFileVersion } = await import("./files/version.ts");
  try {
    const opened = await openInTime(run, "GetFileVersion", target.path);
    if (!opened.ok) return refuseRecord(record, opened);
    const signal = AbortSignal.any([run.signal, AbortSignal.timeout(run.budget.timeLeft())]);
    return await readFileVersion(item, opened.file, { maxHashed: run.policy.maxFileSize, signal });
  } catch (thrown) {
    run.signal.throwIfAborted();
    return refuseRecord(record, refusalOf(thrown));
  }
}
