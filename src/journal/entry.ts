/**
 * What an entry holds, and how it is written and read. One directory:
 *
 *   level1        the exact bytes of the level 1 report
 *   files/0 …     the attached files
 *   entry.json    everything known when the report was made; written last, so that its presence means the rest is there
 *   progress.json the attempts, and why the report was given up
 *   answer.json   the level 1 reply
 *   archive       the level 2 bytes
 *   archive.json  their hash and what they hold; written after them
 *   receipt.json  from then on the report is delivered, whatever else lies here
 */

import { createHash } from "node:crypto";
import { CerError } from "../errors.ts";
import type { Event } from "../event.ts";
import {
  type Attachment,
  attachmentPath,
  encodeAttachment,
  isStored,
  keepAttachment,
  parseAttachment,
} from "./attachment.ts";
import { type Attempt, encodeAttempt, parseAttempt } from "./attempt.ts";
import { type Disk, systemCode, unlessMissing, writeFile, writeWhole } from "./disk/disk.ts";
import { encodeEvent, parseEvent } from "./event-record.ts";
import { parseId } from "./layout.ts";
import { encodeRecord, type Fields, formatIso, type Json, parseRecord } from "./record.ts";

/** Where a report goes, and which source of the configuration said so. */
export type Destination = {
  readonly origin: { readonly scheme: "http" | "https"; readonly host: string; readonly port: number };
  readonly path: string;
  readonly from: string;
};

/** How far the user agreed, and where that was said (an option, a policy file, …). */
export type Consent = { readonly level: string; readonly setBy: string };

/** Everything known when the report was made. */
export type EntryRecord = {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** The paths of its files are the original ones. */
  readonly event: Event;
  readonly destination: Destination;
  readonly consent: Consent;
  /** 64 hex digits, see duplicates.ts. */
  readonly identity: string;
  readonly level1: { readonly size: number; readonly sha256: string };
  /** One for each of the event's files. */
  readonly attachments: readonly Attachment[];
  /** It came from another machine: nothing of this one belongs to it. */
  readonly imported: boolean;
  /** What else the conversation needs at a retry; the journal does not look at it. */
  readonly settings: Json;
};

/** What happened to it since. */
export type Progress = {
  readonly attempts: readonly Attempt[];
  /** Attempts before this time (milliseconds since 1970) no longer count against the policy's bounds. */
  readonly countedFrom: number;
  /** Why it waits, or was given up. */
  readonly reason: string | null;
};

export const UNTRIED: Progress = { attempts: [], countedFrom: 0, reason: null };

export type Answer = { readonly status: number; readonly body: Buffer; readonly receivedAt: number };

/** Bytes of an entry's documents that are read at most. */
const MAX_DOCUMENT = 64 * 1024 * 1024;
/** Bytes an entry's documents are counted as. */
const DOCUMENTS = 4096;
/** Attempts that are remembered: the first ones and the last ones tell the story. */
const MAX_ATTEMPTS = 1000;

/**
 * Writes a new entry's directory, which must not exist, down to the last synced byte.
 */
export async function writeEntry(
  disk: Disk,
  path: string,
  made: Omit<EntryRecord, "attachments" | "level1"> & { readonly level1: Buffer },
  { copy }: { copy: boolean },
): Promise<EntryRecord> {
  const { level1, ...rest } = made;
  await disk.makeDirectory(path);
  await writeFile(disk, `${path}/level1`, [level1]);
  const attachments: Attachment[] = [];
  if (made.event.files.length > 0) {
    await disk.makeDirectory(`${path}/files`);
    for (const [index, file] of made.event.files.entries())
      attachments.push(await keepAttachment(disk, file, attachmentPath(path, index), { copy }));
    await disk.syncDirectory(`${path}/files`);
  }
  const sha256 = createHash("sha256").update(level1).digest("hex");
  const record: EntryRecord = { ...rest, level1: { size: level1.length, sha256 }, attachments };
  await writeWhole(disk, path, "entry.json", encodeEntry(record));
  return record;
}

/** Bytes an entry is counted as in the journal's limits. Linked files count: the original may be deleted any time. */
export function entryBytes({ level1, attachments }: EntryRecord, archive: number): number {
  const stored = attachments.filter(isStored).reduce((sum, { size }) => sum + size, 0);
  return DOCUMENTS + level1.size + stored + archive;
}

export function encodeEntry(record: EntryRecord): Buffer {
  return encodeRecord({
    version: 1,
    id: record.id,
    createdAt: formatIso(record.createdAt),
    identity: record.identity,
    destination: record.destination,
    consent: record.consent,
    level1: record.level1,
    imported: record.imported,
    settings: record.settings,
    event: encodeEvent(record.event),
    attachments: record.attachments.map(encodeAttachment),
  });
}

