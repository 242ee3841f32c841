/**
 * One claimed report of the journal, brought as far as it can be brought now: tries, then a verdict that the journal
 * keeps. Delivered leaves a receipt; what may succeed later waits; what never will is given up, with the reason.
 */

import { parseRetrySettings } from "../config/kept-terms.ts";
import type { Surroundings } from "../context.ts";
import { asCerError, type CerError } from "../errors.ts";
import type { Held } from "../journal/claimed-report.ts";
import type { Receipt } from "../journal/receipt.ts";
import { parseResponse } from "../wire/response.ts";
import { type TriesEnd, type TriesOptions, tryQuickly } from "./attempts.ts";
import { failedOutcome, type JournalNote, type Outcome } from "./outcome.ts";
import { type Dossier, type PackedArchive, rememberingDossier } from "./protocol.ts";
import { nextAttempt, PATIENT, type Tried } from "./retry.ts";

/** What the courier reports, the receipt beside it when there is one. */
export type Delivery = { readonly outcome: Outcome; readonly receipt: Receipt | null };

/**
 * Tries, and settles the report in the journal. Afterwards this process no longer holds it, unless the outcome's note
 * says `claimed`: then the journal could not be told, and the next run takes it up.
 * @throws CerError CER_CONFIG for a proxy address in the environment that is none; the report stays held
 */
export async function deliverHeld(held: Held, options: TriesOptions): Promise<Delivery> {
  const { around } = options;
  const warnings = changedFiles(held);
  const keep = keeper(warnings);
  const dossier = rememberingDossier(dossierOf(held, keep));
  const { outcome, tried } = await tryHeld(held, dossier, keep, options);
  const { receipt, ...settled } =
    tried === null
      ? await settleDone(held, makeReceipt(held, dossier, outcome, around.now()))
      : await settleUndelivered(held, outcome, tried);
  const known = [...outcome.warnings, ...warnings, ...settled.warnings];
  const { journal } = settled;
  const isWaiting = tried !== null && journal.state !== "abandoned";
  return {
    outcome: { ...outcome, outcome: isWaiting ? "deferred" : outcome.outcome, journal, warnings: known },
    receipt,
  };
}

async function tryHeld(held: Held, dossier: Dossier, keep: Keep, options: TriesOptions): Promise<TriesEnd> {
  const { destination, settings, imported } = held.record;
  const { around } = options;
  const parsed = await parseRetrySettings(settings).catch(asCerError);
  // What this program cannot read any more it will not be able to read later.
  if (parsed instanceof Error) return neverTried(parsed, around);
  return tryQuickly(
    {
      dossier,
      level1: await bytesOf(held.level1),
      destination: { ...destination, from: "the journal" },
      settings: parsed,
      imported,
      stored: held.event.files.map(({ path }) => path),
      beginExchange: (level) => keep(() => held.beginAttempt(level), undefined),
      endExchange: (exchange) => keep(() => held.endAttempt(exchange), undefined),
    },
    options,
  );
}

function neverTried(error: CerError, { now }: Surroundings): TriesEnd {
  const failure = { code: error.code, status: null };
  const nothing = { retryAfter: null, date: null, random: 0 };
  return {
    outcome: failedOutcome(error),
    tried: { failure, tries: 1, firstAt: now(), now: now(), ...nothing },
  };
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

/** Files that lie where they were may have been written to since. */
function changedFiles({ attachments, archive }: Held): string[] {
  if (archive !== null) return [];
  return attachments
    .filter(({ state }) => state === "changed")
    .map(({ original }) => `${original} changed after the report was made.`);
}

async function bytesOf({ open }: Held["level1"]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of open()) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** The held report as the conversation sees it. */
function dossierOf(held: Held, keep: Keep): Dossier {
  return {
    id: held.id,
    event: held.record.event,
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

type Settled = {
  readonly journal: JournalNote;
  readonly receipt: Receipt | null;
  readonly warnings: readonly string[];
};

/** Delivered is delivered, whatever the journal says to it. */
async function settleDone(held: Held, receipt: Receipt): Promise<Settled> {
  const trouble = await troubleOf(held.settle({ state: "done", receipt }));
  if (trouble !== null) {
    const warning = `The report was delivered, but that could not be written down and it may be sent again: ${trouble.message}`;
    return { journal: { id: held.id, state: "claimed", at: null }, receipt, warnings: [warning] };
  }
  const at = new Date(receipt.deliveredAt).toISOString();
  return { journal: { id: held.id, state: "done", at }, receipt, warnings: [] };
}

/** Why the journal could not be told, if it is the disk's or another process's doing. */
async function troubleOf(settling: Promise<void>): Promise<CerError | null> {
  try {
    await settling;
    return null;
  } catch (thrown) {
    const error = asCerError(thrown);
    if (error.code === "CER_JOURNAL_UNAVAILABLE" || error.code === "CER_ENTRY_BUSY") return error;
    throw error;
  }
}

function makeReceipt(held: Held, dossier: Dossier, outcome: Outcome, deliveredAt: number): Receipt {
  const { record, event } = held;
  const { level1, level2, bucket, bucketTable, declined } = outcome;
  const { response } = parseResponse(dossier.answer?.body ?? Buffer.alloc(0));
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
    redacted: dossier.archive?.redacted ?? 0,
  };
}

/** Waits or is given up, by the patient policy; the quick tries count there as well. */
async function settleUndelivered(held: Held, outcome: Outcome, tried: Tried): Promise<Settled> {
  const { count, firstAt } = held.tries;
  const isInterrupted = tried.failure.code === "CER_INTERRUPTED";
  const counted = { ...tried, tries: Math.max(1, count), firstAt: firstAt ?? tried.firstAt };
  const decision = isInterrupted ? AT_ONCE : nextAttempt(counted, PATIENT);
  const settlement = decision.again
    ? ({ state: "pending", due: decision.at, reason: outcome.error?.message ?? null } as const)
    : ({ state: "abandoned", reason: decision.reason } as const);
  const trouble = await troubleOf(held.settle(settlement));
  const { id } = held;
  if (trouble !== null) {
    const warning = `What became of the report could not be written down; the next run tries it again: ${trouble.message}`;
    return { journal: { id, state: "claimed", at: null }, receipt: null, warnings: [warning] };
  }
  const at = decision.again && decision.at !== null ? new Date(decision.at).toISOString() : null;
  return { journal: { id, state: settlement.state, at }, receipt: null, warnings: [] };
}

const AT_ONCE = { again: true, at: null } as const;
