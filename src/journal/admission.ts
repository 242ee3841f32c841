/**
 * Letting a report in: written aside, compared with what is there, given room, and made to count by one rename. From the
 * comparison to the rename one process has the lock.
 */

import { randomInt } from "node:crypto";
import type { Destination } from "../config/destination.ts";
import { CerError, type CerErrorCode } from "../errors.ts";
import type { Event } from "../event.ts";
import type { Json } from "../json.ts";
import { ClaimedReport, unavailable } from "./claimed-report.ts";
import { systemCode, writeWhole } from "./disk/disk.ts";
import { acquireLock } from "./disk/lock.ts";
import {
  type AdmissionPolicy,
  type AdmissionResult,
  admit,
  eventIdentity,
  eventSignature,
} from "./duplicates.ts";
import { type AgreedConsent, type EntryRecord, encodeEntry } from "./entry/documents.ts";
import { entryBytes, readEntry, writeEntry } from "./entry/entry.ts";
import {
  addressingMark,
  entryPath,
  formatId,
  formatTime,
  isInWork,
  type Label,
  type Listed,
  NOBODY,
  type State,
  statePath,
} from "./entry/layout.ts";
import { planRoom, type Room } from "./limits.ts";
import { giveUp } from "./prune.ts";
import { noteRepeat, tellDropped } from "./repeats.ts";
import type { Report } from "./report.ts";
import { setEntryAside } from "./set-aside.ts";
import { deleteEntry, type JournalContext, listEntries, moveEntry, syncStates } from "./store.ts";

/** A report to keep. */
export type NewReport = Pick<Report, "event" | "level1"> & {
  /** Null while no server is set: it waits for one. */
  readonly destination: Destination | null;
  /** The event named its own time; it was not filled in. */
  readonly timeGiven: boolean;
  readonly consent: AgreedConsent;
  /** Its terms, as they are kept: the journal does not look at them. */
  readonly settings: Json;
};

export type AddOptions = {
  /** Null: neither compared with others nor counted (`--force`, `cer smoke`). */
  readonly admission: AdmissionPolicy | null;
  /** False keeps only path, size and time of attached files (`--no-copy`), as is done with what no journal can hold. */
  readonly copy: boolean;
  /** When the journal is full, the oldest waiting report is given up instead of leaving the new one out. */
  readonly dropOldest: boolean;
};

export type Added =
  | { readonly outcome: "kept"; readonly claimed: ClaimedReport }
  /** Kept, to wait until a server is set. */
  | { readonly outcome: "unaddressed"; readonly id: string }
  | Exclude<AdmissionResult, { outcome: "admitted" }>
  /** The disk does not take it, there is no room, or it is too large: it can still be sent, unprotected. */
  | { readonly outcome: "unprotected"; readonly why: CerError };

/** Keeps a report, claimed by this process if it has a destination. */
export async function keepReport(
  journal: JournalContext,
  report: NewReport,
  options: AddOptions,
): Promise<Added> {
  try {
    return await keep(journal, report, options);
  } catch (error) {
    if (systemCode(error) !== null) return { outcome: "unprotected", why: unavailable(error) };
    if (!(error instanceof CerError) || !UNPROTECTED.has(error.code)) throw error;
    return { outcome: "unprotected", why: error };
  }
}

/** No room for it, or no reader. */
const UNPROTECTED: ReadonlySet<string> = new Set<CerErrorCode>([
  "CER_JOURNAL_FULL",
  "CER_JOURNAL_UNAVAILABLE",
]);

async function keep(journal: JournalContext, report: NewReport, options: AddOptions): Promise<Added> {
  const { owners, now } = journal;
  const { event, level1, destination, consent, settings, timeGiven } = report;
  const createdAt = now();
  const identity = eventIdentity(event, { to: addressOf(destination), timeGiven });
  const id = formatId(createdAt, randomName());
  const given = { event, level1, destination, timeGiven, consent, settings };
  const made = { ...given, id, createdAt, identity, imported: false };
  const label = labelOf(made, owners.token);
  // Looked at before anything is copied, and again when nobody else can be adding.
  const attached = options.copy ? await sizeOf(journal, report.event) : 0;
  const copy = options.copy && attached < journal.limits.maxBytes;
  if (copy !== options.copy)
    journal.warn(
      "The attached files are larger than a journal may be: they are not copied, and a later try needs them where they are.",
    );
  const size = report.level1.length + (copy ? attached : 0);
  const { verdict } = await judge(journal, { ...label, bytes: size }, options);
  if (verdict.outcome !== "admitted") return refuse(journal, label, verdict);
  await owners.enter();
  // An older program takes what lies in `new` for its own, and cannot read a report without a destination.
  const from = { state: destination === null ? "unaddressed" : "new", label } as const;
  return orDiscard(journal, label, async () => {
    const read = await writeReadable(journal, from, made, copy);
    const whole = { ...label, bytes: entryBytes(read.record, 0) };
    const to =
      destination === null
        ? ({ state: "unaddressed", label: { ...whole, mark: NOBODY } } as const)
        : ({ state: "claimed", label: whole } as const);
    const final = await admitWritten(journal, from, to, options);
    if (final.outcome === "admitted") {
      if (options.admission !== null) await tellDropped(journal, label);
      for (const { original, how, why } of read.record.attachments)
        if (how === "left" && why !== null)
          journal.warn(`${original} could not be copied (${why}): a later try needs it where it is.`);
      if (destination === null) return { outcome: "unaddressed", id };
      return { outcome: "kept", claimed: ClaimedReport.fresh(journal, whole, { ...read, destination }) };
    }
    await discard(journal, label.id);
    return refuse(journal, label, final);
  });
}

