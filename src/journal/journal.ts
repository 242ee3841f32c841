/**
 * The journal: a report reaches the disk before the first byte reaches the network, and leaves it when its receipt has
 * been written. A state is a directory, a step is a rename (layout.ts); claims are exclusive among processes and end
 * with their owner (owner.ts); what an entry holds is entry.ts's business, what gives way limits.ts's.
 */

import { randomInt } from "node:crypto";
import { asCerError, CerError } from "../errors.ts";
import type { Event } from "../event.ts";
import { type Disk, systemCode, unlessMissing, writeFile } from "./disk.ts";
import { type Admission, admit, eventIdentity, eventSignature, type Verdict } from "./duplicates.ts";
import {
  type Consent,
  type Destination,
  type EntryRecord,
  entryBytes,
  type Progress,
  parseEntry,
  parseProgress,
  readDocument,
  UNTRIED,
  writeEntry,
  writeProgress,
} from "./entry.ts";
import { finishDone, Held, isDelivered, unavailable } from "./held.ts";
import {
  entryPath,
  formatId,
  formatTime,
  type Label,
  type Listed,
  parseTime,
  SIDE_DIRECTORIES,
  STATES,
  type State,
  statePath,
} from "./layout.ts";
import { LIMITS, type Limits, planRoom, type Room } from "./limits.ts";
import { type Owners, openOwners, type Processes } from "./owner.ts";
import { giveUp, type Pruned, prune } from "./prune.ts";
import { parseReceipt, type Receipt } from "./receipt.ts";
import { formatIso, type Json } from "./record.ts";
import { isDue } from "./retry.ts";
import { checkSafety, normalDirectory, partsOf } from "./safety.ts";
import { deleteEntry, listEntries, moveEntry, type Shelf, setEntryAside, syncStates } from "./shelf.ts";
import { takeTurn } from "./turn.ts";

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

/** A report to keep. */
export type NewReport = {
  readonly event: Event;
  /** The event named its own time; it was not filled in. */
  readonly timeGiven: boolean;
  readonly level1: Buffer;
  readonly destination: Destination;
  readonly consent: Consent;
  /** What else the conversation needs at a retry. */
  readonly settings: Json;
};

export type AddOptions = {
  /** Null: neither compared with others nor counted (`--force`, `cer smoke`). */
  readonly admission: Admission | null;
  /** False keeps only path, size and time of attached files (`--no-copy`). */
  readonly copy: boolean;
  /** When the journal is full, the oldest waiting report is given up instead of refusing the new one. */
  readonly dropOldest: boolean;
};

export type Added =
  | { readonly outcome: "kept"; readonly held: Held }
  | Exclude<Verdict, { outcome: "admitted" }>
  /** The disk does not take it: it can still be sent, unprotected. */
  | { readonly outcome: "unprotected"; readonly why: CerError };

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

/**
 * Opens a journal, making its directories where there are none (mode 0700). Nothing else is written.
 * @param directory see journalDirectory for the default
 * @returns the journal, or why there is none: reports can be sent, but not kept
 * @throws CerError CER_JOURNAL_UNSAFE when others could change what the journal holds
 */
export async function openJournal(
  directory: string,
  deps: JournalDeps,
): Promise<{ readonly journal: Journal } | { readonly journal: null; readonly why: CerError }> {
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
  const version = statePath(root, "new").slice(0, -"/new".length);
  for (const path of partsOf(version)) await makeDirectory(disk, path);
  for (const name of [...STATES, ...SIDE_DIRECTORIES]) {
    const isMade = await makeDirectory(disk, `${version}/${name}`);
    // Whoever made the directory makes the one turn in it.
    if (isMade && name === "turn") await writeFile(disk, `${version}/turn/free`, []);
  }
}

