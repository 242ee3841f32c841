/** `cer submit`: from the command line to the outcome, printed. */

import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { SubmitCommand } from "../cli/command.ts";
import type { OutputFlags } from "../cli/options.ts";
import { formatOutcome } from "../cli/outcome-text.ts";
import { findTarget, type Target } from "../config/destination.ts";
import { proxyFor } from "../config/proxy.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import { resolveTerms } from "../config/terms.ts";
import type { Context } from "../context.ts";
import { type DeliverOptions, limitTime } from "../delivery/attempts.ts";
import { type DeliveryResult, deliverUnprotected } from "../delivery/deliver.ts";
import { flushDue } from "../delivery/flush.ts";
import { type FreshReport, keepAndDeliver } from "../delivery/keep-and-deliver.ts";
import { exitCodeFor, failedOutcome, type Outcome, wasDelivered } from "../delivery/outcome.ts";
import { asCerError, CerError, type ExitCode, Leniency } from "../errors.ts";
import { makeReport } from "../event/read.ts";
import { type AdmissionPolicy, DEFAULT_ADMISSION } from "../journal/duplicates.ts";
import { encodeReceipt } from "../journal/entry/receipt.ts";
import { stripControls } from "../printable.ts";
import { askForItems, canAsk, checkSomebodyToAsk } from "./consent-prompt.ts";
import { Journals } from "./open-journal.ts";

/** Quick attempts after the first, when nothing says otherwise. */
const DEFAULT_RETRIES = 2;
/** Milliseconds that earlier reports may take after this one was delivered: an installer waits. */
const FLUSH_TIME = 10_000;
const HOUR = 3_600_000;

export async function runSubmit(command: SubmitCommand, context: Context): Promise<ExitCode> {
  if (command.dryRun !== null) return (await import("./preview.ts")).showDryRun(command, context);
  const telling = new Telling(command, context);
  try {
    return await submit(command, context, telling);
  } finally {
    // Not even an error keeps from being told what was got round, and what became of other reports.
    telling.sayRest();
  }
}

async function submit(command: SubmitCommand, context: Context, telling: Telling): Promise<ExitCode> {
  const { leniency } = telling;
  const { maxTime } = command.times;
  const until = maxTime === null ? null : context.now() + maxTime;
  const sources = await readSources(command.target, context, leniency);
  const target = findTarget(sources, leniency);
  if (command.strict) refuseOddProxies(target, context);
  const terms = resolveTerms(sources, command.archive);
  checkSomebodyToAsk(terms, context, command.event, leniency);
  const limit = limitTime(context, until);
  const made = await makeReport(command, context, leniency, limit.signal).finally(limit.clear);
  const stored = made.event.files.map(({ path }) => path);
  const report = { ...made, target, terms, imported: false, stored };
  const bar = openUploadBar(command.output, context);
  const options = deliverOptions(command, context, sources, until, bar.update);
  const journals = new Journals(sources, context, (problem) => telling.warn(problem));
  try {
    const run = { report, command, sources, options, journals, telling };
    const { outcome, receipt } = await keepAnywhere(run, journals.toKeepIn, null);
    await bar.stop();
    const code = telling.tell(outcome);
    if (receipt !== null && command.keeping.receipt !== null)
      await writeReceipt(resolve(context.cwd, command.keeping.receipt), encodeReceipt(receipt), context);
    if (wasDelivered(outcome) && command.keeping.flush) await flushQuietly(run);
    return code;
  } finally {
    await journals.close();
  }
}

/** What this run says to people: one outcome, its warnings with it, and whatever is found afterwards. */
class Telling {
  readonly leniency: Leniency;
  readonly #output: OutputFlags;
  readonly #context: Context;
  #isTold = false;

  constructor({ strict, output }: SubmitCommand, context: Context) {
    this.leniency = new Leniency({ isStrict: strict });
    this.#output = output;
    this.#context = context;
  }

