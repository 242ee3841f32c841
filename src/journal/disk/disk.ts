/**
 * The disk as the journal uses it: a dozen operations, each one step that either happened or did not. Everything the
 * journal does goes through this table, so that a test can stop the program before and after every single step. Hides
 * what platforms do differently: directories cannot be synced on Windows, and its scanners make a rename fail for a
 * moment.
 *
 * Operations that take microseconds are done at once, on the main thread: handing each of the hundred that a report
 * needs to another thread and back costs ten times what they do. What can take long (copies, large writes and their
 * syncs) does not hold up timers and signals.
 */

import * as fs from "node:fs";
import { copyFile, type FileHandle, open } from "node:fs/promises";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { pathOnDisk } from "../../system/path-on-disk.ts";

/** What a path is, a symbolic link not followed. */
export type Facts = {
  readonly kind: "file" | "directory" | "link" | "other";
  /** Bytes. */
  readonly size: number;
  /** Permission bits, the sticky bit among them. */
  readonly mode: number;
  readonly uid: number;
  /** Milliseconds since 1970, by the clock of the file system. */
  readonly mtime: number;
};

/** A file being written. */
export type DiskFile = {
  write(bytes: Uint8Array): Promise<void>;
  /** On the platter when it returns. */
  sync(): Promise<void>;
  close(): Promise<void>;
};

