/** A few of the steps at which the lanes kill the program: where bytes have left, and where what came of it is written. */

import { killEverywhere, SCENARIOS } from "../support/steps/kill-delivery.ts";

killEverywhere([SCENARIOS.submit], (step) =>
  /^POST: body$|^PUT: (half the )?body$|^after rename .*(answer|receipt)\.json$/.test(step),
);
