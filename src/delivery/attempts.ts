/**
 * One run's tries at one report: the first, and quick ones after it as long as a short wait may help. Each goes on where
 * the one before it ended: level 1 once answered is not sent again, an archive once made is sent as it is.
 */

import type { Destination } from "../config/destination.ts";
import type { RetrySettings } from "../config/kept-terms.ts";
import { proxyFor } from "../config/proxy.ts";
import type { Surroundings } from "../context.ts";
import type { CerErrorCode } from "../errors.ts";
import { type PackOptions, pack } from "./build-archive.ts";
import { deliver } from "./connection.ts";
import type { Outcome } from "./outcome.ts";
import type { Conversation, Dossier, Exchange, Packed } from "./protocol.ts";
import { nextAttempt, quickPolicy, type Tried } from "./retry.ts";

export type TriesOptions = {
  readonly around: Surroundings;
  /** Milliseconds. */
  readonly idleTimeout: number;
  /** When the whole has to be over, in milliseconds since 1970; null for no limit. */
  readonly until: number | null;
  /** Quick tries after the first. */
  readonly retries: number;
  readonly confirm?: PackOptions["confirm"];
  readonly onStep?: (step: string) => void;
  readonly onUpload?: (sent: number, size: number) => void;
};

/** What is tried. The dossier has to remember what it is given to keep. */
export type Undertaking = Pick<Conversation, "beginExchange" | "endExchange"> & {
  readonly dossier: Dossier;
  /** The bytes of its level 1 report. */
  readonly level1: Buffer;
  readonly destination: Destination;
  readonly settings: RetrySettings;
  /** The report was made on another machine. */
  readonly imported: boolean;
  /** Where the bytes of the attached files lie, in the event's order; where the event says when left out. */
  readonly stored?: readonly string[];
};

/** How the last try ended; `tried` is what a policy needs to know of it, null once the report is delivered. */
export type TriesEnd = { readonly outcome: Outcome; readonly tried: Tried | null };

/** @throws CerError CER_CONFIG for a proxy address in the environment that is none */
export async function tryQuickly(undertaking: Undertaking, options: TriesOptions): Promise<TriesEnd> {
  const { around, retries } = options;
  const policy = quickPolicy(retries);
  const firstAt = around.now();
  const packed: Packed[] = [];
  try {
    for (let tries = 1; ; tries++) {
      const { outcome, last } = await tryOnce(undertaking, options, packed);
      if (outcome.error === null) return { outcome, tried: null };
      const tried: Tried = {
        failure: { code: outcome.error.code as CerErrorCode, status: last?.status ?? null },
        tries,
        firstAt,
        now: around.now(),
        retryAfter: last?.retryAfter ?? null,
        date: last?.date ?? null,
        random: around.random(),
      };
      const next = nextAttempt(tried, policy);
      const isQuick = next.again && next.at - tried.now <= policy.maxDelay;
      // An installer waits: after a minute's silence the report can wait without it.
      const isEarly = tried.now - firstAt < policy.maxAge;
      if (!(isQuick && isEarly && (await waitUntil(next.at, options)))) return { outcome, tried };
    }
  } finally {
    for (const one of packed) if (one.archive !== null) await one.dispose();
  }
}

async function tryOnce(
  { dossier, level1, destination, settings, imported, stored, beginExchange, endExchange }: Undertaking,
  { around, until, idleTimeout, confirm, onStep, onUpload }: TriesOptions,
  disposable: Packed[],
): Promise<{ outcome: Outcome; last: Exchange | null }> {
  let last: Exchange | null = null;
  const packOptions = {
    event: dossier.event,
    level1,
    ...settings,
    imported,
    ...(stored && { stored }),
    ...(confirm && { confirm }),
  };
  const outcome = await deliver(dossier, {
    destination,
    proxy: proxyFor(destination.origin, around.env),
    idleTimeout,
    maxTime: until === null ? null : Math.max(1, until - around.now()),
    signal: around.signal,
    now: around.now,
    version: around.version,
    pack: async (response, signal) => {
      const packed = await pack(response, { ...packOptions, around: { ...around, signal } });
      disposable.push(packed);
      // A later try sends the same archive.
      return packed.archive === null ? packed : { ...packed, dispose: async () => {} };
    },
    ...(beginExchange && { beginExchange }),
    endExchange: async (exchange) => {
      last = exchange;
      await endExchange?.(exchange);
    },
    ...(onStep && { onStep }),
    ...(onUpload && { onUpload }),
  });
  return { outcome, last };
}

/** False when there is no time left, or somebody wants the program to stop. */
async function waitUntil(time: number, { around, until }: TriesOptions): Promise<boolean> {
  if (around.signal.aborted || (until !== null && time >= until)) return false;
  return around.sleep(Math.max(0, time - around.now()));
}
