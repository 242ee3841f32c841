/**
 * The receipt: what was delivered, when, to whom, and how, so that anybody can check it later. It holds hashes and
 * names, never contents, and no secret: addresses are written without credentials.
 */

import * as v from "valibot";
import { measure, sha256Of } from "../../bytes.ts";
import { CerError } from "../../errors.ts";
import {
  count,
  digits,
  documentReader,
  encodeDocument,
  formatIso,
  type Json,
  list,
  object,
  oneOf,
  sha256,
  text,
  time,
  unsigned64,
} from "../../json.ts";
import {
  type Attempt,
  archivedFileSchema,
  attemptSchema,
  consentSchema,
  encodeAttempt,
} from "./documents.ts";
import { parseId } from "./layout.ts";

/** Times are milliseconds since 1970, ISO 8601 in the JSON; hashes are SHA-256 in hex; sizes are bytes. */
export type Receipt = ReturnType<typeof readReceipt>;

const readReceipt = documentReader("The receipt", () =>
  v.pipe(
    object({
      version: oneOf([1]),
      id: text,
      createdAt: time,
      deliveredAt: time,
      event: object({
        /** eventIdentity: the same for the same event. */
        identity: sha256,
        eventType: text,
        /** FILETIME. */
        eventTime: unsigned64,
        application: v.nullable(text),
      }),
      /** Where level 1 went; credentials are removed when the receipt is written. */
      url: text,
      level1: object({ bytes: count, sha256 }),
      bucket: v.nullable(digits),
      bucketTable: v.nullable(digits),
      dumpFile: v.nullable(text),
      /** What level 2 carried; null when there was none. */
      archive: v.nullable(
        object({
          name: text,
          bytes: count,
          sha256,
          files: list(archivedFileSchema()),
        }),
      ),
      attempts: list(attemptSchema()),
      consent: consentSchema(),
      /** Items the server asked for and did not get. */
      declined: count,
      /** Secrets cut out of what was sent. */
      redacted: count,
    }),
    v.transform(({ version: _, ...receipt }) => receipt),
    v.readonly(),
  ),
);

/** Bytes of a receipt that are read at most. */
export const MAX_RECEIPT = 16 * 1024 * 1024;

/**
 * The receipt as JSON, sealed: `seal` is the SHA-256 of the text with an empty seal. It shows damage and careless
 * editing; it is no signature.
 */
export function encodeReceipt(receipt: Receipt): Buffer {
  const unsealed = encodeDocument(receiptJson(receipt)).toString();
  return Buffer.from(unsealed.replace(EMPTY_SEAL, `"seal": "${sha256Of(unsealed)}"`));
}

const EMPTY_SEAL = '"seal": ""';

function isSealIntact(text: string): boolean {
  const [whole, seal] = /"seal": "([0-9a-f]{64})"/.exec(text) ?? [];
  return whole !== undefined && sha256Of(text.replace(whole, EMPTY_SEAL)) === seal;
}

function receiptJson(receipt: Receipt): Json {
  return {
    version: 1,
    seal: "",
    ...receipt,
    createdAt: formatIso(receipt.createdAt),
    deliveredAt: formatIso(receipt.deliveredAt),
    event: { ...receipt.event, eventTime: receipt.event.eventTime.toString() },
    url: withoutCredentials(receipt.url),
    attempts: receipt.attempts.map(encodeAttempt),
  };
}

/** A URL without user and password, whatever they hold. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1");
}

/** @throws CerError CER_DAMAGED for what is no receipt; one that was changed is read all the same, see verifyReceipt */
export function parseReceipt(text: string, what?: string): Receipt {
  const receipt = readReceipt(text, what);
  if (parseId(receipt.id) === null)
    throw new CerError("CER_DAMAGED", "The receipt: id is not one that cer gives.");
  return receipt;
}

/**
 * The receipt for people: one line per fact.
 * @param quote makes texts from outside harmless and short
 */
