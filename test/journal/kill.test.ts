/**
 * As kill.lane.ts, without the processes: at the n-th step the disk is gone for the program, whatever it still tries, and
 * its owner's record names a process that is not there. The lane kills for real; this takes seconds.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hastyDisk, sampleDeps } from "../support/journal/samples.ts";
import { checkRecovery, live, prepare } from "../support/journal/whole-life.ts";
import { type Step, steppedDisk } from "../support/steps/kill-at-step.ts";

test("ended at any step, the next run finds one whole report, and everything that was acknowledged", async () => {
  const steps = await endAt(0);
  for (let number = 1; number <= steps.length; number++) {
    // Here, ending before a step is ending after the one before it, and a sync changes nothing. The lane does all.
    if (number > 1 && /^before|^after (sync|close)/.test(steps[number - 1] ?? "")) continue;
    assert.equal((await endAt(number)).length, number, `step ${number} was taken, and no other after it`);
  }
  const kinds = new Set(steps.map((step) => step.split(" ").slice(0, 2).join(" ")));
  for (const verb of ["mkdir", "create", "write", "sync", "close", "rename", "unlink", "rmdir", "append"])
    for (const moment of ["before", "after"]) assert.ok(kinds.has(`${moment} ${verb}`), `${moment} ${verb}`);
});

/** Runs until the step of this number (0: to the end), recovers and checks; the steps that were taken. */
async function endAt(number: number): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), "cer-end-"));
  const steps: string[] = [];
  const step: Step = (name) => {
    if (steps.length === number && number > 0) throw new Gone();
    steps.push(name);
    if (steps.length === number) throw new Gone();
  };
  const acks = new Set<string>();
  try {
    await prepare(directory);
    const { processes } = await sampleDeps();
    const dead = { ...processes, self: { ...processes.self, pid: NOBODY } };
    const disk = steppedDisk(hastyDisk(), step);
    const living = live(directory, { disk, processes: dead }, (what) => acks.add(what));
    if (number === 0) await living;
    else await assert.rejects(living, Gone);
    await checkRecovery(directory, acks);
  } catch (error) {
    throw new Error(`ended at step ${number}, ${steps.at(-1)}, acknowledged: ${[...acks]}`, { cause: error });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return steps;
}

class Gone extends Error {}

/** More than the highest process number Linux gives. */
const NOBODY = 4_194_305;
