/** `cer submit` whose first PUT fails, killed (SIGKILL) at every step. */

import { killEverywhere, SCENARIOS } from "./killed.ts";

killEverywhere([SCENARIOS.submitFailingOnce], () => true);
