/** `cer submit` whose first PUT fails, killed (SIGKILL) at every step. */

import { killEverywhere, SCENARIOS } from "../support/steps/kill-delivery.ts";

killEverywhere([SCENARIOS.submitFailingOnce], () => true);
