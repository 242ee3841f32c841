/**
 * What is known of each item while it is collected, and what the manifest says of it in the end: only what the archive
 * says it holds. Hides how items and entries belong together, since an item may have no, one or several entries.
 */

import type { EntryResult } from "../archive/entries/entry.ts";
import type { Rule } from "../consent/judge.ts";
import type { PlanItem } from "../consent/plan.ts";
import type { Policy } from "../consent/policy.ts";
import type { Event } from "../event.ts";
import type { BodyNotes } from "./files/body.ts";
import type { Refused } from "./files/open.ts";
import {
  MANIFEST_FORMAT,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestFile,
  type ManifestItem,
} from "./manifest.ts";
import { addCounts, type RedactionCounts } from "./redact/redact.ts";
import type { Identity } from "./redact/rules.ts";

/** An entry of the archive: its place among the results once it has been opened, and what was done to its bytes. */
export type CollectedEntry = { place: number | null; notes: BodyNotes };

export type ItemRecord = Pick<PlanItem, "kind" | "item" | "target"> & {
  state: ManifestItem["state"];
  rule: Rule;
  reason: string | null;
  entries: readonly CollectedEntry[];
};

/** Nothing is collected of what the user was to be asked about and was not. */
export function startRecord({ decision, ...item }: PlanItem): ItemRecord {
  const states = { collect: "collected", ask: "declined", decline: "declined", missing: "missing" } as const;
  const reason = decision === "ask" ? "the user was not asked" : item.reason;
  return { ...item, state: states[decision], reason, entries: [] };
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
  record.reason = joinReasons(record.reason, reason);
}

/** Notes that a part of it is left out, and why. */
export function cutRecord(record: ItemRecord, reason: string): void {
  record.state = "cut";
  addReason(record, reason);
}

function joinReasons(first: string | null, second: string): string {
  return first === null ? second : `${first}; ${second}`;
}

/** The items as they stand, given what the archive has stored so far. */
export function finishItems(records: readonly ItemRecord[], results: readonly EntryResult[]): ManifestItem[] {
  const items = records.map((record) => finishItem(record, results));
  return items.map((item, index) => followFiles(item, records[index]?.target, items));
}

function finishItem(record: ItemRecord, results: readonly EntryResult[]): ManifestItem {
  const { kind, item, rule, state, reason, entries } = record;
  const line = { kind, item, rule };
  if (state !== "collected" && state !== "cut") return { ...line, state, reason, files: [] };
  const stored = entries.flatMap(({ place }) => (place === null ? [] : (results[place] ?? [])));
  const files = entries.flatMap((entry) => filesOf(entry, results));
  if (files.length === 0)
    return { ...line, state: "failed", reason: reasonOfLoss(stored) ?? reason ?? NOT_STORED, files };
  const wasCut = stored.some((result) => result.state === "cut");
  if (!wasCut) return { ...line, state, reason, files };
  return { ...line, state: "cut", reason: joinReasons(reason, "only its beginning could be read"), files };
}

const NOT_STORED = "it could not be stored";

/** A writer says why it leaves something out; an error's own words may name paths and stay here. */
function reasonOfLoss(stored: readonly EntryResult[]): string | null {
  return stored.find(({ state, reason }) => state === "left-out" && reason !== null)?.reason ?? null;
}

function filesOf({ place, notes }: CollectedEntry, results: readonly EntryResult[]): ManifestFile[] {
  const result = place === null ? undefined : results[place];
  if (result === undefined) return [];
  const { name, size, sha256, parts } = result;
  if (name === null || sha256 === null) return [];
  const { redaction, counts } = notes;
  const redacted = Object.values(counts()).reduce((sum, count) => sum + count, 0);
  const pieces = parts.length > 0 ? parts : [{ name, size, sha256 }];
  return pieces.map((piece) => ({
    name: piece.name,
    bytes: piece.size,
    sha256: piece.sha256,
    redaction,
    redacted,
  }));
}

/** MemoryDump and fDoc are what became of the attached files that answer them. */
function followFiles(
  item: ManifestItem,
  target: PlanItem["target"] | undefined,
  items: readonly ManifestItem[],
): ManifestItem {
  if (target?.type !== "answered-by") return item;
  const answers = target.files.flatMap((index) => items[index] ?? []);
  const files = answers.flatMap((answer) => answer.files);
  if (files.length === 0)
    return { ...item, state: "failed", reason: "the attached file could not be stored", files };
  const state = answers.some((answer) => answer.state === "cut") ? "cut" : "collected";
  return { ...item, state, reason: null, files };
}

/** What the manifest says of the collection as a whole. */
export type CollectionFacts = {
  readonly event: Event;
  readonly policy: Policy;
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  /** This program's version. */
  readonly version: string;
  /** Null: nothing is redacted. `anonymize` null: names and paths stay. */
  readonly redact: { readonly anonymize: Identity | null } | null;
};

/** @param report the entry that holds the report */
export function makeManifest(
  { event, policy, bucket, bucketTable, version, redact }: CollectionFacts,
  report: CollectedEntry,
  records: readonly ItemRecord[],
  results: readonly EntryResult[],
): Manifest {
  const [file] = filesOf(report, results);
  return {
    format: MANIFEST_FORMAT,
    version: MANIFEST_VERSION,
    generator: { name: "cer", version },
    report: {
      eventType: event.eventType,
      eventTime: String(event.eventTime),
      application: event.application?.name ?? null,
      bucket,
      bucketTable,
      file: file === undefined ? null : { name: file.name, bytes: file.bytes, sha256: file.sha256 },
    },
    consent: policy.consent,
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
