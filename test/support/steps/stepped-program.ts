/**
 * The whole program as a child process, made from the sources as they are: run to its end, or started, watched and sent
 * signals. Its disk and its sockets report every step they take when a log is asked for, and end the process at one of
 * them (program.child.ts).
 */

import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Plugin } from "esbuild";
import { buildModule } from "../build-module.ts";

export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Null leaves standard input open; otherwise it is empty. */
  readonly stdin?: null;
  /** The user to run as. */
  readonly uid?: number;
  /** A file for the names of the steps, one a line. */
  readonly steps?: string;
  /** The step, counted from 1, at which the process kills itself. */
  readonly killAt?: number;
  /** The signal that follows when it settles after SIGINT, on a disk that takes a minute over it. */
  readonly secondSignal?: NodeJS.Signals;
  /** Milliseconds by which the program's clock is ahead. */
  readonly ahead?: number;
};

export type Started = {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
};

export type Program = {
  start(args: readonly string[], options?: RunOptions): Started;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  remove(): Promise<void>;
};

const HERE = import.meta.dirname;

/** Bundles it as package.json's build does, the journal's disk exchanged for one that reports its steps. */
export async function bundleProgram(): Promise<Program> {
  const outdir = await mkdtemp(join(tmpdir(), "cer-program-"));
  const program = await buildModule(join(HERE, "stepped-program.child.ts"), outdir, [steppedJournal]);
  await chmod(outdir, 0o755);
  const start = (args: readonly string[], options: RunOptions = {}) => startNode([program, ...args], options);
  return {
    start,
    run: (args, options) => start(args, options).ended,
    remove: () => rm(outdir, { recursive: true, force: true }),
  };
}

const steppedJournal: Plugin = {
  name: "stepped journal",
  setup: ({ onResolve }) => {
    onResolve({ filter: /\/journal\/disk\/disk\.ts$/ }, ({ importer }) =>
      importer.endsWith("open-journal.ts") ? { path: join(HERE, "stepped-disk.ts") } : null,
    );
  },
};

function startNode(args: readonly string[], options: RunOptions): Started {
  const { env = {}, cwd, stdin, steps, killAt, secondSignal, ahead, uid } = options;
  const child = spawn(process.execPath, args, {
    cwd: cwd ?? tmpdir(),
    env: {
      PATH: process.env["PATH"],
      ...(steps === undefined ? {} : { TEST_STEPS: steps, TEST_KILL_AT: `${killAt ?? 0}` }),
      ...(secondSignal === undefined ? {} : { TEST_SECOND_SIGNAL: secondSignal }),
      ...(ahead === undefined ? {} : { TEST_AHEAD: `${ahead}` }),
      ...env,
    },
    stdio: ["pipe", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    texts.stdout += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    texts.stderr += chunk;
  });
  child.stdin.on("error", () => {});
  if (stdin !== null) child.stdin.end();
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...texts }));
  });
  return { process: child, ended };
}

/** What each of several command lines with `--then` in between printed, and its exit code. */
export function splitRuns({
  stdout,
  code,
}: Ended): { readonly code: number | null; readonly stdout: string }[] {
  const parts = stdout.split("\u001e");
  return parts.flatMap((text, index) =>
    index % 2 === 1
      ? []
      : [{ stdout: text, code: index + 1 < parts.length ? Number(parts[index + 1]) : code }],
  );
}

/** The steps a run has taken. */
export async function readSteps(path: string): Promise<string[]> {
  return (await readFile(path, "utf8")).trimEnd().split("\n");
}

/** A directory that is removed afterwards. */
export async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "cer-delivery-"));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
