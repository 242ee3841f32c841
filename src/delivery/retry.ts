/**
 * Whether a failed report is tried again, and when. Pure: the failure, the attempts so far, the clock and chance are
 * arguments. Exponential with full jitter; a server's Retry-After is obeyed within bounds; attempts and age are capped;
 * the clock may jump either way.
 */

import { type Fault, MOST_TRIES, ruleFor } from "./policy.ts";

/** Why an attempt failed: the fault, and of the last reply, where there was one, two headers as they came. */
export type Failure = Fault & {
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
  /** Milliseconds any wait is at most. */
  readonly maxDelay: number;
  /** Only what a wait of seconds may put right is tried again. */
  readonly isQuick: boolean;
};

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** Between runs: from the journal. */
export const BETWEEN_RUNS: RetryPolicy = {
  maxAttempts: MOST_TRIES,
  maxAge: 30 * DAY,
  baseDelay: 60 * SECOND,
  maxDelay: 6 * HOUR,
  isQuick: false,
};

/** Within one run of submit, which an installer waits for: `retries` more attempts after the first. */
export function withinRun(retries: number): RetryPolicy {
  return {
    maxAttempts: retries + 1,
    maxAge: 60 * SECOND,
    baseDelay: SECOND,
    maxDelay: 10 * SECOND,
    isQuick: true,
  };
}

/** Age alone ends nothing tried fewer times than this: the clock may have jumped, the machine been off. */
const MIN_ATTEMPTS = 3;

export type FailedAttempt = {
  readonly failure: Failure;
  /** Attempts made so far, the failed one among them. */
  readonly attempts: number;
  /** How many of the last ones in a row ended like this one; as many as there were when left out. */
  readonly alike?: number;
  /** When the first of them began, in milliseconds since 1970. */
  readonly firstAt: number;
  readonly now: number;
  /** From 0 to less than 1. */
  readonly random: number;
};

type RetryDecision =
  | { readonly again: true /** Milliseconds since 1970. */; readonly at: number }
  | { readonly again: false; readonly why: "permanent" | "slow" | "tries" | "age"; readonly reason: string };

export function nextAttempt(failed: FailedAttempt, policy: RetryPolicy): RetryDecision {
  const { failure, attempts, firstAt, now, random } = failed;
  const shown = failure.status === null ? failure.code : `${failure.code} (status ${failure.status})`;
  const { tries, isQuick } = ruleFor(failure);
  if (tries === 1)
    return { again: false, why: "permanent", reason: `${shown} will not change by trying again` };
  if (policy.isQuick && !isQuick)
    return { again: false, why: "slow", reason: `${shown} will not change within seconds` };
  const { alike = attempts } = failed;
  if (attempts >= policy.maxAttempts || alike >= tries) {
    const made = alike >= tries ? alike : attempts;
    return { again: false, why: "tries", reason: `${shown} after ${made} tries, the bound` };
  }
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
