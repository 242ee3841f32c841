/**
 * Writes a cabinet: entries in, one archive out, in one pass over the data and a few megabytes of memory. Hides the
 * order that takes: data first, then the tables that stand before it.
 *
 * What becomes of an entry is one rule. The archive holds a true beginning of it, or nothing: an entry of which the end
 * is missing (it shrank, reading failed, no more room) is `cut`, one of which nothing could be read is `failed`, one
 * that cannot fit is `left-out`; the result says why. The last entry always finds room, for one file and 16 MiB, so
 * that it can be the one that tells what happened to the others.
 */
import { Measure } from "../../../bytes.ts";
import { type Archive, sealArchive } from "../../entries/archive.ts";
import {
  absentEntry,
  type Compression,
  type Entry,
  type EntryResult,
  type WriteOptions,
} from "../../entries/entry.ts";
import { ArchiveError } from "../../entries/error.ts";
import { MAX_SAFE_NAME_SIZE, UniqueNames } from "../../entries/names.ts";
import { orderEntries } from "../../entries/order.ts";
import { EntryReader, type Reading } from "../../entries/reading.ts";
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

/** A file of the cabinet, as its CFFILE will tell it: all of an entry, or a part of one that is split. */
type PackedFile = {
  readonly folderIndex: number;
  readonly folderOffset: number;
  size: number;
  /** Of this file alone; null unless it may be one of several. */
  readonly measure: Measure | null;
};

class CabinetWriter {
  readonly #spool: Spool;
  readonly #options: WriteOptions;
  readonly #level: Compression;
  readonly #segments: Segments;
  readonly #reader: EntryReader;
  readonly #names = new UniqueNames();
  readonly #records: Buffer[] = [];
  #recordsSize = 0;
  /** Whether the entry being added is the last one, which may take the room that is kept for it. */
  #isLast = false;

  constructor(spool: Spool, options: WriteOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#level = options.compression ?? DEFAULT_LEVEL;
    this.#segments = new Segments(spool, this.#level, options.signal);
    this.#reader = new EntryReader(options.signal);
  }

