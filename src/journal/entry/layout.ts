/**
 * Where things are: pure functions from a directory, a state and a label to a path and back.
 *
 *   v1/pending/20261124-050255123-k3f9x2.2s0.1f0c…9a.77b0c2d4.m5q1x0/
 *              id                        bytes identity signature mark
 *
 * The version is in the path, so a new format never meets old files. A state is a directory and a step is a rename. An
 * entry's own name carries what listing, pruning, claiming and comparing need: none of them opens a file, and taking
 * an entry, saying who took it and until when it waits is one atomic rename each.
 */

import { clampTime, formatIso } from "../../json.ts";

/**
 * A state is a directory. `new` is being written, `unaddressed` waits for a server to be set, `claimed` is being sent,
 * `removed` is being deleted.
 */
export const STATES = ["new", "unaddressed", "pending", "claimed", "done", "abandoned", "removed"] as const;
export type State = (typeof STATES)[number];

export const VERSION_DIRECTORY = "v1";

/** Beside the states: who holds claims, the turn for admitting reports, notes of repeats, and what is not ours. */
export const SIDE_DIRECTORIES = ["owners", "turn", "repeats", "set-aside"] as const;

/** An entry's name. */
export type Label = {
  readonly id: string;
  /** Bytes of payload it holds. */
  readonly bytes: number;
  /** What makes it the same report as another: 16 hex digits. */
  readonly identity: string;
  /** What makes it the same kind of report: 8 hex digits. */
  readonly signature: string;
  /**
   * pending: when it is due; done, abandoned: when it was settled (both formatTime); new, claimed: the owner's token;
   * unaddressed: the token of who writes it, addressingMark of who gives it its server, or NOBODY.
   */
  readonly mark: string;
};

/** The mark of an unaddressed entry that is whole and that no process works on. */
export const NOBODY = "0";

/** An entry as listing finds it. */
export type Listed = {
  readonly state: State;
  readonly label: Label;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
};

/** An unaddressed entry that a process writes, or gives its server. */
export function isInWork({ state, label }: Listed): boolean {
  return state === "unaddressed" && label.mark !== NOBODY;
}

/** The mark of an unaddressed entry, whole and told to be kept, that a process gives its server. */
export function addressingMark(token: string): string {
  return `to${token}`;
}

/** The token of the process that gives it its server; null for one that is being written, or in nobody's hands. */
export function addresserOf(mark: string): string | null {
  return /^to([0-9a-f]{12})$/.exec(mark)?.[1] ?? null;
}

const ID = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(\d{3})-[0-9a-z]{6}$/;
const LABEL =
  /^(\d{8}-\d{9}-[0-9a-z]{6})\.([0-9a-z]{1,11})\.([0-9a-f]{16})\.([0-9a-f]{8})\.([0-9a-z]{1,20})$/;

/** Sorts by time, which is the nearest that a document can hold; `random` is six characters of 0-9a-z. */
export function formatId(now: number, random: string): string {
  const digits = formatIso(now).replace(/[-:.TZ]/g, "");
  return `${digits.slice(0, 8)}-${digits.slice(8, 17)}-${random}`;
}

/** When the entry of this id was made, in milliseconds since 1970; null for what is no id. */
export function parseId(id: string): number | null {
  const match = ID.exec(id);
  if (match === null) return null;
  const [, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0] = match.map(Number);
  const time = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  const isDate = year >= 1970 && month >= 1 && month <= 12 && new Date(time).getUTCDate() === day;
  return isDate && hour < 24 && minute < 60 && second < 60 ? time : null;
}

/** The nearest time that a document can hold. */
export function formatTime(time: number): string {
  return clampTime(Math.round(time)).toString(36);
}

/** Milliseconds since 1970; null for what is no time. */
export function parseTime(text: string): number | null {
  const time = Number.parseInt(text, 36);
  return /^[0-9a-z]{1,10}$/.test(text) && time <= 8.64e15 ? time : null;
}

/** Milliseconds after which no entry is due later: no wait is longer than a day. */
export const MAX_WAIT = 25 * 3_600_000;

/** What is due later than any wait lasts was written by another clock, and is due now. */
export function isDue(due: number, now: number): boolean {
  return due <= now || due > now + MAX_WAIT;
}

export function formatLabel({ id, bytes, identity, signature, mark }: Label): string {
  return `${id}.${bytes.toString(36)}.${identity}.${signature}.${mark}`;
}

/** Null for a name this program did not write; the id is the caller's to parse. */
export function parseLabel(name: string): Label | null {
  const [, id, bytes, identity, signature, mark] = LABEL.exec(name) ?? [];
  if (!id || !bytes || !identity || !signature || !mark) return null;
  const size = Number.parseInt(bytes, 36);
  return Number.isSafeInteger(size) ? { id, bytes: size, identity, signature, mark } : null;
}

/** The directory of a state, below the journal's own. */
export function statePath(root: string, state: State | (typeof SIDE_DIRECTORIES)[number]): string {
  return `${root}/${VERSION_DIRECTORY}/${state}`;
}

export function entryPath(root: string, state: State, label: Label): string {
  return `${statePath(root, state)}/${formatLabel(label)}`;
}

type Whereabouts = {
  /** Node's name of the platform. */
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home; null when there is none. */
  readonly home: string | null;
  /** Runs as root, or on Windows as SYSTEM. */
  readonly isRoot: boolean;
};

/**
 * The journal's place when none is given: the machine's state directory for root and SYSTEM, the user's for everyone
 * else. Null when the platform's place cannot be told (no home, or a relative one).
 */
export function journalDirectory({ platform, env, home, isRoot }: Whereabouts): string | null {
  if (platform === "win32") {
    const base = isRoot ? env.ProgramData : env.LOCALAPPDATA;
    if (base !== undefined && /^[a-z]:[\\/]/i.test(base)) return `${base}\\cer`;
    return !isRoot && home !== null && /^[a-z]:[\\/]/i.test(home) ? `${home}\\AppData\\Local\\cer` : null;
  }
  const hasHome = home?.startsWith("/") && home !== "/";
  if (platform === "darwin") {
    if (isRoot) return "/Library/Application Support/cer";
    return hasHome ? `${home}/Library/Application Support/cer` : null;
  }
  if (isRoot) return "/var/lib/cer";
  // The XDG specification: a relative path is to be ignored.
  const state = env.XDG_STATE_HOME;
  if (state?.startsWith("/")) return `${state}/cer`;
  return hasHome ? `${home}/.local/state/cer` : null;
}

/**
 * Where a journal may lie when its own place cannot be used: private directories in places that are open to all, those
 * that outlive a restart first. On Windows only within the user's own temporary files, since nothing else there is known
 * to be closed to others.
 */
export function journalRefuges(
  { platform, env, home }: Omit<Whereabouts, "isRoot">,
  { tempDir, uid }: { readonly tempDir: string; readonly uid: number | null },
): string[] {
  if (platform === "win32") {
    const isOwn = home !== null && tempDir.toLowerCase().startsWith(`${home.toLowerCase()}\\`);
    return isOwn ? [`${tempDir}\\cer-journal`] : [];
  }
  const folders = ["/var/tmp", env["XDG_RUNTIME_DIR"], tempDir, "/dev/shm", "/run"];
  const whole = folders.flatMap((folder) => (folder?.startsWith("/") ? [folder.replace(/\/+$/, "")] : []));
  return [...new Set(whole)].map((folder) => `${folder}/cer-journal-${uid}`);
}
