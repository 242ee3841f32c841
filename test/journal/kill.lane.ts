import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { bundleChild, killAtEveryStep } from "../support/journal/kill-at-every-step.ts";
import { checkRecovery, prepare } from "../support/journal/whole-life.ts";

const child = await bundleChild(join(import.meta.dirname, "kill.child.ts"));
after(() => child.remove());

test("killed (SIGKILL) at any step, the next run finds one whole report, and all that was acknowledged", async () => {
  const steps = await killAtEveryStep(
    async (directory, log, killAt) => {
      await prepare(directory);
      return child.run([directory, log, `${killAt}`]);
    },
    async (directory, step, number) => {
      const acks = (await readFile(`${directory}/acks`, "utf8").catch(() => "")).split("\n");
      try {
        await checkRecovery(directory, new Set(acks));
      } catch (error) {
        throw new Error(`killed at step ${number}, ${step}, acknowledged: ${acks}`, { cause: error });
      }
    },
  );
  assert.ok(steps.length > 300, `${steps.length} steps`);
});
