/** In the child: the one count of steps that disk and network share. */

import { killingStep, type Step } from "./kill-at-step.ts";

const { TEST_STEPS, TEST_KILL_AT } = process.env;

/** Null: the program runs as it is. */
export const programStep: Step | null =
  TEST_STEPS === undefined ? null : killingStep(TEST_STEPS, Number(TEST_KILL_AT));
