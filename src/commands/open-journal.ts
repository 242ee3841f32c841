/** The journal that the settings name, or the platform's own; and where reports are kept when that cannot be used. */

import { readdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { sha256Of } from "../bytes.ts";
import type { TargetFlags } from "../cli/options.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import type { Context } from "../context.ts";
import { asCerError, CerError, Leniency } from "../errors.ts";
import { openDisk } from "../journal/disk/disk.ts";
import { openProcesses } from "../journal/disk/owner.ts";
import { journalDirectory, journalRefuges } from "../journal/entry/layout.ts";
import type { Journal } from "../journal/journal.ts";
import { type OpenedJournal, openJournal } from "../journal/open.ts";

/** Directories for journals. */
export type Places = {
  /** Null when the platform's cannot be told. */
  readonly usual: string | null;
  /** For when that one cannot be used, the best first. Each usual place that was named has its own. */
  readonly refuges: readonly string[];
};

export function placesOf(sources: readonly Source[], context: Context): Places {
  const { platform, env, home, cwd, tempDir, process } = context;
  const named = strongestSetting(sources, "journal");
  const usual =
    named === undefined
      ? journalDirectory({ platform, env, home, isRoot: process.isRoot })
      : resolve(cwd, named);
  const suffix = named === undefined || usual === null ? "" : `-${sha256Of(usual).slice(0, 12)}`;
  const refuges = journalRefuges({ platform, env, home }, { tempDir, uid: process.uid });
  return { usual, refuges: refuges.map(({ folder, prefix }) => join(folder, `${prefix}${suffix}`)) };
}

/** Refuges in which reports may lie. Where no journal is named, those of any that was. */
export async function refugesInUse(sources: readonly Source[], context: Context): Promise<string[]> {
  const { refuges } = placesOf(sources, context);
  const isNamed = strongestSetting(sources, "journal") !== undefined;
  const inUse = refuges.map(async (refuge) => {
    const [folder, name] = [resolve(refuge, ".."), refuge.slice(resolve(refuge, "..").length + 1)];
    const names = await readdir(folder).catch(() => []);
    return names
      .filter((found) => found === name || (!isNamed && found.startsWith(`${name}-`)))
      .map((found) => join(folder, found));
  });
  return (await Promise.all(inUse)).flat();
}

/** Never throws: a journal that cannot be used is a reason, and the caller's decision. */
export async function openPlace(
  directory: string | null,
  context: Context,
  warn: (problem: string) => void,
): Promise<OpenedJournal> {
  const { platform, now, process } = context;
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

type JournalCommand = { readonly target: TargetFlags };

/**
 * For commands that are about the journal itself: `act` for its usual place, and then for each refuge in use.
 * @throws CerError why there is none at all
 */
export async function inJournals<T>(
  command: JournalCommand,
  context: Context,
  act: (journal: Journal, sources: readonly Source[]) => Promise<T>,
): Promise<T[]> {
  const warn = (problem: string) => context.terminal.say(`warning: ${problem}`);
  const leniency = new Leniency({ isStrict: false });
  const sources = await readSources(command.target, context, leniency);
  for (const warning of leniency.warnings) warn(warning);
  const results: T[] = [];
  let firstWhy: CerError | null = null;
  for (const place of [placesOf(sources, context).usual, ...(await refugesInUse(sources, context))]) {
    const { journal, why } = await openPlace(place, context, warn);
    firstWhy ??= why ?? null;
    if (journal === null) continue;
    try {
      results.push(await act(journal, sources));
    } finally {
      await closeJournal(journal, context);
    }
  }
  if (firstWhy === null) return results;
  if (results.length === 0) throw firstWhy;
  warn(firstWhy.message);
  return results;
}

/** Lets go of what is still held. What a command has to report is true whether that works or not. */
export async function closeJournal(journal: Journal, { terminal }: Context): Promise<void> {
  await journal.close().catch((thrown: unknown) => {
    terminal.say(`warning: The journal could not be left in order: ${asCerError(thrown).message}`);
  });
}
