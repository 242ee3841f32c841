/**
 * Writes a cabinet: entries in, one archive out, in one pass over the data and a few megabytes of memory. Hides the
 * order that takes: data first, then the tables that stand before it.
 *
 * What becomes of an entry is one rule. The archive holds a true beginning of it, or nothing: an entry of which the end
 * is missing (it shrank, reading failed, no more room) is `cut`, one of which nothing could be read is `failed`, one
 * that cannot fit is `left-out`; the result says why. The last entry always finds room, for one file and 16 MiB, so
 * that it can be the one that tells what happened to the others.
 */
import { type Archive, sealArchive } from "../../entries/archive.ts";
import type { Body } from "../../entries/body.ts";
import {
  absentEntry,
  type Compression,
  type Entry,
  type EntryResult,
  type WriteOptions,
} from "../../entries/entry.ts";
import { ArchiveError } from "../../entries/error.ts";
import { ContentHash } from "../../entries/hash.ts";
import { MAX_SAFE_NAME_SIZE, UniqueNames } from "../../entries/names.ts";
import { messageOf, openEntry, orderEntries } from "../../entries/order.ts";
import { Spool } from "../../entries/spool.ts";
import {
  ATTRIBUTE,
  COMPRESSION,
  encodeDosTime,
  encodeFileRecord,
  encodeFolder,
  encodeHeader,
  FILE_SIZE,
  FOLDER_SIZE,
  HEADER_SIZE,
  MAX_CABINET_SIZE,
  MAX_FILES,
  MAX_FOLDER_SIZE,
} from "../format.ts";
import { worstSize } from "./mszip.ts";
import { type FolderExtent, Segments } from "./segments.ts";

const DEFAULT_LEVEL = 4;

/** What is kept for the last entry. */
const LAST_ENTRY_RESERVE = 16 * 1024 * 1024;

/** A CFFILE with the longest name, and the block heads of the largest segment. */
const ENTRY_OVERHEAD = FILE_SIZE + MAX_SAFE_NAME_SIZE + 1 + 1024;

/**
 * A body of unknown length starts a folder of its own when the current one is fuller than this: a file cannot go on
 * in the next folder.
 */
const HALF_FOLDER = MAX_FOLDER_SIZE / 2;

/** Attributes a caller may set: those all readers take. */
const SETTABLE_ATTRIBUTES =
  ATTRIBUTE.readOnly | ATTRIBUTE.hidden | ATTRIBUTE.system | ATTRIBUTE.archive | ATTRIBUTE.exec;

/**
 * Writes a cabinet of `entries`, MSZIP-compressed or stored. Same entries, same bytes.
 * @throws {ArchiveError} CAB_WRITE_FAILED when the spool cannot be written.
 * @throws the signal's reason when it aborts. Nothing is left behind: no file, no open handle.
 */
