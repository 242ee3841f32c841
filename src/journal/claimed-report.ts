/**
 * An entry this process has claimed: the report, what survives between attempts, and the ways to let go of it. Nobody
 * else touches it meanwhile; should another process have taken it over (this one was held to be dead), every
 * operation says so instead of writing.
 */

import type { Destination } from "../config/destination.ts";
import { CerError } from "../errors.ts";
import { triedFor, triesOf } from "./age.ts";
import { type Disk, lacksMeans, removeTree, systemCode, unlessMissing, writeWhole } from "./disk/disk.ts";
import {
  type AttachmentNow,
  attachmentPath,
  checkAttachment,
  isOriginalIntact,
  isStored,
} from "./entry/attachment.ts";
import {
  type Answer,
  type Attachment,
  type Attempt,
  type EntryRecord,
  type Progress,
  parseAnswer,
  parseProgress,
  UNTRIED,
} from "./entry/documents.ts";
import { entryBytes, readDocument, readEntry, writeAnswer, writeProgress } from "./entry/entry.ts";
import { type ReportArchive, readArchive, writeArchive } from "./entry/kept-archive.ts";
import { entryPath, formatTime, type Label, type State } from "./entry/layout.ts";
import { encodeReceipt, parseReceipt, type Receipt } from "./entry/receipt.ts";
import type { AttemptResult, ReportStore } from "./report.ts";
import { type JournalContext, moveEntry, type Store, syncStates } from "./store.ts";

/** How a claim ends. Times are milliseconds since 1970. */
type Settlement =
  | { readonly state: "done"; readonly receipt: Receipt }
  | { readonly state: "abandoned"; readonly reason: string }
  /** Waits; `due: null` for at once. */
  | { readonly state: "pending"; readonly due: number | null; readonly reason: string | null };

/**
 * Every operation is durable when it returns.
 * @throws CerError CER_ENTRY_BUSY when another process has taken the entry over; CER_JOURNAL_UNAVAILABLE when the disk
 *   does not take it
 */
export class ClaimedReport implements ReportStore {
  readonly id: string;
  readonly record: EntryRecord;
  readonly destination: Destination;
  /** The exact bytes of the level 1 report. */
  readonly level1: Buffer;
  readonly #journal: JournalContext;
  readonly #label: Label;
  /** The directory it lies in while it is held. */
  readonly path: string;
  #attachments: readonly ClaimedAttachment[];
  /** They are known to be what was kept, by their hashes where there are any. */
  #isVerified: boolean;
  #answer: Answer | null;
  #archive: ReportArchive | null;
  #progress: Progress;

  private constructor(journal: JournalContext, label: Label, contents: Contents) {
    const { record, destination, level1, attachments, answer, archive, progress } = contents;
    this.id = label.id;
    this.record = record;
    this.destination = destination;
    this.level1 = level1;
    this.#journal = journal;
    this.#label = label;
    this.path = entryPath(journal.root, "claimed", label);
    this.#attachments = attachments;
    this.#isVerified = contents.isVerified;
    this.#answer = answer;
    this.#archive = archive;
    this.#progress = progress;
  }

  /**
   * Opens an entry that lies in `claimed` under this process's token.
   * @throws CerError CER_DAMAGED when its record, its level 1 bytes or the kept answer is damaged; CER_NO_SERVER when
   *   it has no destination yet; the system's errors
   */
  static async open(journal: JournalContext, label: Label): Promise<ClaimedReport> {
    return new ClaimedReport(journal, label, await readContents(journal, label));
  }

  /** One that this process has just written, and moved to `claimed` under its token. */
  static fresh(
    journal: JournalContext,
    label: Label,
    { record, destination, level1 }: Pick<Contents, "record" | "destination" | "level1">,
  ): ClaimedReport {
    const path = entryPath(journal.root, "claimed", label);
    const attachments = record.attachments.map((attachment, index) => {
      const state = attachment.how === "missing" ? ("missing" as const) : ("as kept" as const);
      const where =
        isStored(attachment) || state === "missing" ? attachmentPath(path, index) : attachment.original;
      return { ...attachment, path: where, state, problem: null };
    });
    const untried = { answer: null, archive: null, progress: UNTRIED, isVerified: true };
    return new ClaimedReport(journal, label, { record, destination, level1, attachments, ...untried });
  }

  /** For each of the event's files: how it was kept, and whether it still is as it was. */
  get attachments(): readonly ClaimedAttachment[] {
    return this.#attachments;
  }

  /** Where the bytes of the event's files lie, in their order. */
  get stored(): readonly string[] {
    return this.#attachments.map(({ path }) => path);
  }

