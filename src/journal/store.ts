/**
 * The journal's directories as a whole: finding entries by their names, and moving them from state to state. A move is
 * one rename; of two processes that move the same entry, one finds it gone.
 */

import { randomBytes } from "node:crypto";
import { type Disk, removeTree, systemCode } from "./disk/disk.ts";
import { tryRename } from "./disk/lock.ts";
import type { Owners } from "./disk/owner.ts";
import {
  entryPath,
  formatLabel,
  type Label,
  type Listed,
  parseId,
  parseLabel,
  STATES,
  type State,
  statePath,
} from "./entry/layout.ts";
import type { Limits } from "./limits.ts";

/** A journal's place, and whom to tell of what was skipped. */
export type Store = {
  readonly disk: Disk;
  readonly root: string;
  /** One sentence about something that was found wrong and got round. */
  warn(problem: string): void;
};

/** One process at work on a journal. */
export type JournalContext = Store & {
  readonly owners: Owners;
  readonly limits: Limits;
  /** Milliseconds since 1970. */
  now(): number;
};

/** Entries of these states by age, the oldest first; names that are not ours are left out. */
export async function listEntries(store: Store, states: readonly State[] = STATES): Promise<Listed[]> {
  const listed: Listed[] = [];
  for (const state of states) {
    for (const name of await store.disk.names(statePath(store.root, state))) {
      const label = parseLabel(name);
      const createdAt = label === null ? null : parseId(label.id);
      if (label !== null && createdAt !== null) listed.push({ state, label, createdAt });
    }
  }
  return listed.sort((a, b) => a.createdAt - b.createdAt);
}

/** Moves an entry; false when another process was faster. The change of label goes with it. */
export async function moveEntry(
  { disk, root }: Store,
  from: { readonly state: State; readonly label: Label },
  to: { readonly state: State; readonly label: Label },
): Promise<boolean> {
  return tryRename(disk, entryPath(root, from.state, from.label), entryPath(root, to.state, to.label));
}

/** Makes moves out of and into these states durable. */
export async function syncStates({ disk, root }: Store, ...states: State[]): Promise<void> {
  for (const state of states) await disk.syncDirectory(statePath(root, state));
}

/** Deletes an entry: out of sight in one step, then piece by piece. False when another process was faster. */
export async function deleteEntry(store: Store, from: { state: State; label: Label }): Promise<boolean> {
  const gone = { state: "removed", label: from.label } as const;
  if (!(await moveEntry(store, from, gone))) return false;
  await removeTree(store.disk, entryPath(store.root, gone.state, gone.label));
  return true;
}

/** Puts what cannot be used where nothing looks at it and a person can. Never fails, never deletes. */
export async function setAside(store: Store, state: State, name: string, why: string): Promise<void> {
  const { disk, root } = store;
  const aside = `${state}.${name}.${randomBytes(3).toString("hex")}`;
  try {
    const isMoved = await tryRename(
      disk,
      `${statePath(root, state)}/${name}`,
      `${statePath(root, "set-aside")}/${aside}`,
    );
    if (isMoved) store.warn(`${why} It was set aside as set-aside/${aside}.`);
  } catch (error) {
    store.warn(`${why} It could not be set aside (${systemCode(error) ?? String(error)}).`);
  }
}

/** setAside for an entry. */
export async function setEntryAside(
  store: Store,
  state: State,
  label: Label,
  problem: string,
): Promise<void> {
  await setAside(store, state, formatLabel(label), `Report ${label.id} cannot be used: ${problem}`);
}
