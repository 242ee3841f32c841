/**
 * `manifest.json`, the last entry of every archive: what was asked for, in order, and what became of it. Version 1 of a
 * documented JSON format, written from what the archive really holds and read back as untrusted text.
 */

import { CONSENTS, type Consent, ITEM_KINDS, type ItemKind } from "../consent/policy.ts";
import { CerError } from "../errors.ts";
import { quote } from "../printable.ts";

export const MANIFEST_FORMAT = "cer-manifest";
export const MANIFEST_VERSION = 1;

/** What became of an item; of `collected` and `cut` the archive holds files, of the others none. */
export const ITEM_STATES = ["collected", "cut", "missing", "declined", "failed"] as const;
export type ItemState = (typeof ITEM_STATES)[number];

export type ManifestFile = {
  /** In the archive. */
  readonly name: string;
  /** As stored in the archive, uncompressed; after redaction. */
  readonly bytes: number;
  /** Of those bytes, lower-case hexadecimal. */
  readonly sha256: string;
  /** `text` passed the redactors, `binary` was left alone, `off` means that redaction was turned off. */
  readonly redaction: "text" | "binary" | "off";
  /** Places redacted in it. */
  readonly redacted: number;
};

export type ManifestItem = {
  readonly kind: ItemKind;
  /** As asked for, shortened when very long; of an attached file the name that the event gives it. */
  readonly item: string;
  readonly state: ItemState;
  /** What decided: attached, allow, deny, built-in, consent, answer, request, syntax, system, limit. */
  readonly rule: string;
  /** A clause; null when the state says all. */
  readonly reason: string | null;
  readonly files: readonly ManifestFile[];
};

export type Manifest = {
  readonly format: typeof MANIFEST_FORMAT;
  readonly version: typeof MANIFEST_VERSION;
  readonly generator: { readonly name: string; readonly version: string };
  /** The report that the archive belongs to; `file` is null when it could not be stored. */
  readonly report: {
    readonly eventType: string;
    /** FILETIME in decimal. */
    readonly eventTime: string;
    readonly application: string | null;
    readonly bucket: string | null;
    readonly bucketTable: string | null;
    readonly file: { readonly name: string; readonly bytes: number; readonly sha256: string } | null;
  };
  readonly consent: Consent;
  readonly redaction: {
    readonly enabled: boolean;
    /** User name and home path were replaced as well. */
    readonly anonymized: boolean;
    /** Places redacted, by rule; only rules that found something. */
    readonly counts: Readonly<Record<string, number>>;
  };
  readonly items: readonly ManifestItem[];
};

/** The items of which the archive holds nothing, as the result of a submission lists them. */
export function notCollected(
  items: readonly ManifestItem[],
): { kind: ItemKind; item: string; reason: string }[] {
  return items
    .filter(({ files, state }) => state !== "collected" && state !== "cut" && files.length === 0)
    .map(({ kind, item, state, reason }) => ({ kind, item, reason: reason ?? state }));
}

/** UTF-8, indented, one final line end. */
export function formatManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}

/** Characters of a manifest that are read: far above what `MAX_ITEMS` items of every key can make. */
const MAX_MANIFEST_LENGTH = 64 * 1024 * 1024;

/**
 * Reads a manifest that came from anywhere. Keys that version 1 does not have are dropped.
 * @throws CerError CER_UNKNOWN_FORMAT for what is no manifest or a later version, CER_DAMAGED naming the field
 */
export function parseManifest(text: string): Manifest {
  if (text.length > MAX_MANIFEST_LENGTH)
    throw damaged("", `is ${text.length} characters long; at most ${MAX_MANIFEST_LENGTH} are read`);
  const root = fieldsOf(parseJson(text), "the manifest");
  if (root.format !== MANIFEST_FORMAT)
    throw new CerError("CER_UNKNOWN_FORMAT", `This JSON is no manifest: format is not "${MANIFEST_FORMAT}".`);
  if (root.version !== MANIFEST_VERSION)
    throw new CerError(
      "CER_UNKNOWN_FORMAT",
      `The manifest is of version ${quote(String(root.version))}; this program reads version ${MANIFEST_VERSION}.`,
      { hint: "Use the version of cer that wrote it, or a later one." },
    );
  return {
    format: MANIFEST_FORMAT,
    version: MANIFEST_VERSION,
    generator: parseGenerator(root.generator),
    report: parseReport(root.report),
    consent: oneOf(CONSENTS, root.consent, "consent"),
    redaction: parseRedaction(root.redaction),
    items: listOf(root.items, "items").map((item, index) => parseItem(item, `items[${index}]`)),
  };
}

