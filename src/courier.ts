/**
 * One claimed report of the journal, brought as far as it can be brought now: quick tries, then a verdict that the
 * journal keeps. Delivered leaves a receipt; what may succeed later waits; what never will is given up, with the reason.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { deliver } from "./delivery.ts";
import { CerError, type CerErrorCode } from "./errors.ts";
import type { Held } from "./journal/held.ts";
import type { Receipt } from "./journal/receipt.ts";
import { type Failure, nextAttempt, PATIENT, quickPolicy } from "./journal/retry.ts";
import type { Outcome } from "./outcome.ts";
import { pack } from "./pack.ts";
import type { PackOptions } from "./pack.ts";
import { type Settings, formatSettings, parseSettings } from "./report-settings.ts";
import type { Dossier, Exchange, PackedArchive } from "./submit.ts";
import type { Surroundings } from "./surroundings.ts";
import { formatUrl } from "./wire/exchange.ts";
import { parseResponse } from "./wire/response.ts";

export type CourierOptions = {
  readonly around: Surroundings;
  /** Milliseconds. */
  readonly idleTimeout: number;
  /** When the whole has to be over, in milliseconds since 1970; null for no limit. */
  readonly until: number | null;
  /** Quick tries after the first. */
  readonly retries: number;
  readonly proxy: string | null;
  readonly confirm?: PackOptions["confirm"];
  readonly onStep?: (step: string) => void;
  readonly onUpload?: (sent: number, size: number) => void;
};

/** Tries, and settles the report in the journal. Afterwards this process no longer holds it. */
export async function deliverHeld(held: Held, options: CourierOptions): Promise<Outcome> {
  const { around, retries } = options;
  const startedAt = around.now();
  const policy = quickPolicy(retries);
  for (let tries = 1; ; tries++) {
    const { outcome, last } = await tryOnce(held, options);
    if (outcome.error === null) return settleDone(held, outcome, around);
    const failure: Failure = {
      code: outcome.error.code as CerErrorCode,
      status: last?.status ?? null,
    };
    const tried = {
      failure,
      now: around.now(),
      retryAfter: last?.retryAfter ?? null,
      date: last?.date ?? null,
      random: around.random(),
    };
    const quick = nextAttempt({ ...tried, tries, firstAt: startedAt }, policy);
    const isSoon = quick.again && quick.at - tried.now <= policy.maxDelay && !isOver(options, quick.at);
    if (isSoon && (await waitUntil(quick.at, options))) continue;
    const { count, firstAt } = held.tries;
    return settleUndelivered(held, outcome, {
      ...tried,
      tries: Math.max(1, count),
      firstAt: firstAt ?? startedAt,
    });
  }
}
