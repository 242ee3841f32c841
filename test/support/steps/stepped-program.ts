/**
 * The whole program as a child process, made from the sources as they are: run to its end, or started, watched and sent
 * signals. Its disk and its sockets report every step they take when a log is asked for, and end the process at one of
 * them (stepped-program.child.ts).
 */

import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Plugin } from "esbuild";
import { buildModule } from "../build-module.ts";
import { type CerOptions, type Ended, type Place, runCer, type Started, startCer } from "../run-cer.ts";

export type RunOptions = Omit<CerOptions, "script" | "node"> & {
  /** A file for the names of the steps, one a line. */
  readonly steps?: string;
  /** The step, counted from 1, at which the process kills itself. */
  readonly killAt?: number;
  /** The signal that follows when it settles after SIGINT, on a disk that takes a minute over it. */
  readonly secondSignal?: NodeJS.Signals;
  /** Milliseconds by which the program's clock is ahead. */
  readonly ahead?: number;
};

export type Program = {
  start(place: Place, args: readonly string[], options?: RunOptions): Started;
  run(place: Place, args: readonly string[], options?: RunOptions): Promise<Ended>;
  remove(): Promise<void>;
};

const HERE = import.meta.dirname;

/** Bundles it as package.json's build does, the journal's disk exchanged for one that reports its steps. */
export async function bundleProgram(): Promise<Program> {
  const outdir = await mkdtemp(join(tmpdir(), "cer-program-"));
  const script = await buildModule(join(HERE, "stepped-program.child.ts"), outdir, [steppedJournal]);
  await chmod(outdir, 0o755);
  return {
    start: (place, args, options = {}) => startCer(place, args, { ...steppedOptions(options), script }),
    run: (place, args, options = {}) => runCer(place, args, { ...steppedOptions(options), script }),
    remove: () => rm(outdir, { recursive: true, force: true }),
  };
}

function steppedOptions({ steps, killAt, secondSignal, ahead, env, ...options }: RunOptions): CerOptions {
  return {
    ...options,
    env: {
      TEST_STEPS: steps,
      TEST_KILL_AT: `${killAt ?? 0}`,
      TEST_SECOND_SIGNAL: secondSignal,
      TEST_AHEAD: `${ahead ?? 0}`,
      ...env,
    },
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