  async add(entry: Entry, isLast: boolean): Promise<void> {
    this.#isLast = isLast;
    if (this.#freeFiles === 0) {
      const reason = `a cabinet holds at most ${MAX_FILES} files`;
      this.#reader.results.push(absentEntry(entry, "left-out", reason));
      return;
    }
    await this.#reader.add(entry, async (reading) => {
      const tooLarge = await this.#whyTooLarge(reading.expected);
      if (tooLarge !== null) return absentEntry(entry, "left-out", tooLarge);
      return this.#record(entry, await this.#pack(reading), reading.finish());
    });
  }

  /** The archive of everything added. */
  async finish(): Promise<Archive> {
    const folders = await this.#segments.finish();
    this.#options.signal?.throwIfAborted();
    const head = this.#encodeHead(folders);
    const archive = await sealArchive(() => inOrder(head, this.#spool), this.#spool, this.#reader.results);
    this.#options.signal?.throwIfAborted();
    return archive;
  }

  async abandon(): Promise<void> {
    await this.#segments.abandon();
    await this.#spool.dispose();
  }

  get #freeFiles(): number {
    return MAX_FILES - this.#records.length - (this.#isLast ? 0 : 1);
  }

  /** Why an entry whose size is known need not be tried. */
  async #whyTooLarge(size: number | null): Promise<string | null> {
    if (size === null) return null;
    if (size > MAX_FOLDER_SIZE && this.#options.splitLarge !== true) {
      return `${size} bytes; a file in a cabinet has at most ${MAX_FOLDER_SIZE}`;
    }
    if (this.#level > 0) return null;
    const left = await this.#roomFor(size);
    return left < size
      ? `${size} bytes, not compressed; ${left} are left of the cabinet's ${MAX_CABINET_SIZE}`
      : null;
  }

  /** As many of `size` more bytes as surely fit into the cabinet. */
  async #roomFor(size: number): Promise<number> {
    if (this.#surplus(size) < 0) await this.#segments.settle();
    return Math.max(0, size + Math.min(0, this.#surplus(size)));
  }

  /** Bytes that are surely left of the cabinet when `size` more have been packed; negative when they may not fit. */
  #surplus(size: number): number {
    const head =
      HEADER_SIZE + FOLDER_SIZE * (this.#segments.folderIndex + 2) + this.#recordsSize + ENTRY_OVERHEAD;
    const kept = this.#isLast ? 0 : LAST_ENTRY_RESERVE;
    return MAX_CABINET_SIZE - kept - head - this.#segments.worstSize - worstSize(size);
  }

  /** Puts what is read into the cabinet's data: as one file, or as several if the entry is split. */
  async #pack(reading: Reading): Promise<PackedFile[]> {
    const { folderSize } = this.#segments;
    if (folderSize > 0 && folderSize + (reading.expected ?? HALF_FOLDER) > MAX_FOLDER_SIZE)
      this.#segments.startFolder();
    const files: PackedFile[] = [];
    do {
      const file = await this.#packFile(reading);
      if (file.size > 0 || files.length === 0) files.push(file);
    } while (await this.#goesOn(reading, files.length));
    return files;
  }

  /** Reads until there is no more, the folder is full or the cabinet is. */
  async #packFile(reading: Reading): Promise<PackedFile> {
    const segments = this.#segments;
    const { folderIndex, folderSize: folderOffset } = segments;
    const measure = this.#splits(reading) ? new Measure() : null;
    const file = { folderIndex, folderOffset, size: 0, measure };
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const room = await segments.room();
      const wanted = Math.min(room.length, MAX_FOLDER_SIZE - segments.folderSize);
      const bytes = await reading.next(room.subarray(0, await this.#roomFor(wanted)));
      if (bytes.length === 0) return file;
      file.measure?.add(bytes);
      segments.take(bytes.length);
      file.size += bytes.length;
    }
  }

  #splits({ expected }: Reading): boolean {
    return this.#options.splitLarge === true && (expected === null || expected > MAX_FOLDER_SIZE);
  }

  /** Whether another part follows the `count` there are, in a folder of its own. */
  async #goesOn(reading: Reading, count: number): Promise<boolean> {
    if (await reading.ended()) return false;
    const folderIsFull = this.#segments.folderSize === MAX_FOLDER_SIZE;
    if (folderIsFull && this.#splits(reading) && this.#freeFiles > count) {
      this.#segments.startFolder();
      return true;
    }
    reading.crowdOut(
      folderIsFull
        ? `it is larger than the ${reading.size} bytes there was room for in one folder of the cabinet`
        : `the cabinet is full: it has at most ${MAX_CABINET_SIZE} bytes`,
    );
    return false;
  }

  /** Enters what was packed into the table of files, if there is anything of the entry. */
  #record(entry: Entry, files: readonly PackedFile[], result: EntryResult): EntryResult {
    const { sha256 } = result;
    if (sha256 === null) return result;
    const isSplit = files.length > 1;
    const parts = files.map((file, index) => ({
      name: this.#encodeRecord(entry, isSplit ? partName(entry.name, index) : entry.name, file),
      size: file.size,
      sha256: file.measure?.finish().sha256 ?? sha256,
    }));
    return { ...result, name: parts[0]?.name ?? null, parts: isSplit ? parts : [] };
  }

  /** Adds a CFFILE; the name it got. */
  #encodeRecord(entry: Entry, wanted: string, file: PackedFile): string {
    const name = this.#names.take(wanted);
    const bytes = Buffer.from(name);
    const isAscii = bytes.length === name.length;
    const attributes = ATTRIBUTE.archive | (isAscii ? 0 : ATTRIBUTE.nameIsUtf8);
    const record = encodeFileRecord({ ...file, ...encodeDosTime(entry.time), attributes }, bytes);
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
