/**
 * The journal's JSON documents: the schema that each is read by, the types that follow from it, and how it is written.
 * Times are milliseconds since 1970, ISO 8601 in the JSON; sizes are bytes; hashes are SHA-256 in hex. Every reader
 * throws CER_DAMAGED naming the document and the first field that is wrong.
 */

import * as v from "valibot";
import { sha256Of } from "../../bytes.ts";
import type { Destination } from "../../config/destination.ts";
import type { Event } from "../../event.ts";
import {
  count,
  documentReader,
  encodeDocument,
  flag,
  formatIso,
  type Json,
  json,
  list,
  object,
  oneOf,
  sha256,
  text,
  time,
  unsigned64,
} from "../../json.ts";
import { parseId } from "./layout.ts";

/** One attempt to send. Written down before the first byte leaves, and again when it ended. */
export type Attempt = v.InferOutput<ReturnType<typeof attemptSchema>>;

export const attemptSchema = () =>
  object({
    level: oneOf([1, 2]),
    startedAt: time,
    /** Null when the program was stopped meanwhile: whether the server has it is not known. */
    endedAt: v.nullable(time),
    /** The reply's status; null when there was none. */
    status: v.nullable(count),
    /** A code of src/errors.ts when the attempt failed. */
    errorCode: v.nullable(text),
    /** Who answered; null when nobody did. */
    peer: v.nullable(
      object({
        address: v.nullable(text),
        /** SHA-256 fingerprint of its certificate; null without TLS. */
        tlsFingerprint: v.nullable(text),
      }),
    ),
  });

export function encodeAttempt(attempt: Attempt): Json {
  const { startedAt, endedAt } = attempt;
  return {
    ...attempt,
    startedAt: formatIso(startedAt),
    endedAt: endedAt === null ? null : formatIso(endedAt),
  };
}

/** Complete, the 64-bit time as decimal text. */
export const eventSchema = () =>
  object({
    reportType: oneOf([0, 1, 2, 3, 4]),
    eventType: text,
    friendlyEventName: v.nullable(text),
    eventDescription: v.nullable(text),
    eventTime: unsigned64,
    machine: object({ name: text, os: text, lcid: count, oem: v.nullable(text) }),
    user: object({ name: text }),
    application: v.nullable(object({ name: text, path: text, company: v.nullable(text) })),
    parameters: list(object({ id: count, name: v.nullable(text), value: text })),
    secondaryParameters: list(object({ name: text, value: text })),
    files: list(object({ path: text, name: text, type: oneOf([1, 2, 3, 4, 5]) })),
  }) satisfies v.GenericSchema<unknown, Event>;

export function encodeEvent(event: Event): Json {
  return { ...event, eventTime: event.eventTime.toString() };
}

/** A hash that a document may say is not known, but not leave out. */
const sha256OrNull = v.pipe(json, v.nullable(sha256));

/** A file in an archive that was sent. */
export type ArchivedFile = v.InferOutput<ReturnType<typeof archivedFileSchema>>;

export const archivedFileSchema = () => object({ name: text, bytes: count, sha256: sha256OrNull });

/** One attached file as the entry holds it, in the order of the event's files. */
export type Attachment = v.InferOutput<ReturnType<typeof attachmentSchema>>;

const attachmentSchema = () =>
  object({
    /** The file's path when the report was made. */
    original: text,
    /** `left` where it was, `missing` when it could not be read; the others lie in the entry. */
    how: oneOf(["cloned", "copied", "linked", "left", "missing"]),
    /** Bytes when it was kept. */
    size: count,
    /** Modification time when it was kept. */
    modifiedAt: time,
    /** Of the copied bytes; null when they were not read. */
    sha256: sha256OrNull,
    /** Why it is missing, or was left though it was to be copied: the system's code. */
    why: v.nullable(text),
  });

/** Everything known when the report was made. */
export type EntryRecord = ReturnType<typeof parseEntry>;

/** How far the user agreed, and where that was said (an option, a policy file, …). */
export type AgreedConsent = v.InferOutput<ReturnType<typeof consentSchema>>;

export const consentSchema = () => object({ level: text, setBy: text });

