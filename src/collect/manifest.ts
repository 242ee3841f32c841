/**
 * `manifest.json`, the last entry of every archive: what was asked for, in order, and what became of it. Version 1 of a
 * documented JSON format, written from what the archive really holds and read back as untrusted text.
 */

import * as v from "valibot";
import { CONSENTS, ITEM_KINDS } from "../consent/policy.ts";
import { CerError } from "../errors.ts";
import { documentReader, object, objectOfAny, wholeNumber } from "../json.ts";
import { quote } from "../printable.ts";

export const MANIFEST_FORMAT = "cer-manifest";
export const MANIFEST_VERSION = 1;

const text = v.string("is not text");
const count = wholeNumber("is not a whole number from 0");
const sha256 = v.pipe(text, v.regex(/^[0-9a-f]{64}$/, "is no SHA-256 in hexadecimal"));

function oneOf<const T extends readonly string[]>(known: T) {
  return v.picklist(known, `is not one of ${known.join(", ")}`);
}

function fieldsOf<E extends v.ObjectEntries>(entries: E) {
  return object(entries, "is not an object");
}

function list<S extends v.GenericSchema>(item: S) {
  return v.pipe(v.array(item, "is not a list"), v.readonly());
}

export type ManifestFile = v.InferOutput<ReturnType<typeof fileSchema>>;

const fileSchema = () =>
  fieldsOf({
    /** In the archive. */
    name: text,
    /** As stored in the archive, uncompressed; after redaction. */
    bytes: count,
    /** Of those bytes, lower-case hexadecimal. */
    sha256,
    /** `text` passed the redactors, `binary` was left alone, `off` means that redaction was turned off. */
    redaction: oneOf(["text", "binary", "off"]),
    /** Places redacted in it. */
    redacted: count,
  });

export type ManifestItem = v.InferOutput<ReturnType<typeof itemSchema>>;

const itemSchema = () =>
  fieldsOf({
    kind: oneOf(ITEM_KINDS),
    /** As asked for, shortened when very long; of an attached file the name that the event gives it. */
    item: text,
    /** What became of it; of `collected` and `cut` the archive holds files, of the others none. */
    state: oneOf(["collected", "cut", "missing", "declined", "failed"]),
    /** What decided: attached, allow, deny, built-in, consent, answer, request, syntax, system, limit. */
    rule: text,
    /** A clause; null when the state says all. */
    reason: v.nullable(text),
    files: list(fileSchema()),
  });

export type Manifest = ReturnType<typeof readManifest>;

const readManifest = documentReader(refuse, () =>
  object(
    {
      format: v.literal(MANIFEST_FORMAT, `This JSON is no manifest: format is not "${MANIFEST_FORMAT}".`),
      version: v.literal(
        MANIFEST_VERSION,
        ({ input }) =>
          `The manifest is of version ${quote(String(input))}; this program reads version ${MANIFEST_VERSION}.`,
      ),
      generator: fieldsOf({ name: text, version: text }),
      /** The report that the archive belongs to; `file` is null when it could not be stored. */
      report: fieldsOf({
        eventType: text,
        /** FILETIME in decimal. */
        eventTime: text,
        application: v.nullable(text),
        bucket: v.nullable(text),
        bucketTable: v.nullable(text),
        file: v.nullable(fieldsOf({ name: text, bytes: count, sha256 })),
      }),
      consent: oneOf(CONSENTS),
      redaction: fieldsOf({
        enabled: v.fallback(v.boolean(), false),
        /** User name and home path were replaced as well. */
        anonymized: v.fallback(v.boolean(), false),
        /** Places redacted, by rule, whatever it is called; only rules that found something. */
        counts: v.pipe(
          objectOfAny("is not an object"),
          v.transform((counts) => new Map(Object.entries(counts))),
          v.map(v.string(), count),
          v.transform((counts): Readonly<Record<string, number>> => Object.fromEntries(counts)),
        ),
      }),
      items: list(itemSchema()),
    },
    "This JSON is no manifest: it is not an object.",
  ),
);

/** The items of which the archive holds nothing, as the result of a submission lists them. */
export function notCollected(items: readonly ManifestItem[]) {
  return items
    .filter(({ files, state }) => state !== "collected" && state !== "cut" && files.length === 0)
    .map(({ kind, item, state, reason }) => ({ kind, item, reason: reason ?? state }));
}

/** Characters of a manifest that are read: far above what `MAX_ITEMS` items of every key can make. */
const MAX_MANIFEST_LENGTH = 64 * 1024 * 1024;

/**
 * Reads a manifest that came from anywhere. Keys that version 1 does not have are dropped.
 * @throws CerError CER_UNKNOWN_FORMAT for what is no manifest or a later version, CER_DAMAGED naming the field
 */
export function parseManifest(text: string): Manifest {
  if (text.length > MAX_MANIFEST_LENGTH)
    throw new CerError(
      "CER_DAMAGED",
      `The manifest is ${text.length} characters long; at most ${MAX_MANIFEST_LENGTH} are read.`,
    );
  return readManifest(text);
}

function refuse(at: string | null, fault: string, cause?: unknown): CerError {
  switch (at) {
    case null:
      return new CerError("CER_UNKNOWN_FORMAT", "This is no manifest: it is not JSON.", { cause });
    case "":
    case "format":
      return new CerError("CER_UNKNOWN_FORMAT", fault);
    case "version":
      return new CerError("CER_UNKNOWN_FORMAT", fault, {
        hint: "Use the version of cer that wrote it, or a later one.",
      });
    default:
      return new CerError("CER_DAMAGED", `The manifest's ${at} ${fault}.`);
  }
}
