/** The journal that the settings name, or the platform's own; and where reports are kept when that cannot be used. */

import { lstat, readdir } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { sha256Of } from "../bytes.ts";
import type { TargetFlags } from "../cli/options.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import type { Context } from "../context.ts";
import { asCerError, CerError, Leniency } from "../errors.ts";
import { unavailable } from "../journal/claimed-report.ts";
import { openDisk, systemCode } from "../journal/disk/disk.ts";
import { openProcesses } from "../journal/disk/owner.ts";
import { journalDirectory, journalRefuges, VERSION_DIRECTORY } from "../journal/entry/layout.ts";
import type { Journal } from "../journal/journal.ts";
import { type OpenedJournal, openJournal } from "../journal/open.ts";

/** Directories for journals. */
type Places = {
  /** Null when the platform's cannot be told. */
  readonly usual: string | null;
  /** For when that one cannot be used, the best first. A usual place that was named has its own. */
  readonly refuges: readonly string[];
  /** Those of runs that named no journal; the same where this one does not either. */
  readonly unnamed: readonly string[];
};

function placesOf(named: string | undefined, context: Context): Places {
  const { platform, env, home, cwd, tempDir, process } = context;
  const usual = named
    ? resolve(cwd, named)
    : journalDirectory({ platform, env, home, isRoot: process.isRoot });
  const unnamed = journalRefuges({ platform, env, home }, { tempDir, uid: process.uid });
  const refuges = named && usual ? unnamed.map((path) => `${path}-${sha256Of(usual).slice(0, 12)}`) : unnamed;
  return { usual, refuges, unnamed };
}

/** The journals of one run, each opened once, at the latest possible moment. */
export class Journals {
  readonly #context: Context;
  readonly #warn: (problem: string) => void;
  readonly #places: Places;
  readonly #isNamed: boolean;
  readonly #opened = new Map<string | null, Promise<OpenedJournal>>();

  constructor(sources: readonly Source[], context: Context, warn: (problem: string) => void) {
    const named = strongestSetting(sources, "journal");
    this.#context = context;
    this.#warn = warn;
    this.#places = placesOf(named, context);
    this.#isNamed = Boolean(named);
  }

  /** Where a report may be kept: the usual place, which is null when it cannot be told, then the refuges. */
  get toKeepIn(): readonly (string | null)[] {
    return [this.#places.usual, ...this.#places.refuges];
  }

  /** Never throws: a journal that cannot be used is a reason, and the caller's decision. */
  async open(place: string | null): Promise<OpenedJournal> {
    const opening = this.#opened.get(place) ?? openPlace(place, this.#context, this.#warn);
    this.#opened.set(place, opening);
    return opening;
  }

  /** Wherever reports may lie: the usual place, whether it can be used or not, and each refuge in use. */
  async *inUse(): AsyncGenerator<OpenedJournal & { readonly place: string | null }> {
    const { usual } = this.#places;
    yield { place: usual, ...(await this.open(usual)) };
    for (const place of await this.#refugesInUse()) yield { place, ...(await this.open(place)) };
  }

  /** This user's own only: anybody can make a directory of such a name in a place that is open to all. */
  async #refugesInUse(): Promise<string[]> {
    const { refuges, unnamed } = this.#places;
    const found = unnamed.map(async (path) => {
      // A run that named its journal is found again by that name, or by a run that names none.
      const isOurs = (name: string) =>
        name === basename(path) || (!this.#isNamed && name.startsWith(`${basename(path)}-`));
      const names = await readdir(dirname(path)).catch(() => []);
      return names.filter(isOurs).map((name) => join(dirname(path), name));
    });
    const candidates = new Set([...refuges, ...(await Promise.all(found)).flat()]);
    const owned: string[] = [];
    for (const path of candidates) {
      const stat = await lstat(path).catch(() => null);
      if (stat?.isDirectory() && (this.#context.process.uid ?? stat.uid) === stat.uid) owned.push(path);
    }
    return owned;
  }

  /** Lets go of what is still held. What a command has to report is true whether that works or not. */
  async close(): Promise<void> {
    for (const opening of this.#opened.values()) {
      const { journal } = await opening;
      await journal?.close().catch((thrown: unknown) => {
        this.#warn(`The journal could not be left in order: ${asCerError(thrown).message}`);
      });
    }
  }
}

async function openPlace(
  directory: string | null,
  { platform, now, process }: Context,
  warn: (problem: string) => void,
): Promise<OpenedJournal> {
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

/** Whether there is, or may be, a journal that cannot be used now. */
async function mayHoldReports(place: string): Promise<boolean> {
  return lstat(join(place, VERSION_DIRECTORY)).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== "ENOENT" && code !== "ENOTDIR",
  );
}

/** What was found in each journal; and why one that may hold reports could not be looked into. */
export type Found<T> = { readonly results: readonly T[]; readonly trouble: CerError | null };

/**
 * For commands that are about the journal itself: `act` for each journal in which reports may lie.
 * @throws CerError why there is none at all
 */
export async function inJournals<T>(
  { target }: { readonly target: TargetFlags },
  context: Context,
  act: (journal: Journal, sources: readonly Source[]) => Promise<T>,
): Promise<Found<T>> {
  const warn = (problem: string) => context.terminal.say(`warning: ${problem}`);
  const leniency = new Leniency({ isStrict: false });
  const sources = await readSources(target, context, leniency);
  for (const warning of leniency.warnings) warn(warning);
  const results: T[] = [];
  let trouble: CerError | null = null;
  let reason: CerError | null = null;
  const journals = new Journals(sources, context, warn);
  try {
    for await (const { place, journal, why } of journals.inUse()) {
      reason ??= why ?? null;
      if (why !== undefined && place !== null && (await mayHoldReports(place))) trouble ??= why;
      if (journal === null) continue;
      try {
        results.push(await act(journal, sources));
      } catch (thrown) {
        // One that breaks down does not keep what lies elsewhere from being found.
        if (systemCode(thrown) === null) throw thrown;
        reason ??= unavailable(thrown);
        trouble ??= unavailable(thrown);
      }
    }
  } finally {
    await journals.close();
  }
  if (results.length === 0 && reason !== null) throw reason;
  if (trouble !== null) warn(trouble.message);
  return { results, trouble };
}
