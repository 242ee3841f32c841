/** One try to send, as the journal and the receipt record it. */

import { type Fields, formatIso, type Json } from "./record.ts";

/** Written down before the first byte leaves, and again when it ended. Times are milliseconds since 1970. */
export type Attempt = {
  readonly level: 1 | 2;
  readonly startedAt: number;
  /** Null when the program was stopped meanwhile: whether the server has it is not known. */
  readonly endedAt: number | null;
  /** The reply's status; null when there was none. */
  readonly status: number | null;
  /** A code of src/errors.ts when the try failed. */
  readonly errorCode: string | null;
  /** Who answered; null when nobody did. */
  readonly peer: {
    readonly address: string | null;
    /** SHA-256 fingerprint of its certificate; null without TLS. */
    readonly tlsFingerprint: string | null;
  } | null;
};

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
    level: fields.one("level", [1, 2]),
    startedAt: fields.time("startedAt"),
    endedAt: fields.timeOrNull("endedAt"),
    status: fields.countOrNull("status"),
    errorCode: fields.textOrNull("errorCode"),
    peer: fields.objectOrNull("peer", (peer) => ({
      address: peer.textOrNull("address"),
      tlsFingerprint: peer.textOrNull("tlsFingerprint"),
    })),
  };
}
