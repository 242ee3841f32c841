/**
 * The tidying at the start of every run: a list of steps, each of which leaves everything valid when the program is
 * stopped in it. What other runs left unfinished is finished, what is too old is given up or removed, what is not ours
 * is set aside. A step that fails is told of and does not keep the others from running.
 */

import { asCerError, CerError } from "../errors.ts";
import { attachmentPath, checkAttachment } from "./attachment.ts";
import { finishDone, isDelivered, strip } from "./claimed-report.ts";
import { removeTree, systemCode, unlessMissing } from "./disk/disk.ts";
import { forgetOwner, knownOwners } from "./disk/owner.ts";
import { parseProgress, UNTRIED } from "./documents.ts";
import { entryBytes, readDocument, readEntry, writeProgress } from "./entry.ts";
import {
  entryPath,
  formatTime,
  type Label,
  type Listed,
  parseId,
  parseLabel,
  STATES,
  type State,
  statePath,
} from "./layout.ts";
import { isOldReceipt } from "./limits.ts";
import {
  deleteEntry,
  listEntries,
  moveEntry,
  type Run,
  type Shelf,
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

type Step = (run: Run, pruned: Pruned) => Promise<void>;

export async function prune(run: Run): Promise<Pruned> {
  const pruned: Pruned = { recovered: [], givenUp: [], removed: [] };
  const steps: Step[] = [
    setForeignAside,
    recoverNew,
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
      await step(run, pruned);
    } catch (error) {
      run.shelf.warn(
        `Tidying the journal failed in one part (${systemCode(error) ?? asCerError(error).message}).`,
      );
    }
  }
  return pruned;
}

/** A name this program did not write, or cannot have written at that time. */
async function setForeignAside({ shelf }: Run): Promise<void> {
  for (const state of STATES)
    for (const name of await shelf.disk.names(statePath(shelf.root, state))) {
      const label = parseLabel(name);
      if (label === null || parseId(label.id) === null)
        await setAside(
          shelf,
          state,
          name,
          `There is something foreign in ${state}: ${JSON.stringify(name)}.`,
        );
    }
}

/** Does something with each entry of a state; one that cannot be touched (made by root, say) stops no other. */
async function forEach(shelf: Shelf, state: State, act: (entry: Listed) => Promise<void>): Promise<void> {
  for (const entry of await listEntries(shelf, [state])) {
    try {
      await act(entry);
    } catch (error) {
      if (systemCode(error) === null) throw error;
      shelf.warn(`Report ${entry.label.id} (${state}) could not be tidied (${systemCode(error)}).`);
    }
  }
}

/** Does something with each entry that a dead process held in a state, after taking it over. */
async function forDead(
  { shelf, owners }: Run,
  state: State,
  act: (label: Label) => Promise<void>,
): Promise<void> {
  const isDead = new Map<string, boolean>();
  await forEach(shelf, state, async ({ label }) => {
    const known = isDead.get(label.mark) ?? !(await owners.isAlive(label.mark));
    isDead.set(label.mark, known);
    if (!known) return;
    await owners.enter();
    const mine = { ...label, mark: owners.token };
    if (await moveEntry(shelf, { state, label }, { state, label: mine })) await act(mine);
  });
}

/** A report that was written down whole is worth sending, even though nobody was told that it is kept. */
async function recoverNew(run: Run, pruned: Pruned): Promise<void> {
  const { shelf } = run;
  await forDead(run, "new", async (label) => {
    try {
      const bytes = await checkWhole(shelf, label);
      await wait(shelf, "new", label, bytes, pruned);
    } catch (error) {
      const problem =
        systemCode(error) === null ? asCerError(error).message : `it cannot be read (${systemCode(error)}).`;
      await setEntryAside(shelf, "new", label, problem);
    }
  });
}

/** @returns its bytes @throws CerError CER_DAMAGED when its process ended too early, or the report is there already */
async function checkWhole(shelf: Shelf, label: Label): Promise<number> {
  const path = entryPath(shelf.root, "new", label);
  const { record } = await readEntry(shelf.disk, path, label.id);
  for (const [index, attachment] of record.attachments.entries()) {
    const { state } = await checkAttachment(shelf.disk, attachment, attachmentPath(path, index));
    if (state !== "as kept" && attachment.how === "copied")
      throw new CerError("CER_DAMAGED", `files/${index} is not what was written.`);
  }
  const others = await listEntries(shelf, ["pending", "claimed", "done"]);
  const twin = others.find((other) => other.label.identity === label.identity);
  if (twin === undefined) return entryBytes(record, 0);
  throw new CerError(
    "CER_DAMAGED",
    `nobody was told that it is kept, and ${twin.label.id} is the same report.`,
  );
}