/**
 * Writes an entry, and reads it back as the next run will.
 * @throws CerError CER_JOURNAL_UNAVAILABLE for one that its own reader does not take
 */
async function writeReadable(
  { disk, root }: JournalContext,
  { state, label }: { readonly state: State; readonly label: Label },
  made: Parameters<typeof writeEntry>[2],
  copy: boolean,
): Promise<Awaited<ReturnType<typeof readEntry>>> {
  const path = entryPath(root, state, label);
  try {
    await writeEntry(disk, path, made, { copy });
    return await readEntry(disk, path, label.id);
  } catch (cause) {
    if (!(cause instanceof CerError) || cause.code !== "CER_DAMAGED") throw cause;
    throw new CerError(
      "CER_JOURNAL_UNAVAILABLE",
      `The journal could not read this report again. ${cause.message}`,
      { hint: "Describe less in the event, and put long texts into attached files.", cause },
    );
  }
}

async function refuse<T extends Exclude<AdmissionResult, { outcome: "admitted" }>>(
  journal: JournalContext,
  label: Label,
  verdict: T,
): Promise<T> {
  await noteRepeat(journal, label, verdict.outcome);
  return verdict;
}

/**
 * Takes in an entry made elsewhere, to wait; the rest is Journal.adopt's to say.
 * @throws CerError CER_DAMAGED, CER_JOURNAL_FULL, CER_USAGE; the system's errors
 */
export async function adoptEntry(
  journal: JournalContext,
  fill: (directory: string) => Promise<EntryRecord>,
): Promise<Listed> {
  const { owners, now } = journal;
  await owners.enter();
  const label = { ...UNKNOWN_KIND, id: formatId(now(), randomName()), bytes: 0, mark: owners.token };
  const path = entryPath(journal.root, "new", label);
  return orDiscard(journal, label, async () => {
    await journal.disk.makeDirectory(path);
    const record = await fill(path);
    const known = await listEntries(journal, ["unaddressed", "pending", "claimed", "done", "abandoned"]);
    if (known.some((entry) => entry.label.id === record.id))
      throw new CerError("CER_USAGE", `Report ${record.id} is in the journal already.`);
    const to = { ...labelOf(record, formatTime(0)), bytes: entryBytes(record, 0) };
    const forced = { admission: null, copy: true, dropOldest: false };
    await admitWritten(journal, { state: "new", label }, { state: "pending", label: to }, forced);
    return { state: "pending", label: to, createdAt: record.createdAt };
  });
}

/** What is said to be unprotected must not be sent a second time from the journal: on an error nothing stays. */
async function orDiscard<T>(journal: JournalContext, { id }: Label, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    await discard(journal, id);
    throw error;
  }
}

async function discard(journal: JournalContext, id: string): Promise<void> {
  try {
    for (const entry of await listEntries(journal, ["new", "unaddressed", "claimed"]))
      if (entry.label.id === id && entry.label.mark === journal.owners.token)
        await deleteEntry(journal, entry);
  } catch (error) {
    // The next pruning does it.
    if (systemCode(error) === null) throw error;
  }
}

async function sizeOf(journal: JournalContext, event: Event): Promise<number> {
  let sum = 0;
  for (const { path } of event.files) sum += (await journal.disk.facts(path).catch(() => ({ size: 0 }))).size;
  return sum;
}

type Judgement = { readonly verdict: AdmissionResult; readonly room: Room };

