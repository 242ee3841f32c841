/** `cer flush`: sends the reports that wait and are due. */

import type { FlushCommand } from "../cli/command.ts";
import { formatOutcome } from "../cli/outcome-text.ts";
import { findTarget } from "../config/destination.ts";
import type { Context } from "../context.ts";
import { flushDue } from "../delivery/flush.ts";
import { exitCodeFor, type Outcome } from "../delivery/outcome.ts";
import { EXIT, type ExitCode, exitCodeOf, Leniency } from "../errors.ts";
import { isDue, parseTime } from "../journal/entry/layout.ts";
import type { Pruned } from "../journal/store.ts";
import { stripControls } from "../printable.ts";
import { inJournals } from "./open-journal.ts";
import { printResult } from "./print-result.ts";

/**
 * Exit 0 when all that was due was delivered, 75 when some of it still waits, 3 when a report was given up or set aside
 * on the way, else the code of the first failure; where there was nothing to send, of a journal that could not be looked
 * into.
 */
export async function runFlush(command: FlushCommand, context: Context): Promise<ExitCode> {
  const { terminal, now } = context;
  const { json, quiet, verbose } = command.output;
  const { idleTimeout, maxTime } = command.times;
  const outcomes: Outcome[] = [];
  const until = maxTime === null ? null : now() + maxTime;
  const onStep = (step: string) => {
    if (verbose) terminal.say(step);
  };
  const { results: left, trouble } = await inJournals(command, context, async (journal, sources) => {
    await journal.prune();
    const { destination, noServer } = findTarget(sources, new Leniency({ isStrict: false }));
    if (destination !== null) await journal.address(destination);
    for await (const { outcome } of flushDue(journal, { context, idleTimeout, until, onStep })) {
      outcomes.push(outcome);
      if (!quiet) for (const warning of outcome.warnings) terminal.say(`warning: ${stripControls(warning)}`);
      if (!json && !quiet) for (const line of formatOutcome(outcome, terminal.paint)) terminal.print(line);
    }
    return { waiting: await journal.list(["pending", "unaddressed"]), pruned: journal.pruned, noServer };
  });
  // What was let go of at the end waits as well.
  const waiting = left.flatMap((one) => one.waiting);
  const unaddressed = waiting.filter(({ state }) => state === "unaddressed").length;
  const isLeft = unaddressed > 0 || waiting.some(({ label }) => isDue(parseTime(label.mark) ?? 0, now()));
  const lines = [summary(outcomes, waiting.length, isLeft)];
  if (unaddressed > 0)
    lines.push(`${unaddressed} of them for a server: ${left[0]?.noServer?.message}`, SET_ONE);
  const pruned = joinPruned(left.map((one) => one.pruned));
  const result = { lines, json: { outcomes, waiting: waiting.length, unaddressed, pruned } };
  printResult(result, command.output, terminal);
  const isLost = pruned.givenUp.length > 0 || pruned.setAside.some(({ id }) => id !== null);
  const codes = [
    ...outcomes.map(exitCodeFor),
    isLost ? EXIT.refused : EXIT.ok,
    // Where the journal's own place cannot be used, reports go elsewhere, and may all be delivered from there.
    trouble === null || outcomes.length > 0 ? EXIT.ok : exitCodeOf(trouble.code),
  ].filter((code) => code !== EXIT.ok);
  return codes.find((code) => code !== EXIT.deferred) ?? codes[0] ?? (isLeft ? EXIT.deferred : EXIT.ok);
}

const SET_ONE = "Set one with CER_SERVER=HOST or in a configuration file.";

/** What was done in each journal, as one. */
function joinPruned(all: readonly Pruned[]): Pruned {
  return {
    recovered: all.flatMap(({ recovered }) => recovered),
    givenUp: all.flatMap(({ givenUp }) => givenUp),
    setAside: all.flatMap(({ setAside }) => setAside),
    removed: all.flatMap(({ removed }) => removed),
  };
}

function summary(outcomes: readonly Outcome[], waiting: number, isLeft: boolean): string {
  const delivered = outcomes.filter(({ error }) => error === null).length;
  if (outcomes.length === 0 && waiting === 0) return "Nothing waits.";
  if (outcomes.length === 0) return `Nothing ${isLeft ? "could be sent" : "is due"}; ${waiting} waiting.`;
  return `${delivered} of ${outcomes.length} delivered; ${waiting} waiting.`;
}
