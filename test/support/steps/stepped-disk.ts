/** In the child: stands for src/journal/disk/disk.ts where the journal is opened. */

import { setTimeout as sleep } from "node:timers/promises";
import {
  type Disk,
  openDisk as openRealDisk,
  systemCode as realSystemCode,
} from "../../../src/journal/disk/disk.ts";
import { hastyDisk } from "../journal/samples.ts";
import { steppedDisk } from "./kill-at-step.ts";
import { programStep } from "./program-step.ts";

const { TEST_SECOND_SIGNAL: secondSignal } = process.env;

export const systemCode = realSystemCode;

export function openDisk(platform: string): Disk {
  if (secondSignal !== undefined) return stuckDisk(openRealDisk(platform), secondSignal);
  return programStep === null ? openRealDisk(platform) : steppedDisk(hastyDisk(), programStep);
}

/** After SIGINT it takes a minute to make a file, and its user loses patience: `signal` follows. */
function stuckDisk(disk: Disk, signal: string): Disk {
  let isStuck = false;
  process.once("SIGINT", () => {
    isStuck = true;
  });
  const create = async (path: string) => {
    if (isStuck) {
      process.kill(process.pid, signal);
      await sleep(60_000);
    }
    return disk.create(path);
  };
  return { ...disk, create };
}
