/**
 * Whether a failed report is tried again, and when. Pure: the failure, the attempts so far, the clock and chance are
 * arguments. Exponential with full jitter; a server's Retry-After is obeyed within bounds; attempts and age are capped;
 * the clock may jump either way.
 */

import type { CerErrorCode } from "../errors.ts";

/** Why an attempt failed: the error, and of the last reply, where there was one, its status and two headers as they came. */
export type Failure = {
  readonly code: CerErrorCode;
  readonly status: number | null;
  readonly retryAfter: string | null;
  readonly date: string | null;
};

type RetryPolicy = {
  /** Attempts in all, the first among them. */
  readonly maxAttempts: number;
  /** Milliseconds since the first attempt after which no other follows. */
  readonly maxAge: number;
  /** Milliseconds the first wait is at most; each following one at most twice as long as the one before. */
  readonly baseDelay: number;
  /** Milliseconds any wait is at most, a Retry-After among them. */
  readonly maxDelay: number;
};

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** Between runs: from the journal. */
export const BETWEEN_RUNS: RetryPolicy = {
  maxAttempts: 200,
  maxAge: 30 * DAY,
  baseDelay: 60 * SECOND,
  maxDelay: 6 * HOUR,
};

/** Within one run of submit, which an installer waits for: `retries` more attempts after the first. */
export function withinRun(retries: number): RetryPolicy {
  return { maxAttempts: retries + 1, maxAge: 60 * SECOND, baseDelay: SECOND, maxDelay: 10 * SECOND };
}

/** Age alone ends nothing tried fewer times than this: the clock may have jumped, the machine been off. */
const MIN_ATTEMPTS = 3;

const TRANSIENT_STATUS = new Set([408, 425, 429]);
/** The server errors that say "never": not implemented, HTTP version not supported. */
const PERMANENT_SERVER_ERROR = new Set([501, 505]);

const TRANSIENT_CODES: ReadonlySet<CerErrorCode> = new Set<CerErrorCode>([
  "CER_UNREACHABLE",
  "CER_CONNECTION_LOST",
  "CER_TIMEOUT",
  // A certificate that expired, or a clock that is wrong, is put right by somebody else.
  "CER_TLS",
  "CER_PROXY",
  // Captive portals and proxies answer in the server's place with pages and redirects.
  "CER_NOT_CER",
  "CER_REDIRECT",
  "CER_INTERRUPTED",
  // The disk was full, or this program was wrong; the next version may not be.
  "CER_ARCHIVE",
  "CER_WRITE",
  "CER_INTERNAL",
]);

/** Whether the same report may succeed later. */
export function classify(failure: Pick<Failure, "code" | "status">): "transient" | "permanent" {
  const { code, status } = failure;
  if (code !== "CER_STATUS" || status === null) return TRANSIENT_CODES.has(code) ? "transient" : "permanent";
  const isServerError = status >= 500 && status < 600 && !PERMANENT_SERVER_ERROR.has(status);
  return TRANSIENT_STATUS.has(status) || isServerError ? "transient" : "permanent";
}

export type FailedAttempt = {
  readonly failure: Failure;
  /** Attempts made so far, the failed one among them. */
  readonly attempts: number;
  /** When the first of them began, in milliseconds since 1970. */
  readonly firstAt: number;
  readonly now: number;
  /** From 0 to less than 1. */
  readonly random: number;
};

type RetryDecision =
  | { readonly again: true /** Milliseconds since 1970. */; readonly at: number }
  | { readonly again: false; readonly why: "permanent" | "tries" | "age"; readonly reason: string };

export function nextAttempt(failed: FailedAttempt, policy: RetryPolicy): RetryDecision {
  const { failure, attempts, firstAt, now, random } = failed;
  const shown = failure.status === null ? failure.code : `${failure.code} (status ${failure.status})`;
  if (classify(failure) === "permanent")
    return { again: false, why: "permanent", reason: `${shown} will not change by trying again` };
  if (attempts >= policy.maxAttempts)
    return { again: false, why: "tries", reason: `${shown} after ${attempts} tries, the bound` };
  const age = Math.max(0, now - firstAt);
  if (age > policy.maxAge && attempts >= Math.min(MIN_ATTEMPTS, policy.maxAttempts))
    return {
      again: false,
      why: "age",
      reason: `${shown} after ${formatSpan(age)}, the bound is ${formatSpan(policy.maxAge)}`,
    };
  const asked = parseRetryAfter(failure.retryAfter, failure.date, now);
  const ceiling = Math.min(policy.maxDelay, policy.baseDelay * 2 ** (attempts - 1));
  const delay = asked === null ? random * ceiling : Math.min(asked, DAY);
  return { again: true, at: now + Math.round(delay) };
}

function formatSpan(ms: number): string {
  return ms < HOUR
    ? `${Math.round(ms / SECOND)} s`
    : ms < 2 * DAY
      ? `${Math.round(ms / HOUR)} h`
      : `${Math.round(ms / DAY)} days`;
}

/**
 * A Retry-After header (RFC 9110, 10.2.3) in milliseconds from now: seconds, or a date, which is taken relative to the
 * reply's own Date where there is one, so that neither clock need be right. Null for none, a past date, or nonsense.
 */
export function parseRetryAfter(retryAfter: string | null, date: string | null, now: number): number | null {
  const text = retryAfter?.trim() ?? "";
  if (/^[0-9]{1,10}$/.test(text)) return Number(text) * SECOND;
  const until = parseHttpDate(text);
  if (until === null) return null;
  const delay = until - (parseHttpDate(date?.trim() ?? "") ?? now);
  return delay > 0 ? delay : null;
}

/** The three forms of RFC 9110, 5.6.7, in milliseconds since 1970; null for anything else. */
function parseHttpDate(text: string): number | null {
  const fixedOrRfc850 =
    /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, \d\d[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d GMT$/;
  const asctime = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/;
  const time = fixedOrRfc850.test(text)
    ? Date.parse(text)
    : asctime.test(text)
      ? Date.parse(`${text} GMT`)
      : Number.NaN;
  return Number.isNaN(time) ? null : time;
}
