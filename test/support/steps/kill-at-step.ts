/**
 * The child's side of kill-at-every-step.ts and kill-delivery.ts: stopping a program at every step it takes. A step is a
 * name and a moment; the program under test calls `step(name)` before, in the middle of and after whatever it does, and
 * a run either lists its steps or is killed (SIGKILL, by its own hand, so that no step is missed) at the n-th of them. `steppedDisk` makes steps of every operation on the disk;
 * callers add their own, for a network say.
 */

import { appendFileSync } from "node:fs";
import type { Disk, DiskFile } from "../../../src/journal/disk/disk.ts";

export type Step = (name: string) => void;

/**
 * In the child: writes each step to `log`, and at the `killAt`-th (counted from 1; 0 for never) ends this process as a
 * power switch would, without a chance to clean up.
 */
export function killingStep(log: string, killAt: number): Step {
  let count = 0;
  return (name) => {
    count += 1;
    appendFileSync(log, `${name}\n`);
    if (count !== killAt) return;
    process.kill(process.pid, "SIGKILL");
    // Not a step further while the signal is on its way.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  };
}

/** A disk of which every operation is three steps for a write (half of it is there in the second), else two. */
export function steppedDisk(disk: Disk, step: Step): Disk {
  const around = async <T>(name: string, operation: () => Promise<T>): Promise<T> => {
    step(`before ${name}`);
    const result = await operation();
    step(`after ${name}`);
    return result;
  };
  const show = (path: string) => path.split("/").slice(-2).join("/");
  const steppedFile = (file: DiskFile, path: string): DiskFile => ({
    write: async (bytes) => {
      step(`before write ${show(path)}`);
      const half = Math.floor(bytes.length / 2);
      if (half > 0) await file.write(bytes.subarray(0, half));
      step(`half write ${show(path)}`);
      await file.write(bytes.subarray(half));
      step(`after write ${show(path)}`);
    },
    sync: () => around(`sync ${show(path)}`, file.sync),
    close: () => around(`close ${show(path)}`, file.close),
  });
  return {
    // Reading changes nothing: being killed before or after it is being killed at the step beside it.
    ...disk,
    makeDirectory: (path) => around(`mkdir ${show(path)}`, () => disk.makeDirectory(path)),
    create: async (path) => {
      step(`before create ${show(path)}`);
      const file = await disk.create(path);
      try {
        step(`after create ${show(path)}`);
      } catch (error) {
        await file.close();
        throw error;
      }
      return steppedFile(file, path);
    },
    append: (path, bytes) => around(`append ${show(path)}`, () => disk.append(path, bytes)),
    syncFile: (path) => around(`sync ${show(path)}`, () => disk.syncFile(path)),
    clone: (from, to) => around(`clone ${show(to)}`, () => disk.clone(from, to)),
    link: (from, to) => around(`link ${show(to)}`, () => disk.link(from, to)),
    rename: (from, to) => around(`rename ${show(from)} ${show(to)}`, () => disk.rename(from, to)),
    unlink: (path) => around(`unlink ${show(path)}`, () => disk.unlink(path)),
    removeDirectory: (path) => around(`rmdir ${show(path)}`, () => disk.removeDirectory(path)),
    syncDirectory: (path) => around(`sync ${show(path)}`, () => disk.syncDirectory(path)),
  };
}
