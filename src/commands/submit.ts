/** `cer submit`: from the command line to the outcome, printed. */

import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { SubmitCommand } from "../cli/command.ts";
import type { OutputFlags } from "../cli/options.ts";
import { formatOutcome } from "../cli/outcome-text.ts";
import { resolveDestination } from "../config/destination.ts";
import { proxyFor } from "../config/proxy.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import { resolveTerms } from "../config/terms.ts";
import type { Context } from "../context.ts";
import type { DeliverOptions } from "../delivery/attempts.ts";
import { deliverUnprotected } from "../delivery/deliver.ts";
import { flushDue } from "../delivery/flush.ts";
import { keepAndDeliver } from "../delivery/keep-and-deliver.ts";
import { exitCodeFor, type Outcome, wasDelivered } from "../delivery/outcome.ts";
import { asCerError, type ExitCode } from "../errors.ts";
import { makeReport } from "../event/read.ts";
import { type AdmissionPolicy, DEFAULT_ADMISSION } from "../journal/duplicates.ts";
import { encodeReceipt } from "../journal/entry/receipt.ts";
import type { Journal } from "../journal/journal.ts";
import { stripControls } from "../printable.ts";
import { askForItems, requireSomebodyToAsk } from "./consent-prompt.ts";
import { closeJournal, openNamedJournal } from "./open-journal.ts";

/** Quick attempts after the first, when nothing says otherwise. */
const DEFAULT_RETRIES = 2;
/** Milliseconds that earlier reports may take after this one was delivered: an installer waits. */
const FLUSH_TIME = 10_000;
const HOUR = 3_600_000;

export async function runSubmit(command: SubmitCommand, context: Context): Promise<ExitCode> {
  if (command.dryRun !== null) return (await import("./preview.ts")).showDryRun(command, context);
  const sources = await readSources(command.target, context);
  const destination = resolveDestination(sources);
  // What is wrong with this run's own settings is said before anything is kept.
  proxyFor(destination.origin, context.env);
  const terms = resolveTerms(sources, command.archive);
  requireSomebodyToAsk(terms, context, command.event);
  const { warnings, ...made } = await makeReport(command, context);
  const report = {
    ...made,
    destination,
    terms,
    imported: false,
    stored: made.event.files.map(({ path }) => path),
  };
  const bar = openUploadBar(command.output, context);
  const options = deliverOptions(command, context, sources, bar.update);
  let isTold = false;
  const tell = async (outcome: Outcome) => {
    await bar.stop();
    isTold = true;
    const told = { ...outcome, warnings: [...warnings, ...outcome.warnings] };
    return printOutcome(told, command.output, context);
  };
  const warn = (problem: string) => {
    if (isTold) context.terminal.say(`warning: ${problem}`);
    else warnings.push(problem);
  };
  const opened = await openNamedJournal(sources, context, warn);
  if (opened.journal === null) return tell((await deliverUnprotected(report, opened.why, options)).outcome);
  const { journal } = opened;
  const { force, copy, dropOldest } = command.keeping;
  try {
    await journal.prune();
    const adding = { admission: force ? null : admissionOf(sources), copy, dropOldest };
    const { outcome, receipt } = await keepAndDeliver(report, journal, adding, options);
    const code = await tell(outcome);
    if (receipt !== null && command.keeping.receipt !== null)
      await writeReceipt(resolve(context.cwd, command.keeping.receipt), encodeReceipt(receipt), context);
    if (wasDelivered(outcome) && command.keeping.flush) await flushQuietly(journal, options, command.output);
    return code;
  } finally {
    // Not even an error keeps from being told what pruning did.
    if (!isTold) for (const warning of warnings) context.terminal.say(`warning: ${stripControls(warning)}`);
    await closeJournal(journal, context);
  }
}

function admissionOf(sources: readonly Source[]): AdmissionPolicy {
  const hours = strongestSetting(sources, "duplicateHours");
  return {
    window: hours === undefined ? DEFAULT_ADMISSION.window : hours * HOUR,
    perHour: strongestSetting(sources, "reportsPerHour") ?? DEFAULT_ADMISSION.perHour,
  };
}

function deliverOptions(
  { output, times: { idleTimeout, maxTime } }: SubmitCommand,
  context: Context,
  sources: readonly Source[],
  onUpload: NonNullable<DeliverOptions["onUpload"]>,
): DeliverOptions {
  return {
    context,
    idleTimeout,
    until: maxTime === null ? null : context.now() + maxTime,
    retries: strongestSetting(sources, "retries") ?? DEFAULT_RETRIES,
    confirm: (plan) => askForItems(plan, context),
    onStep: (step) => {
      if (output.verbose) context.terminal.say(step);
    },
    onUpload,
  };
}

/** What waits from earlier runs, tried within a short time; what becomes of it does not change this run's verdict. */
async function flushQuietly(
  journal: Journal,
  options: DeliverOptions,
  { quiet }: OutputFlags,
): Promise<void> {
  const { context, idleTimeout, until } = options;
  const limit = context.now() + FLUSH_TIME;
  const within = { context, idleTimeout, until: until === null ? limit : Math.min(limit, until) };
  let delivered = 0;
  try {
    for await (const { outcome } of flushDue(journal, within)) {
      if (!quiet)
        for (const warning of outcome.warnings) context.terminal.say(`warning: ${stripControls(warning)}`);
      if (outcome.error === null) delivered++;
      else if (outcome.journal?.state === "abandoned")
        context.terminal.say(`warning: report ${outcome.journal.id} was given up: ${outcome.error.message}`);
    }
  } catch (thrown) {
    context.terminal.say(`warning: what waits could not be sent: ${asCerError(thrown).message}`);
  }
  if (delivered > 0 && !quiet) context.terminal.say(`Delivered ${delivered} that waited from earlier runs.`);
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
