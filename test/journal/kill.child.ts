/**
 * The program that kill.lane.ts kills. Arguments: directory, step log, the step to be killed at. What it would have told
 * its user goes to the file `acks`.
 */

import { appendFileSync } from "node:fs";
import { hastyDisk } from "../support/journal/samples.ts";
import { live } from "../support/journal/whole-life.ts";
import { killingStep, steppedDisk } from "../support/steps/kill-at-step.ts";

const [directory = "", log = "", killAt = "0"] = process.argv.slice(2);
const disk = steppedDisk(hastyDisk(), killingStep(log, Number(killAt)));
await live(directory, { disk }, (what) => appendFileSync(`${directory}/acks`, `${what}\n`));
