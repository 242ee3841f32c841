/** One try to send, as the journal and the receipt record it. */

import { type Fields, formatIso, type Json } from "./record.ts";

/** Written down before the first byte leaves, and again when it ended. Times are milliseconds since 1970. */
export type Attempt = {
  readonly step: "level1" | "level2";
  readonly startedAt: number;
  /** Null when the program was stopped meanwhile: whether the server has it is not known. */
  readonly endedAt: number | null;
  /** The reply's status; null when there was none. */
  readonly status: number | null;
  /** A code of src/errors.ts when the try failed. */
  readonly error: string | null;
  /** The server's address. */
  readonly address: string | null;
  /** SHA-256 fingerprint of its certificate; null without TLS. */
  readonly tlsFingerprint: string | null;
};

/** How a try ended. */
export type AttemptResult = Omit<Attempt, "step" | "startedAt" | "endedAt">;

export function encodeAttempt(attempt: Attempt): Json {
  const { startedAt, endedAt } = attempt;
  return {
    ...attempt,
    startedAt: formatIso(startedAt),
    endedAt: endedAt === null ? null : formatIso(endedAt),
  };
}

/** @throws CerError CER_DAMAGED */
export function parseAttempt(fields: Fields): Attempt {
  return {
    step: fields.one("step", ["level1", "level2"]),
    startedAt: fields.time("startedAt"),
    endedAt: fields.timeOrNull("endedAt"),
    status: fields.countOrNull("status"),
    error: fields.textOrNull("error"),
    address: fields.textOrNull("address"),
    tlsFingerprint: fields.textOrNull("tlsFingerprint"),
  };
}
