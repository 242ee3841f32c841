/**
 * The receipt: what was delivered, when, to whom, and how, so that anybody can check it later. It holds hashes and
 * names, never contents, and no secret: addresses are written without credentials.
 */

import { createHash } from "node:crypto";
import { CerError } from "../errors.ts";
import { type Attempt, encodeAttempt, parseAttempt } from "./attempt.ts";
import { parseId } from "./layout.ts";
import { encodeRecord, type Fields, formatIso, type Json, parseRecord } from "./record.ts";

/** Times are milliseconds since 1970, ISO 8601 in the JSON; hashes are SHA-256 in hex; sizes are bytes. */
export type Receipt = {
  readonly id: string;
  readonly createdAt: number;
  readonly deliveredAt: number;
  readonly event: {
    /** eventIdentity: the same for the same event. */
    readonly identity: string;
    readonly eventType: string;
    /** FILETIME. */
    readonly eventTime: bigint;
    readonly application: string | null;
  };
  /** Where level 1 went; credentials are removed when the receipt is written. */
  readonly url: string;
  readonly level1: { readonly bytes: number; readonly sha256: string };
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  readonly dumpFile: string | null;
  /** What level 2 carried; null when there was none. */
  readonly archive: {
    readonly name: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly files: readonly {
      readonly name: string;
      readonly bytes: number;
      readonly sha256: string | null;
    }[];
  } | null;
  readonly attempts: readonly Attempt[];
  readonly consent: { readonly level: string; readonly setBy: string };
  /** Items the server asked for and did not get. */
  readonly declined: number;
  /** Secrets cut out of what was sent. */
  readonly redacted: number;
};

/** Bytes of a receipt that are read at most. */
export const MAX_RECEIPT = 16 * 1024 * 1024;

/**
 * The receipt as JSON, sealed: `seal` is the SHA-256 of the text with an empty seal. It shows damage and careless
 * editing; it is no signature.
 */
export function encodeReceipt(receipt: Receipt): Buffer {
  const unsealed = encodeRecord(receiptJson(receipt)).toString();
  return Buffer.from(unsealed.replace(EMPTY_SEAL, `"seal": "${sha256Of(unsealed)}"`));
}

const EMPTY_SEAL = '"seal": ""';

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function isSealIntact(bytes: Buffer): boolean {
  const text = bytes.toString();
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
    archive: receipt.archive && {
      ...receipt.archive,
      files: receipt.archive.files.map((file) => ({ ...file })),
    },
    attempts: receipt.attempts.map(encodeAttempt),
  };
}

/** A URL without user and password, whatever they hold. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1");
}

/** @throws CerError CER_DAMAGED for what is no receipt; one that was changed is read all the same, see verifyReceipt */
export function parseReceipt(bytes: Buffer, what = "The receipt"): Receipt {
  return parseRecord(bytes.toString(), what, (fields) => {
    fields.one("version", [1]);
    return parseFields(fields);
  });
}

function parseFields(fields: Fields): Receipt {
  return {
    id: parseReceiptId(fields),
    createdAt: fields.time("createdAt"),
    deliveredAt: fields.time("deliveredAt"),
    event: fields.object("event", (event) => ({
      identity: event.sha256("identity"),
      eventType: event.text("eventType"),
      eventTime: event.unsigned64("eventTime"),
      application: event.textOrNull("application"),
    })),
    url: fields.text("url"),
    level1: fields.object("level1", (level1) => ({
      bytes: level1.count("bytes"),
      sha256: level1.sha256("sha256"),
    })),
    bucket: fields.digitsOrNull("bucket"),
    bucketTable: fields.digitsOrNull("bucketTable"),
    dumpFile: fields.textOrNull("dumpFile"),
    archive: fields.objectOrNull("archive", (archive) => ({
      name: archive.text("name"),
      bytes: archive.count("bytes"),
      sha256: archive.sha256("sha256"),
      files: archive.list("files", (file) => ({
        name: file.text("name"),
        bytes: file.count("bytes"),
        sha256: file.json("sha256") === null ? null : file.sha256("sha256"),
      })),
    })),
    attempts: fields.list("attempts", parseAttempt),
    consent: fields.object("consent", (consent) => ({
      level: consent.text("level"),
      setBy: consent.text("setBy"),
    })),
    declined: fields.count("declined"),
    redacted: fields.count("redacted"),
  };
}

function parseReceiptId(fields: Fields): string {
  const id = fields.text("id");
  if (parseId(id) === null) throw new CerError("CER_DAMAGED", "The receipt: id is not one that cer gives.");
  return id;
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
export type Check = {
  readonly what: "receipt" | "level1" | "archive";
  readonly ok: boolean;
  /** What was found, in words. */
  readonly detail: string;
};

type Bytes = { open(): AsyncIterable<Uint8Array> };

/**
 * Checks the receipt's seal, and the hashes and sizes of what is given.
 * @param bytes the receipt's file, as parseReceipt read it
 */
export async function verifyReceipt(
  bytes: Buffer,
  given: { level1?: Bytes; archive?: Bytes } = {},
): Promise<Check[]> {
  const receipt = parseReceipt(bytes);
  const checks: Check[] = [
    isSealIntact(bytes)
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
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of open()) {
    hash.update(chunk);
    size += chunk.length;
  }
  const sha256 = hash.digest("hex");
  if (size !== stated.bytes)
    return { what, ok: false, detail: `is ${size} bytes, was sent as ${stated.bytes}` };
  if (sha256 !== stated.sha256)
    return { what, ok: false, detail: `has SHA-256 ${sha256}, was sent with ${stated.sha256}` };
  return { what, ok: true, detail: `${size} bytes, SHA-256 ${sha256}` };
}
