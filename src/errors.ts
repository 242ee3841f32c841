/**
 * Every way this program fails by somebody's fault, in one catalogue: a stable code, what it means, and the exit code
 * it leads to. The message says what is wrong and where, with value and bound; the hint says what to do next.
 */

import { messageOf } from "./printable.ts";

/** The verdict of the whole process, as every command returns it. */
export const EXIT = {
  /** Delivered, or the command did what was asked. */
  ok: 0,
  /** Failed unexpectedly. */
  failed: 1,
  /** Usage, configuration or event invalid: nothing was sent. */
  invalid: 2,
  /** The server refused, or answered what is not a CER answer. */
  refused: 3,
  /** Kept in the journal, will be tried again (EX_TEMPFAIL). */
  deferred: 75,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT] | 130 | 143;

const CATALOGUE = {
  /** An option or argument that does not exist, lacks its value, or contradicts another. */
  CER_USAGE: EXIT.invalid,
  /** No destination server is configured ([MS-CER2] 3.1.3: the client MUST stop). */
  CER_NO_SERVER: EXIT.invalid,
  /** A server, port or path that cannot be used. */
  CER_BAD_SERVER: EXIT.invalid,
  /** A configuration file that cannot be read or holds what it should not. */
  CER_CONFIG: EXIT.invalid,
  /** An event that is not JSON. */
  CER_EVENT_JSON: EXIT.invalid,
  /** An event with a missing, unknown, mistyped or out-of-range field. */
  CER_EVENT_INVALID: EXIT.invalid,
  /** A value longer than the level 1 schema allows ([MS-CER2] 2.2.1.2). */
  CER_TOO_LONG: EXIT.invalid,
  /** An input file that is missing, is no regular file, or cannot be read. */
  CER_FILE: EXIT.invalid,
  /** XML that is not a level 1 report. */
  CER_NOT_A_REPORT: EXIT.invalid,
  /** A file that is none of the formats this program knows. */
  CER_UNKNOWN_FORMAT: EXIT.invalid,
  /** A file of a known format that does not hold together. */
  CER_DAMAGED: EXIT.refused,
  /** The server could not be reached: name, route, refusal, TLS. */
  CER_UNREACHABLE: EXIT.refused,
  /** The connection broke, or ended before the answer was whole; or the answer came before the request was sent. */
  CER_CONNECTION_LOST: EXIT.refused,
  /** A connect, idle, answer or total time limit ran out, or too little moved. */
  CER_TIMEOUT: EXIT.refused,
  /** The server's certificate is not trusted. */
  CER_TLS: EXIT.refused,
  /** A proxy answered in the server's place, or could not be used. */
  CER_PROXY: EXIT.refused,
  /** The server, or a proxy, wants authentication. */
  CER_AUTH: EXIT.refused,
  /** The server answered with a redirect, which is never followed. */
  CER_REDIRECT: EXIT.refused,
  /** The server answered with an error status. */
  CER_STATUS: EXIT.refused,
  /** A success status whose body is not a CER answer, or under test not one by the letter. */
  CER_NOT_CER: EXIT.refused,
  /** Under test: the server asks for level 2 data, and there is none to send. */
  CER_NO_LEVEL2: EXIT.refused,
  /** DumpFile is absent, or leads away from the server or out of its path. */
  CER_DUMP_PATH: EXIT.refused,
  /** What arrived is not what was sent. */
  CER_MISMATCH: EXIT.failed,
  /** The archive could not be made, or not be read while it was sent. */
  CER_ARCHIVE: EXIT.failed,
  /** Too little memory to connect. */
  CER_NO_MEMORY: EXIT.failed,
  /** A file could not be written. */
  CER_WRITE: EXIT.failed,
  /** The journal's directory could be changed by others. */
  CER_JOURNAL_UNSAFE: EXIT.invalid,
  /** The journal cannot be used: no place for it, disk full, read-only, no permission. */
  CER_JOURNAL_UNAVAILABLE: EXIT.failed,
  /** The journal holds as much as it may. */
  CER_JOURNAL_FULL: EXIT.failed,
  /** No report in the journal is called so. */
  CER_NO_ENTRY: EXIT.invalid,
  /** The report waits for its time. */
  CER_ENTRY_WAITS: EXIT.deferred,
  /** Another process is sending this report, or has taken it over. */
  CER_ENTRY_BUSY: EXIT.deferred,
  /** Stopped by a signal. */
  CER_INTERRUPTED: 130,
  /** A defect of this program. */
  CER_INTERNAL: EXIT.failed,
} as const;

export type CerErrorCode = keyof typeof CATALOGUE;

export class CerError extends Error {
  override readonly name = "CerError";
  readonly code: CerErrorCode;
  /** The next thing to type or to check; absent when the message already says it. */
  readonly hint: string | undefined;

  constructor(code: CerErrorCode, message: string, details: { hint?: string; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
  }
}

/** The exit code an error of this code leads to when nothing more specific is known. */
export function exitCodeOf(code: CerErrorCode): ExitCode {
  return CATALOGUE[code];
}

/** Any thrown value as a CerError: what is not one is a defect of this program and says so. */
export function asCerError(thrown: unknown): CerError {
  if (thrown instanceof CerError) return thrown;
  return new CerError("CER_INTERNAL", messageOf(thrown), {
    hint: "This is a defect of cer. Please report it with the output of the same command and --verbose.",
    cause: thrown,
  });
}

/** Faults told one by one; of an input that has more, the others are only counted. */
const MAX_TOLD = 50;

/**
 * What becomes of faults that need not end a report: a file that is missing, a value too long, a setting that makes no
 * sense. They are told and got round; under --strict the first is the end, before anything is kept or sent.
 */
export class Leniency {
  readonly isStrict: boolean;
  readonly #told: string[] = [];
  #untold = 0;

  constructor({ isStrict }: { readonly isStrict: boolean }) {
    this.isStrict = isStrict;
  }

  /**
   * Notes a fault.
   * @param instead what is done about it, as a sentence
   * @throws CerError the fault itself when strict
   */
  tolerate(fault: CerError, instead: string): void {
    if (this.isStrict) throw fault;
    this.note(`${fault.message} ${instead}`);
  }

  /** Tells of something that is nobody's fault. */
  note(warning: string): void {
    if (this.#told.length < MAX_TOLD) this.#told.push(warning);
    else this.#untold++;
  }

  /**
   * What `attempt` makes, or null when it fails with one of these codes.
   * @throws CerError the fault itself when strict; any other
   */
  async orNull<T>(attempt: () => T | Promise<T>, codes: readonly CerErrorCode[], instead: string) {
    try {
      return await attempt();
    } catch (thrown) {
      const fault = asCerError(thrown);
      if (!codes.includes(fault.code)) throw fault;
      this.tolerate(fault, instead);
      return null;
    }
  }

  /** What was got round so far, in order. */
  get warnings(): readonly string[] {
    return this.#untold === 0
      ? this.#told
      : [...this.#told, `There are ${this.#untold} more warnings like these.`];
  }
}
