/**
 * One report brought as far as it can be brought now. One that the journal has goes through attempts to a settlement
 * that the journal keeps: delivered leaves a receipt; what may succeed later waits; what never will is given up, with
 * the reason. One that is kept nowhere has its attempts only.
 */

import { parseTerms } from "../config/terms.ts";
import { asCerError, type CerError } from "../errors.ts";
import { type ClaimedReport, complainOf } from "../journal/claimed-report.ts";
import type { Answer } from "../journal/entry/documents.ts";
import type { Receipt } from "../journal/entry/receipt.ts";
import {
  type AttemptResult,
  type BuiltArchive,
  MemoryStore,
  type Report,
  type ReportStore,
} from "../journal/report.ts";
import { parseResponse } from "../wire/response.ts";
import { type AttemptsResult, attemptWithRetries, type DeliverOptions } from "./attempts.ts";
import { failedOutcome, type JournalNote, type Outcome } from "./outcome.ts";
import { countAlike } from "./policy.ts";
import { BETWEEN_RUNS, type FailedAttempt, nextAttempt } from "./retry.ts";

/** The receipt beside the outcome, when there is one. */
export type DeliveryResult = { readonly outcome: Outcome; readonly receipt: Receipt | null };

/**
 * Attempts for a report that is kept nowhere.
 * @param why the journal does not have it
 */
export async function deliverUnprotected(
  report: Report,
  why: CerError,
  options: DeliverOptions,
): Promise<DeliveryResult> {
  const store = new MemoryStore();
  try {
    const { outcome } = await attemptWithRetries(report, store, options);
    const remedy = outcome.error !== null && why.hint !== undefined ? ` ${why.hint}` : "";
    const warning = `This report is not protected against loss: ${why.message}${remedy}`;
    return { outcome: { ...outcome, warnings: [warning, ...outcome.warnings] }, receipt: null };
  } finally {
    await store.dispose();
  }
}

/**
 * Attempts, and settles the report in the journal. Afterwards this process no longer holds it, unless the outcome's note
 * says `claimed`: then the journal could not be told, and the next run takes it up.
 */
export async function deliverClaimed(
  claimed: ClaimedReport,
  options: DeliverOptions,
): Promise<DeliveryResult> {
  // An archive that was made is sent as it is, whatever became of what is in it.
  const isPacked = claimed.archive !== null;
  const trouble = isPacked ? null : await troubleOf(claimed.verifyAttachments(), SETTLING_FAULTS);
  if (trouble !== null) return leftClaimed(claimed, trouble);
  const warnings = isPacked ? [] : claimed.attachments.flatMap(complainOf);
  const store = new TolerantStore(claimed, warnings);
  try {
    const { outcome, failed } = await attemptClaimed(claimed, store, options);
    const { receipt, ...settled } =
      failed === null
        ? await settleDone(claimed, makeReceipt(claimed, store, outcome, options.context.now()))
        : await settleUndelivered(claimed, outcome, failed);
    const known = [...outcome.warnings, ...warnings, ...settled.warnings];
    const { journal } = settled;
    const isWaiting = failed !== null && journal.state !== "abandoned";
    return {
      outcome: { ...outcome, outcome: isWaiting ? "deferred" : outcome.outcome, journal, warnings: known },
      receipt,
    };
  } finally {
    await store.dispose();
  }
}

/** Its files cannot be looked at now: nothing is sent, and the next run takes it up. */
function leftClaimed({ id }: ClaimedReport, trouble: CerError): DeliveryResult {
  const journal = { id, state: "claimed", at: null } as const;
  return { outcome: { ...failedOutcome(trouble), outcome: "deferred", journal }, receipt: null };
}

async function attemptClaimed(
  { record, destination, level1, stored, attachments }: ClaimedReport,
  store: TolerantStore,
  options: DeliverOptions,
): Promise<AttemptsResult> {
  const { event, imported } = record;
  const terms = await parseTerms(record.settings).catch(asCerError);
  // What this program cannot read any more it will not be able to read later.
  if (terms instanceof Error) return neverAttempted(terms, options.context.now());
  const to = { ...destination, from: "the journal" };
  const damaged = attachments.map(({ state, problem }) => (state === "damaged" ? problem : null));
  const report = { event, level1, destination: to, terms, imported, stored, damaged };
  return attemptWithRetries(report, store, options);
}

function neverAttempted(error: CerError, now: number): AttemptsResult {
  const failure = { code: error.code, status: null, retryAfter: null, date: null };
  return { outcome: failedOutcome(error), failed: { failure, attempts: 1, firstAt: now, now, random: 0 } };
}

/** Keeps in the journal's store, and in memory where that fails: a disk that breaks down halfway ends no delivery. */
class TolerantStore extends MemoryStore {
  readonly #durable: ReportStore;
  readonly #warnings: string[];

  constructor(durable: ReportStore, warnings: string[]) {
    super();
    this.answer = durable.answer;
    this.archive = durable.archive;
    this.#durable = durable;
    this.#warnings = warnings;
  }

