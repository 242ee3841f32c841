/**
 * The tidying at the start of every run: a list of steps, each of which leaves everything valid when the program is
 * stopped in it. What other runs left unfinished is finished, what is too old is given up or removed, what is not ours
 * is set aside. A step that fails is told of and does not keep the others from running.
 */

import { asCerError, CerError } from "../errors.ts";
import { finishDone, isDelivered, strip } from "./claimed-report.ts";
import { removeTree, systemCode, unlessMissing } from "./disk/disk.ts";
import { forgetOwner, knownOwners } from "./disk/owner.ts";
import { attachmentPath, checkAttachment } from "./entry/attachment.ts";
import { parseProgress, UNTRIED } from "./entry/documents.ts";
import { entryBytes, readDocument, readEntry, writeProgress } from "./entry/entry.ts";
import {
  entryPath,
  formatTime,
  isInWork,
  type Label,
  type Listed,
  NOBODY,
  parseId,
  parseLabel,
  STATES,
  type State,
  statePath,
} from "./entry/layout.ts";
import { isOldReceipt } from "./limits.ts";
import {
  deleteEntry,
  type JournalContext,
  listEntries,
  moveEntry,
  type Store,
  setAside,
  setEntryAside,
} from "./store.ts";

/** What pruning did, by ids. */
export type Pruned = {
  /** Left behind by a process that died: waiting again. */
  recovered: string[];
  /** Waited too long: given up, kept for a person to read. */
  givenUp: string[];
  /** Receipts that were kept long enough. */
  removed: string[];
};

type Step = (journal: JournalContext, pruned: Pruned) => Promise<void>;

export async function prune(journal: JournalContext): Promise<Pruned> {
  const pruned: Pruned = { recovered: [], givenUp: [], removed: [] };
  const steps: Step[] = [
    setForeignAside,
    recoverNew,
    recoverUnaddressed,
    recoverClaimed,
    giveUpOld,
    stripDone,
    removeOldReceipts,
    emptyRemoved,
    removeOldRepeats,
    forgetDeadOwners,
  ];
  for (const step of steps) {
    try {
      await step(journal, pruned);
    } catch (error) {
      journal.warn(
        `Tidying the journal failed in one part (${systemCode(error) ?? asCerError(error).message}).`,
      );
    }
  }
  return pruned;
}

/** A name this program did not write, or cannot have written at that time. */
async function setForeignAside(journal: JournalContext): Promise<void> {
  for (const state of STATES)
    for (const name of await journal.disk.names(statePath(journal.root, state))) {
      const label = parseLabel(name);
      if (label === null || parseId(label.id) === null)
        await setAside(
          journal,
          state,
          name,
          `There is something foreign in ${state}: ${JSON.stringify(name)}.`,
        );
    }
}

/** Does something with each entry of a state; one that cannot be touched (made by root, say) stops no other. */
async function forEach(store: Store, state: State, act: (entry: Listed) => Promise<void>): Promise<void> {
  for (const entry of await listEntries(store, [state])) {
    try {
      await act(entry);
    } catch (error) {
      if (systemCode(error) === null) throw error;
      store.warn(`Report ${entry.label.id} (${state}) could not be tidied (${systemCode(error)}).`);
    }
  }
}

/** Does something with each entry that a dead process held in a state, after taking it over. */
async function forDead(
  journal: JournalContext,
  state: State,
  act: (label: Label) => Promise<void>,
): Promise<void> {
  const isDead = new Map<string, boolean>();
  await forEach(journal, state, async ({ label }) => {
    if (label.mark === NOBODY) return;
    const known = isDead.get(label.mark) ?? !(await journal.owners.isAlive(label.mark));
    isDead.set(label.mark, known);
    if (!known) return;
    await journal.owners.enter();
    const mine = { ...label, mark: journal.owners.token };
    if (await moveEntry(journal, { state, label }, { state, label: mine })) await act(mine);
  });
}

/** A report that was written down whole is worth sending, even though nobody was told that it is kept. */
async function recoverNew(journal: JournalContext, pruned: Pruned): Promise<void> {
  await forDead(journal, "new", async (label) => {
    try {
      const bytes = await checkWhole(journal, "new", label);
      await wait(journal, "new", label, bytes, pruned);
    } catch (error) {
      await setEntryAside(journal, "new", label, problemOf(error));
    }
  });
}

function problemOf(error: unknown): string {
  return systemCode(error) === null ? asCerError(error).message : `it cannot be read (${systemCode(error)}).`;
}

/** What a dead process was writing, or giving its server, waits for one again. */
async function recoverUnaddressed(journal: JournalContext, pruned: Pruned): Promise<void> {
  const known = await listEntries(journal, ["unaddressed"]);
  if (!known.some(isInWork)) return;
  await forDead(journal, "unaddressed", async (label) => {
    try {
      const bytes = await checkWhole(journal, "unaddressed", label);
      const waiting = { state: "unaddressed", label: { ...label, bytes, mark: NOBODY } } as const;
      if (await moveEntry(journal, { state: "unaddressed", label }, waiting)) pruned.recovered.push(label.id);
    } catch (error) {
      await setEntryAside(journal, "unaddressed", label, problemOf(error));
    }
  });
}

