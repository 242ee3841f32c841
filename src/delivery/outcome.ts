/** What became of a report, as one value: `--json` prints it, cli/outcome-text.ts says it to people. */

import { type CerError, type CerErrorCode, EXIT, type ExitCode, exitCodeOf } from "../errors.ts";
import type { ArchivedFile, Declined } from "../journal/entry/documents.ts";

export type Outcome = {
  /**
   * reported: level 1 delivered, level 2 not asked for or nothing to send · uploaded: both delivered · refused: the
   * server said no, or what it said is no CER answer · failed: there was no whole answer, or a fault of ours ·
   * deferred: not delivered yet, kept and tried again · duplicate: delivered before · suppressed: dropped, as one too
   * many of the kind
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
  readonly error: {
    readonly code: CerErrorCode;
    readonly message: string;
    readonly hint: string | null;
  } | null;
};

export type JournalNote = {
  readonly id: string;
  /**
   * done: there is a receipt · pending: it waits · unaddressed: it waits for a server to be set · abandoned: given up,
   * kept for a person to read
   */
  readonly state: "done" | "pending" | "unaddressed" | "claimed" | "abandoned" | "suppressed";
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

/** By this run, at both levels as far as they were asked for. */
export function wasDelivered({ outcome }: Outcome): boolean {
  return outcome === "reported" || outcome === "uploaded";
}

export function exitCodeFor({ outcome, error }: Outcome): ExitCode {
  if (error === null) return EXIT.ok;
  if (outcome === "deferred" && error.code !== "CER_INTERRUPTED") return EXIT.deferred;
  return exitCodeOf(error.code);
}
