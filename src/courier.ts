/**
 * One claimed report of the journal, brought as far as it can be brought now: quick tries, then a verdict that the
 * journal keeps. Delivered leaves a receipt; what may succeed later waits; what never will is given up, with the reason.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { proxyFor } from "./config.ts";
import { deliver } from "./delivery.ts";
import { asCerError, type CerErrorCode } from "./errors.ts";
import type { Held } from "./journal/held.ts";
import type { Receipt } from "./journal/receipt.ts";
import { nextAttempt, PATIENT, quickPolicy, type Tried } from "./journal/retry.ts";
import type { JournalNote, Outcome } from "./outcome.ts";
import { type PackOptions, pack } from "./pack.ts";
import { parseRetrySettings } from "./retry-settings.ts";
import type { Dossier, Exchange, PackedArchive } from "./submit.ts";
import type { Surroundings } from "./surroundings.ts";
import { parseResponse } from "./wire/response.ts";

export type CourierOptions = {
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

/** What the courier reports, the receipt beside it when there is one. */
export type Delivery = { readonly outcome: Outcome; readonly receipt: Receipt | null };

/** Tries, and settles the report in the journal. Afterwards this process no longer holds it. */
export async function deliverHeld(held: Held, options: CourierOptions): Promise<Delivery> {
  const { around } = options;
  const startedAt = around.now();
  const policy = quickPolicy(options.retries);
  for (let tries = 1; ; tries++) {
    const { outcome, last } = await tryOnce(held, options);
    if (outcome.error === null) return settleDone(held, outcome, around);
    const tried: Tried = {
      failure: { code: outcome.error.code as CerErrorCode, status: last?.status ?? null },
      tries,
      firstAt: startedAt,
      now: around.now(),
      retryAfter: last?.retryAfter ?? null,
      date: last?.date ?? null,
      random: around.random(),
    };
    const quick = nextAttempt(tried, policy);
    if (quick.again && quick.at - tried.now <= policy.maxDelay && (await waitUntil(quick.at, options)))
      continue;
    return settleUndelivered(held, outcome, tried, around);
  }
}

async function tryOnce(
  held: Held,
  options: CourierOptions,
): Promise<{ outcome: Outcome; last: Exchange | null }> {
  const { around, until, confirm, onStep, onUpload, idleTimeout } = options;
  const { rules, archive } = await parseRetrySettings(held.record.settings);
  const { destination } = held.record;
  const level1 = await bytesOf(held.level1);
  let last: Exchange | null = null;
  const warnings: string[] = [];
  const keep = keeper(warnings);
  const outcome = await deliver(dossierOf(held, keep), {
    destination: { ...destination, from: "the journal" },
    proxy: proxyFor(destination.origin, around.env),
    idleTimeout,
    maxTime: until === null ? null : Math.max(1, until - around.now()),
    signal: around.signal,
    now: around.now,
    version: around.version,
    pack: (response) =>
      pack(response, { event: held.event, level1, rules, archive, around, ...(confirm && { confirm }) }),
    beginExchange: (level) => keep(() => held.beginAttempt(level), undefined),
    endExchange: async (exchange) => {
      last = exchange;
      await keep(() => held.endAttempt(exchange), undefined);
    },
    ...(onStep && { onStep }),
    ...(onUpload && { onUpload }),
  });
  return { outcome: { ...outcome, warnings: [...outcome.warnings, ...warnings] }, last };
}

type Keep = <T>(operation: () => Promise<T>, otherwise: T) => Promise<T>;

/** Runs the journal's operations: a disk that fails in the middle of a conversation does not end it. */
function keeper(warnings: string[]): Keep {
  return async (operation, otherwise) => {
    try {
      return await operation();
    } catch (thrown) {
      const error = asCerError(thrown);
      if (error.code !== "CER_JOURNAL_UNAVAILABLE") throw error;
      const warning = `From here on this report is not protected against loss: ${error.message}`;
      if (!warnings.includes(warning)) warnings.push(warning);
      return otherwise;
    }
  };
}

