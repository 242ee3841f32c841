/** `cer submit`: from the command line to the outcome, printed. */

import { Readable } from "node:stream";
import type { OutputFlags, SubmitCommand } from "../cli.ts";
import { proxyFor, readSources, resolveDestination } from "../config.ts";
import { deliver } from "../delivery.ts";
import type { ExitCode } from "../errors.ts";
import type { Event } from "../event.ts";
import { exitCodeFor, formatOutcome, type Outcome } from "../outcome.ts";
import { packFor } from "../pack.ts";
import { passingDossier } from "../submit.ts";
import type { Surroundings } from "../surroundings.ts";
import { buildReport, encodeReport } from "../wire/report.ts";
import { readEvent } from "./event-source.ts";

export async function runSubmit(command: SubmitCommand, around: Surroundings): Promise<ExitCode> {
  const sources = await readSources(command.target.settings, command.target.config, around);
  const destination = resolveDestination(sources);
  const { event, level1, warnings } = await makeReport(command, around);
  const { terminal, signal, now, version } = around;
  const { verbose } = command.output;
  const bar = { update: () => {}, stop: () => {} };
  const outcome = await deliver(
    passingDossier(event, level1, (bytes) => Readable.from([bytes])),
    {
      destination,
      proxy: proxyFor(destination.origin, around.env),
      ...command.times,
      signal,
      now,
      version,
      pack: packFor({ event, level1, archive: command.archive, around }),
      onStep: (step) => verbose && terminal.say(step),
      onUpload: bar.update,
    },
  );
  bar.stop();
  const whole = { ...outcome, warnings: [...warnings, ...outcome.warnings] };
  printOutcome(whole, command.output, around);
  return exitCodeFor(whole);
}

/** The event and the exact bytes of its level 1 report. */
export async function makeReport(
  command: SubmitCommand,
  around: Surroundings,
): Promise<{ event: Event; level1: Buffer; warnings: string[] }> {
  const { event, warnings } = await readEvent(command, around);
  const { report, replacedCharacters } = buildReport(event);
  if (replacedCharacters > 0)
    warnings.push(`${replacedCharacters} characters that XML cannot carry were replaced by U+FFFD.`);
  return { event, level1: encodeReport(report), warnings };
}

/** The outcome for whoever reads it: one JSON object, or lines for people; warnings and errors on standard error. */
export function printOutcome(outcome: Outcome, output: OutputFlags, { terminal }: Surroundings): void {
  const { print, say, paint } = terminal;
  if (output.json) print(JSON.stringify(outcome, null, 2));
  const isBad = outcome.error !== null;
  if (!output.quiet) for (const warning of outcome.warnings) say(`warning: ${warning}`);
  if (output.quiet && !isBad) return;
  const tell = output.json || isBad ? say : print;
  for (const line of formatOutcome(outcome, paint)) tell(line);
}
