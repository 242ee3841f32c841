/** `cer submit`: from the command line to the outcome, printed. */

import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { OutputFlags, SubmitCommand } from "../cli/command.ts";
import { type Destination, resolveDestination } from "../config/destination.ts";
import { encodeRetrySettings } from "../config/kept-terms.ts";
import { proxyFor } from "../config/proxy.ts";
import { readSources, type Source, strongestSetting } from "../config/sources.ts";
import { type ResolvedPolicy, resolvePolicy } from "../config/terms.ts";
import type { Surroundings } from "../context.ts";
import { type TriesOptions, tryQuickly } from "../delivery/attempts.ts";
import { type Delivery, deliverHeld } from "../delivery/deliver.ts";
import { flushDue } from "../delivery/flush.ts";
import {
  describeError,
  exitCodeFor,
  formatOutcome,
  NOTHING_EXCHANGED,
  type Outcome,
} from "../delivery/outcome.ts";
import { passingDossier } from "../delivery/protocol.ts";
import { isDue } from "../delivery/retry.ts";
import { asCerError, CerError, type ExitCode } from "../errors.ts";
import { makeReport } from "../event/read.ts";
import type { Event } from "../event.ts";
import type { Added } from "../journal/admission.ts";
import { ADMISSION, type Admission } from "../journal/duplicates.ts";
import type { Journal, Shown } from "../journal/journal.ts";
import { encodeReceipt } from "../journal/receipt.ts";
import { askForItems, requireSomebodyToAsk } from "./consent-prompt.ts";
import { closeJournal, openNamedJournal } from "./open-journal.ts";

/** Quick tries after the first, when nothing says otherwise. */
const DEFAULT_RETRIES = 2;
/** Milliseconds that earlier reports may take after this one was delivered: an installer waits. */
const FLUSH_TIME = 10_000;
const HOUR = 3_600_000;
/** Times the journal is asked about the same event before it is left to other processes. */
const LOOKS = 3;

/** Everything a submission is made of. */
type Submission = {
  readonly command: SubmitCommand;
  readonly around: Surroundings;
  readonly sources: readonly Source[];
  readonly destination: Destination;
  readonly rules: ResolvedPolicy;
  readonly event: Event;
  readonly timeGiven: boolean;
  readonly level1: Buffer;
  /** Milliseconds since 1970; null for no limit. */
  readonly until: number | null;
  readonly warnings: string[];
  readonly bar: { update(sent: number, size: number): void; stop(): Promise<void> };
};

export async function runSubmit(command: SubmitCommand, around: Surroundings): Promise<ExitCode> {
  if (command.dryRun !== null) return (await import("./preview.ts")).showDryRun(command, around);
  const sources = await readSources(command.target.settings, command.target.config, around);
  const destination = resolveDestination(sources);
  // What is wrong with this run's own settings is said before anything is kept.
  proxyFor(destination.origin, around.env);
  const rules = resolvePolicy(sources);
  requireSomebodyToAsk(rules, around, command.event);
  const { maxTime } = command.times;
  const submission: Submission = {
    command,
    around,
    sources,
    destination,
    rules,
    ...(await makeReport(command, around)),
    until: maxTime === null ? null : around.now() + maxTime,
    bar: openUploadBar(command.output, around),
  };
  const warn = (problem: string) => submission.warnings.push(problem);
  const opened = await openNamedJournal(sources, around, warn);
  if (opened.journal === null) return report(submission, await sendUnprotected(submission, opened.why));
  const { journal } = opened;
  try {
    await journal.prune();
    const { outcome, receipt } = await keepAndSend(submission, journal);
    const code = await report(submission, outcome);
    if (receipt !== null && command.keeping.receipt !== null)
      await writeReceipt(resolve(around.cwd, command.keeping.receipt), encodeReceipt(receipt), around);
    if (receipt !== null && command.keeping.flush) await flushQuietly(submission, journal);
    return code;
  } finally {
    await closeJournal(journal, around);
  }
}

