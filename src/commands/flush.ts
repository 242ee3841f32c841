/** `cer flush`: sends the reports that wait and are due. */

import type { FlushCommand } from "../cli/command.ts";
import { formatOutcome } from "../cli/outcome-text.ts";
import type { Context } from "../context.ts";
import { flushDue } from "../delivery/flush.ts";
import { exitCodeFor, type Outcome } from "../delivery/outcome.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import { isDue, parseTime } from "../journal/entry/layout.ts";
import { stripControls } from "../printable.ts";
import { inJournal } from "./open-journal.ts";
import { printResult } from "./print-result.ts";

/**
 * Exit 0 when all that was due was delivered, 75 when some of it still waits, 3 when a report was given up or set aside
 * on the way, else the code of the first failure.
 */
export async function runFlush(command: FlushCommand, context: Context): Promise<ExitCode> {
  const { terminal, now } = context;
  const { json, quiet, verbose } = command.output;
  const { idleTimeout, maxTime } = command.times;
  const outcomes: Outcome[] = [];
  const journal = await inJournal(command, context, async (journal) => {
    await journal.prune();
    const until = maxTime === null ? null : now() + maxTime;
    const onStep = (step: string) => {
      if (verbose) terminal.say(step);
    };
    for await (const { outcome } of flushDue(journal, { context, idleTimeout, until, onStep })) {
      outcomes.push(outcome);
      if (!quiet) for (const warning of outcome.warnings) terminal.say(`warning: ${stripControls(warning)}`);
      if (!json && !quiet) for (const line of formatOutcome(outcome, terminal.paint)) terminal.print(line);
    }
    return journal;
  });
  // What was let go of at the end waits as well.
  const waiting = await journal.list(["pending"]);
  const isLeft = waiting.some(({ label }) => isDue(parseTime(label.mark) ?? 0, now()));
  const lines = [summary(outcomes, waiting.length, isLeft)];
  const { pruned } = journal;
  printResult({ lines, json: { outcomes, waiting: waiting.length, pruned } }, command.output, terminal);
  const isLost = pruned.givenUp.length > 0 || pruned.setAside.some(({ id }) => id !== null);
  const codes = [...outcomes.map(exitCodeFor), isLost ? EXIT.refused : EXIT.ok].filter(
    (code) => code !== EXIT.ok,
  );
  return codes.find((code) => code !== EXIT.deferred) ?? codes[0] ?? (isLeft ? EXIT.deferred : EXIT.ok);
}

function summary(outcomes: readonly Outcome[], waiting: number, isLeft: boolean): string {
  const delivered = outcomes.filter(({ error }) => error === null).length;
  if (outcomes.length === 0 && waiting === 0) return "Nothing waits.";
  if (outcomes.length === 0) return `Nothing ${isLeft ? "could be sent" : "is due"}; ${waiting} waiting.`;
  return `${delivered} of ${outcomes.length} delivered; ${waiting} waiting.`;
}