/** @throws CerError CER_JOURNAL_FULL */
async function judge(
  journal: JournalContext,
  label: Label,
  { admission, dropOldest }: AddOptions,
): Promise<Judgement> {
  const listed = (await listEntries(journal)).filter((entry) => !isInWork(entry));
  const verdict: AdmissionResult =
    admission === null ? { outcome: "admitted" } : admit(listed, label, journal.now(), admission);
  const room = planRoom(listed, label.bytes, journal.limits, { dropOldest });
  if (verdict.outcome !== "admitted" || room.fits) return { verdict, room };
  if (admission !== null) await tellDropped(journal, label);
  throw new CerError("CER_JOURNAL_FULL", `The journal ${journal.root} is full: ${room.why}.`, {
    hint: "See what waits with cer queue list and send it with cer flush. For a new report, --drop-oldest gives up the oldest, and --no-copy leaves attached files where they are.",
  });
}

/** The one step that makes a written entry count, taken by one process at a time. */
async function admitWritten(
  journal: JournalContext,
  from: { readonly state: State; readonly label: Label },
  to: { readonly state: State; readonly label: Label },
  options: AddOptions,
): Promise<AdmissionResult> {
  const { owners } = journal;
  const release = await acquireLock(journal.disk, statePath(journal.root, "turn"), owners);
  try {
    const { verdict, room } = await judge(journal, to.label, options);
    if (verdict.outcome !== "admitted" || !room.fits) return verdict;
    await makeRoom(journal, room);
    await moveEntry(journal, from, to);
    await syncStates(journal, to.state, from.state);
    return verdict;
  } finally {
    await release();
  }
}

async function makeRoom(journal: JournalContext, room: Extract<Room, { fits: true }>): Promise<void> {
  for (const entry of room.giveUp)
    if (await giveUp(journal, entry, "It made room for a newer report."))
      journal.warn(`Report ${entry.label.id} was given up to make room for a newer one.`);
  for (const entry of room.remove)
    if (await deleteEntry(journal, entry)) {
      journal.pruned.removed.push(entry.label.id);
      if (entry.state !== "done")
        journal.warn(`Report ${entry.label.id} (${entry.state}) was removed to make room for a newer one.`);
    }
}

/** What an entry is labelled with until its record has been read. */
const UNKNOWN_KIND = { identity: "0".repeat(16), signature: "0".repeat(8) };

function labelOf(
  { id, identity, event }: Pick<EntryRecord, "id" | "identity" | "event">,
  mark: string,
): Label {
  const signature = eventSignature(event).slice(0, 8);
  return { id, bytes: 0, identity: identity.slice(0, 16), signature, mark };
}

/** Where it goes, as an event's identity has it; empty while no server is set. */
function addressOf(destination: Destination | null): string {
  if (destination === null) return "";
  const { origin, path } = destination;
  return `${origin.scheme}://${origin.host}:${origin.port}${path}`;
}

/**
 * Gives the reports that wait for a server the one that is set now; from then on they wait like any other, due at once.
 * @returns how many there were
 * @throws the system's errors
 */
export async function addressWaiting(journal: JournalContext, destination: Destination): Promise<number> {
  let addressed = 0;
  for (const entry of await listEntries(journal, ["unaddressed"])) {
    if (isInWork(entry)) continue;
    try {
      if (await address(journal, entry.label, destination)) addressed++;
    } catch (error) {
      if (systemCode(error) === null) throw error;
      journal.warn(`Report ${entry.label.id} could not be given its server (${systemCode(error)}).`);
    }
  }
  return addressed;
}

async function address(journal: JournalContext, waiting: Label, destination: Destination): Promise<boolean> {
  const { disk, root, owners } = journal;
  await owners.enter();
  const mine = { state: "unaddressed", label: { ...waiting, mark: addressingMark(owners.token) } } as const;
  if (!(await moveEntry(journal, { state: "unaddressed", label: waiting }, mine))) return false;
  const path = entryPath(root, mine.state, mine.label);
  try {
    const { record } = await readEntry(disk, path, waiting.id);
    const { event, timeGiven } = record;
    const identity = eventIdentity(event, { to: addressOf(destination), timeGiven });
    await writeWhole(disk, path, "entry.json", encodeEntry({ ...record, destination, identity }));
    const label = { ...mine.label, identity: identity.slice(0, 16), mark: formatTime(0) };
    await moveEntry(journal, mine, { state: "pending", label });
    await syncStates(journal, "pending", mine.state);
    return true;
  } catch (error) {
    if (error instanceof CerError && error.code === "CER_DAMAGED") {
      await setEntryAside(journal, mine.state, mine.label, error.message);
      return false;
    }
    await moveEntry(journal, mine, { state: "unaddressed", label: waiting }).catch(() => false);
    throw error;
  }
}

function randomName(): string {
  return randomInt(36 ** 6)
    .toString(36)
    .padStart(6, "0");
}
