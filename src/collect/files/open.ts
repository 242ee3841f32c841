/**
 * Files of this machine, opened so that what is read is the regular file that was meant and nothing else, and read so
 * that neither a growing nor a huge file costs more than was agreed. Hides the races between a name and what it names.
 */

import { constants } from "node:fs";
import { type FileHandle, lstat, open, realpath, stat, statfs } from "node:fs/promises";
import type * as archive from "../../archive/entries/entry.ts";
import type { Decision, Rule } from "../../consent/judge.ts";
import { normalizePath, type ParsedPath } from "../../consent/local-path.ts";
import { pathOnDisk } from "../../system/path-on-disk.ts";

/** The handle is to be closed by whoever has it. */
export type OpenedFile = archive.OpenedFile & { readonly handle: FileHandle; readonly modified: Date };

export type Refused = {
  readonly ok: false;
  readonly state: "missing" | "declined" | "failed";
  readonly rule: Rule | null;
  /** A clause without a final stop that names nothing of this machine. */
  readonly reason: string | null;
};

export type Opened = { readonly ok: true; readonly file: OpenedFile } | Refused;

/** Decides on the path that a file turned out to have. */
type JudgeReal = (real: Extract<ParsedPath, { ok: true }>) => Decision;

const FLAGS =
  constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/**
 * Opens a regular file without following a link at the end of the path, and only if the path that the open file really
 * has, links in its directories and short 8.3 names resolved, is agreed to as well. A hard link has no other path to
 * find, so it is judged by the one it has here. Never throws for what a file system does.
 */
export async function openRegular(
  path: string,
  platform: NodeJS.Platform,
  judge: JudgeReal,
): Promise<Opened> {
  let handle: FileHandle | null = null;
  try {
    const found = await pathOnDisk(path);
    const before = complaintOf(await lstat(found));
    if (before !== null) return refuse("declined", before, "system");
    handle = await open(found, FLAGS);
    const refusal = await checkOpen(handle, found, platform, judge);
    if (refusal !== null) return refusal;
    const { size, mtime } = await handle.stat();
    const file = { handle, size, modified: mtime };
    handle = null;
    return { ok: true, file };
  } catch (thrown) {
    return refusalOf(thrown);
  } finally {
    await handle?.close();
  }
}

export function refuse(state: Refused["state"], reason: string | null, rule: Rule | null = null): Refused {
  return { ok: false, state, rule, reason };
}

type Kind = Pick<Awaited<ReturnType<typeof lstat>>, "isFile" | "isSymbolicLink" | "isDirectory">;

function complaintOf(found: Kind): string | null {
  if (found.isSymbolicLink()) return "it is a symbolic link";
  if (found.isDirectory()) return "it is a directory";
  return found.isFile() ? null : "it is no regular file";
}

/** The name may mean another file by now: what counts is the open one, and a path that leads to it. */
async function checkOpen(
  handle: FileHandle,
  path: string | Buffer,
  platform: NodeJS.Platform,
  judge: JudgeReal,
): Promise<Refused | null> {
  const opened = await handle.stat({ bigint: true });
  if (!opened.isFile()) return refuse("declined", "it is no regular file", "system");
  const real = await realpath(path, { encoding: "buffer" });
  const found = await stat(real, { bigint: true });
  if (found.dev !== opened.dev || found.ino !== opened.ino)
    return refuse("failed", "its path changed while it was opened");
  if (platform === "linux" && KERNEL_FILE_SYSTEMS.has((await statfs(real)).type))
    return refuse("declined", "it is no regular file", "system");
  const parsed = normalizePath(real.toString(), platform);
  if (!parsed.ok) return refuse("declined", parsed.reason, "system");
  const decided = judge(parsed);
  return decided.decision === "decline" ? refuse("declined", decided.reason, decided.rule) : null;
}

/** proc, sysfs, debugfs, tracefs, securityfs: whatever they are mounted as, their files are the kernel talking. */
const KERNEL_FILE_SYSTEMS = new Set([0x9fa0, 0x62656572, 0x64626720, 0x74726163, 0x73636673]);

/** What a system error means for an item. */
export function refusalOf(thrown: unknown): Refused {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(code)) return refuse("missing", "there is no such file");
  if (code === "ELOOP" || code === "EMLINK") return refuse("declined", "it is a symbolic link", "system");
  if (code === "EACCES" || code === "EPERM") return refuse("failed", "reading it is not permitted");
  if (code === "EBUSY") return refuse("failed", "another program has locked it");
  return refuse("failed", code === "" ? "it could not be read" : `it could not be read (${code})`);
}

/** What was thrown, in a word that names nothing of this machine: a system's own message holds paths. */
export function wordOf(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  return code || (thrown instanceof Error ? thrown.name : "unknown");
}

/** Bytes read at a time. */
const CHUNK = 64 * 1024;

/**
 * Bytes `from` to `to` of an open file, in chunks that are the caller's own. Ends early where the file has become
 * shorter. Does not close it.
 */
export async function* readRange(
  handle: FileHandle,
  from: number,
  to: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  for (let at = from; at < to; ) {
    signal.throwIfAborted();
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, to - at));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Up to `length` bytes of an open file; fewer at its end. */
export async function readAt(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** What is kept of something larger than its limit: half of the limit from each end, in whole UTF-16 units. */
export function cutPoints(size: number, limit: number): { headEnd: number; tailStart: number } | null {
  if (size <= limit) return null;
  const half = Math.floor(limit / 4) * 2;
  const tailStart = size - half;
  return { headEnd: half, tailStart: tailStart - (tailStart % 2) };
}

/** The line that stands where something was left out. */
export function cutMark(leftOut: number, limit: number): string {
  return `\r\n[cer left out ${leftOut} bytes here; the limit is ${limit} bytes]\r\n`;
}

/** The path without links in it; null when it leads nowhere. */
export async function realPathOf(path: string): Promise<string | null> {
  return realpath(await pathOnDisk(path)).catch(() => null);
}
