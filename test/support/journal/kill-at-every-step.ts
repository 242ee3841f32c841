/** The parent's side of kill-at-step.ts: runs a program as often as it takes steps, and has it killed at each of them. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildModule } from "../build-module.ts";
import { type Ended, openPlace, runCer } from "../run-cer.ts";

export type Child = {
  run(args: readonly string[]): Promise<Ended>;
  remove(): Promise<void>;
};

/** A TypeScript program as JavaScript, so that starting it a few hundred times is quick. */
export async function bundleChild(source: string): Promise<Child> {
  const place = await openPlace();
  const script = await buildModule(source, place.directory);
  return { run: (args) => runCer(place, args, { script }), remove: place.remove };
}

/**
 * Kills a child at each of its steps, one run per step, two at a time.
 * @param runOnce runs the child in a directory of its own, killed at the step given (0 for never), the steps' names
 *   going to the file `log`; returns how it ended
 * @param check asserts, given that directory, that nothing was lost
 * @returns the steps' names
 */
export async function killAtEveryStep(
  runOnce: (directory: string, log: string, killAt: number) => Promise<Ended>,
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
