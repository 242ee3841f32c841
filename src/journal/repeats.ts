/**
 * Notes of reports that were not let in: a line `TIME duplicate` in the file named by the report's identity, a line
 * `TIME suppressed` in the one named by its signature. Where the next of a kind was let in and said how many had been
 * dropped, the following line begins with `TIME told `: earlier versions count line ends, and these stay one a report.
 */

import { formatIso } from "../json.ts";
import { systemCode, unlessMissing } from "./disk/disk.ts";
import { type Label, statePath } from "./entry/layout.ts";
import type { JournalContext, Store } from "./store.ts";

/** Bytes of notes that are read at most. */
const MAX_NOTES = 16 * 1024 * 1024;

/** How many notes there are, and how many of dropped reports nobody has been told of. */
type Repeats = { readonly count: number; readonly untold: number };

export async function readRepeats({ disk, root }: Store, name: string): Promise<Repeats> {
  const bytes = await unlessMissing(disk.read(pathOf(root, name), MAX_NOTES), null);
  const text = bytes?.toString() ?? "";
  const untold = text.slice(text.lastIndexOf("told") + 1);
  return { count: text.split("\n").length - 1, untold: untold.split("suppressed\n").length - 1 };
}

function pathOf(root: string, name: string): string {
  return `${statePath(root, "repeats")}/${name}`;
}

/** Counts what was not let in: one write each, so that processes can write at the same time. */
export async function noteRepeat(
  journal: JournalContext,
  label: Label,
  outcome: "duplicate" | "suppressed",
): Promise<void> {
  const name = outcome === "suppressed" ? label.signature : label.identity;
  try {
    await append(journal, name, `${outcome}\n`);
  } catch (error) {
    if (systemCode(error) === null) throw error;
    journal.warn(`A report that was not sent could not be counted (${systemCode(error)}).`);
  }
}

async function append({ disk, root, now }: JournalContext, name: string, note: string): Promise<void> {
  await disk.append(pathOf(root, name), Buffer.from(`${formatIso(now())} ${note}`));
}

/** A report is let in: says how many of its kind were dropped before it, once. */
export async function tellDropped(journal: JournalContext, { signature }: Label): Promise<void> {
  try {
    const { untold } = await readRepeats(journal, signature);
    if (untold === 0) return;
    const dropped = untold === 1 ? "1 report of this kind was" : `${untold} reports of this kind were`;
    journal.warn(`${dropped} dropped since the last one that was let through.`);
    await append(journal, signature, "told ");
  } catch (error) {
    if (systemCode(error) === null) throw error;
    journal.warn(`How many of this kind were dropped could not be looked up (${systemCode(error)}).`);
  }
}
