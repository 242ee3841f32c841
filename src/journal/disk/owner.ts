/**
 * Who holds a claim, and whether that process still lives. A process number alone says little: numbers are used again,
 * mean nothing on another host or in another container, and a clock may be set back. So an owner is a number, the
 * moment its process started, and the space in which its number has a meaning; where that cannot be compared, a
 * heartbeat decides, measured by one clock only: the file system's.
 */

import { randomBytes } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import * as v from "valibot";
import { asCerError } from "../../errors.ts";
import { count, documentReader, encodeDocument, object, text } from "../../json.ts";
import { type Disk, systemCode, unlessMissing, writeFile } from "./disk.ts";

/** Milliseconds between two heartbeats of one owner. */
const HEARTBEAT = 60_000;
/** Milliseconds without a heartbeat after which an owner that cannot be examined counts as dead. */
export const LEASE = 10 * HEARTBEAT;
/** Bytes of an owner's record read at most: one is added with each heartbeat. */
const MAX_RECORD = 65_536;

/** One process, as far as it can be told from others. */
export type Owner = ReturnType<typeof readOwner>;

const readOwner = documentReader("the owner's record", () =>
  object({
    pid: count,
    /** When it started, in whatever unit the platform counts; null where that cannot be found out. */
    started: v.nullable(text),
    hostName: text,
    /** The installation of the system; null when unknown. */
    machine: v.nullable(text),
    /** The run of the system since it was last started; null when unknown. */
    boot: v.nullable(text),
    /** The process number space: containers on one machine have their own; null when unknown. */
    space: v.nullable(text),
  }),
);

/** The processes of this machine. */
export type Processes = {
  readonly self: Owner;
  /** When the process of this number started, in the unit of `Owner.started`; null when there is none. */
  startOf(pid: number): Promise<string | null>;
  isRunning(pid: number): boolean;
};

/** What the process that runs this program knows of itself: `process` and `os` are the caller's to touch. */
type ProcessFacts = {
  readonly platform: string;
  readonly pid: number;
  readonly hostName: string;
  isRunning(pid: number): boolean;
};

/** Looks at this machine. Only Linux tells when a process started; elsewhere the heartbeat has to do. */
export async function openProcesses(facts: ProcessFacts): Promise<Processes> {
  const { pid, hostName, platform, isRunning } = facts;
  const isLinux = platform === "linux";
  const read = async (path: string) =>
    isLinux ? (await readFile(path, "latin1").catch(() => "")).trim() : "";
  const startOf = async (pid: number) => parseProcessStart(await read(`/proc/${pid}/stat`));
  return {
    self: {
      pid,
      hostName,
      started: await startOf(pid),
      machine: (await read("/etc/machine-id")) || null,
      boot: (await read("/proc/sys/kernel/random/boot_id")) || null,
      space: isLinux ? await readlink("/proc/self/ns/pid").catch(() => null) : null,
    },
    startOf,
    isRunning,
  };
}

/** Field 22 of /proc/PID/stat. The second field is a file name in brackets and may hold anything. */
export function parseProcessStart(stat: string): string | null {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
}

/**
 * Whether an owner lives, as far as `processes` and its heartbeat tell.
 * @param silence milliseconds since its last heartbeat, by the file system's clock; negative when that clock went back
 */
export async function isAlive(
  owner: Owner,
  silence: () => Promise<number>,
  { self, ...processes }: Processes,
): Promise<boolean> {
  const isHeard = async () => Math.abs(await silence()) <= LEASE;
  const isSameMachine = owner.hostName === self.hostName && owner.machine === self.machine;
  const wasRestarted = owner.boot !== null && self.boot !== null && owner.boot !== self.boot;
  if (isSameMachine && owner.machine !== null && wasRestarted) return false;
  if (!isSameMachine || wasRestarted || owner.space !== self.space) return isHeard();
  if (owner.started !== null) return (await processes.startOf(owner.pid)) === owner.started;
  return processes.isRunning(owner.pid) && isHeard();
}

/** This process among the owners of claims. */
export type Owners = {
  /** What claims of this process are marked with. */
  readonly token: string;
  /** Makes this process known, once; nothing is claimed before. */
  enter(): Promise<void>;
  isAlive(token: string): Promise<boolean>;
  /** Forgets this process. Everything it claimed has been settled. */
  leave(): Promise<void>;
};

/** @param directory where owners make themselves known */
export function openOwners(disk: Disk, directory: string, processes: Processes): Owners {
  const token = randomBytes(6).toString("hex");
  const pathOf = (token: string) => `${directory}/${token}.json`;
  let entered: Promise<void> | null = null;
  let timer: NodeJS.Timeout | null = null;
  const beat = () => disk.append(pathOf(token), Buffer.from(" "));

  const enter = async () => {
    await writeFile(disk, pathOf(token), [encodeDocument({ version: 1, ...processes.self })]);
    timer = setInterval(() => {
      // A heartbeat that cannot be written is a silence, which is what it has to look like.
      beat().catch(() => {});
    }, HEARTBEAT).unref();
  };

  const silenceOf = async (other: string): Promise<number> => {
    await owners.enter();
    await beat();
    return (await disk.facts(pathOf(token))).mtime - (await disk.facts(pathOf(other))).mtime;
  };

  const owners: Owners = {
    token,
    enter: () => {
      entered ??= enter().catch((error) => {
        entered = null;
        throw error;
      });
      return entered;
    },
    isAlive: async (other) => {
      if (other === token) return true;
      const bytes = await unlessMissing(disk.read(pathOf(other), MAX_RECORD), null);
      if (bytes === null) return false;
      const owner = parseOwner(bytes);
      const silence = () => silenceOf(other);
      // A record caught half-written belongs to a process that has just begun.
      const verdict =
        owner === null ? silence().then((ms) => Math.abs(ms) <= LEASE) : isAlive(owner, silence, processes);
      return unlessMissing(verdict, false);
    },
    leave: async () => {
      if (timer !== null) clearInterval(timer);
      if (entered === null) return;
      await entered.catch(() => {});
      await unlessMissing(disk.unlink(pathOf(token)), undefined);
    },
  };
  return owners;
}

function parseOwner(bytes: Buffer): Owner | null {
  try {
    return readOwner(bytes.toString());
  } catch (error) {
    if (asCerError(error).code !== "CER_DAMAGED") throw error;
    return null;
  }
}

/** Tokens of owners that left a record behind, for pruning: `.json` taken off. */
export async function knownOwners(disk: Disk, directory: string): Promise<string[]> {
  const names = await disk.names(directory);
  return names.filter((name) => /^[0-9a-f]{12}\.json$/.test(name)).map((name) => name.slice(0, -5));
}

/** Removes a dead owner's record; somebody else may have been faster. */
export async function forgetOwner(disk: Disk, directory: string, token: string): Promise<void> {
  try {
    await disk.unlink(`${directory}/${token}.json`);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}
