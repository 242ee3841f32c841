/**
 * What goes into an archive and what became of it: the entries a caller asks for, opened one at a time when their turn
 * comes, and the result each of them leaves.
 */
import type { FileHandle } from "node:fs/promises";

/**
 * A file the caller has opened. At most `size` bytes are read: a file that grows is taken as it was when opened. The
 * handle is closed when the entry is done with, whatever happens.
 */
export type OpenedFile = { readonly handle: Pick<FileHandle, "fd" | "close">; readonly size: number };

export type EntryBody = Buffer | AsyncIterable<Uint8Array> | OpenedFile;

export type Entry = {
  /** The name wanted. The writer makes it safe and unique without regard to case; the result keeps this one. */
  readonly name: string;
  readonly time: Date;
  /**
   * Called once, when the entry's turn comes, with the results of all entries before it: a manifest as the last entry
   * can so tell sizes and hashes. Null leaves the entry out; throwing leaves it out with the error's message as reason.
   */
  readonly open: (before: readonly EntryResult[]) => EntryBody | null | Promise<EntryBody | null>;
};

/**
 * - `stored`: the archive holds all of it (of a file: all it had when it was opened).
 * - `cut`: the archive holds its first `size` bytes; there was more, or should have been.
 * - `failed`: not one byte of it could be read, or `open` threw. Not in the archive.
 * - `left-out`: `open` said so, or it does not fit. Not in the archive.
 */
type EntryState = "stored" | "cut" | "failed" | "left-out";

/** One of the numbered pieces of an entry larger than a file in the archive can be. */
type EntryPart = { readonly name: string; readonly size: number; readonly sha256: string };

export type EntryResult = {
  /** The name in the archive, that of the first part if there are several; null when it is not in there. */
  readonly name: string | null;
  readonly wanted: string;
  readonly size: number;
  /** Of all bytes of the entry in the archive, in lower-case hexadecimal digits. */
  readonly sha256: string | null;
  readonly state: EntryState;
  /** Why the state is not `stored`. */
  readonly reason: string | null;
  /** Empty unless the entry was split. */
  readonly parts: readonly EntryPart[];
};

export type WriteOptions = {
  /** 0 stores, 1 to 9 compress; 4 when left out. */
  readonly compression?: Compression;
  /** An existing directory for a temporary file, should the archive outgrow the memory limit. */
  readonly spoolDir: string;
  /** Bytes of the archive kept in memory before it moves to a file. 2 MiB when left out. */
  readonly memoryLimit?: number;
  readonly signal?: AbortSignal;
  /** Entries larger than a file in the archive can be become numbered parts instead of being left out. */
  readonly splitLarge?: boolean;
};

export type Compression = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** The result of an entry that is not in the archive. */
export function absentEntry(entry: Entry, state: "failed" | "left-out", reason: string): EntryResult {
  return { name: null, wanted: entry.name, size: 0, sha256: null, state, reason, parts: [] };
}