/** A report that this one seems to repeat may be delivered, dropped or found damaged meanwhile: then all is asked anew. */
async function keepAndSend(submission: Submission, journal: Journal): Promise<Delivery> {
  for (let look = 0; look < LOOKS; look++) {
    const delivery = await tryToKeepAndSend(submission, journal);
    if (delivery !== null) return delivery;
  }
  throw new CerError("CER_ENTRY_BUSY", "Other processes kept moving the report of the same event.", {
    hint: "It is theirs to send. See: cer queue list",
  });
}

/** Null: the report that this one seemed to repeat is not where it was. */
async function tryToKeepAndSend(submission: Submission, journal: Journal): Promise<Delivery | null> {
  const added = await addTo(journal, submission);
  if (added.outcome === "kept") return deliverHeld(added.held, triesOptions(submission));
  if (added.outcome === "unprotected")
    return { outcome: await sendUnprotected(submission, added.why), receipt: null };
  return notSent(added, submission, journal);
}

async function addTo(journal: Journal, submission: Submission): Promise<Added> {
  const { command, event, timeGiven, level1, destination, rules, sources } = submission;
  return journal.add(
    {
      event,
      timeGiven,
      level1,
      destination,
      consent: { level: rules.policy.consent, setBy: rules.consentFrom },
      settings: encodeRetrySettings({ rules, archive: command.archive }),
    },
    {
      admission: command.keeping.force ? null : admissionOf(sources),
      copy: command.keeping.copy,
      dropOldest: command.keeping.dropOldest,
    },
  );
}

function admissionOf(sources: readonly Source[]): Admission {
  const hours = strongestSetting(sources, "duplicateHours");
  return {
    window: hours === undefined ? ADMISSION.window : hours * HOUR,
    perHour: strongestSetting(sources, "reportsPerHour") ?? ADMISSION.perHour,
  };
}

function triesOptions({ command, around, sources, until, bar }: Submission): TriesOptions {
  const { verbose } = command.output;
  return {
    around,
    idleTimeout: command.times.idleTimeout,
    until,
    retries: strongestSetting(sources, "retries") ?? DEFAULT_RETRIES,
    confirm: askUser(around),
    onStep: (step: string) => {
      if (verbose) around.terminal.say(step);
    },
    onUpload: bar.update,
  };
}

function askUser(around: Surroundings) {
  return (plan: Parameters<typeof askForItems>[0]) => askForItems(plan, around);
}

/** The report was sent before, waits already, or is one too many of its kind; null when that is not true any more. */
async function notSent(
  added: Exclude<Added, { outcome: "kept" | "unprotected" }>,
  submission: Submission,
  journal: Journal,
): Promise<Delivery | null> {
  if (added.outcome === "suppressed") {
    const journalNote = { id: "", state: "suppressed", at: new Date(added.until).toISOString() } as const;
    return { outcome: { outcome: "suppressed", ...NOTHING_EXCHANGED, journal: journalNote }, receipt: null };
  }
  const found = (await journal.list()).find(({ label }) => label.id === added.of);
  if (found === undefined) return null;
  const shown = await journal.show(found);
  const { listed, receipt, time } = shown;
  const nothing = { outcome: "duplicate", ...NOTHING_EXCHANGED } as const;
  if (listed.state === "done") {
    const at = new Date(added.deliveredAt ?? time ?? 0).toISOString();
    const { bucket = null, bucketTable = null } = receipt ?? {};
    return {
      outcome: { ...nothing, bucket, bucketTable, journal: { id: added.of, state: "done", at } },
      receipt: null,
    };
  }
  if (isToldToWait(shown, submission.around.now())) return { outcome: stillWaiting(shown), receipt: null };
  const held = await journal.claim(listed);
  if (held !== null) return deliverHeld(held, triesOptions(submission));
  if (listed.state !== "claimed") return null;
  return { outcome: { ...nothing, journal: { id: added.of, state: "claimed", at: null } }, receipt: null };
}