/** @throws CerError CER_DAMAGED */
export function parseEntry(text: string): EntryRecord {
  return parseRecord(text, "entry.json", (fields) => {
    fields.one("version", [1]);
    const event = fields.object("event", parseEvent);
    const attachments = fields.list("attachments", parseAttachment);
    if (attachments.length !== event.files.length)
      throw new CerError(
        "CER_DAMAGED",
        `entry.json: attachments has ${attachments.length} items for ${event.files.length} files.`,
      );
    const id = fields.text("id");
    if (parseId(id) === null) throw new CerError("CER_DAMAGED", "entry.json: id is not one that cer gives.");
    return {
      id,
      createdAt: fields.time("createdAt"),
      event,
      destination: fields.object("destination", parseDestination),
      consent: fields.object("consent", (consent) => ({
        level: consent.text("level"),
        setBy: consent.text("setBy"),
      })),
      identity: fields.sha256("identity"),
      level1: fields.object("level1", (level1) => ({
        size: level1.count("size"),
        sha256: level1.sha256("sha256"),
      })),
      attachments,
      imported: fields.flag("imported"),
      settings: fields.json("settings"),
    };
  });
}

function parseDestination(fields: Fields): Destination {
  return {
    origin: fields.object("origin", (origin) => ({
      scheme: origin.one("scheme", ["http", "https"]),
      host: origin.text("host"),
      port: origin.count("port"),
    })),
    path: fields.text("path"),
    from: fields.text("from"),
  };
}

/**
 * Reads a document of an entry; null when there is none.
 * @throws CerError CER_DAMAGED when it is torn, not ours, or too long
 */
export async function readDocument<T>(
  disk: Disk,
  entry: string,
  name: string,
  parse: (text: string) => T,
): Promise<T | null> {
  try {
    const bytes = await unlessMissing(disk.read(`${entry}/${name}`, MAX_DOCUMENT), null);
    return bytes === null ? null : parse(bytes.toString());
  } catch (cause) {
    const code = systemCode(cause);
    if (code === null) throw cause;
    throw new CerError("CER_DAMAGED", `${name} cannot be read (${code}).`, { cause });
  }
}

/**
 * Reads an entry's record and its level 1 bytes, and checks these against their hash.
 * @throws CerError CER_DAMAGED when either is missing, torn, or of another entry
 */
export async function readEntry(
  disk: Disk,
  entry: string,
  id: string,
): Promise<{ record: EntryRecord; level1: Buffer }> {
  const record = await readDocument(disk, entry, "entry.json", parseEntry);
  if (record === null) throw new CerError("CER_DAMAGED", "entry.json is missing.");
  if (record.id !== id) throw new CerError("CER_DAMAGED", "entry.json belongs to another entry.");
  const level1 = await unlessMissing(disk.read(`${entry}/level1`, MAX_DOCUMENT), null);
  if (level1 === null) throw new CerError("CER_DAMAGED", "level1 is missing.");
  if (createHash("sha256").update(level1).digest("hex") !== record.level1.sha256)
    throw new CerError("CER_DAMAGED", "level1 is not what was written: its SHA-256 differs.");
  return { record, level1 };
}

export function parseProgress(text: string): Progress {
  return parseRecord(text, "progress.json", (fields) => ({
    attempts: fields.list("attempts", parseAttempt),
    countedFrom: fields.time("countedFrom"),
    reason: fields.textOrNull("reason"),
  }));
}

export async function writeProgress(disk: Disk, entry: string, progress: Progress): Promise<void> {
  const { attempts, countedFrom, reason } = progress;
  const kept = [
    ...attempts.slice(0, MAX_ATTEMPTS / 2),
    ...attempts.slice(MAX_ATTEMPTS / 2).slice(-MAX_ATTEMPTS / 2),
  ];
  const document = {
    version: 1,
    attempts: kept.map(encodeAttempt),
    countedFrom: formatIso(countedFrom),
    reason,
  };
  await writeWhole(disk, entry, "progress.json", encodeRecord(document));
}

export async function writeAnswer(disk: Disk, entry: string, answer: Answer): Promise<void> {
  const document = {
    version: 1,
    status: answer.status,
    receivedAt: formatIso(answer.receivedAt),
    body: answer.body.toString("base64"),
    sha256: createHash("sha256").update(answer.body).digest("hex"),
  };
  await writeWhole(disk, entry, "answer.json", encodeRecord(document));
}

/** @throws CerError CER_DAMAGED, also when the body is not the one that was written */
export function parseAnswer(text: string): Answer {
  return parseRecord(text, "answer.json", (fields) => {
    const body = Buffer.from(fields.text("body"), "base64");
    if (createHash("sha256").update(body).digest("hex") !== fields.sha256("sha256"))
      throw new CerError("CER_DAMAGED", "answer.json: body is not what was written: its SHA-256 differs.");
    return { status: fields.count("status"), receivedAt: fields.time("receivedAt"), body };
  });
}