function damaged(where: string, what: string): CerError {
  return new CerError("CER_DAMAGED", `The manifest${where === "" ? "" : `'s ${where}`} ${what}.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CerError("CER_UNKNOWN_FORMAT", "This is no manifest: it is not JSON.", { cause });
  }
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw where === "the manifest"
    ? new CerError("CER_UNKNOWN_FORMAT", "This JSON is no manifest: it is not an object.")
    : damaged(where, "is not an object");
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw damaged(where, "is not a list");
}

function textOf(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw damaged(where, "is not text");
}

function textOrNull(value: unknown, where: string): string | null {
  return value === null ? null : textOf(value, where);
}

function countOf(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw damaged(where, "is not a whole number from 0");
}

function oneOf<Known extends string>(known: readonly Known[], value: unknown, where: string): Known {
  const found = known.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw damaged(where, `is not one of ${known.join(", ")}`);
}

function hashOf(value: unknown, where: string): string {
  const text = textOf(value, where);
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw damaged(where, "is no SHA-256 in hexadecimal");
}

function parseGenerator(value: unknown): Manifest["generator"] {
  const { name, version } = fieldsOf(value, "generator");
  return { name: textOf(name, "generator.name"), version: textOf(version, "generator.version") };
}

function parseReport(value: unknown): Manifest["report"] {
  const report = fieldsOf(value, "report");
  const file = report.file === null ? null : fieldsOf(report.file, "report.file");
  return {
    eventType: textOf(report.eventType, "report.eventType"),
    eventTime: textOf(report.eventTime, "report.eventTime"),
    application: textOrNull(report.application, "report.application"),
    bucket: textOrNull(report.bucket, "report.bucket"),
    bucketTable: textOrNull(report.bucketTable, "report.bucketTable"),
    file: file === null ? null : parseStored(file, "report.file"),
  };
}

function parseStored(file: Fields, where: string): { name: string; bytes: number; sha256: string } {
  return {
    name: textOf(file.name, `${where}.name`),
    bytes: countOf(file.bytes, `${where}.bytes`),
    sha256: hashOf(file.sha256, `${where}.sha256`),
  };
}

function parseRedaction(value: unknown): Manifest["redaction"] {
  const redaction = fieldsOf(value, "redaction");
  const counts = Object.entries(fieldsOf(redaction.counts, "redaction.counts"));
  return {
    enabled: redaction.enabled === true,
    anonymized: redaction.anonymized === true,
    counts: Object.fromEntries(
      counts.map(([rule, count]) => [rule, countOf(count, `redaction.counts.${quote(rule).slice(1, -1)}`)]),
    ),
  };
}

function parseItem(value: unknown, where: string): ManifestItem {
  const item = fieldsOf(value, where);
  const files = listOf(item.files, `${where}.files`);
  return {
    kind: oneOf(ITEM_KINDS, item.kind, `${where}.kind`),
    item: textOf(item.item, `${where}.item`),
    state: oneOf(ITEM_STATES, item.state, `${where}.state`),
    rule: textOf(item.rule, `${where}.rule`),
    reason: textOrNull(item.reason, `${where}.reason`),
    files: files.map((file, index) => parseFile(file, `${where}.files[${index}]`)),
  };
}

function parseFile(value: unknown, where: string): ManifestFile {
  const file = fieldsOf(value, where);
  return {
    ...parseStored(file, where),
    redaction: oneOf(["text", "binary", "off"], file.redaction, `${where}.redaction`),
    redacted: countOf(file.redacted, `${where}.redacted`),
  };
}