/** A server that answered with an error is left alone for as long as it was to be; one that was not there is tried. */
function isToldToWait({ progress, time }: Shown, now: number): boolean {
  const answered = progress?.attempts.at(-1)?.status ?? null;
  return answered !== null && time !== null && !isDue(time, now);
}

function stillWaiting({ listed, progress, time }: Shown): Outcome {
  const { id } = listed.label;
  const error = new CerError(
    "CER_ENTRY_WAITS",
    `The same event waits already: ${progress?.reason ?? "it could not be sent"}`,
    { hint: `To try it before its time: cer queue retry ${id}, then cer flush.` },
  );
  const at = time === null ? null : new Date(time).toISOString();
  return {
    outcome: "deferred",
    ...NOTHING_EXCHANGED,
    journal: { id, state: "pending", at },
    error: describeError(error),
  };
}

/** Sent directly, kept nowhere. */
async function sendUnprotected(submission: Submission, why: CerError): Promise<Outcome> {
  const { command, destination, event, level1, rules, warnings } = submission;
  warnings.push(`This report is not protected against loss: ${why.message}`);
  const dossier = passingDossier(event, level1);
  const settings = { rules, archive: command.archive };
  const undertaking = { dossier, level1, destination, settings, imported: false };
  const { outcome } = await tryQuickly(undertaking, triesOptions(submission));
  return outcome;
}

async function report(submission: Submission, outcome: Outcome): Promise<ExitCode> {
  await submission.bar.stop();
  const whole = { ...outcome, warnings: [...submission.warnings, ...outcome.warnings] };
  printOutcome(whole, submission.command.output, submission.around);
  return exitCodeFor(whole);
}

/** What waits from earlier runs, tried within a short time; what becomes of it does not change this run's verdict. */
async function flushQuietly({ command, around, until }: Submission, journal: Journal): Promise<void> {
  const limit = around.now() + FLUSH_TIME;
  const options = {
    around,
    idleTimeout: command.times.idleTimeout,
    until: until === null ? limit : Math.min(limit, until),
  };
  let delivered = 0;
  try {
    for await (const { outcome } of flushDue(journal, options)) if (outcome.error === null) delivered++;
  } catch (thrown) {
    around.terminal.say(`warning: what waits could not be sent: ${asCerError(thrown).message}`);
  }
  if (delivered > 0 && !command.output.quiet)
    around.terminal.say(`Delivered ${delivered} that waited from earlier runs.`);
}

/** The report is delivered whatever becomes of this copy of its receipt. */
async function writeReceipt(path: string, bytes: Buffer, { terminal }: Surroundings): Promise<void> {
  await writeFile(path, bytes, { mode: 0o600 }).catch((cause: NodeJS.ErrnoException) =>
    terminal.say(`warning: the receipt could not be written to ${path} (${cause.code ?? cause.message}).`),
  );
}

/** A bar that appears with the first byte of a long upload, where somebody watches. */
function openUploadBar({ json, quiet }: OutputFlags, { terminal }: Surroundings): Submission["bar"] {
  let bar: ReturnType<typeof terminal.progress> | undefined;
  return {
    update: (sent, size) => {
      if (json || quiet) return;
      bar ??= terminal.progress(size);
      void bar.then(({ update }) => update(sent));
    },
    stop: async () => (await bar)?.stop(),
  };
}

/** The outcome for whoever reads it: one JSON object, or lines for people; warnings and errors on standard error. */
function printOutcome(outcome: Outcome, output: OutputFlags, { terminal }: Surroundings): void {
  const { print, say, paint } = terminal;
  if (output.json) print(JSON.stringify(outcome, null, 2));
  const isBad = outcome.error !== null;
  if (!output.quiet) for (const warning of outcome.warnings) say(`warning: ${warning}`);
  if (output.quiet && !isBad) return;
  const tell = output.json || isBad ? say : print;
  for (const line of formatOutcome(outcome, paint)) tell(line);
}
