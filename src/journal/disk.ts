/**
 * The disk as the journal uses it: a dozen operations, each one step that either happened or did not. Everything the
 * journal does goes through this table, so that a test can stop the program before and after every single step. Hides
 * what platforms do differently: directories cannot be synced on Windows, and its scanners make a rename fail for a
 * moment.
 */

import { constants, createReadStream } from "node:fs";
import * as fs from "node:fs/promises";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

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
  /** The first `size` bytes; closes the file when it ends or is destroyed. */
  stream(): Readable;
  close(): Promise<void>;
};

/** Each operation throws the system's own error (with `code`: ENOENT, ENOSPC, …) when it could not be done. */
export type Disk = {
  /** Mode 0700. EEXIST when it is there. */
  makeDirectory(path: string): Promise<void>;
  names(directory: string): Promise<string[]>;
  facts(path: string): Promise<Facts>;
  /** The path with every symbolic link resolved. */
  resolve(path: string): Promise<string>;
  /** A whole small file; EFBIG beyond `limit` bytes. */
  read(path: string, limit: number): Promise<Buffer>;
  /** A regular file for streaming; EINVAL for anything else. Never waits for a pipe's other end. */
  openSource(path: string): Promise<Source>;
  /** The first `size` bytes of a file; fails as a stream does, when it is read. */
  readStream(path: string, size: number): Readable;
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
const NO_WAIT = constants.O_NONBLOCK ?? 0;

/** The real disk. */
export function openDisk(platform: string): Disk {
  const isWindows = platform === "win32";
  return {
    makeDirectory: (path) => fs.mkdir(path, { mode: 0o700 }),
    names: (directory) => fs.readdir(directory),
    facts: async (path) => {
      const stat = await fs.lstat(path);
      return {
        kind: kindOf(stat),
        size: stat.size,
        mode: stat.mode & 0o7777,
        uid: stat.uid,
        mtime: stat.mtimeMs,
      };
    },
    resolve: (path) => fs.realpath(path),
    read: readSmall,
    openSource,
    readStream: (path, size) =>
      size === 0 ? Readable.from([]) : createReadStream(path, { end: size - 1, highWaterMark: 256 * 1024 }),
    create: async (path) => diskFile(await fs.open(path, "w", 0o600)),
    append: (path, bytes) => fs.appendFile(path, bytes, { mode: 0o600 }),
    // Windows flushes only what was opened for writing.
    syncFile: (path) => syncPath(path, isWindows ? "r+" : "r"),
    clone: (from, to) => fs.copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL),
    link: (from, to) => fs.link(from, to),
    rename: (from, to) => (isWindows ? renamePatiently(from, to) : fs.rename(from, to)),
    unlink: (path) => fs.unlink(path),
    removeDirectory: (path) => fs.rmdir(path),
    syncDirectory: (path) => (isWindows ? Promise.resolve() : syncPath(path, "r")),
  };
}

type Stat = { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean };

function kindOf(stat: Stat): Facts["kind"] {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  return stat.isSymbolicLink() ? "link" : "other";
}

function systemError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** The system's name for why an operation failed, such as ENOSPC; null for any other thrown value. */
export function systemCode(thrown: unknown): string | null {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : null;
}

async function readSmall(path: string, limit: number): Promise<Buffer> {
  const handle = await fs.open(path, constants.O_RDONLY | NO_WAIT);
  try {
    const { size } = await handle.stat();
    if (size > limit) throw systemError("EFBIG", `${path} is ${size} bytes long, the bound is ${limit}`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function openSource(path: string): Promise<Source> {
  const handle = await fs.open(path, constants.O_RDONLY | NO_WAIT);
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw systemError("EINVAL", `${path} is not a regular file`);
  }
  const close = () => handle.close();
  const stream = () => {
    if (stat.size > 0) return handle.createReadStream({ start: 0, end: stat.size - 1 });
    // A read stream's end is inclusive: it cannot be told to read nothing of a file that grows.
    void close();
    return Readable.from([]);
  };
  return { size: stat.size, mtime: stat.mtimeMs, stream, close };
}

function diskFile(handle: fs.FileHandle): DiskFile {
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

async function renamePatiently(from: string, to: string): Promise<void> {
  for (const pause of RENAME_PAUSES) {
    try {
      return await fs.rename(from, to);
    } catch (error) {
      if (!["EPERM", "EACCES", "EBUSY"].includes(systemCode(error) ?? "")) throw error;
      await sleep(pause);
    }
  }
  return fs.rename(from, to);
}

async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  const handle = await fs.open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
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
