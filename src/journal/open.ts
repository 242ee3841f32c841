/** Opening a journal: whether its place is safe, and its directories. */

import type { CerError } from "../errors.ts";
import { unavailable } from "./claimed-report.ts";
import { type Disk, systemCode, systemError, unlessMissing, writeFile } from "./disk/disk.ts";
import { checkSafety, normalDirectory, partsOf } from "./disk/safety.ts";
import { SIDE_DIRECTORIES, STATES, statePath, VERSION_DIRECTORY } from "./entry/layout.ts";
import { Journal, type JournalDeps } from "./journal.ts";

export type OpenedJournal =
  | { readonly journal: Journal; readonly why?: undefined }
  /** There is none to be had: reports can be sent, but not kept. */
  | { readonly journal: null; readonly why: CerError };

/**
 * Opens a journal, making its directories where there are none (mode 0700). Nothing else is written.
 * @param directory see journalDirectory for the default
 * @throws CerError CER_JOURNAL_UNSAFE when others could change what the journal holds
 */
export async function openJournal(directory: string, deps: JournalDeps): Promise<OpenedJournal> {
  const root = normalDirectory(directory);
  try {
    await checkSafety(deps.disk, statePath(root, "new"), deps.uid);
    await makeDirectories(deps.disk, root);
    await checkSafety(deps.disk, statePath(root, "new"), deps.uid);
    return { journal: new Journal(root, deps) };
  } catch (error) {
    if (systemCode(error) === null) throw error;
    return { journal: null, why: unavailable(error) };
  }
}

async function makeDirectories(disk: Disk, root: string): Promise<void> {
  const version = `${root}/${VERSION_DIRECTORY}`;
  for (const path of partsOf(version)) await makeDirectory(disk, path);
  for (const name of [...STATES, ...SIDE_DIRECTORIES]) {
    const isMade = await makeDirectory(disk, `${version}/${name}`);
    // Whoever made the directory makes the one lock in it.
    if (isMade && name === "turn") await writeFile(disk, `${version}/turn/free`, []);
  }
}

/** False when it was there. @throws the system's error, ENOTDIR for something else in its place */
async function makeDirectory(disk: Disk, path: string): Promise<boolean> {
  const facts = await unlessMissing(disk.facts(path), null);
  if (facts?.kind === "file" || facts?.kind === "other")
    throw systemError("ENOTDIR", `${path} is no directory`);
  if (facts !== null) return false;
  try {
    await disk.makeDirectory(path);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
  await disk.syncDirectory(path.slice(0, Math.max(1, path.search(/[\\/][^\\/]*$/))));
  return true;
}
