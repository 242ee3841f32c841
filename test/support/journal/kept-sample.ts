/** Journals of test/fixtures, which earlier versions wrote, in a place where they may be used. */

import { chmod, cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

const FIXTURES = join(import.meta.dirname, "..", "..", "fixtures");

/** Some minutes after its last report. */
export const LATER = Date.parse("2026-11-26T19:00:00.000Z");

export const TRIED = "20261126-185645887-d7xb8t";
export const ANSWERED = "20261126-185645972-osaoi9";
export const DONE = "20261126-185646087-cuf1qn";
export const ABANDONED = "20261126-185646265-girz93";

/** Copies one to a directory that must not exist, with the modes that a journal has. */
export async function copyKeptJournal(
  directory: string,
  name: "journal-v1" | "journal-v1-early" = "journal-v1",
): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  await cp(join(FIXTURES, name, "v1"), join(directory, "v1"), { recursive: true });
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries)
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600);
}