async function bytesOf({ open }: Held["level1"]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of open()) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The held report as the conversation sees it. */
function dossierOf(held: Held, keep: Keep): Dossier {
  return {
    id: held.id,
    event: held.event,
    level1: held.level1,
    answer: held.answer,
    archive: held.archive === null ? null : keptArchive(held.archive),
    keepAnswer: (answer) => keep(() => held.keepAnswer(answer), undefined),
    keepArchive: (archive) => {
      const { files, declined, warnings, mediaType, redacted } = archive;
      const about = { files, declined, warnings, mediaType, redacted };
      return keep(async () => keptArchive(await held.keepArchive(archive, about)), archive);
    },
  };
}

/** What this program wrote about the archive when it was made. */
function keptArchive(kept: NonNullable<Held["archive"]>): PackedArchive {
  const about = kept.about as Pick<
    PackedArchive,
    "files" | "declined" | "warnings" | "mediaType" | "redacted"
  >;
  return { ...about, size: kept.size, sha256: kept.sha256, open: () => kept.open() };
}

/** False when there is no time left, or somebody wants the program to stop. */
async function waitUntil(time: number, { around, until }: CourierOptions): Promise<boolean> {
  if (around.signal.aborted || (until !== null && time >= until)) return false;
  return sleep(Math.max(0, time - around.now()), true, { signal: around.signal }).catch(() => false);
}

async function settleDone(held: Held, outcome: Outcome, around: Surroundings): Promise<Delivery> {
  const receipt = makeReceipt(held, outcome, around.now());
  await held.settle({ state: "done", receipt });
  const journal: JournalNote = {
    id: held.id,
    state: "done",
    at: new Date(receipt.deliveredAt).toISOString(),
  };
  return { outcome: { ...outcome, journal }, receipt };
}

function makeReceipt(held: Held, outcome: Outcome, deliveredAt: number): Receipt {
  const { record, event } = held;
  const { level1, level2, bucket, bucketTable, declined } = outcome;
  const { response } = parseResponse(held.answer?.body ?? Buffer.alloc(0));
  return {
    id: held.id,
    createdAt: record.createdAt,
    deliveredAt,
    event: {
      identity: record.identity,
      eventType: event.eventType,
      eventTime: event.eventTime,
      application: event.application?.name ?? null,
    },
    url: level1?.url ?? "",
    level1: { bytes: held.level1.size, sha256: record.level1.sha256 },
    bucket,
    bucketTable,
    dumpFile: response.dumpFile,
    archive: level2?.archive ?? null,
    attempts: held.attempts,
    consent: record.consent,
    declined: declined.length,
    redacted: held.archive === null ? 0 : keptArchive(held.archive).redacted,
  };
}

/** Waits or is given up, by the patient policy; the quick tries count there as well. */
async function settleUndelivered(
  held: Held,
  outcome: Outcome,
  tried: Tried,
  around: Surroundings,
): Promise<Delivery> {
  const { count, firstAt } = held.tries;
  const isInterrupted = around.signal.aborted;
  const decision = nextAttempt(
    { ...tried, tries: Math.max(1, count), firstAt: firstAt ?? tried.firstAt },
    PATIENT,
  );
  if (!decision.again) {
    await held.settle({ state: "abandoned", reason: decision.reason });
    return { outcome: { ...outcome, journal: { id: held.id, state: "abandoned", at: null } }, receipt: null };
  }
  const due = isInterrupted ? null : decision.at;
  await held.settle({ state: "pending", due, reason: outcome.error?.message ?? null });
  const at = due === null ? null : new Date(due).toISOString();
  return {
    outcome: { ...outcome, outcome: "deferred", journal: { id: held.id, state: "pending", at } },
    receipt: null,
  };
}
