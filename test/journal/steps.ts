/**
 * Stopping a program at every step it takes. A step is a name and a moment; the program under test calls `step(name)`
 * before, in the middle of and after whatever it does, and a run either lists its steps or is killed (SIGKILL, by its
 * own hand, so that no step is missed) at the n-th of them. `steppedDisk` makes steps of every operation on the disk;
 * callers add their own, for a network say.
 */

import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build } from "esbuild";
import type { Disk, DiskFile } from "../../src/journal/disk.ts";

export type Step = (name: string) => void;

/**
 * In the child: writes each step to `log`, and at the `killAt`-th (counted from 1; 0 for never) ends this process as a
 * power switch would, without a chance to clean up.
 */
export function killingStep(log: string, killAt: number): Step {
  let count = 0;
  return (name) => {
    count += 1;
    appendFileSync(log, `${name}\n`);
    if (count !== killAt) return;
    process.kill(process.pid, "SIGKILL");
    // Not a step further while the signal is on its way.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  };
}

/** A disk of which every operation is three steps for a write (half of it is there in the second), else two. */
export function steppedDisk(disk: Disk, step: Step): Disk {
  const around = async <T>(name: string, operation: () => Promise<T>): Promise<T> => {
    step(`before ${name}`);
    const result = await operation();
    step(`after ${name}`);
    return result;
  };
  const show = (path: string) => path.split("/").slice(-2).join("/");
  const steppedFile = (file: DiskFile, path: string): DiskFile => ({
    write: async (bytes) => {
      step(`before write ${show(path)}`);
      const half = Math.floor(bytes.length / 2);
      if (half > 0) await file.write(bytes.subarray(0, half));
      step(`half write ${show(path)}`);
      await file.write(bytes.subarray(half));
      step(`after write ${show(path)}`);
    },
    sync: () => around(`sync ${show(path)}`, file.sync),
    close: () => around(`close ${show(path)}`, file.close),
  });
  return {
    // Reading changes nothing: being killed before or after it is being killed at the step beside it.
    ...disk,
    makeDirectory: (path) => around(`mkdir ${show(path)}`, () => disk.makeDirectory(path)),
    create: (path) => around(`create ${show(path)}`, async () => steppedFile(await disk.create(path), path)),
    append: (path, bytes) => around(`append ${show(path)}`, () => disk.append(path, bytes)),
    syncFile: (path) => around(`sync ${show(path)}`, () => disk.syncFile(path)),
    clone: (from, to) => around(`clone ${show(to)}`, () => disk.clone(from, to)),
    link: (from, to) => around(`link ${show(to)}`, () => disk.link(from, to)),
    rename: (from, to) => around(`rename ${show(from)} ${show(to)}`, () => disk.rename(from, to)),
    unlink: (path) => around(`unlink ${show(path)}`, () => disk.unlink(path)),
    removeDirectory: (path) => around(`rmdir ${show(path)}`, () => disk.removeDirectory(path)),
    syncDirectory: (path) => around(`sync ${show(path)}`, () => disk.syncDirectory(path)),
  };
}

export type Child = {
  /** Runs it with these arguments; the result is what it wrote to stdout. */
  run(
    args: readonly string[],
  ): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>;
  remove(): Promise<void>;
};

/** A TypeScript program as one file of JavaScript, so that starting it a few hundred times is quick. */
export async function bundleChild(source: string): Promise<Child> {
  const directory = await mkdtemp(join(tmpdir(), "cer-child-"));
  const outfile = join(directory, `${basename(source, ".ts")}.mjs`);
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
  });
  return {
    run: (args) => runNode([outfile, ...args]),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

function runNode(args: readonly string[]): ReturnType<Child["run"]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const texts = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => {
      texts.stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      texts.stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...texts }));
  });
}

/**
 * Kills a child at each of its steps, one run per step, two at a time.
 * @param runOnce runs the child in a directory of its own, killed at the step given (0 for never), the steps' names
 *   going to the file `log`; returns how it ended
 * @param check asserts, given that directory, that nothing was lost
 * @returns the steps' names
 */
export async function killAtEveryStep(
  runOnce: (
    directory: string,
    log: string,
    killAt: number,
  ) => Promise<{ signal: string | null; stderr: string }>,
  check: (directory: string, step: string, number: number) => Promise<void>,
): Promise<string[]> {
  const attempt = async (killAt: number): Promise<string[]> => {
    const directory = await mkdtemp(join(tmpdir(), "cer-kill-"));
    try {
      const log = join(directory, "steps.log");
      const ended = await runOnce(directory, log, killAt);
      if ((ended.signal === "SIGKILL") !== killAt > 0 || ended.stderr !== "")
        throw new Error(`step ${killAt}: ended with ${ended.signal}: ${ended.stderr}`);
      const steps = (await readFile(log, "utf8")).trimEnd().split("\n");
      await check(directory, steps.at(-1) ?? "", killAt);
      return steps;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  };
  const steps = await attempt(0);
  let next = 1;
  const worker = async () => {
    for (let killAt = next++; killAt <= steps.length; killAt = next++) await attempt(killAt);
  };
  await Promise.all([worker(), worker()]);
  return steps;
}
