/**
 * The tidying at the start of every run: a list of steps, each of which leaves everything valid when the program is
 * stopped in it. What other runs left unfinished is finished, what is too old is given up or removed, what is not ours
 * is set aside. A step that fails is told of and does not keep the others from running.
 */

import { asCerError, CerError } from "../errors.ts";
import { steadySince, triedFor, triesOf } from "./age.ts";
import { finishDone, isDelivered, strip } from "./claimed-report.ts";
import { type Disk, lacksMeans, removeTree, systemCode, unlessMissing } from "./disk/disk.ts";
import { forgetOwner, knownOwners } from "./disk/owner.ts";
import { attachmentPath, checkAttachment } from "./entry/attachment.ts";
import { type Progress, parseProgress, UNTRIED } from "./entry/documents.ts";
import { entryBytes, finishEntry, readDocument, readEntry, writeProgress } from "./entry/entry.ts";
import {
  addresserOf,
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
import { cleanSetAside, setAside, setEntryAside } from "./set-aside.ts";
import { deleteEntry, type JournalContext, listEntries, moveEntry, type Store } from "./store.ts";

type Step = (journal: JournalContext) => Promise<void>;

const STEPS: readonly Step[] = [
  setForeignAside,
  recoverNew,
  recoverUnaddressed,
  recoverClaimed,
  giveUpOld,
  stripDone,
  removeOld,
  emptyRemoved,
  forgetDeadOwners,
];

/** What was done is in `journal.pruned`. */
export async function prune(journal: JournalContext): Promise<void> {
  await take(STEPS, journal);
}

async function take(steps: readonly Step[], journal: JournalContext): Promise<void> {
  for (const step of steps) {
    try {
      await step(journal);
    } catch (error) {
      journal.warn(
        `Tidying the journal failed in one part (${systemCode(error) ?? asCerError(error).message}).`,
      );
    }
  }
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
    if (label.mark === NOBODY || addresserOf(label.mark) !== null) return;
    const known = isDead.get(label.mark) ?? !(await journal.owners.isAlive(label.mark));
    isDead.set(label.mark, known);
    if (!known) return;
    await journal.owners.enter();
    const mine = { ...label, mark: journal.owners.token };
    if (await moveEntry(journal, { state, label }, { state, label: mine })) await act(mine);
  });
}

/** A report that was written down whole is worth sending, even though nobody was told that it is kept. */
async function recoverNew(journal: JournalContext): Promise<void> {
  await forDead(journal, "new", async (label) => {
    try {
      const bytes = await checkWhole(journal, "new", label);
      await wait(journal, "new", label, bytes);
    } catch (error) {
      await putAside(journal, "new", label, error);
    }
  });
}

/** What only this process lacks the means to read is whole, as far as is known: the next run finds it. */
async function putAside(store: JournalContext, state: State, label: Label, error: unknown): Promise<void> {
  if (lacksMeans(error)) throw error;
  const problem =
    systemCode(error) === null ? asCerError(error).message : `it cannot be read (${systemCode(error)}).`;
  await setEntryAside(store, state, label, problem);
}

/** What a dead process was writing waits for a server if it is whole; what it was giving its server does so again. */
async function recoverUnaddressed(journal: JournalContext): Promise<void> {
  const known = await listEntries(journal, ["unaddressed"]);
  if (!known.some(isInWork)) return;
  await forEach(journal, "unaddressed", async ({ label }) => {
    const addresser = addresserOf(label.mark);
    if (addresser === null || (await journal.owners.isAlive(addresser))) return;
    await waitForServer(journal, label, label.bytes);
  });
  await forDead(journal, "unaddressed", async (label) => {
    try {
      await waitForServer(journal, label, await checkWhole(journal, "unaddressed", label));
    } catch (error) {
      await putAside(journal, "unaddressed", label, error);
    }
  });
}

async function waitForServer(store: Store, label: Label, bytes: number): Promise<void> {
  const waiting = { state: "unaddressed", label: { ...label, bytes, mark: NOBODY } } as const;
  if (await moveEntry(store, { state: "unaddressed", label }, waiting)) store.pruned.recovered.push(label.id);
}

/** @returns its bytes @throws CerError CER_DAMAGED when its process ended too early, or the report is there already */
async function checkWhole(store: Store, state: State, label: Label): Promise<number> {
  const path = entryPath(store.root, state, label);
  await finishEntry(store.disk, path);
  const { record } = await readEntry(store.disk, path, label.id);
  for (const [index, attachment] of record.attachments.entries()) {
    const { state, problem } = await checkAttachment(store.disk, attachment, attachmentPath(path, index), {
      verify: true,
    });
    if (state === "damaged") throw new CerError("CER_DAMAGED", `files/${index}: ${problem}.`);
  }
  const others = await listEntries(store, ["unaddressed", "pending", "claimed", "done"]);
  const twin = others.find(({ label: other }) => other.identity === label.identity && other.id !== label.id);
  if (twin === undefined) return entryBytes(record, 0);
  throw new CerError(
    "CER_DAMAGED",
    `nobody was told that it is kept, and ${twin.label.id} is the same report.`,
  );
}

