/**
 * What cannot be used, put where nothing looks at it and a person can: `set-aside/STATE.NAME.TIME-RANDOM`, with the time
 * as formatTime writes it, and beside it a note, `STATE.NAME.TIME-RANDOM.why`, which is whole when it ends with a line
 * end. It is removed when it has lain there for as long as a report may wait. Earlier versions wrote no time and no note.
 */

import { randomBytes } from "node:crypto";
import { formatIso } from "../json.ts";
import { removeTree, systemCode, unlessMissing, writeFile } from "./disk/disk.ts";
import { tryRename } from "./disk/lock.ts";
import {
  formatLabel,
  formatTime,
  type Label,
  MAX_WAIT,
  parseLabel,
  parseTime,
  type State,
  statePath,
} from "./entry/layout.ts";
import type { JournalContext, SetAside, Store } from "./store.ts";

const NOTE = ".why";
/** Bytes of a note that are read at most. */
const MAX_NOTE = 65_536;
/** Bytes of a name that are kept, so that mark and note find room within the 255 that file systems allow. */
const MAX_STEM = 200;

const NAME = /^(?<stem>(?<state>[a-z]+)\.(?<label>.+?))\.(?:(?<time>[0-9a-z]{1,10})-)?[0-9a-f]{6}$/s;

/** Puts something aside and notes why. Never fails, never deletes. */
export async function setAside(store: Store, state: State, name: string, reason: string): Promise<void> {
  await put(store, state, name, null, { reason, said: reason });
}

/** setAside for an entry. */
export async function setEntryAside(store: Store, state: State, label: Label, reason: string): Promise<void> {
  const said = `Report ${label.id} cannot be used: ${reason}`;
  await put(store, state, formatLabel(label), label.id, { reason, said });
}

async function put(
  store: Store,
  state: State,
  name: string,
  id: string | null,
  { reason, said }: { reason: string; said: string },
): Promise<void> {
  const { disk, root, pruned } = store;
  const now = store.now();
  const directory = statePath(root, "set-aside");
  const aside = markedName(`${state}.${name}`, now);
  try {
    if (!(await tryRename(disk, `${statePath(root, state)}/${name}`, `${directory}/${aside}`))) return;
    pruned.setAside.push({ name: aside, id, at: formatIso(now), reason });
    store.warn(`${said} It was set aside as set-aside/${aside}.`);
    await writeFile(disk, `${directory}/${aside}${NOTE}`, [Buffer.from(`${reason}\n`)]);
  } catch (error) {
    const code = systemCode(error);
    if (code === null) throw error;
    const isPut = pruned.setAside.at(-1)?.name === aside;
    store.warn(isPut ? `Why could not be noted (${code}).` : `${said} It could not be set aside (${code}).`);
  }
}

function markedName(stem: string, now: number): string {
  const kept = Buffer.from(stem).subarray(0, MAX_STEM).toString();
  return `${kept}.${formatTime(now)}-${randomBytes(3).toString("hex")}`;
}

/** What lies there, by name. */
export async function listSetAside({ disk, root }: Store): Promise<SetAside[]> {
  const directory = statePath(root, "set-aside");
  const listed: SetAside[] = [];
  for (const name of (await disk.names(directory)).filter((name) => !name.endsWith(NOTE)).sort()) {
    const { id, at } = parseName(name);
    const note = await disk.read(`${directory}/${name}${NOTE}`, MAX_NOTE).catch(() => null);
    const reason = /^(.+)\n$/s.exec(note?.toString() ?? "")?.[1] ?? null;
    listed.push({ name, id, at: at === null ? null : formatIso(at), reason });
  }
  return listed;
}

function parseName(name: string): { stem: string; id: string | null; at: number | null } {
  const { stem = name, label = "", time } = NAME.exec(name)?.groups ?? {};
  return { stem, id: parseLabel(label)?.id ?? null, at: time === undefined ? null : parseTime(time) };
}

/**
 * Removes what has lain there for longer than `maxAge`. What bears no time, or one that another clock must have written,
 * is given this one and stays as long again, unless this clock itself has just been put somewhere else.
 * @param since when the clock has been steady (age.ts): the days count from then on
 */
export async function cleanSetAside(journal: JournalContext, since: number): Promise<void> {
  const { disk, root, limits } = journal;
  const now = journal.now();
  const directory = statePath(root, "set-aside");
  const names = await disk.names(directory);
  for (const name of names) {
    if (name.endsWith(NOTE)) {
      if (!names.includes(name.slice(0, -NOTE.length))) await removeTree(disk, `${directory}/${name}`);
      continue;
    }
    const { stem, at } = parseName(name);
    const age = at === null ? null : now - at;
    const isForeign = age === null || age < -MAX_WAIT || age > 2 * limits.maxAge;
    if (isForeign && since < now) await markAnew(journal, name, stem);
    else if (!isForeign && Math.min(age, now - since) > limits.maxAge) await remove(journal, name);
  }
}

async function markAnew({ disk, root, now }: JournalContext, name: string, stem: string): Promise<void> {
  const directory = statePath(root, "set-aside");
  const marked = markedName(stem, now());
  // What cannot be renamed (the root of a mounted disk) stays as it is.
  await disk.rename(`${directory}/${name}`, `${directory}/${marked}`).catch(() => {});
  await disk.rename(`${directory}/${name}${NOTE}`, `${directory}/${marked}${NOTE}`).catch(() => {});
}

async function remove(journal: JournalContext, name: string): Promise<void> {
  const { disk, root, pruned } = journal;
  const path = `${statePath(root, "set-aside")}/${name}`;
  await removeTree(disk, path);
  await unlessMissing(disk.unlink(`${path}${NOTE}`), undefined);
  pruned.removed.push(name);
  journal.warn(`What was set aside as ${name} had its time there and was removed.`);
}
