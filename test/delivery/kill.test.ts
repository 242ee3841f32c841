/** A few of the steps at which the lanes kill the program: where a report changes its state, and where its bytes leave. */

import { killEverywhere, SCENARIOS } from "./killed.ts";

killEverywhere([SCENARIOS.submitFailingOnce], (step) =>
  /^(POST|PUT): (half the body|body|reply)$|^after rename .*(entry|answer|receipt)\.json$/.test(step),
);
