/** The parent's side of steps.ts: runs a program as often as it takes steps, and has it killed at each of them. */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildModule } from "../build-module.ts";

export type Child = {
  /** Runs it with these arguments; the result is what it wrote to stdout. */
  run(
    args: readonly string[],
  ): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>;
  remove(): Promise<void>;
};

/** A TypeScript program as JavaScript, so that starting it a few hundred times is quick. */
export async function bundleChild(source: string): Promise<Child> {
  const directory = await mkdtemp(join(tmpdir(), "cer-child-"));
  const module = await buildModule(source, directory);
  return {
    run: (args) => runNode([module, ...args]),
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
