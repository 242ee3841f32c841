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
import { join } from "node:path";
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
  const output = watchOutput();
  keepOwnRights();
  try {
    const command = parseCommandLine(args, manifest.version);
    const color = "output" in command ? command.output.color : true;
    const code = await run(command, contextOf(color, interruption.signal));
    return interruption.verdict(await output.verdict(command, code));
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
    home: homeOf(process.env),
    cwd: workingDirectory(process.env),
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
    readStdin,
    version: manifest.version,
  };
}

/** Null for a user without an entry in the system's database, as in many containers, or with a HOME that is none. */
function homeOf(env: NodeJS.ProcessEnv): string | null {
  try {
    return homedir() || null;
  } catch {
    return env["HOME"] || null;
  }
}

/** Where that is gone, as when an installer has removed what it unpacked, a place in which no file is found. */
function workingDirectory(env: NodeJS.ProcessEnv): string {
  try {
    return process.cwd();
  } catch {
    return join(env["PWD"]?.startsWith("/") ? env["PWD"] : "/", "(deleted)");
  }
}

/** What this process makes it can use itself, whatever umask an installer has left. */
function keepOwnRights(): void {
  const umask = process.umask(0o077);
  process.umask(umask & 0o077);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** See Context. */
async function readStdin(limit: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const giveUp = () => process.stdin.destroy(signal.reason as Error);
  signal.throwIfAborted();
  signal.addEventListener("abort", giveUp);
  try {
    for await (const chunk of process.stdin) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size > limit) break;
    }
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  return Buffer.concat(chunks).subarray(0, limit + 1);
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

/**
 * What cannot be said is dropped: the disk may be full, the terminal gone. The exit code of a report tells what became
 * of it all the same; that of a command whose result is its output tells that it was not read.
 */
function watchOutput() {
  let isLost = false;
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", ({ code }: NodeJS.ErrnoException) => {
      // `cer … | head` closes standard output early; that is the reader's choice and no fault.
      if (stream === process.stdout && code !== "EPIPE") isLost = true;
    });
  return {
    verdict: async ({ name }: Command, code: ExitCode): Promise<ExitCode> => {
      // A stream tells of a failed write after the write has returned.
      await new Promise(setImmediate);
      return isLost && code === EXIT.ok && !REPORTING.has(name) ? EXIT.failed : code;
    },
  };
}

/** Commands whose exit code is about reports. */
const REPORTING: ReadonlySet<Command["name"]> = new Set<Command["name"]>(["submit", "flush", "serve"]);