  /**
   * Compares what was copied with what was written, which reads it whole: to be called before it is packed. The original
   * takes the place of a damaged copy as long as it still is what was copied, and this machine's own.
   */
  async verifyAttachments(): Promise<void> {
    if (this.#isVerified) return;
    const { disk } = this.#journal;
    const { attachments, imported } = this.record;
    const verified: ClaimedAttachment[] = [];
    for (const [index, attachment] of attachments.entries()) {
      const stored = attachmentPath(this.path, index);
      const now = await this.#guard(() => checkAttachment(disk, attachment, stored, { verify: true }));
      const isSpare = now.state === "damaged" && !imported && (await isOriginalIntact(disk, attachment));
      verified.push({ ...attachment, ...now, ...(isSpare && replaced(attachment)) });
    }
    this.#attachments = verified;
    this.#isVerified = true;
  }

  /** The level 1 reply, once there is one: no retry POSTs again. */
  get answer(): Answer | null {
    return this.#answer;
  }

  /** The archive, once it was made: every retry sends these bytes. */
  get archive(): ReportArchive | null {
    return this.#archive;
  }

  /** Why it waits, or was given up; null for no reason yet. */
  get reason(): string | null {
    return this.#progress.reason;
  }

  get attempts(): readonly Attempt[] {
    return this.#progress.attempts;
  }

  /** What happened to it so far. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Attempts that count against the policy, and the milliseconds over which they bear witness to its being tried. */
  get counted(): { readonly count: number; readonly age: number } {
    const { now, limits } = this.#journal;
    const tries = triesOf(this.record.createdAt, this.#progress);
    return { count: tries.starts.length, age: triedFor(tries, now(), limits.maxAge) };
  }

  async keepAnswer(answer: Answer): Promise<void> {
    await this.#guard(() => writeAnswer(this.#journal.disk, this.path, answer));
    this.#answer = answer;
  }

  async keepArchive(archive: ReportArchive): Promise<void> {
    this.#archive = await this.#guard(() => writeArchive(this.#journal.disk, this.path, archive));
  }

  async beginAttempt(level: Attempt["level"]): Promise<void> {
    const blank = { endedAt: null, status: null, errorCode: null, peer: null };
    await this.#write({ attempts: [...this.attempts, { level, startedAt: this.#journal.now(), ...blank }] });
  }

  async endAttempt(result: AttemptResult): Promise<void> {
    const last = this.attempts.at(-1);
    if (last === undefined) return;
    const { status, errorCode, peer } = result;
    const ended = { ...last, status, errorCode, peer, endedAt: this.#journal.now() };
    await this.#write({ attempts: [...this.attempts.slice(0, -1), ended] });
  }

  /** Lets go. Nothing else may be called afterwards. */
  async settle(settlement: Settlement): Promise<void> {
    if (settlement.state === "done") return this.#guard(() => this.#settleDone(settlement.receipt));
    const { state, reason } = settlement;
    if (reason !== this.#progress.reason) await this.#writeReason(reason);
    const time = state === "abandoned" ? this.#journal.now() : (settlement.due ?? 0);
    const bytes = entryBytes(this.record, this.#archive?.size ?? 0);
    await this.#guard(() => this.#leave(state, { ...this.#label, bytes, mark: formatTime(time) }));
  }

  /** Letting go matters more than saying why. */
  async #writeReason(reason: string | null): Promise<void> {
    try {
      await this.#write({ reason });
    } catch (error) {
      if (!(error instanceof CerError) || error.code !== "CER_JOURNAL_UNAVAILABLE") throw error;
      this.#journal.warn(`Why report ${this.id} was let go could not be written down. ${error.message}`);
    }
  }

  async #settleDone(receipt: Receipt): Promise<void> {
    const { disk, warn } = this.#journal;
    const write = () => writeWhole(disk, this.path, RECEIPT, encodeReceipt(receipt));
    try {
      await write();
    } catch (error) {
      if (systemCode(error) === null || (await this.#isGone())) throw error;
      // Delivered is delivered: on a full disk the payload, needed no more, makes room for the receipt.
      await removePayload(disk, this.path);
      await write().catch(() => warn(`The receipt of ${this.id} could not be kept (${systemCode(error)}).`));
    }
    await finishDone(this.#journal, this.#label, receipt.deliveredAt);
  }

  async #leave(state: State, label: Label): Promise<void> {
    if (!(await moveEntry(this.#journal, { state: "claimed", label: this.#label }, { state, label })))
      throw takenOver(this.id);
    await syncStates(this.#journal, state, "claimed");
  }

  async #write(change: Partial<Progress>): Promise<void> {
    const progress = { ...this.#progress, ...change };
    await this.#guard(() => writeProgress(this.#journal.disk, this.path, progress));
    this.#progress = progress;
  }

  async #isGone(): Promise<boolean> {
    return (await unlessMissing(this.#journal.disk.facts(this.path), null)) === null;
  }

  async #guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (systemCode(error) === null) throw error;
      throw (await this.#isGone()) ? takenOver(this.id) : unavailable(error);
    }
  }
}

const RECEIPT = "receipt.json";

/** How one of the event's files was kept, and what became of it. */
type ClaimedAttachment = Attachment & AttachmentNow;

function replaced({ original }: Attachment): Pick<AttachmentNow, "path" | "state"> {
  return { path: original, state: "replaced" };
}

/** What is to be said of a file that is not as it was kept; nothing of one that is, or that never was. */
export function complainOf({ original, how, state, problem }: ClaimedAttachment): string[] {
  if (state === "changed") return [`${original} changed after the report was made.`];
  if (state === "missing" && how !== "missing") return [`${original} is not sent: it is gone.`];
  if (state === "damaged") return [`${original} is not sent: ${problem}.`];
  if (state === "replaced")
    return [`${original} is taken from where it was, being still the same: ${problem}.`];
  return [];
}

type Contents = {
  readonly record: EntryRecord;
  readonly destination: Destination;
  readonly level1: Buffer;
  readonly attachments: readonly ClaimedAttachment[];
  readonly isVerified: boolean;
  readonly answer: Answer | null;
  readonly archive: ReportArchive | null;
  readonly progress: Progress;
};

async function readContents(store: Store, label: Label): Promise<Contents> {
  const { disk, root } = store;
  const path = entryPath(root, "claimed", label);
  const { record, level1 } = await readEntry(disk, path, label.id);
  const { destination } = record;
  if (destination === null)
    throw new CerError("CER_NO_SERVER", `Report ${label.id} waits for a server to be set.`);
  const attachments: ClaimedAttachment[] = [];
  for (const [index, attachment] of record.attachments.entries())
    attachments.push({
      ...attachment,
      ...(await checkAttachment(disk, attachment, attachmentPath(path, index), { verify: false })),
    });
  const spare = <T>(what: string, reading: Promise<T | null>) => orSpared(what, reading, store, label);
  return {
    record,
    destination,
    level1,
    attachments,
    isVerified: false,
    // A damaged answer is not a missing one: POSTing again would count the report twice.
    answer: await readDocument(disk, path, "answer.json", parseAnswer),
    archive: await spare("archive", readArchive(disk, path)),
    progress:
      (await spare("progress.json", readDocument(disk, path, "progress.json", parseProgress))) ?? UNTRIED,
  };
}

/** What can be made again is done without when it is damaged. */
async function orSpared<T>(
  what: string,
  reading: Promise<T | null>,
  { warn }: Store,
  { id }: Label,
): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    const isUnreadable = systemCode(error) !== null && !lacksMeans(error);
    const isDamaged = error instanceof CerError && error.code === "CER_DAMAGED";
    if (!isUnreadable && !isDamaged) throw error;
    const problem = isDamaged ? error.message : `${what} cannot be read (${systemCode(error)}).`;
    warn(`Report ${id}: ${problem} It is done without.`);
    return null;
  }
}

/**
 * Whether an entry that lies in `claimed` was delivered: its owner died before it could say so with a rename. What is no
 * receipt of its own says nothing: sending the same bytes again loses nothing.
 */
export async function isDelivered({ disk, root }: Store, label: Label): Promise<boolean> {
  try {
    const path = entryPath(root, "claimed", label);
    return (await readDocument(disk, path, RECEIPT, parseReceipt))?.id === label.id;
  } catch (error) {
    if (!(error instanceof CerError) || error.code !== "CER_DAMAGED") throw error;
    return false;
  }
}

/** Moves a delivered entry to `done` and removes its payload. A death in between is made good by pruning. */
export async function finishDone(store: Store, label: Label, deliveredAt: number): Promise<void> {
  const done = { ...label, mark: formatTime(deliveredAt) };
  if (!(await moveEntry(store, { state: "claimed", label }, { state: "done", label: done })))
    throw takenOver(label.id);
  await syncStates(store, "done", "claimed");
  try {
    await strip(store, done);
  } catch (error) {
    // It is done all the same; the next pruning does this.
    if (systemCode(error) === null) throw error;
  }
}

/** Leaves a done entry its receipt only, and says so in its name. */
export async function strip(store: Store, label: Label): Promise<void> {
  const path = entryPath(store.root, "done", label);
  await removePayload(store.disk, path);
  const stripped = { state: "done", label: { ...label, bytes: 0 } } as const;
  await moveEntry(store, { state: "done", label }, stripped);
}

async function removePayload(disk: Disk, path: string): Promise<void> {
  for (const name of await unlessMissing(disk.names(path), []))
    if (name !== RECEIPT) await removeTree(disk, `${path}/${name}`);
}

function takenOver(id: string): CerError {
  return new CerError("CER_ENTRY_BUSY", `Another process has taken over report ${id}.`, {
    hint: "It will be sent by that process. See: cer queue list",
  });
}

/** A system error as what it means for the journal. */
export function unavailable(cause: unknown): CerError {
  const code = systemCode(cause) ?? "unknown";
  return new CerError(
    "CER_JOURNAL_UNAVAILABLE",
    `The journal cannot be written to: ${WORDS[code] ?? code}.`,
    {
      hint: "Reports are sent, but one that cannot be delivered now is lost. Choose another place with --journal DIR.",
      cause,
    },
  );
}

const WORDS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full (ENOSPC)",
  EDQUOT: "the disk quota is used up (EDQUOT)",
  EROFS: "the file system is read-only (EROFS)",
  EACCES: "permission denied (EACCES)",
  EPERM: "not permitted (EPERM)",
  EIO: "the disk fails (EIO)",
};
