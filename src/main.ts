/**
 * `cer`: a command-line client for Microsoft's Corporate Error Reporting V.2 protocol ([MS-CER2]).
 *
 * The way of one report, and who takes each step:
 *
 *   argv                     ─▶ Command          cli/parse.ts
 *   flags, event file        ─▶ Event            event/read.ts
 *   Event                    ─▶ level 1 bytes    wire/report.ts
 *   flags, environment, files ─▶ Destination, Terms   config/
 *   all of these             ─▶ Report           commands/submit.ts
 *   Report                   ─▶ kept, claimed    delivery/keep-and-deliver.ts, journal/
 *   Report, ReportStore      ─▶ POST, answer, archive, PUT   delivery/protocol.ts, by attempts.ts and deliver.ts
 *   answer                   ─▶ plan, collection, archive    delivery/build-archive.ts: consent/, collect/, archive/
 *   reply                    ─▶ Outcome          delivery/reply.ts
 *   Outcome                  ─▶ stdout, stderr, exit code    cli/outcome-text.ts, delivery/outcome.ts
 *
 * Each stage is a plain value. Formats, plans and policies are pure; files, sockets and clocks are at the rim. Here the
 * process meets the program, and nowhere else: a command gets what it needs as a `Context`, returns its exit code, and
 * is loaded when it is called, because an installer's failure hook pays for every module it does not use.
 *
 * Rooms, the highest first: commands/ one file per command; cli/ argv and the terminal; delivery/ one report's way to
 * the server; server/ the embedded server; journal/ what is kept until it is delivered; collect/ what leaves the
 * machine; config/ what is set, and by whom; consent/ what may leave; archive/ what carries it (archive/cab/ knows
 * nothing of CER); event/ what happened, as people say it; wire/ what travels; wql/ the queries; system/ this machine
 * and its programs. A room knows those below it; test/architecture.test.ts has the order and holds all to account.
 */

import { homedir, tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import manifest from "../package.json" with { type: "json" };
import type { Command } from "./cli/command.ts";
import { parseCommandLine } from "./cli/parse.ts";
import { openTerminal } from "./cli/terminal.ts";
import { runSubmit } from "./commands/submit.ts";
import type { Context } from "./context.ts";
import { failedOutcome } from "./delivery/outcome.ts";
import { asCerError, CerError, EXIT, type ExitCode, exitCodeOf } from "./errors.ts";
import { stripControls } from "./printable.ts";

/** Runs the command line and returns the exit code. Never throws. */
export async function main(): Promise<ExitCode> {
  const args = process.argv.slice(2);
  const interruption = listenToSignals();
  ignoreClosedPipe();
  try {
    const command = parseCommandLine(args, manifest.version);
    const color = "output" in command ? command.output.color : true;
    return interruption.verdict(await run(command, contextOf(color, interruption.signal)));
  } catch (thrown) {
    return interruption.verdict(complain(asCerError(thrown), args));
  } finally {
    interruption.unlisten();
  }
}

async function run(command: Command, context: Context): Promise<ExitCode> {
  switch (command.name) {
    case "submit":
      return runSubmit(command, context);
    case "preview":
      return (await import("./commands/preview.ts")).runPreview(command, context);
    case "serve":
      return (await import("./commands/serve.ts")).runServe(command, context);
    case "smoke":
      return (await import("./commands/smoke.ts")).runSmoke(command, context);
    case "flush":
      return (await import("./commands/flush.ts")).runFlush(command, context);
    case "queue":
      return (await import("./commands/queue.ts")).runQueue(command, context);
    case "verify":
      return (await import("./commands/verify.ts")).runVerify(command, context);
    case "inspect":
      return (await import("./commands/inspect.ts")).runInspect(command, context);
    case "schema":
      return (await import("./commands/schema.ts")).runSchema(context.terminal);
    case "text":
      process.stdout.write(command.text);
      return EXIT.ok;
  }
}

function contextOf(color: boolean, signal: AbortSignal): Context {
  return {
    platform: process.platform,
    env: process.env,
    home: homedir(),
    cwd: process.cwd(),
    tempDir: tmpdir(),
    now: Date.now,
    random: Math.random,
    sleep: (time) => sleep(time, true, { signal }).catch(() => false),
    process: {
      pid: process.pid,
      uid: process.getuid?.() ?? null,
      // SYSTEM runs under the machine's own account, whose name ends in a dollar sign.
      isRoot:
        process.getuid?.() === 0 ||
        (process.platform === "win32" && /\$$/.test(process.env["USERNAME"] ?? "")),
      isRunning,
    },
    signal,
    terminal: openTerminal(process, process.env, color),
    readStdin: () => readStdin(signal),
    version: manifest.version,
  };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function readStdin(signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const giveUp = () => process.stdin.destroy(signal.reason as Error);
  signal.addEventListener("abort", giveUp);
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  signal.removeEventListener("abort", giveUp);
  return Buffer.concat(chunks);
}

/** An error that no command turned into its result: on standard error, and as the one JSON object if that was wanted. */
function complain(error: CerError, args: readonly string[]): ExitCode {
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(failedOutcome(error), null, 2)}\n`);
  process.stderr.write(`cer: ${stripControls(error.message)}\n`);
  if (error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
  if (error.code === "CER_INTERNAL" && args.includes("--verbose"))
    process.stderr.write(`${error.cause instanceof Error ? error.cause.stack : String(error.cause)}\n`);
  return exitCodeOf(error.code);
}

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGBREAK: 130 } as const;
/** Codes of a run that has more to do. */
const UNDONE: ReadonlySet<ExitCode> = new Set<ExitCode>([EXIT.deferred, exitCodeOf("CER_INTERRUPTED")]);

/** The first signal asks the command to stop and settle; the second leaves at once. */
function listenToSignals() {
  const stop = new AbortController();
  let stopped: ExitCode | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopped !== null) process.exit(stopped);
    stopped = SIGNALS[signal as keyof typeof SIGNALS];
    stop.abort(new CerError("CER_INTERRUPTED", `Stopped by ${signal}.`));
  };
  const signals = (Object.keys(SIGNALS) as NodeJS.Signals[]).filter(
    (signal) => signal !== "SIGBREAK" || process.platform === "win32",
  );
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: stop.signal,
    /** The code of a run that was stopped before its work was done tells by what. */
    verdict: (code: ExitCode) => (stopped !== null && UNDONE.has(code) ? stopped : code),
    unlisten: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

/** `cer … | head` closes standard output early; that is the reader's choice and no fault. */
function ignoreClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
}