async function recoverClaimed(journal: JournalContext): Promise<void> {
  await forDead(journal, "claimed", async (label) => {
    if (await isDelivered(journal, label)) await finishDone(journal, label, journal.now());
    else await wait(journal, "claimed", label, label.bytes);
  });
}

async function wait(store: Store, state: State, label: Label, bytes: number): Promise<void> {
  const due = { ...label, bytes, mark: formatTime(0) };
  if (await moveEntry(store, { state, label }, { state: "pending", label: due }))
    store.pruned.recovered.push(label.id);
}

/** A report is given up by age only after a try that failed when it was old already; a delivery's own end does the same. */
async function giveUpOld(journal: JournalContext): Promise<void> {
  const { limits } = journal;
  const reason = `It was tried for more than ${Math.round(limits.maxAge / 86_400_000)} days.`;
  await forEach(journal, "pending", async (entry) => {
    const age = journal.now() - entry.createdAt;
    if (age >= 0 && age <= limits.maxAge) return;
    if (!(await isTriedLong(journal, entry))) return;
    if (await giveUp(journal, entry, reason))
      journal.warn(`Report ${entry.label.id} was given up: ${reason}`);
  });
}

async function isTriedLong({ disk, root, limits, now }: JournalContext, entry: Listed): Promise<boolean> {
  const progress = await readProgress(disk, entryPath(root, entry.state, entry.label));
  const last = progress?.attempts.at(-1);
  // One that was cut short says nothing of what it would have become.
  const hasFailed = last !== undefined && last.errorCode !== null && last.errorCode !== "CER_INTERRUPTED";
  return (
    hasFailed && triedFor(triesOf(entry.createdAt, progress ?? UNTRIED), now(), limits.maxAge) > limits.maxAge
  );
}

/** Moves a waiting entry to `abandoned`; false when another process was faster. */
export async function giveUp(journal: JournalContext, entry: Listed, reason: string): Promise<boolean> {
  const { disk, root, pruned } = journal;
  await journal.owners.enter();
  const mine = { state: "claimed", label: { ...entry.label, mark: journal.owners.token } } as const;
  if (!(await moveEntry(journal, entry, mine))) return false;
  const path = entryPath(root, mine.state, mine.label);
  await writeProgress(disk, path, { ...((await readProgress(disk, path)) ?? UNTRIED), reason });
  const settled = { ...entry.label, mark: formatTime(journal.now()) };
  if (!(await moveEntry(journal, mine, { state: "abandoned", label: settled }))) return false;
  pruned.givenUp.push({ id: entry.label.id, reason });
  return true;
}

/** Null when there is none, or it is damaged. */
async function readProgress(disk: Disk, path: string): Promise<Progress | null> {
  return readDocument(disk, path, "progress.json", parseProgress).catch(() => null);
}

async function stripDone(journal: JournalContext): Promise<void> {
  await forEach(journal, "done", async ({ label }) => {
    if (label.bytes > 0) await strip(journal, label);
  });
}

/** Nothing goes by age on the word of a clock that has not been steady for as long. */
async function removeOld(journal: JournalContext): Promise<void> {
  const since = steadySince(journal.now(), await listEntries(journal), journal.limits.maxAge);
  const steps = [removeOldReceipts, removeOldRepeats, cleanSetAside];
  await take(
    steps.map((step) => (journal) => step(journal, since)),
    journal,
  );
}

async function removeOldReceipts(journal: JournalContext, since: number): Promise<void> {
  await forEach(journal, "done", async (entry) => {
    if (!isOldReceipt(entry, journal.now(), since, journal.limits)) return;
    if (await deleteEntry(journal, entry)) journal.pruned.removed.push(entry.label.id);
  });
}

async function emptyRemoved(journal: JournalContext): Promise<void> {
  await forEach(journal, "removed", ({ label }) =>
    removeTree(journal.disk, entryPath(journal.root, "removed", label)),
  );
}

/** Notes of repeats are of interest as long as the receipt they refer to. */
async function removeOldRepeats(journal: JournalContext, since: number): Promise<void> {
  const directory = statePath(journal.root, "repeats");
  for (const name of await journal.disk.names(directory)) {
    const facts = await unlessMissing(journal.disk.facts(`${directory}/${name}`), null);
    if (facts?.kind === "file" && journal.now() - Math.max(facts.mtime, since) > journal.limits.keepReceipts)
      await unlessMissing(journal.disk.unlink(`${directory}/${name}`), undefined);
  }
}

async function forgetDeadOwners(journal: JournalContext): Promise<void> {
  const directory = statePath(journal.root, "owners");
  const held = await listEntries(journal, ["new", "unaddressed", "claimed"]);
  for (const token of await knownOwners(journal.disk, directory)) {
    const isHolding = held.some(({ label }) => (addresserOf(label.mark) ?? label.mark) === token);
    if (!isHolding && !(await journal.owners.isAlive(token)))
      await forgetOwner(journal.disk, directory, token);
  }
}
