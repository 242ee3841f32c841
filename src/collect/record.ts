/**
 * What is known of each item while it is collected, and what the manifest says of it in the end: only what the archive
 * says it holds. Hides how items and entries belong together, since an item may have no, one or several entries.
 */

import type { EntryResult } from "../archive/entries/entry.ts";
import type { Rule } from "../consent/judge.ts";
import type { PlanItem } from "../consent/plan.ts";
import type { Consent } from "../consent/policy.ts";
import type { Event } from "../event.ts";
import type { BodyNotes } from "./files/body.ts";
import type { Refused } from "./files/open.ts";
import {
  type ItemState,
  MANIFEST_FORMAT,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestFile,
  type ManifestItem,
} from "./manifest.ts";
import { addCounts, type RedactionCounts } from "./redact/redact.ts";

/** An entry of an item: its place among the results once it has been opened, and what was done to its bytes. */
export type EntryRecord = { place: number | null; notes: BodyNotes };

/** Bytes that are this program's own, or not looked into. */
export const UNTOUCHED: BodyNotes = { redaction: "off", counts: () => ({}), isCut: false };

export type ItemRecord = {
  readonly item: PlanItem;
  state: ItemState;
  rule: Rule;
  reason: string | null;
  entries: readonly EntryRecord[];
};

/** Nothing is collected of what the user was to be asked about and was not. */
export function startRecord(item: PlanItem): ItemRecord {
  const { decision, rule, reason } = item;
  const states = { collect: "collected", ask: "declined", decline: "declined", missing: "missing" } as const;
  return {
    item,
    state: states[decision],
    rule,
    reason: decision === "ask" ? "the user was not asked" : reason,
    entries: [],
  };
}

/** Notes why an item is not collected. */
export function refuseRecord(record: ItemRecord, { state, rule, reason }: Omit<Refused, "ok">): null {
  record.state = state;
  record.rule = rule ?? record.rule;
  record.reason = reason;
  return null;
}

/** Notes something of an item that is collected all the same. */
export function addReason(record: ItemRecord, reason: string): void {
  record.reason = withReason(record.reason, reason);
}

function withReason(before: string | null, reason: string): string {
  return before === null ? reason : `${before}; ${reason}`;
}

/** The items as they stand, given what the archive has stored so far. */
export function finishItems(records: readonly ItemRecord[], results: readonly EntryResult[]): ManifestItem[] {
  const items = records.map((record) => finishItem(record, results));
  return items.map((item, index) => followFiles(item, records[index]?.item, items));
}

function finishItem(record: ItemRecord, results: readonly EntryResult[]): ManifestItem {
  const { item, rule, state, reason } = record;
  const line = { kind: item.kind, item: item.item, rule };
  if (state !== "collected" && state !== "cut") return { ...line, state, reason, files: [] };
  const stored = record.entries.flatMap(({ place }) => (place === null ? [] : (results[place] ?? [])));
  const files = record.entries.flatMap((entry) => filesOf(entry, results));
  if (files.length === 0)
    return { ...line, state: "failed", reason: reasonOfLoss(stored) ?? reason ?? NOT_STORED, files };
  const wasCut = stored.some((result) => result.state === "cut");
  if (!wasCut) return { ...line, state, reason, files };
  return { ...line, state: "cut", reason: withReason(reason, "only its beginning could be read"), files };
}

const NOT_STORED = "it could not be stored";

/** A writer says why it leaves something out; an error's own words may name paths and stay here. */
function reasonOfLoss(stored: readonly EntryResult[]): string | null {
  return stored.find(({ state, reason }) => state === "left-out" && reason !== null)?.reason ?? null;
}

function filesOf({ place, notes }: EntryRecord, results: readonly EntryResult[]): ManifestFile[] {
  const result = place === null ? undefined : results[place];
  if (result === undefined || result.name === null || result.sha256 === null) return [];
  const redacted = Object.values(notes.counts()).reduce((sum, count) => sum + count, 0);
  const { name, size, sha256 } = result;
  const pieces = result.parts.length > 0 ? result.parts : [{ name, size, sha256 }];
  return pieces.map((piece) => ({
    name: piece.name,
    bytes: piece.size,
    sha256: piece.sha256,
    redaction: notes.redaction,
    redacted,
  }));
}

/** MemoryDump and fDoc are what became of the attached files that answer them. */
function followFiles(
  item: ManifestItem,
  planned: PlanItem | undefined,
  items: readonly ManifestItem[],
): ManifestItem {
  if (planned?.target?.type !== "answered-by") return item;
  const answers = planned.target.files.flatMap((index) => items[index] ?? []);
  const files = answers.flatMap((answer) => answer.files);
  if (files.length === 0)
    return { ...item, state: "failed", reason: "the attached file could not be stored", files };
  return {
    ...item,
    state: answers.some(({ state }) => state === "cut") ? "cut" : "collected",
    reason: null,
    files,
  };
}

export type ManifestFacts = {
  readonly event: Event;
  readonly version: string;
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  readonly consent: Consent;
  readonly redact: { readonly anonymize: unknown } | null;
  /** The entry that holds the report. */
  readonly report: EntryRecord;
};

export function makeManifest(
  facts: ManifestFacts,
  records: readonly ItemRecord[],
  results: readonly EntryResult[],
): Manifest {
  const { event, bucket, bucketTable, redact } = facts;
  const [file] = filesOf(facts.report, results);
  return {
    format: MANIFEST_FORMAT,
    version: MANIFEST_VERSION,
    generator: { name: "cer", version: facts.version },
    report: {
      eventType: event.eventType,
      eventTime: String(event.eventTime),
      application: event.application?.name ?? null,
      bucket,
      bucketTable,
      file: file === undefined ? null : { name: file.name, bytes: file.bytes, sha256: file.sha256 },
    },
    consent: facts.consent,
    redaction: {
      enabled: redact !== null,
      anonymized: redact !== null && redact.anonymize !== null,
      counts: allCounts(records),
    },
    items: finishItems(records, results),
  };
}

/** Entries that several items share count once. */
function allCounts(records: readonly ItemRecord[]): RedactionCounts {
  const entries = new Set(records.flatMap((record) => record.entries));
  return [...entries].map(({ notes }) => notes.counts()).reduce(addCounts, {});
}
