/**
 * The journal's directories as a whole: finding entries by their names, and moving them from state to state. A move is
 * one rename; of two processes that move the same entry, one finds it gone.
 */

import { type Disk, removeTree } from "./disk/disk.ts";
import { tryRename } from "./disk/lock.ts";
import type { Owners } from "./disk/owner.ts";
import {
  entryPath,
  type Label,
  type Listed,
  parseId,
  parseLabel,
  STATES,
  type State,
  statePath,
} from "./entry/layout.ts";
import type { Limits } from "./limits.ts";

/** What could not be used and was put aside. */
export type SetAside = {
  /** Of the file or directory in `set-aside`. */
  readonly name: string;
  /** Null for what is no report. */
  readonly id: string | null;
  /** ISO 8601; null when it is not known. */
  readonly at: string | null;
  /** What is wrong with it; null when it is not known. */
  readonly reason: string | null;
};

/** What a run did to reports without sending them, told by the run that did it. */
export type Pruned = {
  /** Ids of what a process that died left behind: waiting again. */
  readonly recovered: string[];
  /** Given up, kept for a person to read. */
  readonly givenUp: { readonly id: string; readonly reason: string }[];
  readonly setAside: SetAside[];
  /** Ids of receipts and reports, and names of what was set aside, that are there no more. */
  readonly removed: string[];
};

export function nothingPruned(): Pruned {
  return { recovered: [], givenUp: [], setAside: [], removed: [] };
}

/** A journal's place, and whom to tell of what was skipped. */
export type Store = {
  readonly disk: Disk;
  readonly root: string;
  /** Grows with what is done. */
  readonly pruned: Pruned;
  /** Milliseconds since 1970. */
  now(): number;
  /** One sentence about something that was found wrong and got round. */
  warn(problem: string): void;
};

/** One process at work on a journal. */
export type JournalContext = Store & {
  readonly owners: Owners;
  readonly limits: Limits;
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