export async function writeCabinet(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  options: WriteOptions,
): Promise<Archive> {
  const spool = new Spool(options.spoolDir, options.memoryLimit);
  const writer = new CabinetWriter(spool, options);
  try {
    const ordered = await orderEntries(entries, options.signal);
    for (const [index, entry] of ordered.entries()) await writer.add(entry, index === ordered.length - 1);
    return await writer.finish();
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** A file of the cabinet, as its CFFILE will tell it. */
type PackedFile = {
  readonly folderIndex: number;
  readonly folderOffset: number;
  size: number;
  /** Of this file alone; null unless it may be one of several. */
  readonly hash: ContentHash | null;
};

type Packed = {
  /** One, or several if the body was split. */
  readonly files: PackedFile[];
  size: number;
  readonly hash: ContentHash;
  /** Why the end is missing. */
  missing: string | null;
  /** Whether it is missing because there was no more room. */
  full: boolean;
};

class CabinetWriter {
  readonly #spool: Spool;
  readonly #options: WriteOptions;
  readonly #level: Compression;
  readonly #segments: Segments;
  readonly #names = new UniqueNames();
  readonly #results: EntryResult[] = [];
  readonly #records: Buffer[] = [];
  #recordsSize = 0;
  #bytesRead = 0;

  constructor(spool: Spool, options: WriteOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#level = options.compression ?? DEFAULT_LEVEL;
    this.#segments = new Segments(spool, this.#level, options.signal);
  }

  async add(entry: Entry, isLast: boolean): Promise<void> {
    this.#results.push(await this.#addEntry(entry, isLast));
  }

  /** The archive of everything added. */
  async finish(): Promise<Archive> {
    const folders = await this.#segments.finish();
    this.#options.signal?.throwIfAborted();
    const head = this.#encodeHead(folders);
    const archive = await sealArchive(() => inOrder(head, this.#spool), this.#spool, this.#results);
    this.#options.signal?.throwIfAborted();
    return archive;
  }

  async abandon(): Promise<void> {
    await this.#segments.abandon();
    await this.#spool.dispose();
  }

  async #addEntry(entry: Entry, isLast: boolean): Promise<EntryResult> {
    if (this.#freeFiles(isLast) === 0) {
      return absentEntry(entry, "left-out", `a cabinet holds at most ${MAX_FILES} files`);
    }
    const body = await openEntry(entry, this.#results, this.#options.signal);
    if ("wanted" in body) return body;
    try {
      const tooLarge = await this.#whyTooLarge(body, isLast);
      if (tooLarge !== null) return absentEntry(entry, "left-out", tooLarge);
      return this.#record(entry, await this.#pack(body, isLast));
    } finally {
      await body.close();
    }
  }

  #freeFiles(isLast: boolean): number {
    return MAX_FILES - this.#records.length - (isLast ? 0 : 1);
  }

  /** Why a body whose size is known need not be tried. */
  async #whyTooLarge({ size }: Body, isLast: boolean): Promise<string | null> {
    if (size === null) return null;
    if (size > MAX_FOLDER_SIZE && this.#options.splitLarge !== true) {
      return `${size} bytes; a file in a cabinet has at most ${MAX_FOLDER_SIZE}`;
    }
    if (this.#level > 0) return null;
    const left = await this.#roomFor(size, isLast);
    return left < size
      ? `${size} bytes, not compressed; ${left} are left of the cabinet's ${MAX_CABINET_SIZE}`
      : null;
  }

  /** As many of `size` more bytes as surely fit into the cabinet. */
  async #roomFor(size: number, isLast: boolean): Promise<number> {
    if (this.#surplus(size, isLast) < 0) await this.#segments.settle();
    return Math.max(0, size + Math.min(0, this.#surplus(size, isLast)));
  }

  /** Bytes that are surely left of the cabinet when `size` more have been packed; negative when they may not fit. */
  #surplus(size: number, isLast: boolean): number {
    const head =
      HEADER_SIZE + FOLDER_SIZE * (this.#segments.folderIndex + 2) + this.#recordsSize + ENTRY_OVERHEAD;
    const kept = isLast ? 0 : LAST_ENTRY_RESERVE;
    return MAX_CABINET_SIZE - kept - head - this.#segments.worstSize - worstSize(size);
  }

  /** Puts what the body gives into the cabinet's data. */
  async #pack(body: Body, isLast: boolean): Promise<Packed> {
    const { folderSize } = this.#segments;
    if (folderSize > 0 && folderSize + (body.size ?? HALF_FOLDER) > MAX_FOLDER_SIZE)
      this.#segments.startFolder();
    const packed: Packed = {
      files: [],
      size: 0,
      hash: new ContentHash(body.size),
      missing: null,
      full: false,
    };
    do {
      const file = await this.#packFile(body, packed, isLast);
      if (file.size > 0 || packed.files.length === 0) packed.files.push(file);
    } while (await this.#goesOn(body, packed, isLast));
    if (packed.missing === null && body.size !== null && packed.size < body.size) {
      packed.missing = `it shrank while it was read, from ${body.size} bytes to ${packed.size}`;
    }
    return packed;
  }

  /** Reads until the body ends or fails, the folder is full or the cabinet is. */
  async #packFile(body: Body, packed: Packed, isLast: boolean): Promise<PackedFile> {
    const segments = this.#segments;
    const { folderIndex, folderSize: folderOffset } = segments;
    const hash = this.#splits(body) ? new ContentHash(null) : null;
    const file = { folderIndex, folderOffset, size: 0, hash };
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const room = await segments.room();
      const wanted = Math.min(room.length, MAX_FOLDER_SIZE - segments.folderSize);
      const bytes = await this.#read(body, room.subarray(0, await this.#roomFor(wanted, isLast)), packed);
      if (bytes.length === 0) return file;
      packed.hash.update(bytes);
      file.hash?.update(bytes);
      segments.take(bytes.length);
      file.size += bytes.length;
      packed.size += bytes.length;
      this.#bytesRead += bytes.length;
      this.#options.onProgress?.(this.#bytesRead);
    }
  }

  /** The bytes read into the front of `target`; none at the end, or when `packed` tells why there are no more. */
  async #read(body: Body, target: Buffer, packed: Packed): Promise<Buffer> {
    if (target.length === 0) return target;
    try {
      return target.subarray(0, await body.read(target));
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      packed.missing = messageOf(error);
      return target.subarray(0, 0);
    }
  }

  #splits({ size }: Body): boolean {
    return this.#options.splitLarge === true && (size === null || size > MAX_FOLDER_SIZE);
  }

  /** Whether another part follows, in a folder of its own; if the body ends here too early, `packed` tells why. */
  async #goesOn(body: Body, packed: Packed, isLast: boolean): Promise<boolean> {
    if (packed.missing !== null || (await this.#ended(body, packed))) return false;
    const folderIsFull = this.#segments.folderSize === MAX_FOLDER_SIZE;
    if (folderIsFull && this.#splits(body) && this.#freeFiles(isLast) > packed.files.length) {
      this.#segments.startFolder();
      return true;
    }
    packed.full = true;
    packed.missing = folderIsFull
      ? `it is larger than the ${packed.size} bytes there was room for in one folder of the cabinet`
      : `the cabinet is full: it has at most ${MAX_CABINET_SIZE} bytes`;
    return false;
  }

  async #ended(body: Body, packed: Packed): Promise<boolean> {
    try {
      return await body.ended();
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      packed.missing = messageOf(error);
      return true;
    }
  }

  /** Enters what was packed into the table of files. */
  #record(entry: Entry, packed: Packed): EntryResult {
    const { size, missing } = packed;
    if (size === 0 && missing !== null)
      return absentEntry(entry, packed.full ? "left-out" : "failed", missing);
    const sha256 = packed.hash.digest();
    const isSplit = packed.files.length > 1;
    const parts = packed.files.map((file, index) => ({
      name: this.#encodeRecord(entry, isSplit ? partName(entry.name, index) : entry.name, file),
      size: file.size,
      sha256: file.hash?.digest() ?? sha256,
    }));
    return {
      name: parts[0]?.name ?? null,
      wanted: entry.name,
      size,
      sha256,
      state: missing === null ? "stored" : "cut",
      reason: missing,
      parts: isSplit ? parts : [],
    };
  }

  /** Adds a CFFILE; the name it got. */
  #encodeRecord(entry: Entry, wanted: string, file: PackedFile): string {
    const name = this.#names.take(wanted);
    const bytes = Buffer.from(name);
    const isAscii = bytes.length === name.length;
    const attributes = (entry.attributes ?? ATTRIBUTE.archive) & SETTABLE_ATTRIBUTES;
    const record = encodeFileRecord(
      {
        ...file,
        ...encodeDosTime(entry.time),
        attributes: attributes | (isAscii ? 0 : ATTRIBUTE.nameIsUtf8),
      },
      bytes,
    );
    this.#records.push(record);
    this.#recordsSize += record.length;
    return name;
  }

  /** CFHEADER, the CFFOLDERs and the CFFILEs. */
  #encodeHead(folders: readonly FolderExtent[]): Buffer {
    const filesOffset = HEADER_SIZE + FOLDER_SIZE * folders.length;
    const dataOffset = filesOffset + this.#recordsSize;
    const cabinetSize = dataOffset + this.#spool.size;
    if (cabinetSize > MAX_CABINET_SIZE) {
      throw new ArchiveError(
        "CAB_LIMIT",
        `the cabinet has ${cabinetSize} bytes; at most ${MAX_CABINET_SIZE} are allowed`,
      );
    }
    const compression = this.#level === 0 ? COMPRESSION.none : COMPRESSION.mszip;
    return Buffer.concat([
      encodeHeader({
        cabinetSize,
        filesOffset,
        folderCount: folders.length,
        fileCount: this.#records.length,
      }),
      ...folders.map(({ spoolOffset, blockCount }) =>
        encodeFolder({ dataOffset: dataOffset + spoolOffset, blockCount, compression }),
      ),
      ...this.#records,
    ]);
  }
}

async function* inOrder(head: Buffer, spool: Spool): AsyncGenerator<Buffer> {
  yield head;
  yield* spool.read();
}

/** `memory.dmp.001`: joined in the order of their names, the parts give the whole. */
function partName(name: string, index: number): string {
  return `${name}.${String(index + 1).padStart(3, "0")}`;
}