/** A file being read. */
export type Source = {
  readonly size: number;
  readonly mtime: number;
  /** The first `size` bytes; closes the file when it ends or is left. A chunk is good until the next is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
};

/**
 * Each operation throws the system's own error (with `code`: ENOENT, ENOSPC, …) when it could not be done. What reads or
 * writes a file does it with regular files only (EINVAL, or ENXIO, for anything else) and never waits for a pipe's other
 * end.
 */
export type Disk = {
  /** Mode 0700. EEXIST when it is there. */
  makeDirectory(path: string): Promise<void>;
  names(directory: string): Promise<string[]>;
  facts(path: string): Promise<Facts>;
  /** The path with every symbolic link resolved. */
  resolve(path: string): Promise<string>;
  /** A whole small file; EFBIG beyond `limit` bytes. */
  read(path: string, limit: number): Promise<Buffer>;
  /** A file for streaming. */
  openSource(path: string): Promise<Source>;
  /** The first `size` bytes of a file, which is opened when they are asked for. A chunk is good until the next is. */
  readChunks(path: string, size: number): AsyncIterable<Uint8Array>;
  /** A new empty file of mode 0600 to write to; what was there is cut off. */
  create(path: string): Promise<DiskFile>;
  /** Adds to a file (mode 0600), made if need be, in one write. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes what was written to a file by anybody durable. */
  syncFile(path: string): Promise<void>;
  /** A copy that shares blocks until either side is written to; ENOTSUP, EXDEV or so where there is no such thing. */
  clone(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  /** Makes renames, creations and removals in a directory durable; does nothing where the platform cannot. */
  syncDirectory(path: string): Promise<void>;
};

/** Milliseconds to wait between tries of a rename that Windows refuses while a scanner has the file open. */
const RENAME_PAUSES = [10, 30, 100, 300, 600];

/** Opening a pipe returns at once; Windows has no such flag and no such pipes. */
const NO_WAIT = fs.constants.O_NONBLOCK ?? 0;
/** What is written is never written through a link; Windows has no such flag. */
const NO_LINK = fs.constants.O_NOFOLLOW ?? 0;

/** Bytes from which on writing and syncing is left to another thread. */
const LARGE = 1024 * 1024;
/** Bytes of a file that are read at a time. */
const CHUNK_SIZE = 512 * 1024;

/** The real disk. */
export function openDisk(platform: string): Disk {
  const isWindows = platform === "win32";
  return {
    makeDirectory: async (path) => void fs.mkdirSync(path, { mode: 0o700 }),
    names: async (directory) => fs.readdirSync(directory),
    facts: async (path) => {
      const stat = fs.lstatSync(path);
      return {
        kind: kindOf(stat),
        size: stat.size,
        mode: stat.mode & 0o7777,
        uid: stat.uid,
        mtime: stat.mtimeMs,
      };
    },
    resolve: async (path) => fs.realpathSync(path),
    read: async (path, limit) => readSmall(path, limit),
    openSource,
    readChunks: async function* (path, size) {
      yield* chunksOf((await openRegular(path)).handle, size);
    },
    create: async (path) => diskFile(openToWrite(path, fs.constants.O_TRUNC)),
    append: async (path, bytes) => appendAll(path, bytes),
    // Windows flushes only what was opened for writing.
    syncFile: async (path) => syncPath(path, isWindows ? "r+" : "r"),
    clone: async (from, to) =>
      copyFile(await pathOnDisk(from), to, fs.constants.COPYFILE_FICLONE_FORCE | fs.constants.COPYFILE_EXCL),
    link: async (from, to) => fs.linkSync(from, to),
    rename: async (from, to) => (isWindows ? renamePatiently(from, to) : fs.renameSync(from, to)),
    unlink: async (path) => fs.unlinkSync(path),
    removeDirectory: async (path) => fs.rmdirSync(path),
    syncDirectory: async (path) => (isWindows ? undefined : syncPath(path, "r")),
  };
}

type Stat = { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean };

function kindOf(stat: Stat): Facts["kind"] {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  return stat.isSymbolicLink() ? "link" : "other";
}

/** An error as the system would throw it. */
export function systemError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/**
 * The system's name for why an operation failed, such as ENOSPC; null for any other thrown value. Some errors Node knows
 * by their number only, a disk quota that is used up (EDQUOT) among them.
 */
export function systemCode(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const { code, errno, syscall } = thrown as NodeJS.ErrnoException;
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  if (errno === undefined || syscall === undefined) return null;
  const [name] = Object.entries(constants.errno).find(([, number]) => number === -errno) ?? [];
  return name ?? `E${-errno}`;
}

const NO_MEANS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

/** Whether the process lacked the means (open files, memory) for an operation: the path is not to blame. */
export function lacksMeans(thrown: unknown): boolean {
  return NO_MEANS.has(systemCode(thrown) ?? "");
}

function readSmall(path: string, limit: number): Buffer {
  const file = fs.openSync(path, fs.constants.O_RDONLY | NO_WAIT);
  try {
    const stat = fs.fstatSync(file);
    if (!stat.isFile()) throw notRegular(path);
    const { size } = stat;
    if (size > limit) throw systemError("EFBIG", `${path} is ${size} bytes long, the bound is ${limit}`);
    return fs.readFileSync(file);
  } finally {
    fs.closeSync(file);
  }
}

function notRegular(path: string): NodeJS.ErrnoException {
  return systemError("EINVAL", `${path} is not a regular file`);
}

/** A descriptor of a regular file, made if need be. */
function openToWrite(path: string, flags: number): number {
  const { O_WRONLY, O_CREAT } = fs.constants;
  const file = fs.openSync(path, O_WRONLY | O_CREAT | NO_WAIT | NO_LINK | flags, 0o600);
  if (fs.fstatSync(file).isFile()) return file;
  fs.closeSync(file);
  throw notRegular(path);
}

function appendAll(path: string, bytes: Uint8Array): void {
  const file = openToWrite(path, fs.constants.O_APPEND);
  try {
    fs.writeFileSync(file, bytes);
  } finally {
    fs.closeSync(file);
  }
}

async function openRegular(path: string): Promise<{ handle: FileHandle; stat: fs.Stats }> {
  const handle = await open(await pathOnDisk(path), fs.constants.O_RDONLY | NO_WAIT);
  const stat = await handle.stat();
  if (stat.isFile()) return { handle, stat };
  await handle.close();
  throw notRegular(path);
}

async function openSource(path: string): Promise<Source> {
  const { handle, stat } = await openRegular(path);
  const close = () => handle.close();
  return { size: stat.size, mtime: stat.mtimeMs, chunks: () => chunksOf(handle, stat.size), close };
}

/** Closes the file afterwards. The chunks lie in the same memory one after another. */
async function* chunksOf(file: FileHandle, size: number): AsyncGenerator<Buffer> {
  try {
    const memory = Buffer.allocUnsafeSlow(Math.min(size, CHUNK_SIZE));
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(memory, 0, Math.min(memory.length, size - at), at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield memory.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

const writeAway = promisify(fs.write);
const syncAway = promisify(fs.fsync);

function diskFile(file: number): DiskFile {
  let written = 0;
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const isLarge = written + bytes.length > LARGE;
        const count = isLarge
          ? (await writeAway(file, bytes, at)).bytesWritten
          : fs.writeSync(file, bytes, at);
        at += count;
      }
      written += bytes.length;
    },
    sync: async () => (written > LARGE ? syncAway(file) : fs.fsyncSync(file)),
    close: async () => fs.closeSync(file),
  };
}

async function renamePatiently(from: string, to: string): Promise<void> {
  for (const pause of RENAME_PAUSES) {
    try {
      return fs.renameSync(from, to);
    } catch (error) {
      if (!["EPERM", "EACCES", "EBUSY"].includes(systemCode(error) ?? "")) throw error;
      await sleep(pause);
    }
  }
  fs.renameSync(from, to);
}

/** Of a large file, on another thread. */
async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  const file = fs.openSync(path, flags);
  try {
    if (fs.fstatSync(file).size > LARGE) await syncAway(file);
    else fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** Writes a file aside, syncs it, and puts it in its place: there afterwards whole or, on an error, as it was. */
export async function writeWhole(
  disk: Disk,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  await writeFile(disk, `${directory}/${name}.new`, [bytes]);
  await disk.rename(`${directory}/${name}.new`, `${directory}/${name}`);
  await disk.syncDirectory(directory);
}

/** Writes and syncs a file. The caller takes care that nobody mistakes a half-written one for a whole one. */
export async function writeFile(
  disk: Disk,
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await disk.create(path);
  try {
    for await (const chunk of chunks) await file.write(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Removes a file or a directory with all it holds; what is gone already is no error. */
export async function removeTree(disk: Disk, path: string): Promise<void> {
  try {
    const { kind } = await disk.facts(path);
    if (kind !== "directory") return await disk.unlink(path);
    for (const name of await disk.names(path)) await removeTree(disk, `${path}/${name}`);
    await disk.removeDirectory(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

/** The result of an operation, or the fallback when the path is not there, or leads through what is no directory. */
export async function unlessMissing<T, F>(operation: Promise<T>, fallback: F): Promise<T | F> {
  try {
    return await operation;
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return fallback;
    throw error;
  }
}
