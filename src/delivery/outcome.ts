/**
 * What became of a report: one value, printed for people by one function, for programs by another, and turned into the
 * exit code by a third.
 */

import { type CerError, EXIT, type ExitCode, exitCodeOf } from "../errors.ts";
import { stripControls } from "../printable.ts";

export type Declined = {
  /** The key of the answer, or "File" for an attached one. */
  readonly kind: string;
  readonly item: string;
  readonly reason: string;
};

export type ArchivedFile = { readonly name: string; readonly bytes: number; readonly sha256: string | null };

export type Outcome = {
  /**
   * reported: level 1 delivered, level 2 not asked for or nothing to send · uploaded: both delivered · refused: the
   * server said no, or what it said is no CER answer · failed: there was no whole answer, or a fault of ours ·
   * deferred: not delivered yet, kept and tried again · duplicate: delivered before · suppressed: too many of the kind
   */
  readonly outcome: "reported" | "uploaded" | "refused" | "failed" | "deferred" | "duplicate" | "suppressed";
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  readonly responseUrl: string | null;
  /** The POST, once it was answered. */
  readonly level1: { readonly url: string; readonly status: number; readonly bytes: number } | null;
  /** The PUT, once an archive was made; status null while it was not answered. */
  readonly level2: {
    readonly url: string;
    readonly status: number | null;
    readonly archive: {
      readonly name: string;
      readonly bytes: number;
      readonly sha256: string;
      readonly files: readonly ArchivedFile[];
    };
  } | null;
  /** What the server asked for, or the user attached, and was not sent. */
  readonly declined: readonly Declined[];
  readonly warnings: readonly string[];
  /** What the journal holds of it; null for a report that is kept nowhere. */
  readonly journal: JournalNote | null;
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
};

export type JournalNote = {
  readonly id: string;
  /** done: there is a receipt · pending: it waits · abandoned: given up, kept for a person to read */
  readonly state: "done" | "pending" | "claimed" | "abandoned" | "suppressed";
  /** When it was delivered (done), is tried again (pending), or the next of its kind is let through (suppressed). */
  readonly at: string | null;
};

/** The outcome of a report that was not exchanged at all. */
export const NOTHING_EXCHANGED = {
  bucket: null,
  bucketTable: null,
  responseUrl: null,
  level1: null,
  level2: null,
  declined: [],
  warnings: [],
  journal: null,
  error: null,
} as const satisfies Partial<Outcome>;

/** An error as the outcome shows it. */
export function describeError(error: CerError): NonNullable<Outcome["error"]> {
  return { code: error.code, message: error.message, hint: error.hint ?? null };
}

export function failedOutcome(error: CerError): Outcome {
  return { outcome: "failed", ...NOTHING_EXCHANGED, error: describeError(error) };
}

export function exitCodeFor({ outcome, error }: Outcome): ExitCode {
  if (error === null) return EXIT.ok;
  if (outcome === "deferred" && error.code !== "CER_INTERRUPTED") return EXIT.deferred;
  return exitCodeOf(error.code as CerError["code"]);
}

/** Paints a word; the identity where colour is off. */
export type Paint = (style: "good" | "bad" | "dim", text: string) => string;

/** Declined items shown one by one before the rest is only counted. */
const SHOWN_DECLINED = 3;

/** Three to six lines for people. */
export function formatOutcome(outcome: Outcome, paint: Paint): string[] {
  const { level1, level2, error } = outcome;
  const lines: string[] = [];
  if (level1 !== null && level1.status >= 200 && level1.status < 300 && !isLevel1Fault(outcome))
    lines.push(`${paint("good", "Reported")} to ${level1.url}${formatBucket(outcome)}`);
  if (level2 !== null && outcome.outcome === "uploaded")
    lines.push(
      `${paint("good", "Uploaded")} ${level2.archive.name} (${formatBytes(level2.archive.bytes)}, ${count(level2.archive.files.length, "file")}) to ${level2.url}`,
    );
  if (outcome.outcome === "reported")
    lines.push(outcome.declined.length > 0 ? "Nothing was uploaded." : "There is nothing to upload.");
  lines.push(...formatDeclined(outcome.declined));
  if (outcome.responseUrl !== null) lines.push(`The server points to ${outcome.responseUrl}`);
  if (error !== null) {
    const verb = outcome.outcome === "deferred" ? "Not delivered yet" : "Not delivered";
    lines.push(`${paint("bad", verb)}: ${stripControls(error.message)}`);
    if (error.hint !== null) lines.push(paint("dim", error.hint));
  }
  return [...lines, ...formatNote(outcome)];
}

function formatNote({ outcome, journal, bucket }: Outcome): string[] {
  if (journal === null) return [];
  const { id, state, at } = journal;
  if (outcome === "duplicate" && state === "done")
    return [
      `Not sent again: the same event was delivered at ${at}${bucket === null ? "" : `, bucket ${bucket}`} (${id}).`,
    ];
  if (outcome === "duplicate") return [`Not sent: the same event is being sent by another process (${id}).`];
  if (state === "suppressed")
    return [`Not sent: too many reports of this kind in an hour; held back until ${at}.`];
  if (state === "pending")
    return [`Kept as ${id}; "cer flush" sends what waits${at === null ? "" : `, this one from ${at}`}.`];
  if (state === "abandoned")
    return [`Given up; kept as ${id} to be read ("cer queue show ${id}") or retried.`];
  return [];
}

/** A success status with a body that is no CER answer: nothing was reported. */
function isLevel1Fault({ level2, error }: Outcome): boolean {
  return error?.code === "CER_NOT_CER" && level2 === null;
}

function formatBucket({ bucket, bucketTable }: Outcome): string {
  if (bucket === null) return "";
  return `: bucket ${bucket}${bucketTable === null ? "" : ` in table ${bucketTable}`}`;
}

function formatDeclined(declined: readonly Declined[]): string[] {
  const shown = declined
    .slice(0, SHOWN_DECLINED)
    .map(({ kind, item, reason }) => `Not sent: ${kind} ${shorten(item)}: ${stripControls(reason)}`);
  const rest = declined.length - shown.length;
  return rest > 0 ? [...shown, `Not sent: ${count(rest, "more item")} (--json lists them)`] : shown;
}

function shorten(item: string): string {
  const shown = stripControls(item);
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Bytes in the unit people read: 512 bytes, 1.4 KiB, 73 MiB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return count(bytes, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power - 1]}`;
}
