/** The journal that the settings name, or the platform's own. */

import { hostname } from "node:os";
import { resolve } from "node:path";
import type { TargetFlags } from "../cli/options.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import type { Context } from "../context.ts";
import { asCerError, CerError } from "../errors.ts";
import { openDisk } from "../journal/disk/disk.ts";
import { openProcesses } from "../journal/disk/owner.ts";
import { journalDirectory } from "../journal/entry/layout.ts";
import type { Journal } from "../journal/journal.ts";
import { type OpenedJournal, openJournal } from "../journal/open.ts";

/** Never throws: a journal that cannot be used is a reason, and the caller's decision. */
export async function openNamedJournal(
  sources: readonly Source[],
  context: Context,
  warn: (problem: string) => void,
): Promise<OpenedJournal> {
  const { platform, env, home, cwd, now, process } = context;
  const named = strongestSetting(sources, "journal");
  const directory =
    named === undefined
      ? journalDirectory({ platform, env, home, isRoot: process.isRoot })
      : resolve(cwd, named);
  if (directory === null) {
    const why = new CerError("CER_JOURNAL_UNAVAILABLE", "There is no place for a journal.", {
      hint: "Name a directory with --journal DIR or CER_JOURNAL.",
    });
    return { journal: null, why };
  }
  const processes = await openProcesses({ ...process, platform, hostName: hostname() });
  const deps = { disk: openDisk(platform), processes, uid: process.uid, now, warn };
  return openJournal(directory, deps).catch((why: unknown) => {
    if (why instanceof CerError) return { journal: null, why };
    throw why;
  });
}

/** For commands that are about the journal itself. @throws CerError why there is none */
export async function inJournal<T>(
  { target }: { readonly target: TargetFlags },
  context: Context,
  act: (journal: Journal) => Promise<T>,
): Promise<T> {
  const warn = (problem: string) => context.terminal.say(`warning: ${problem}`);
  const { journal, why } = await openNamedJournal(await readSources(target, context), context, warn);
  if (journal === null) throw why;
  try {
    return await act(journal);
  } finally {
    await closeJournal(journal, context);
  }
}

/** Lets go of what is still held. What a command has to report is true whether that works or not. */
export async function closeJournal(journal: Journal, { terminal }: Context): Promise<void> {
  await journal.close().catch((thrown: unknown) => {
    terminal.say(`warning: The journal could not be left in order: ${asCerError(thrown).message}`);
  });
}
