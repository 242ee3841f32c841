/**
 * One run's attempts at one report: the first, and quick ones after it as long as a short wait may help. Each goes on
 * where the one before it ended, as its store has it.
 */

import { proxyFor } from "../config/proxy.ts";
import type { Context } from "../context.ts";
import { CerError } from "../errors.ts";
import type { Report, ReportStore } from "../journal/report.ts";
import { openHttp } from "../wire/http.ts";
import { buildArchive, type Confirm } from "./build-archive.ts";
import type { Outcome } from "./outcome.ts";
import { type ProtocolResult, runProtocol } from "./protocol.ts";
import { type FailedAttempt, nextAttempt, withinRun } from "./retry.ts";

/** Milliseconds until a connection stands. */
const CONNECT_TIMEOUT = 10_000;

export type AttemptOptions = {
  readonly context: Context;
  /** Milliseconds without a byte in either direction. */
  readonly idleTimeout: number;
  /** When the whole has to be over, in milliseconds since 1970; null for no limit. */
  readonly until: number | null;
  readonly confirm?: Confirm;
  /** Null: none, whatever the environment names. */
  readonly proxy?: null;
  readonly onStep?: (step: string) => void;
  readonly onUpload?: (sent: number, size: number) => void;
};

/** With the number of quick attempts after the first. */
export type DeliverOptions = AttemptOptions & { readonly retries: number };

/** How the last attempt ended; `failed` is what a policy needs to know of it, null once the report is delivered. */
export type AttemptsResult = { readonly outcome: Outcome; readonly failed: FailedAttempt | null };

export async function attemptWithRetries(
  report: Report,
  store: ReportStore,
  options: DeliverOptions,
): Promise<AttemptsResult> {
  const { now, random } = options.context;
  const policy = withinRun(options.retries);
  const firstAt = now();
  for (let attempts = 1; ; attempts++) {
    const { outcome, failure } = await attempt(report, store, options);
    if (failure === null) return { outcome, failed: null };
    const failed = { failure, attempts, firstAt, now: now(), random: random() };
    const next = nextAttempt(failed, policy);
    const isQuick = next.again && next.at - failed.now <= policy.maxDelay;
    // An installer waits: after a minute's silence the report can wait without it.
    const isEarly = failed.now - firstAt < policy.maxAge;
    if (!(isQuick && isEarly && (await waitUntil(next.at, options)))) return { outcome, failed };
  }
}

/**
 * One attempt: a connection, the time limits, the protocol, and the connection's end. Never throws for what a server,
 * the network or a time limit did.
 */
export async function attempt(
  report: Report,
  store: ReportStore,
  options: AttemptOptions,
): Promise<ProtocolResult> {
  const { context, until, idleTimeout, confirm, onStep, onUpload } = options;
  const { origin } = report.destination;
  const { address: proxy, passedOver } = options.proxy === null ? NO_PROXY : proxyFor(origin, context.env);
  const { signal, clear, timeLeft } = limitTime(context, until);
  const connectTimeout = Math.min(CONNECT_TIMEOUT, timeLeft ?? CONNECT_TIMEOUT);
  const http = await openHttp(origin, { connectTimeout, idleTimeout, proxy });
  try {
    const { outcome, failure } = await runProtocol(report, store, {
      send: http.send,
      now: context.now,
      userAgent: `cer/${context.version}`,
      signal,
      buildArchive: (response) => buildArchive(response, report, { ...context, signal }, confirm),
      ...(onStep && { onStep }),
      ...(onUpload && { onUpload }),
    });
    return { outcome: { ...outcome, warnings: [...passedOver, ...outcome.warnings] }, failure };
  } finally {
    clear();
    await http.close();
  }
}

const NO_PROXY = { address: null, passedOver: [] };

type TimeLimit = {
  /** Fires when the time is over, or the context's own does. */
  readonly signal: AbortSignal;
  /** Milliseconds when it was asked for, at least 1; null for no limit. */
  readonly timeLeft: number | null;
  clear(): void;
};

/** Milliseconds; of a longer time, as after a clock that was put back, Node makes one that is over at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What ends with --max-time. @param until in milliseconds since 1970; null for no limit */
export function limitTime({ signal, now }: Pick<Context, "signal" | "now">, until: number | null): TimeLimit {
  if (until === null) return { signal, timeLeft: null, clear: () => {} };
  const timeLeft = Math.max(1, until - now());
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(outOfTime()), Math.min(timeLeft, LONGEST_TIMER));
  return { signal: AbortSignal.any([signal, limit.signal]), timeLeft, clear: () => clearTimeout(timer) };
}

function outOfTime(): CerError {
  return new CerError("CER_TIMEOUT", "The time given for the whole was over.", {
    hint: "--max-time SECONDS allows more.",
  });
}

/** False when there is no time left, or somebody wants the program to stop. */
async function waitUntil(time: number, { context, until }: AttemptOptions): Promise<boolean> {
  if (context.signal.aborted || (until !== null && time >= until)) return false;
  return context.sleep(Math.max(0, time - context.now()));
}
