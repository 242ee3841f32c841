/**
 * The journal: a report reaches the disk before the first byte reaches the network, and leaves it when its receipt has
 * been written. A state is a directory, a step is a rename (entry/layout.ts); claims are exclusive among processes
 * and end with their owner (disk/owner.ts); what an entry holds is entry/'s business, what gives way limits.ts's.
 */

import type { Destination } from "../config/destination.ts";
import { asCerError, CerError } from "../errors.ts";
import { clampTime } from "../json.ts";
import {
  type Added,
  type AddOptions,
  addressWaiting,
  adoptEntry,
  keepReport,
  type NewReport,
} from "./admission.ts";
import { ClaimedReport, finishDone, isDelivered, unavailable } from "./claimed-report.ts";
import { type Disk, systemCode } from "./disk/disk.ts";
import { openOwners, type Processes } from "./disk/owner.ts";
import { type EntryRecord, type Progress, parseEntry, parseProgress, UNTRIED } from "./entry/documents.ts";
import { readDocument, writeProgress } from "./entry/entry.ts";
import {
  entryPath,
  formatTime,
  isDue,
  type Label,
  type Listed,
  NOBODY,
  parseTime,
  type State,
  statePath,
} from "./entry/layout.ts";
import { parseReceipt, type Receipt } from "./entry/receipt.ts";
import { LIMITS, type Limits } from "./limits.ts";
import { prune } from "./prune.ts";
import { readRepeats } from "./repeats.ts";
import { listSetAside, setEntryAside } from "./set-aside.ts";
import {
  deleteEntry,
  type JournalContext,
  listEntries,
  moveEntry,
  nothingPruned,
  type Pruned,
  type SetAside,
} from "./store.ts";

export type JournalDeps = {
  readonly disk: Disk;
  readonly processes: Processes;
  /** This user; null on Windows. */
  readonly uid: number | null;
  /** Milliseconds since 1970. */
  now(): number;
  /** One sentence about something that was found wrong and got round. */
  warn(problem: string): void;
  readonly limits?: Limits;
};

/** An entry in full, as far as it can be read without claiming it. */
export type Shown = {
  readonly listed: Listed;
  /** Null in `done`, and when it cannot be read. */
  readonly record: EntryRecord | null;
  readonly progress: Progress | null;
  readonly receipt: Receipt | null;
  /** When it is due (pending), was settled (done, abandoned); null otherwise. Milliseconds since 1970. */
  readonly time: number | null;
};

/** One process's access to a journal. Everything it claimed must be settled before `close`. */
export class Journal {
  readonly directory: string;
  readonly #context: JournalContext;

  /** Use openJournal. */
  constructor(root: string, { disk, processes, warn, now, limits }: JournalDeps) {
    this.directory = root;
    const owners = openOwners(disk, statePath(root, "owners"), processes);
    const clock = () => clampTime(now());
    const pruned = nothingPruned();
    this.#context = { disk, root, warn, owners, limits: limits ?? LIMITS, now: clock, pruned };
  }