export const parseEntry = documentReader("entry.json", () =>
  v.pipe(
    object({
      version: oneOf([1]),
      /** The paths of its files are the original ones. */
      event: eventSchema(),
      /** One for each of the event's files. */
      attachments: list(attachmentSchema()),
      id: v.pipe(
        text,
        v.check((id) => parseId(id) !== null, "is not one that cer gives"),
      ),
      createdAt: time,
      /** Null while no server is set. */
      destination: v.nullable(
        object({
          origin: object({ scheme: oneOf(["http", "https"]), host: text, port: count }),
          path: text,
          from: text,
        }) satisfies v.GenericSchema<unknown, Destination>,
      ),
      /** The event named its own time. Told while no server is set: the identity is made anew when one is. */
      timeGiven: v.exactOptional(flag, true),
      consent: consentSchema(),
      /** 64 hex digits, see duplicates.ts. */
      identity: sha256,
      level1: object({ size: count, sha256 }),
      /** It came from another machine: nothing of this one belongs to it. */
      imported: flag,
      /** The terms it was made under; the journal does not look at them. */
      settings: json,
    }),
    v.forward(
      v.check(
        ({ attachments, event }) => attachments.length === event.files.length,
        ({ input }) => `has ${input.attachments.length} items for ${input.event.files.length} files`,
      ),
      ["attachments"],
    ),
    v.transform(({ version: _, ...record }) => record),
    v.readonly(),
  ),
);

export function encodeEntry(record: EntryRecord): Buffer {
  return encodeDocument({
    version: 1,
    id: record.id,
    createdAt: formatIso(record.createdAt),
    identity: record.identity,
    destination: record.destination,
    ...(record.destination === null && { timeGiven: record.timeGiven }),
    consent: record.consent,
    level1: record.level1,
    imported: record.imported,
    settings: record.settings,
    event: encodeEvent(record.event),
    attachments: record.attachments.map((attachment) => ({
      ...attachment,
      modifiedAt: formatIso(attachment.modifiedAt),
    })),
  });
}

/** What happened to an entry since. */
export type Progress = ReturnType<typeof parseProgress>;

export const parseProgress = documentReader("progress.json", () =>
  object({
    attempts: list(attemptSchema()),
    /** When the policy's bounds were last counted anew; 0 for never. */
    countedFrom: time,
    /** So many attempts, the first ones, no longer count; left out, those before `countedFrom` do not. */
    uncounted: v.optional(count),
    /** Why it waits, or was given up. */
    reason: v.nullable(text),
  }),
);

export const UNTRIED: Progress = { attempts: [], countedFrom: 0, reason: null };

export function encodeProgress({ attempts, countedFrom, uncounted, reason }: Progress): Buffer {
  return encodeDocument({
    version: 1,
    attempts: attempts.map(encodeAttempt),
    countedFrom: formatIso(countedFrom),
    ...(uncounted !== undefined && { uncounted }),
    reason,
  });
}

/** The level 1 reply. */
export type Answer = ReturnType<typeof parseAnswer>;

export const parseAnswer = documentReader("answer.json", () =>
  v.pipe(
    object({
      body: v.pipe(
        text,
        v.transform((base64): Buffer => Buffer.from(base64, "base64")),
      ),
      sha256,
      status: count,
      receivedAt: time,
    }),
    v.forward(
      v.check(
        ({ body, sha256 }) => sha256Of(body) === sha256,
        "is not what was written: its SHA-256 differs",
      ),
      ["body"],
    ),
    v.transform(({ sha256: _, ...answer }) => answer),
    v.readonly(),
  ),
);

export function encodeAnswer({ status, body, receivedAt }: Answer): Buffer {
  return encodeDocument({
    version: 1,
    status,
    receivedAt: formatIso(receivedAt),
    body: body.toString("base64"),
    sha256: sha256Of(body),
  });
}

/** The kept archive's size, its hash, and what is said of it. */
export type ArchiveFacts = ReturnType<typeof parseArchiveFacts>;

/** What was asked for or attached and is not in an archive. */
export type Declined = ArchiveFacts["about"]["declined"][number];

export const parseArchiveFacts = documentReader("archive.json", () =>
  object({
    size: count,
    sha256,
    about: object({
      files: list(archivedFileSchema()),
      /** The kind is the key of the answer, or "File" for an attached one. */
      declined: list(object({ kind: text, item: text, reason: text })),
      warnings: list(text),
      mediaType: text,
      /** Secrets cut out of what is in it. */
      redacted: count,
    }),
  }),
);

/** A part of a report carried to another machine. */
export type Stated = ReturnType<typeof parseTransfer>["parts"][number];

/** What such a report begins with: its id, and its other parts. */
export const parseTransfer = documentReader("transfer.json", () =>
  object({
    version: oneOf([1]),
    parts: list(object({ name: text, bytes: count, sha256 })),
    id: text,
  }),
);