async function recoverClaimed(run: Run, pruned: Pruned): Promise<void> {
  await forDead(run, "claimed", async (label) => {
    if (await isDelivered(run.shelf, label)) await finishDone(run.shelf, label, run.now());
    else await wait(run.shelf, "claimed", label, label.bytes, pruned);
  });
}

async function wait(shelf: Shelf, state: State, label: Label, bytes: number, pruned: Pruned): Promise<void> {
  const due = { ...label, bytes, mark: formatTime(0) };
  if (await moveEntry(shelf, { state, label }, { state: "pending", label: due }))
    pruned.recovered.push(label.id);
}

/** Age ends only what was tried: a machine that was off for months has done nothing wrong. */
async function giveUpOld(run: Run, pruned: Pruned): Promise<void> {
  const { shelf, limits } = run;
  const reason = `It waited for more than ${Math.round(limits.maxAge / 86_400_000)} days.`;
  await forEach(shelf, "pending", async (entry) => {
    if (run.now() - entry.createdAt <= limits.maxAge) return;
    if (await giveUp(run, entry, reason, { onlyTried: true })) pruned.givenUp.push(entry.label.id);
  });
}

/** Moves a waiting entry to `abandoned`; false when it was not tried yet (if that matters), or taken by another. */
export async function giveUp(
  { shelf, owners, now }: Run,
  entry: Listed,
  reason: string,
  { onlyTried }: { onlyTried: boolean },
): Promise<boolean> {
  const { disk, root } = shelf;
  await owners.enter();
  const mine = { state: "claimed", label: { ...entry.label, mark: owners.token } } as const;
  if (!(await moveEntry(shelf, entry, mine))) return false;
  const path = entryPath(root, mine.state, mine.label);
  const progress = await readDocument(disk, path, "progress.json", parseProgress).catch(() => null);
  if (onlyTried && (progress === null || progress.attempts.length === 0)) {
    await moveEntry(shelf, mine, entry);
    return false;
  }
  await writeProgress(disk, path, { ...(progress ?? UNTRIED), reason });
  const settled = { ...entry.label, mark: formatTime(now()) };
  return moveEntry(shelf, mine, { state: "abandoned", label: settled });
}

async function stripDone({ shelf }: Run): Promise<void> {
  await forEach(shelf, "done", async ({ label }) => {
    if (label.bytes > 0) await strip(shelf, label);
  });
}

async function removeOldReceipts({ shelf, limits, now }: Run, pruned: Pruned): Promise<void> {
  await forEach(shelf, "done", async (entry) => {
    if (!isOldReceipt(entry, now(), limits)) return;
    if (await deleteEntry(shelf, entry)) pruned.removed.push(entry.label.id);
  });
}

async function emptyRemoved({ shelf }: Run): Promise<void> {
  await forEach(shelf, "removed", ({ label }) =>
    removeTree(shelf.disk, entryPath(shelf.root, "removed", label)),
  );
}

/** Notes of repeats are of interest as long as the receipt they refer to. */
async function removeOldRepeats({ shelf, limits, now }: Run): Promise<void> {
  const directory = statePath(shelf.root, "repeats");
  for (const name of await shelf.disk.names(directory)) {
    const facts = await unlessMissing(shelf.disk.facts(`${directory}/${name}`), null);
    if (facts?.kind === "file" && now() - facts.mtime > limits.keepReceipts)
      await unlessMissing(shelf.disk.unlink(`${directory}/${name}`), undefined);
  }
}

async function forgetDeadOwners({ shelf, owners }: Run): Promise<void> {
  const directory = statePath(shelf.root, "owners");
  const held = await listEntries(shelf, ["new", "claimed"]);
  for (const token of await knownOwners(shelf.disk, directory)) {
    const isHolding = held.some(({ label }) => label.mark === token);
    if (!isHolding && !(await owners.isAlive(token))) await forgetOwner(shelf.disk, directory, token);
  }
}
