/** In the child: stands for src/journal/disk.ts where the journal is opened. */

import { type Disk, openDisk as openRealDisk } from "../../src/journal/disk.ts";
import { hastyDisk } from "../journal/sample.ts";
import { steppedDisk } from "../journal/steps.ts";
import { programStep } from "./program.step.ts";

export function openDisk(platform: string): Disk {
  return programStep === null ? openRealDisk(platform) : steppedDisk(hastyDisk(), programStep);
}
