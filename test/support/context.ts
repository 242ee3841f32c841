/** A context and a journal for tests in one process: a clock that only sleeping moves, and dice that show a half. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeTerms, resolveTerms } from "../../src/config/terms.ts";
import type { Context } from "../../src/context.ts";
import type { NewReport } from "../../src/journal/admission.ts";
import type { ClaimedReport } from "../../src/journal/claimed-report.ts";
import type { Journal, JournalDeps } from "../../src/journal/journal.ts";
import type { Report } from "../../src/journal/report.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { FORCED, mustAdd, NOON, openHasty, sampleReport } from "./journal/samples.ts";

export type TestContext = {
  readonly directory: string;
  readonly context: Context;
  readonly clock: { now: number };
  /** Milliseconds of each sleep so far. */
  readonly slept: number[];
  /** What was said to people. */
  readonly said: string[];
  readonly stop: AbortController;
  openJournal(change?: Partial<JournalDeps>): Promise<Journal>;
};

/** Runs a test with a context of its own. */
export async function withContext(play: (test: TestContext) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cer-context-"));
  const clock = { now: NOON };
  const slept: number[] = [];
  const said: string[] = [];
  const stop = new AbortController();
  const context: Context = {
    platform: process.platform,
    env: {},
    home: directory,
    cwd: directory,
    tempDir: directory,
    now: () => clock.now,
    random: () => 0.5,
    sleep: async (time) => {
      slept.push(time);
      clock.now += time;
      return !stop.signal.aborted;
    },
    process: { pid: process.pid, uid: process.getuid?.() ?? null, isRoot: false, isRunning: () => true },
    signal: stop.signal,
    terminal: {
      print: (line) => void said.push(line),
      say: (line) => void said.push(line),
      paint: (_, text) => text,
      isInteractive: false,
      ask: async () => "",
      progress: async () => ({ update: () => {}, stop: () => {} }),
    },
    readStdin: async () => Buffer.alloc(0),
    version: "0.0.0",
  };
  const openJournal = async (change: Partial<JournalDeps> = {}) =>
    openHasty(join(directory, "journal"), { now: () => clock.now, ...change });
  try {
    await play({ directory, context, clock, slept, said, stop, openJournal });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What is attached to a report kept by keepReport. */
const LOG = "setup failed: error 1603\r\n".repeat(8000);

/** A report for a server on this machine, with a file attached, all of which may go; the value makes it different. */
export async function attachedReport(
  { directory }: TestContext,
  port: number,
  value = "1603",
  content: string | Buffer = LOG,
): Promise<Report & Pick<NewReport, "timeGiven">> {
  const path = join(directory, "setup.log");
  await writeFile(path, content);
  const { event, timeGiven } = sampleReport(value, [{ path, name: "setup.log", type: 5 }]);
  const archive = { format: "cab", compression: null, splitLarge: false } as const;
  return {
    event,
    timeGiven,
    level1: encodeReport(event).bytes,
    destination: {
      origin: { scheme: "http", host: "127.0.0.1", port },
      path: "/stage2.htm",
      from: "--server",
    },
    terms: resolveTerms([{ name: "--consent", settings: { consent: "all" } }], archive),
    imported: false,
    stored: [path],
  };
}

/** Such a report, kept and claimed. */
export async function keepReport(
  journal: Journal,
  test: TestContext,
  port: number,
  value?: string,
): Promise<ClaimedReport> {
  const report = await attachedReport(test, port, value);
  const consent = { level: "all", setBy: "--consent" };
  return mustAdd(journal, { ...report, consent, settings: encodeTerms(report.terms) }, FORCED);
}
