/** A report that is made before a server is set: `cer submit`, and the `cer flush` that sends it, killed at every step. */

import { killEverywhere, SCENARIOS } from "../support/steps/kill-delivery.ts";

killEverywhere([SCENARIOS.submitWithoutServer, SCENARIOS.flushUnaddressed], () => true);
