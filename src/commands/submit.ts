/** `cer submit`: from the command line to the outcome, printed. */

import { Readable } from "node:stream";
import type { OutputFlags, SubmitCommand } from "../cli.ts";
import { proxyFor, readSources, resolveDestination } from "../config.ts";
import { resolvePolicy } from "../consent.ts";
import { deliver } from "../delivery.ts";
import type { ExitCode } from "../errors.ts";
import { exitCodeFor, formatOutcome, type Outcome } from "../outcome.ts";
import { pack } from "../pack.ts";
import { passingDossier } from "../submit.ts";
import type { Surroundings } from "../surroundings.ts";
import { askForItems, requireSomebodyToAsk } from "./ask.ts";
import { makeReport } from "./event-source.ts";

export async function runSubmit(command: SubmitCommand, around: Surroundings): Promise<ExitCode> {
  if (command.dryRun !== null) return (await import("./preview.ts")).showDryRun(command, around);
  const sources = await readSources(command.target.settings, command.target.config, around);
  const destination = resolveDestination(sources);
  const rules = resolvePolicy(sources);
  requireSomebodyToAsk(rules, around);
  const { event, level1, warnings } = await makeReport(command, around);
  const { terminal, signal, now, version } = around;
  const bar = openUploadBar(command.output, around);
  const outcome = await deliver(
    passingDossier(event, level1, (bytes) => Readable.from([bytes])),
    {
      destination,
      proxy: proxyFor(destination.origin, around.env),
      ...command.times,
      signal,
      now,
      version,
      pack: (response) =>
        pack(response, {
          event,
          level1,
          rules,
          archive: command.archive,
          around,
          confirm: (plan) => askForItems(plan, around),
        }),
      onStep: (step) => {
        if (command.output.verbose) terminal.say(step);
      },
      onUpload: bar.update,
    },
  );
  bar.stop();
  const whole = { ...outcome, warnings: [...warnings, ...outcome.warnings] };
  printOutcome(whole, command.output, around);
  return exitCodeFor(whole);
}

/** A bar that appears with the first byte of a long upload, where somebody watches. */
function openUploadBar({ json, quiet }: OutputFlags, { terminal }: Surroundings) {
  let bar: ReturnType<typeof terminal.progress> | undefined;
  return {
    update: (sent: number, size: number) => {
      if (json || quiet) return;
      bar ??= terminal.progress(size);
      void bar.then(({ update }) => update(sent));
    },
    stop: () => void bar?.then(({ stop }) => stop()),
  };
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
