/**
 * A lock among processes: a file with one of two names, `free` or `held.OWNER`. Acquiring it, releasing it, and taking it
 * from a dead owner are renames of exactly that name, so that of two takers one fails.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Disk, systemCode, unlessMissing, writeFile } from "./disk.ts";
import type { Owners } from "./owner.ts";

/** Milliseconds between two looks. */
const PAUSE = 5;
/** Looks before going on without the lock: a report held up by a hanging process would be worse than a repeated one. */
const MAX_LOOKS = 1000;
/** Looks at an empty directory after which the lock counts as lost (by somebody's tidying) and is made anew. */
const MAX_EMPTY_LOOKS = 40;

/** Releases the lock. */
type Release = () => Promise<void>;

/** @param directory holds nothing but the lock, `free` when it is made */
export async function acquireLock(disk: Disk, directory: string, owners: Owners): Promise<Release> {
  const mine = `${directory}/held.${owners.token}`;
  let emptyLooks = 0;
  for (let look = 0; look < MAX_LOOKS; look++) {
    const names = await disk.names(directory);
    if (names.length === 0 && ++emptyLooks > MAX_EMPTY_LOOKS) await writeFile(disk, `${directory}/free`, []);
    const name = await acquirable(names, owners);
    if (name !== null && (await tryRename(disk, `${directory}/${name}`, mine)))
      return async () => {
        await tryRename(disk, mine, `${directory}/free`);
      };
    await sleep(PAUSE + (look % PAUSE));
  }
  return async () => {};
}

async function acquirable(names: readonly string[], owners: Owners): Promise<string | null> {
  if (names.includes("free")) return "free";
  for (const name of names)
    if (name.startsWith("held.") && !(await owners.isAlive(name.slice("held.".length)))) return name;
  return null;
}

/** False when the name was gone: somebody else was faster. */
export async function tryRename(disk: Disk, from: string, to: string): Promise<boolean> {
  try {
    await disk.rename(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    // A file server may repeat a rename whose answer was lost, and then finds the old name gone.
    return (await unlessMissing(disk.facts(to), null)) !== null;
  }
}
