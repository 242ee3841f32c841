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
import { closeJournal, openPlace, placesOf, refugesInUse } from "./open-journal.ts";

/** Quick attempts after the first, when nothing says otherwise. */
const DEFAULT_RETRIES = 2;
/** Milliseconds that earlier reports may take after this one was delivered: an installer waits. */
const FLUSH_TIME = 10_000;
const HOUR = 3_600_000;

export async function runSubmit(command: SubmitCommand, context: Context): Promise<ExitCode> {
  if (command.dryRun !== null) return (await import("./preview.ts")).showDryRun(command, context);
  const leniency = new Leniency({ isStrict: command.strict });
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
  let isTold = false;
  const say = (warning: string) => {
    if (!command.output.quiet) context.terminal.say(`warning: ${stripControls(warning)}`);
  };
  const warn = (problem: string) => (isTold ? say(problem) : leniency.note(problem));
  const tell = async ({ outcome, receipt }: DeliveryResult) => {
    await bar.stop();
    isTold = true;
    const told = { ...outcome, warnings: [...leniency.warnings, ...outcome.warnings] };
    const code = printOutcome(told, command.output, context);
    if (receipt !== null && command.keeping.receipt !== null)
      await writeReceipt(resolve(context.cwd, command.keeping.receipt), encodeReceipt(receipt), context);
    return code;
  };
  try {
    return await keepAnywhere({ report, command, context, sources, options, warn }, tell);
  } finally {
    // Not even an error keeps from being told what was got round, and what became of other reports.
    if (!isTold) for (const warning of leniency.warnings) say(warning);
  }
}

/** What there is to keep and deliver, and how. */
type Run = {
  readonly report: FreshReport;
  readonly command: SubmitCommand;
  readonly context: Context;
  readonly sources: readonly Source[];
  readonly options: DeliverOptions;
  /** Part of what is told of the outcome, or said at once when that has been told. */
  warn(problem: string): void;
};

/** @throws CerError CER_CONFIG */
function refuseOddProxies({ destination }: Target, { env }: Context): void {
  const [unusable] = destination === null ? [] : proxyFor(destination.origin, env).passedOver;
  if (unusable !== undefined) throw new CerError("CER_CONFIG", unusable);
}

/**
 * Keeps the report in the first place that takes it, delivers it, tells what became of it, and sends what else waits.
 * Where no place takes it, it is sent all the same.
 */
async function keepAnywhere(
  run: Run,
  tell: (result: DeliveryResult) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { report, command, context, sources, options, warn } = run;
  const { usual, refuges } = placesOf(sources, context);
  const { force, copy, dropOldest } = command.keeping;
  const adding = { admission: force ? null : admissionOf(sources), copy, dropOldest };
  const tryPlace = async (place: string | null, others: readonly string[], why: CerError | null) => {
    const opened = await openPlace(place, context, warn);
    if (opened.journal === null) return elsewhere(others, why ?? opened.why);
    const { journal } = opened;
    try {
      await journal.prune();
      const result = await keepAndDeliver(report, journal, adding, options, (reason) =>
        elsewhere(reason.code === "CER_JOURNAL_FULL" ? [] : others, why ?? reason),
      );
      if (why !== null && result.outcome.journal !== null)
        warn(`It is kept in ${place}, because: ${why.message}`);
      return result;
    } finally {
      await closeJournal(journal, context);
    }
  };
  const elsewhere = async ([next, ...others]: readonly string[], why: CerError): Promise<DeliveryResult> =>
    next === undefined ? sendUnkept(report, why, options) : tryPlace(next, others, why);
  const result = await tryPlace(usual, refuges, null);
  const code = await tell(result);
  if (wasDelivered(result.outcome) && command.keeping.flush) await flushQuietly(run);
  return code;
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
async function flushQuietly({ report, command, context, sources, options, warn }: Run): Promise<void> {
  const { destination } = report.target;
  const { idleTimeout, until } = options;
  const limit = context.now() + FLUSH_TIME;
  const within = { context, idleTimeout, until: until === null ? limit : Math.min(limit, until) };
  let delivered = 0;
  for (const place of [placesOf(sources, context).usual, ...(await refugesInUse(sources, context))]) {
    const { journal } = place === null ? NO_JOURNAL : await openPlace(place, context, warn);
    if (journal === null) continue;
    try {
      if (destination !== null) await journal.address(destination);
      for await (const { outcome } of flushDue(journal, within)) {
        for (const warning of outcome.warnings) warn(warning);
        if (outcome.error === null) delivered++;
        else if (outcome.journal?.state === "abandoned")
          warn(`report ${outcome.journal.id} was given up: ${outcome.error.message}`);
      }
    } catch (thrown) {
      warn(`what waits could not be sent: ${asCerError(thrown).message}`);
    } finally {
      await closeJournal(journal, context);
    }
  }
  if (delivered > 0 && !command.output.quiet)
    context.terminal.say(`Delivered ${delivered} that waited from earlier runs.`);
}

const NO_JOURNAL = { journal: null };

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