export function formatReceipt(receipt: Receipt, quote: (text: string) => string): string {
  const { archive, event, consent } = receipt;
  const rows: [string, string][] = [
    ["Report", receipt.id],
    [
      "Event",
      `${quote(event.eventType)}${event.application === null ? "" : ` of ${quote(event.application)}`}`,
    ],
    ["Identity", event.identity],
    ["Made", formatIso(receipt.createdAt)],
    ["Delivered", `${formatIso(receipt.deliveredAt)} to ${quote(withoutCredentials(receipt.url))}`],
    ["Level 1", `${receipt.level1.bytes} bytes, SHA-256 ${receipt.level1.sha256}`],
    ["Bucket", `${receipt.bucket ?? "none"}, table ${receipt.bucketTable ?? "none"}`],
  ];
  if (archive !== null) {
    rows.push(["Level 2", `${quote(archive.name)}, ${archive.bytes} bytes, SHA-256 ${archive.sha256}`]);
    rows.push(["DumpFile", receipt.dumpFile === null ? "none" : quote(receipt.dumpFile)]);
    for (const file of archive.files) rows.push(["", `${quote(file.name)}, ${file.bytes} bytes`]);
  }
  rows.push(["Declined", `${receipt.declined}`], ["Redacted", `${receipt.redacted}`]);
  rows.push(["Consent", `${quote(consent.level)}, set by ${quote(consent.setBy)}`]);
  for (const attempt of receipt.attempts) rows.push(["Attempt", formatAttempt(attempt, quote)]);
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}\n`).join("");
}

function formatAttempt(attempt: Attempt, quote: (text: string) => string): string {
  const { startedAt, endedAt, level, status, errorCode, peer } = attempt;
  const answer = status === null ? "no answer" : `status ${status}`;
  const result = endedAt === null ? "interrupted" : errorCode === null ? answer : `${answer} (${errorCode})`;
  const address = peer?.address ? `, ${quote(peer.address)}` : "";
  const tls = peer?.tlsFingerprint ? `, certificate ${quote(peer.tlsFingerprint)}` : "";
  return `${formatIso(startedAt)} level ${level}: ${result}${address}${tls}`;
}

/** One thing a receipt states, compared with what is there. */
type Check = {
  readonly what: "receipt" | "level1" | "archive";
  readonly ok: boolean;
  /** What was found, in words. */
  readonly detail: string;
};

type Bytes = { open(): AsyncIterable<Uint8Array> };

/**
 * Checks the receipt's seal, and the hashes and sizes of what is given.
 * @param text the receipt's file, as parseReceipt read it
 */
export async function verifyReceipt(
  text: string,
  given: { level1?: Bytes; archive?: Bytes } = {},
): Promise<Check[]> {
  const receipt = parseReceipt(text);
  const checks: Check[] = [
    isSealIntact(text)
      ? { what: "receipt", ok: true, detail: "is as it was written" }
      : { what: "receipt", ok: false, detail: "was changed after it was written" },
  ];
  if (given.level1 !== undefined) checks.push(await checkBytes("level1", receipt.level1, given.level1));
  if (given.archive !== undefined) checks.push(await checkBytes("archive", receipt.archive, given.archive));
  return checks;
}

async function checkBytes(
  what: "level1" | "archive",
  stated: { readonly bytes: number; readonly sha256: string } | null,
  { open }: Bytes,
): Promise<Check> {
  if (stated === null) return { what, ok: false, detail: "was never sent, says the receipt" };
  const { size, sha256 } = await measure(open());
  if (size !== stated.bytes)
    return { what, ok: false, detail: `is ${size} bytes, was sent as ${stated.bytes}` };
  if (sha256 !== stated.sha256)
    return { what, ok: false, detail: `has SHA-256 ${sha256}, was sent with ${stated.sha256}` };
  return { what, ok: true, detail: `${size} bytes, SHA-256 ${sha256}` };
}