  override async keepAnswer(answer: Answer): Promise<void> {
    await super.keepAnswer(answer);
    await this.#tolerate(() => this.#durable.keepAnswer(answer));
  }

  override async keepArchive(archive: BuiltArchive): Promise<void> {
    await super.keepArchive(archive);
    // Until it is known to be kept there is none: what is wrong with it has to be made anew.
    this.archive = null;
    await this.#tolerate(() => this.#durable.keepArchive(archive));
    this.archive = this.#durable.archive ?? archive;
  }

  override async beginAttempt(level: 1 | 2): Promise<void> {
    await this.#tolerate(() => this.#durable.beginAttempt(level));
  }

  override async endAttempt(result: AttemptResult): Promise<void> {
    await this.#tolerate(() => this.#durable.endAttempt(result));
  }

  async #tolerate(operation: () => Promise<void>): Promise<void> {
    const trouble = await troubleOf(operation(), ["CER_JOURNAL_UNAVAILABLE"]);
    if (trouble === null) return;
    const warning = `From here on this report is not protected against loss: ${trouble.message}`;
    if (!this.#warnings.includes(warning)) this.#warnings.push(warning);
  }
}

/** Why the journal could not be told, when the error is among those that are expected. */
async function troubleOf(
  telling: Promise<void>,
  expected: readonly CerError["code"][],
): Promise<CerError | null> {
  try {
    await telling;
    return null;
  } catch (thrown) {
    const error = asCerError(thrown);
    if (expected.includes(error.code)) return error;
    throw error;
  }
}

type Settled = {
  readonly journal: JournalNote;
  readonly receipt: Receipt | null;
  readonly warnings: readonly string[];
};

/** The disk's doing, or another process's. */
const SETTLING_FAULTS = ["CER_JOURNAL_UNAVAILABLE", "CER_ENTRY_BUSY"] as const;

/** Delivered is delivered, whatever the journal says to it. */
async function settleDone(claimed: ClaimedReport, receipt: Receipt): Promise<Settled> {
  const trouble = await troubleOf(claimed.settle({ state: "done", receipt }), SETTLING_FAULTS);
  const { id } = claimed;
  if (trouble !== null) {
    const warning = `The report was delivered, but that could not be written down and it may be sent again: ${trouble.message}`;
    return { journal: { id, state: "claimed", at: null }, receipt, warnings: [warning] };
  }
  const at = new Date(receipt.deliveredAt).toISOString();
  return { journal: { id, state: "done", at }, receipt, warnings: [] };
}

function makeReceipt(
  { id, record, attempts }: ClaimedReport,
  { answer, archive }: MemoryStore,
  outcome: Outcome,
  deliveredAt: number,
): Receipt {
  const { event } = record;
  const { level1, level2, bucket, bucketTable, declined } = outcome;
  const { response } = parseResponse(answer?.body ?? Buffer.alloc(0));
  return {
    id,
    createdAt: record.createdAt,
    deliveredAt,
    event: {
      identity: record.identity,
      eventType: event.eventType,
      eventTime: event.eventTime,
      application: event.application?.name ?? null,
    },
    url: level1?.url ?? "",
    level1: { bytes: record.level1.size, sha256: record.level1.sha256 },
    bucket,
    bucketTable,
    dumpFile: response.dumpFile,
    archive: level2?.archive ?? null,
    attempts,
    consent: record.consent,
    declined: declined.length,
    redacted: archive?.about.redacted ?? 0,
  };
}

/** Waits or is given up, by the policy between runs; this run's attempts count there as well. */
async function settleUndelivered(
  claimed: ClaimedReport,
  outcome: Outcome,
  failed: FailedAttempt,
): Promise<Settled> {
  const { id, counted } = claimed;
  const sinceRetry = {
    ...failed,
    attempts: Math.max(1, counted.count),
    alike: Math.min(Math.max(1, counted.count), countAlike(claimed.attempts, failed.failure)),
    firstAt: failed.now - counted.age,
  };
  const decision =
    failed.failure.code === "CER_INTERRUPTED" ? AT_ONCE : nextAttempt(sinceRetry, BETWEEN_RUNS);
  const settlement = decision.again
    ? ({ state: "pending", due: decision.at, reason: outcome.error?.message ?? null } as const)
    : ({ state: "abandoned", reason: decision.reason } as const);
  const trouble = await troubleOf(claimed.settle(settlement), SETTLING_FAULTS);
  if (trouble !== null) {
    const warning = `What became of the report could not be written down; the next run tries it again: ${trouble.message}`;
    return { journal: { id, state: "claimed", at: null }, receipt: null, warnings: [warning] };
  }
  const at = decision.again && decision.at !== null ? new Date(decision.at).toISOString() : null;
  return { journal: { id, state: settlement.state, at }, receipt: null, warnings: [] };
}

const AT_ONCE = { again: true, at: null } as const;
