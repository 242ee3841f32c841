/** `cer flush` killed (SIGKILL) at every step it takes on the disk, on the network and on its output. */

import { killEverywhere, SCENARIOS } from "../support/steps/kill-delivery.ts";

killEverywhere([SCENARIOS.flushUnsent, SCENARIOS.flushAnswered], () => true);