/** False when it was there. */
async function makeDirectory(disk: Disk, path: string): Promise<boolean> {
  if ((await unlessMissing(disk.facts(path), null)) !== null) return false;
  try {
    await disk.makeDirectory(path);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
  await disk.syncDirectory(path.slice(0, Math.max(1, path.search(/[\\/][^\\/]*$/))));
  return true;
}

/** One process's access to a journal. Everything it claimed must be settled before `close`. */
export class Journal {
  readonly directory: string;
  readonly #shelf: Shelf;
  readonly #owners: Owners;
  readonly #limits: Limits;
  readonly #now: () => number;

  /** Use openJournal. */
  constructor(root: string, { disk, processes, warn, now, limits }: JournalDeps) {
    this.directory = root;
    this.#shelf = { disk, root, warn };
    this.#owners = openOwners(disk, root, processes);
    this.#limits = limits ?? LIMITS;
    this.#now = now;
  }

  /** What every run begins with: finishes what others left unfinished, removes what is too old. */
  async prune(): Promise<Pruned> {
    return prune({ shelf: this.#shelf, owners: this.#owners, limits: this.#limits, now: this.#now });
  }

  /**
   * Keeps a report, claimed by this process. When it returns "kept", the report survives whatever happens.
   * @throws CerError CER_JOURNAL_FULL: it was not kept and must not be reported as such
   */
  async add(report: NewReport, options: AddOptions): Promise<Added> {
    try {
      return await this.#add(report, options);
    } catch (error) {
      if (systemCode(error) === null) throw error;
      return { outcome: "unprotected", why: unavailable(error) };
    }
  }

  async #add(report: NewReport, options: AddOptions): Promise<Added> {
    const { origin, path: at } = report.destination;
    const to = `${origin.scheme}://${origin.host}:${origin.port}${at}`;
    const identity = eventIdentity(report.event, { to, timeGiven: report.timeGiven });
    const createdAt = this.#now();
    const id = formatId(createdAt, randomName());
    const label = { ...labelOf(id, identity, report.event), mark: this.#owners.token };
    // Looked at before anything is copied, and again when nobody else can be adding.
    const size = report.level1.length + (options.copy ? await this.#sizeOf(report.event) : 0);
    const early = await this.#judge({ ...label, bytes: size }, options);
    if (early.verdict.outcome !== "admitted") return this.#note(label, early.verdict);
    await this.#owners.enter();
    let verdict: Verdict | null = null;
    try {
      const { timeGiven, ...made } = report;
      const path = entryPath(this.directory, "new", label);
      const record = await writeEntry(this.#shelf.disk, path, { ...made, id, createdAt, identity }, options);
      const claimed = { ...label, bytes: entryBytes(record, 0) };
      verdict = await this.#admit(label, { state: "claimed", label: claimed }, options);
      if (verdict.outcome !== "admitted") return this.#note(label, verdict);
      return { outcome: "kept", held: await Held.open(this.#shelf, claimed, this.#now) };
    } finally {
      if (verdict?.outcome !== "admitted") await this.#discard(label);
    }
  }

  async #sizeOf(event: Event): Promise<number> {
    let sum = 0;
    for (const { path } of event.files)
      sum += (await this.#shelf.disk.facts(path).catch(() => ({ size: 0 }))).size;
    return sum;
  }

  /** @throws CerError CER_JOURNAL_FULL */
  async #judge(
    label: Label,
    { admission, dropOldest }: AddOptions,
  ): Promise<{ verdict: Verdict; room: Room }> {
    const listed = await listEntries(this.#shelf);
    const verdict: Verdict =
      admission === null ? { outcome: "admitted" } : admit(listed, label, this.#now(), admission);
    const room = planRoom(listed, label.bytes, this.#now(), this.#limits, { dropOldest });
    if (verdict.outcome === "admitted" && !room.fits)
      throw new CerError(
        "CER_JOURNAL_FULL",
        `The journal ${this.directory} is full: ${room.why}. The report was neither kept nor sent.`,
        {
          hint: "Send what waits with cer flush, look at it with cer queue list, or give up the oldest with --drop-oldest.",
        },
      );
    return { verdict, room };
  }

  /** The one step that makes a written entry count, taken by one process at a time. */
  async #admit(
    from: Label,
    to: { state: "claimed" | "pending"; label: Label },
    options: AddOptions,
  ): Promise<Verdict> {
    const release = await takeTurn(this.#shelf.disk, this.directory, this.#owners);
    try {
      const { verdict, room } = await this.#judge(to.label, options);
      if (verdict.outcome !== "admitted" || !room.fits) return verdict;
      await this.#makeRoom(room);
      await moveEntry(this.#shelf, { state: "new", label: from }, to);
      await syncStates(this.#shelf, to.state, "new");
      return verdict;
    } finally {
      await release();
    }
  }

  async #makeRoom({ remove, giveUp: given }: Extract<Room, { fits: true }>): Promise<void> {
    for (const entry of given) {
      const deps = { shelf: this.#shelf, owners: this.#owners, now: this.#now };
      if (await giveUp(deps, entry, "It made room for a newer report.", { onlyTried: false }))
        this.#shelf.warn(`Report ${entry.label.id} was given up to make room for a newer one.`);
    }
    for (const entry of remove)
      if ((await deleteEntry(this.#shelf, entry)) && entry.state !== "done")
        this.#shelf.warn(
          `Report ${entry.label.id} (${entry.state}) was removed to make room for a newer one.`,
        );
  }

  /** Counts what was held back: one line each, so that processes can write at the same time. */
  async #note<T extends Verdict>(label: Label, verdict: T): Promise<T> {
    const name = verdict.outcome === "suppressed" ? label.signature : label.identity;
    const line = Buffer.from(`${formatIso(this.#now())} ${verdict.outcome}\n`);
    await this.#shelf.disk.append(`${statePath(this.directory, "repeats")}/${name}`, line);
    return verdict;
  }

  async #discard(label: Label): Promise<void> {
    try {
      await deleteEntry(this.#shelf, { state: "new", label });
    } catch (error) {
      // The next pruning does it.
      if (systemCode(error) === null) throw error;
    }
  }

  /** How often a report (by identity) or a kind (by signature) was held back, as long as that is remembered. */
  async repeats({ label }: Listed): Promise<{ duplicates: number; suppressed: number }> {
    const count = async (name: string) => {
      const bytes = await unlessMissing(
        this.#shelf.disk.read(`${statePath(this.directory, "repeats")}/${name}`, MAX_REPEATS),
        null,
      );
      return bytes === null ? 0 : bytes.toString().split("\n").length - 1;
    };
    return { duplicates: await count(label.identity), suppressed: await count(label.signature) };
  }

  /** Entries by age, the oldest first. Reads names only. */
  async list(states: readonly State[] = SHOWN_STATES): Promise<Listed[]> {
    return listEntries(this.#shelf, states);
  }

  /** Names of what was set aside because it could not be used. */
  async listSetAside(): Promise<string[]> {
    return this.#shelf.disk.names(statePath(this.directory, "set-aside"));
  }

  /** @throws CerError CER_NO_ENTRY unless exactly one entry has this id, or an id that holds this text */
  async find(word: string): Promise<Listed> {
    const listed = await this.list();
    const exact = listed.find(({ label }) => label.id === word);
    const matches = exact === undefined ? listed.filter(({ label }) => label.id.includes(word)) : [exact];
    const [only] = matches;
    if (only !== undefined && matches.length === 1) return only;
    const count = matches.length === 0 ? "No report" : `More than one report (${matches.length})`;
    throw new CerError(
      "CER_NO_ENTRY",
      `${count} in the journal ${this.directory} is called ${JSON.stringify(word)}.`,
      {
        hint: "See: cer queue list",
      },
    );
  }

  /** Reads an entry without claiming it; what is damaged, or moved meanwhile by another process, is null. */
  async show(listed: Listed): Promise<Shown> {
    const path = entryPath(this.directory, listed.state, listed.label);
    const read = async <T>(name: string, parse: (text: string) => T): Promise<T | null> => {
      try {
        return await readDocument(this.#shelf.disk, path, name, parse);
      } catch (error) {
        this.#shelf.warn(`Report ${listed.label.id}: ${asCerError(error).message}`);
        return null;
      }
    };
    const isTimed = listed.state === "pending" || listed.state === "done" || listed.state === "abandoned";
    return {
      listed,
      record: await read("entry.json", parseEntry),
      progress: await read("progress.json", parseProgress),
      receipt: await read("receipt.json", (text) => parseReceipt(Buffer.from(text))),
      time: isTimed ? parseTime(listed.label.mark) : null,
    };
  }

  /**
   * Takes a waiting entry. Null when another process has it, or it was damaged and set aside.
   * @throws CerError CER_JOURNAL_UNAVAILABLE when the disk does not let it be taken
   */
  async claim(entry: Listed): Promise<Held | null> {
    if (entry.state !== "pending") return null;
    const label = { ...entry.label, mark: this.#owners.token };
    return this.#guard(async () => {
      await this.#owners.enter();
      const isTaken = await moveEntry(this.#shelf, entry, { state: "claimed", label });
      return isTaken ? this.#open(label) : null;
    });
  }

  async #open(label: Label): Promise<Held | null> {
    if (await isDelivered(this.#shelf, label)) {
      await finishDone(this.#shelf, label, this.#now());
      return null;
    }
    try {
      return await Held.open(this.#shelf, label, this.#now);
    } catch (error) {
      const problem = systemCode(error) ?? asCerError(error).message;
      if (systemCode(error) === null && asCerError(error).code !== "CER_DAMAGED") throw error;
      await setEntryAside(this.#shelf, "claimed", label, problem);
      return null;
    }
  }

  /** The waiting entries that are due, one after the other as they are asked for, each claimed by this process. */
  async *claimDue(): AsyncGenerator<Held> {
    const waiting = await this.list(["pending"]);
    for (const entry of waiting) {
      if (!isDue(parseTime(entry.label.mark) ?? 0, this.#now())) continue;
      const held = await this.#claimOrTell(entry);
      if (held !== null) yield held;
    }
  }

  /** One entry that cannot be taken (made by root in a user's journal, say) does not hold up the others. */
  async #claimOrTell(entry: Listed): Promise<Held | null> {
    try {
      return await this.claim(entry);
    } catch (error) {
      if (asCerError(error).code !== "CER_JOURNAL_UNAVAILABLE") throw error;
      this.#shelf.warn(`Report ${entry.label.id} cannot be taken. ${asCerError(error).message}`);
      return null;
    }
  }

  /**
   * Makes a waiting or given-up report due at once, its bounds counted anew.
   * @throws CerError CER_NO_ENTRY, CER_ENTRY_BUSY, CER_JOURNAL_UNAVAILABLE
   */
  async retry(word: string): Promise<Listed> {
    const entry = await this.find(word);
    if (entry.state === "done")
      throw new CerError("CER_NO_ENTRY", `Report ${entry.label.id} was delivered already.`);
    const mine = { state: "claimed", label: { ...entry.label, mark: this.#owners.token } } as const;
    const waiting = { ...entry, state: "pending", label: { ...entry.label, mark: formatTime(0) } } as const;
    const { disk } = this.#shelf;
    await this.#guard(async () => {
      await this.#owners.enter();
      if (entry.state === "claimed" || !(await moveEntry(this.#shelf, entry, mine))) throw busy(entry);
      const path = entryPath(this.directory, mine.state, mine.label);
      const progress = await readDocument(disk, path, "progress.json", parseProgress).catch(() => null);
      await writeProgress(disk, path, { ...(progress ?? UNTRIED), countedFrom: this.#now(), reason: null });
      await moveEntry(this.#shelf, mine, waiting);
    });
    return waiting;
  }

  /**
   * Removes a report, delivered or not.
   * @throws CerError CER_NO_ENTRY, CER_ENTRY_BUSY, CER_JOURNAL_UNAVAILABLE
   */
  async drop(word: string): Promise<Listed> {
    const entry = await this.find(word);
    await this.#guard(async () => {
      const isBusy = entry.state === "claimed" && (await this.#owners.isAlive(entry.label.mark));
      if (isBusy || !(await deleteEntry(this.#shelf, entry))) throw busy(entry);
    });
    return entry;
  }

  /**
   * Takes in an entry made elsewhere: `fill` is given a new directory and writes one that holds together; it is
   * admitted like any other.
   * @throws CerError CER_DAMAGED, CER_JOURNAL_FULL, CER_JOURNAL_UNAVAILABLE; CER_USAGE when it is there already
   */
  async adopt(fill: (directory: string) => Promise<EntryRecord>): Promise<Listed> {
    return this.#guard(async () => {
      await this.#owners.enter();
      const id = formatId(this.#now(), randomName());
      const label = { id, bytes: 0, ...UNKNOWN_KIND, mark: this.#owners.token };
      const path = entryPath(this.directory, "new", label);
      let isAdopted = false;
      try {
        await this.#shelf.disk.makeDirectory(path);
        const record = await fill(path);
        const known = await listEntries(this.#shelf);
        if (known.some(({ state, label }) => SHOWN_STATES.includes(state) && label.id === record.id))
          throw new CerError("CER_USAGE", `Report ${record.id} is in the journal already.`);
        const kind = labelOf(record.id, record.identity, record.event);
        const to = { ...kind, bytes: entryBytes(record, 0), mark: formatTime(0) };
        await this.#admit(
          label,
          { state: "pending", label: to },
          { admission: null, copy: true, dropOldest: false },
        );
        isAdopted = true;
        return { state: "pending", label: to, createdAt: record.createdAt } as const;
      } finally {
        if (!isAdopted) await this.#discard(label);
      }
    });
  }

  /** Lets go of whatever this process still holds, without a verdict: it waits, and is due at once. */
  async close(): Promise<void> {
    const mine = (await listEntries(this.#shelf, ["claimed"])).filter(
      ({ label }) => label.mark === this.#owners.token,
    );
    for (const entry of mine) {
      if (await isDelivered(this.#shelf, entry.label))
        await finishDone(this.#shelf, entry.label, this.#now());
      else
        await moveEntry(this.#shelf, entry, {
          state: "pending",
          label: { ...entry.label, mark: formatTime(0) },
        });
    }
    await this.#owners.leave();
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
const SHOWN_STATES: readonly State[] = ["pending", "claimed", "done", "abandoned"];

/** Bytes of notes of repeats that are counted. */
const MAX_REPEATS = 16 * 1024 * 1024;

/** What an entry is labelled with until its record has been read. */
const UNKNOWN_KIND = { identity: "0".repeat(16), signature: "0".repeat(8) };

function labelOf(id: string, identity: string, event: Event): Omit<Label, "mark"> {
  return { id, bytes: 0, identity: identity.slice(0, 16), signature: eventSignature(event).slice(0, 8) };
}

function randomName(): string {
  return randomInt(36 ** 6)
    .toString(36)
    .padStart(6, "0");
}

function busy({ label }: Listed): CerError {
  return new CerError("CER_ENTRY_BUSY", `Report ${label.id} is being sent by another process.`, {
    hint: "See how that ends: cer queue list",
  });
}
