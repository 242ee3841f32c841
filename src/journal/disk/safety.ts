/**
 * Whether a directory may hold reports: nobody else may be able to put something into it, take something out, or
 * exchange a directory on the way to it.
 *
 * POSIX: every directory from the root down is owned by root or by this user, and none can be written to by others
 * unless it is sticky (/tmp) or lies below one that only this user can enter. Symbolic links on the way obey the same
 * rule of ownership. Access control lists are not looked at.
 * Windows: permissions cannot be asked for without native code. The journal's own directory must be a real directory,
 * no link or junction; what it inherits (a user's %LOCALAPPDATA% is closed to other users) is relied on.
 */

import { dirname, resolve, sep } from "node:path";
import { CerError } from "../../errors.ts";
import { type Disk, type Facts, unlessMissing } from "./disk.ts";

/** Written to by group or by others; entered by group or by others. */
const OTHERS_WRITE = 0o022;
const OTHERS_ENTER = 0o011;
const STICKY = 0o1000;
/** Links followed on the way at most. */
const MAX_LINKS = 20;

/**
 * @param directory absolute; parts that do not exist yet are no objection, they will be made by this user
 * @param uid this user's, null on Windows
 * @throws CerError CER_JOURNAL_UNSAFE
 */
export async function checkSafety(disk: Disk, directory: string, uid: number | null): Promise<void> {
  if (uid === null) return checkRealDirectory(disk, directory);
  await checkWay(disk, directory, uid, 0);
}

async function checkRealDirectory(disk: Disk, directory: string): Promise<void> {
  const facts = await unlessMissing(disk.facts(directory), null);
  if (facts !== null && facts.kind !== "directory") throw unsafe(directory, "is a link or no directory");
}

async function checkWay(disk: Disk, path: string, uid: number, links: number): Promise<void> {
  if (links > MAX_LINKS) throw unsafe(path, `is reached over more than ${MAX_LINKS} links`);
  let isSealed = false;
  for (const part of partsOf(path)) {
    const facts = await unlessMissing(disk.facts(part), null);
    if (facts === null) return;
    if (facts.uid !== 0 && facts.uid !== uid)
      throw unsafe(part, `belongs to user ${facts.uid}, not to you or root`);
    if (facts.kind === "link")
      return checkWay(disk, `${await disk.resolve(part)}${path.slice(part.length)}`, uid, links + 1);
    checkDirectory(part, facts, isSealed);
    isSealed ||= facts.uid === uid && (facts.mode & OTHERS_ENTER) === 0;
  }
}

function checkDirectory(path: string, { kind, mode }: Facts, isSealed: boolean): void {
  if (kind !== "directory") throw unsafe(path, "is not a directory");
  if (isSealed || (mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0) return;
  throw unsafe(
    path,
    `can be written to by others (mode ${(mode & 0o7777).toString(8)})`,
    `Run: chmod go-w "${path}"`,
  );
}

/** The path and all above it, the root first. */
export function partsOf(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [...partsOf(above), path];
}

function unsafe(path: string, why: string, remedy: string | null = null): CerError {
  const choose = "hoose another place with --journal DIR or CER_JOURNAL.";
  return new CerError("CER_JOURNAL_UNSAFE", `Reports cannot be kept safely: ${path} ${why}.`, {
    hint: remedy === null ? `C${choose}` : `${remedy}, or c${choose}`,
  });
}

/** An absolute path without a separator at the end. */
export function normalDirectory(directory: string): string {
  const path = resolve(directory);
  return path.length > 1 && path.endsWith(sep) ? path.slice(0, -1) : path;
}