  /** What every run begins with: finishes what others left unfinished, removes what is too old. */
  async prune(): Promise<void> {
    await prune(this.#context);
  }

  /** What this process has done so far, in pruning and after it, to reports that were not sent. */
  get pruned(): Pruned {
    return this.#context.pruned;
  }

  /**
   * Keeps a report, claimed by this process. When it returns "kept", the report survives whatever happens.
   */
  async add(report: NewReport, options: AddOptions): Promise<Added> {
    return keepReport(this.#context, report, options);
  }

  /**
   * Gives the reports that wait for a server the one that is set now.
   * @returns how many there were
   * @throws CerError CER_JOURNAL_UNAVAILABLE
   */
  async address(destination: Destination): Promise<number> {
    return this.#guard(() => addressWaiting(this.#context, destination));
  }

  /** How often a report (by identity) was repeated, and one of its kind (by signature) dropped, as long as noted. */
  async repeats({ label }: Listed): Promise<{ duplicates: number; suppressed: number }> {
    const [same, kind] = [label.identity, label.signature].map((name) => readRepeats(this.#context, name));
    return { duplicates: (await same)?.count ?? 0, suppressed: (await kind)?.count ?? 0 };
  }

  /** Entries by age, the oldest first. Reads names only. */
  async list(states: readonly State[] = SHOWN_STATES): Promise<Listed[]> {
    return listEntries(this.#context, states);
  }

  /** What was set aside because it could not be used. */
  async listSetAside(): Promise<SetAside[]> {
    return listSetAside(this.#context);
  }

  /** The entry of this id, or the one whose id holds this text. @throws CerError CER_NO_ENTRY for none, CER_USAGE for several */
  async find(word: string): Promise<Listed> {
    const listed = await this.list();
    const exact = listed.find(({ label }) => label.id === word);
    const matches = exact === undefined ? listed.filter(({ label }) => label.id.includes(word)) : [exact];
    const [only] = matches;
    if (only !== undefined && matches.length === 1) return only;
    const [code, count] =
      matches.length === 0
        ? (["CER_NO_ENTRY", "No report"] as const)
        : (["CER_USAGE", `More than one report (${matches.length})`] as const);
    throw new CerError(code, `${count} in the journal ${this.directory} is called ${JSON.stringify(word)}.`, {
      hint: "See: cer queue list",
    });
  }

  /** Why an entry waits, or was given up; null when that is not known. */
  async reason({ state, label }: Listed): Promise<string | null> {
    const path = entryPath(this.directory, state, label);
    const reading = readDocument(this.#context.disk, path, "progress.json", parseProgress);
    return (await reading.catch(() => null))?.reason ?? null;
  }

  /** Reads an entry without claiming it; what is damaged, or moved meanwhile by another process, is null. */
  async show(listed: Listed): Promise<Shown> {
    const path = entryPath(this.directory, listed.state, listed.label);
    const read = async <T>(name: string, parse: (text: string) => T): Promise<T | null> => {
      try {
        return await readDocument(this.#context.disk, path, name, parse);
      } catch (error) {
        this.#context.warn(`Report ${listed.label.id}: ${asCerError(error).message}`);
        return null;
      }
    };
    const isTimed = listed.state === "pending" || listed.state === "done" || listed.state === "abandoned";
    return {
      listed,
      record: await read("entry.json", parseEntry),
      progress: await read("progress.json", parseProgress),
      receipt: await read("receipt.json", parseReceipt),
      time: isTimed ? parseTime(listed.label.mark) : null,
    };
  }

  /**
   * Takes a waiting entry. Null when another process has it, or it was damaged and set aside.
   * @throws CerError CER_JOURNAL_UNAVAILABLE when the disk does not let it be taken
   */
  async claim(entry: Listed): Promise<ClaimedReport | null> {
    if (entry.state !== "pending") return null;
    const label = { ...entry.label, mark: this.#context.owners.token };
    return this.#guard(async () => {
      await this.#context.owners.enter();
      const isTaken = await moveEntry(this.#context, entry, { state: "claimed", label });
      return isTaken ? this.#open(label) : null;
    });
  }

  async #open(label: Label): Promise<ClaimedReport | null> {
    if (await isDelivered(this.#context, label)) {
      await finishDone(this.#context, label, this.#context.now());
      return null;
    }
    try {
      return await ClaimedReport.open(this.#context, label);
    } catch (error) {
      if (!(error instanceof CerError)) throw error;
      if (error.code === "CER_NO_SERVER") {
        const waiting = { state: "unaddressed", label: { ...label, mark: NOBODY } } as const;
        await moveEntry(this.#context, { state: "claimed", label }, waiting);
        return null;
      }
      // What the system does not let be read now is not damaged: it waits.
      if (error.code !== "CER_DAMAGED") throw error;
      await setEntryAside(this.#context, "claimed", label, error.message);
      return null;
    }
  }

  /**
   * The waiting entries that are due, one after the other as they are asked for, each claimed by this process: those
   * due for longest first, and of these the oldest. What is let go with the `due` it came with keeps its turn.
   */
  async *claimDue(): AsyncGenerator<{ readonly claimed: ClaimedReport; readonly due: number }> {
    const now = this.#context.now();
    const due = (await this.list(["pending"]))
      .map((entry) => ({ entry, due: parseTime(entry.label.mark) ?? 0 }))
      .filter((one) => isDue(one.due, now))
      .map((one) => (one.due > now ? { ...one, due: 0 } : one));
    for (const one of due.sort((a, b) => a.due - b.due)) {
      const claimed = await this.#claimOrTell(one.entry);
      if (claimed !== null) yield { claimed, due: one.due };
    }
  }

  /** One entry that cannot be taken (made by root in a user's journal, say) does not hold up the others. */
  async #claimOrTell(entry: Listed): Promise<ClaimedReport | null> {
    try {
      return await this.claim(entry);
    } catch (error) {
      if (asCerError(error).code !== "CER_JOURNAL_UNAVAILABLE") throw error;
      this.#context.warn(`Report ${entry.label.id} cannot be taken. ${asCerError(error).message}`);
      return null;
    }
  }

  /**
   * Makes a waiting or given-up report due at once, its bounds counted anew; one without a server as soon as one is set.
   * @throws CerError CER_NO_ENTRY, CER_ENTRY_BUSY, CER_JOURNAL_UNAVAILABLE
   */
  async retry(word: string): Promise<Listed> {
    const entry = await this.find(word);
    if (entry.state === "done")
      throw new CerError("CER_NO_ENTRY", `Report ${entry.label.id} was delivered already.`);
    if (entry.state === "unaddressed") return entry;
    const mine = { state: "claimed", label: { ...entry.label, mark: this.#context.owners.token } } as const;
    const { disk } = this.#context;
    return this.#guard(async () => {
      await this.#context.owners.enter();
      if (entry.state === "claimed" || !(await moveEntry(this.#context, entry, mine))) throw busy(entry);
      const path = entryPath(this.directory, mine.state, mine.label);
      const progress = await readDocument(disk, path, "progress.json", parseProgress).catch(() => null);
      await writeProgress(disk, path, {
        ...(progress ?? UNTRIED),
        countedFrom: this.#context.now(),
        uncounted: progress?.attempts.length ?? 0,
        reason: null,
      });
      const record = await readDocument(disk, path, "entry.json", parseEntry).catch(() => null);
      const to = record?.destination === null ? WITHOUT_SERVER : DUE;
      const waiting = { ...entry, state: to.state, label: { ...entry.label, mark: to.mark } };
      await moveEntry(this.#context, mine, waiting);
      return waiting;
    });
  }

  /**
   * Removes a report, delivered or not.
   * @throws CerError CER_NO_ENTRY, CER_ENTRY_BUSY, CER_JOURNAL_UNAVAILABLE
   */
  async drop(word: string): Promise<Listed> {
    const entry = await this.find(word);
    await this.#guard(async () => {
      const isBusy = entry.state === "claimed" && (await this.#context.owners.isAlive(entry.label.mark));
      if (isBusy || !(await deleteEntry(this.#context, entry))) throw busy(entry);
    });
    return entry;
  }

  /**
   * Takes in an entry made elsewhere: `fill` is given a new directory and writes one that holds together; it is
   * admitted like any other.
   * @throws CerError CER_DAMAGED, CER_JOURNAL_FULL, CER_JOURNAL_UNAVAILABLE; CER_USAGE when it is there already
   */
  async adopt(fill: (directory: string) => Promise<EntryRecord>): Promise<Listed> {
    return this.#guard(() => adoptEntry(this.#context, fill));
  }

  /** Lets go of whatever this process still holds, without a verdict: it waits, and is due at once. */
  async close(): Promise<void> {
    await this.#guard(() => this.#letGo());
    await this.#context.owners.leave();
  }

  async #letGo(): Promise<void> {
    const mine = (await listEntries(this.#context, ["claimed"])).filter(
      ({ label }) => label.mark === this.#context.owners.token,
    );
    for (const entry of mine) {
      if (await isDelivered(this.#context, entry.label))
        await finishDone(this.#context, entry.label, this.#context.now());
      else
        await moveEntry(this.#context, entry, {
          state: "pending",
          label: { ...entry.label, mark: formatTime(0) },
        });
    }
  }

  async #guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw systemCode(error) === null ? error : unavailable(error);
    }
  }
}

/** States a person sees. */
const SHOWN_STATES: readonly State[] = ["unaddressed", "pending", "claimed", "done", "abandoned"];

const WITHOUT_SERVER = { state: "unaddressed", mark: NOBODY } as const;
const DUE = { state: "pending", mark: formatTime(0) } as const;

function busy({ label }: Listed): CerError {
  return new CerError("CER_ENTRY_BUSY", `Report ${label.id} is being sent by another process.`, {
    hint: "See how that ends: cer queue list",
  });
}