  /** Part of the outcome's warnings, or said at once when that has been told. */
  warn(problem: string): void {
    if (this.#isTold) this.#say(problem);
    else this.leniency.note(problem);
  }

  tell(outcome: Outcome): ExitCode {
    this.#isTold = true;
    const told = { ...outcome, warnings: [...this.leniency.warnings, ...outcome.warnings] };
    return printOutcome(told, this.#output, this.#context);
  }

  /** The warnings of a run that came to no outcome. */
  sayRest(): void {
    if (!this.#isTold) for (const warning of this.leniency.warnings) this.#say(warning);
  }

  #say(warning: string): void {
    if (!this.#output.quiet) this.#context.terminal.say(`warning: ${stripControls(warning)}`);
  }
}

/** What there is to keep and deliver, and how. */
type Run = {
  readonly report: FreshReport;
  readonly command: SubmitCommand;
  readonly sources: readonly Source[];
  readonly options: DeliverOptions;
  readonly journals: Journals;
  readonly telling: Telling;
};

/** @throws CerError CER_CONFIG */
function refuseOddProxies({ destination }: Target, { env }: Context): void {
  const [unusable] = destination === null ? [] : proxyFor(destination.origin, env).passedOver;
  if (unusable !== undefined) throw new CerError("CER_CONFIG", unusable);
}

/**
 * Keeps the report in the first place that takes it, and delivers it. Where no place takes it, it is sent all the same.
 * @param why the places before did not take it; null for the first
 */
async function keepAnywhere(
  run: Run,
  [place, ...others]: readonly (string | null)[],
  why: CerError | null,
): Promise<DeliveryResult> {
  const { report, command, sources, options, journals, telling } = run;
  const elsewhere = (reason: CerError): Promise<DeliveryResult> => {
    const isLast = others.length === 0 || reason.code === "CER_JOURNAL_FULL";
    return isLast ? sendUnkept(report, why ?? reason, options) : keepAnywhere(run, others, why ?? reason);
  };
  const opened = await journals.open(place ?? null);
  if (opened.journal === null) return elsewhere(opened.why);
  const { journal } = opened;
  await journal.prune();
  const { force, copy, dropOldest } = command.keeping;
  const adding = { admission: force ? null : admissionOf(sources), copy, dropOldest };
  const result = await keepAndDeliver(report, journal, adding, options, elsewhere);
  if (why !== null && result.outcome.journal !== null)
    telling.warn(`It is kept in ${place}, because: ${why.message}`);
  return result;
}

/** @param why no journal has it */
async function sendUnkept(
  report: FreshReport,
  why: CerError,
  options: DeliverOptions,
): Promise<DeliveryResult> {
  const { target, ...rest } = report;
  const { destination } = target;
  if (destination !== null) return deliverUnprotected({ ...rest, destination }, why, options);
  const outcome = failedOutcome(target.noServer);
  return {
    outcome: { ...outcome, warnings: [`The report could not be kept: ${why.message}`] },
    receipt: null,
  };
}

function admissionOf(sources: readonly Source[]): AdmissionPolicy {
  const hours = strongestSetting(sources, "duplicateHours");
  return {
    window: hours === undefined ? DEFAULT_ADMISSION.window : hours * HOUR,
    perHour: strongestSetting(sources, "reportsPerHour") ?? DEFAULT_ADMISSION.perHour,
  };
}

function deliverOptions(
  { event, output, times: { idleTimeout } }: SubmitCommand,
  context: Context,
  sources: readonly Source[],
  until: number | null,
  onUpload: NonNullable<DeliverOptions["onUpload"]>,
): DeliverOptions {
  return {
    context,
    idleTimeout,
    until,
    retries: strongestSetting(sources, "retries") ?? DEFAULT_RETRIES,
    confirm: async (plan) => (canAsk(context, event) ? askForItems(plan, context) : NO_ANSWERS),
    onStep: (step) => {
      if (output.verbose) context.terminal.say(step);
    },
    onUpload,
  };
}

const NO_ANSWERS: ReadonlyMap<number, boolean> = new Map();

/**
 * What waits from earlier runs, wherever it was kept, tried within a short time; what becomes of it does not change this
 * run's verdict.
 */
async function flushQuietly({ report, command, options, journals, telling }: Run): Promise<void> {
  const { destination } = report.target;
  const { context, idleTimeout, until } = options;
  const limit = context.now() + FLUSH_TIME;
  const within = { context, idleTimeout, until: until === null ? limit : Math.min(limit, until) };
  let delivered = 0;
  try {
    for await (const { journal } of journals.inUse()) {
      if (journal === null) continue;
      if (destination !== null) await journal.address(destination);
      for await (const { outcome } of flushDue(journal, within)) {
        for (const warning of outcome.warnings) telling.warn(warning);
        if (outcome.error === null) delivered++;
        else if (outcome.journal?.state === "abandoned")
          telling.warn(`report ${outcome.journal.id} was given up: ${outcome.error.message}`);
      }
    }
  } catch (thrown) {
    telling.warn(`what waits could not be sent: ${asCerError(thrown).message}`);
  }
  if (delivered > 0 && !command.output.quiet)
    context.terminal.say(`Delivered ${delivered} that waited from earlier runs.`);
}

/** The report is delivered whatever becomes of this copy of its receipt. */
async function writeReceipt(path: string, bytes: Buffer, { terminal }: Context): Promise<void> {
  await writeFile(path, bytes, { mode: 0o600 }).catch((cause: NodeJS.ErrnoException) =>
    terminal.say(`warning: the receipt could not be written to ${path} (${cause.code ?? cause.message}).`),
  );
}

/** A bar that appears with the first byte of a long upload, where somebody watches. */
function openUploadBar({ json, quiet }: OutputFlags, { terminal }: Context) {
  let bar: ReturnType<typeof terminal.progress> | undefined;
  return {
    update: (sent: number, size: number) => {
      if (json || quiet) return;
      bar ??= terminal.progress(size);
      void bar.then(({ update }) => update(sent));
    },
    stop: async () => (await bar)?.stop(),
  };
}

/** The outcome for whoever reads it: one JSON object, or lines for people; warnings and errors on standard error. */
function printOutcome(outcome: Outcome, output: OutputFlags, { terminal }: Context): ExitCode {
  const { print, say, paint } = terminal;
  if (output.json) print(JSON.stringify(outcome, null, 2));
  const isBad = outcome.error !== null;
  if (!output.quiet) for (const warning of outcome.warnings) say(`warning: ${stripControls(warning)}`);
  const tell = output.json || isBad ? say : print;
  if (!output.quiet || isBad) for (const line of formatOutcome(outcome, paint)) tell(line);
  return exitCodeFor(outcome);
}