/** @returns its bytes @throws CerError CER_DAMAGED when its process ended too early, or the report is there already */
async function checkWhole(store: Store, state: State, label: Label): Promise<number> {
  const path = entryPath(store.root, state, label);
  const { record } = await readEntry(store.disk, path, label.id);
  for (const [index, attachment] of record.attachments.entries()) {
    const { state } = await checkAttachment(store.disk, attachment, attachmentPath(path, index));
    if (state !== "as kept" && attachment.how === "copied")
      throw new CerError("CER_DAMAGED", `files/${index} is not what was written.`);
  }
  const others = await listEntries(store, ["unaddressed", "pending", "claimed", "done"]);
  const twin = others.find(({ label: other }) => other.identity === label.identity && other.id !== label.id);
  if (twin === undefined) return entryBytes(record, 0);
  throw new CerError(
    "CER_DAMAGED",
    `nobody was told that it is kept, and ${twin.label.id} is the same report.`,
  );
}

async function recoverClaimed(journal: JournalContext, pruned: Pruned): Promise<void> {
  await forDead(journal, "claimed", async (label) => {
    if (await isDelivered(journal, label)) await finishDone(journal, label, journal.now());
    else await wait(journal, "claimed", label, label.bytes, pruned);
  });
}

async function wait(store: Store, state: State, label: Label, bytes: number, pruned: Pruned): Promise<void> {
  const due = { ...label, bytes, mark: formatTime(0) };
  if (await moveEntry(store, { state, label }, { state: "pending", label: due }))
    pruned.recovered.push(label.id);
}

/** Age ends only what was tried: a machine that was off for months has done nothing wrong. */
async function giveUpOld(journal: JournalContext, pruned: Pruned): Promise<void> {
  const { limits } = journal;
  const reason = `It waited for more than ${Math.round(limits.maxAge / 86_400_000)} days.`;
  await forEach(journal, "pending", async (entry) => {
    if (journal.now() - entry.createdAt <= limits.maxAge) return;
    if (await giveUp(journal, entry, reason, { onlyTried: true })) pruned.givenUp.push(entry.label.id);
  });
}

/** Moves a waiting entry to `abandoned`; false when it was not tried yet (if that matters), or taken by another. */
export async function giveUp(
  journal: JournalContext,
  entry: Listed,
  reason: string,
  { onlyTried }: { onlyTried: boolean },
): Promise<boolean> {
  const { disk, root } = journal;
  await journal.owners.enter();
  const mine = { state: "claimed", label: { ...entry.label, mark: journal.owners.token } } as const;
  if (!(await moveEntry(journal, entry, mine))) return false;
  const path = entryPath(root, mine.state, mine.label);
  const progress = await readDocument(disk, path, "progress.json", parseProgress).catch(() => null);
  if (onlyTried && (progress === null || progress.attempts.length === 0)) {
    await moveEntry(journal, mine, entry);
    return false;
  }
  await writeProgress(disk, path, { ...(progress ?? UNTRIED), reason });
  const settled = { ...entry.label, mark: formatTime(journal.now()) };
  return moveEntry(journal, mine, { state: "abandoned", label: settled });
}

async function stripDone(journal: JournalContext): Promise<void> {
  await forEach(journal, "done", async ({ label }) => {
    if (label.bytes > 0) await strip(journal, label);
  });
}

async function removeOldReceipts(journal: JournalContext, pruned: Pruned): Promise<void> {
  await forEach(journal, "done", async (entry) => {
    if (!isOldReceipt(entry, journal.now(), journal.limits)) return;
    if (await deleteEntry(journal, entry)) pruned.removed.push(entry.label.id);
  });
}

async function emptyRemoved(journal: JournalContext): Promise<void> {
  await forEach(journal, "removed", ({ label }) =>
    removeTree(journal.disk, entryPath(journal.root, "removed", label)),
  );
}

/** Notes of repeats are of interest as long as the receipt they refer to. */
async function removeOldRepeats(journal: JournalContext): Promise<void> {
  const directory = statePath(journal.root, "repeats");
  for (const name of await journal.disk.names(directory)) {
    const facts = await unlessMissing(journal.disk.facts(`${directory}/${name}`), null);
    if (facts?.kind === "file" && journal.now() - facts.mtime > journal.limits.keepReceipts)
      await unlessMissing(journal.disk.unlink(`${directory}/${name}`), undefined);
  }
}

async function forgetDeadOwners(journal: JournalContext): Promise<void> {
  const directory = statePath(journal.root, "owners");
  const held = await listEntries(journal, ["new", "unaddressed", "claimed"]);
  for (const token of await knownOwners(journal.disk, directory)) {
    const isHolding = held.some(({ label }) => label.mark === token);
    if (!isHolding && !(await journal.owners.isAlive(token)))
      await forgetOwner(journal.disk, directory, token);
  }
}
