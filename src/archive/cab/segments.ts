/**
 * The data of a cabinet on its way into the spool: bytes are filled into segments, segments are compressed side by
 * side and their blocks spooled in order. Hides the overlap of reading, compressing and writing, and the few buffers
 * that all of it runs in.
 */
import type { Compression } from "./entry.ts";
import { BLOCK_SIZE } from "./format.ts";
import { deflateSegment, type Segment, storeSegment, worstSize } from "./mszip.ts";
import type { Spool } from "./spool.ts";

/** A mebibyte: shorter ones spend a tenth more of the processor on starting deflate streams, longer ones gain nothing. */
const SEGMENT_SIZE = 32 * BLOCK_SIZE;

/** Segments being compressed at a time. One of the four threads of Node's pool stays free for files. */
const LANES = 3;

/** Where a folder's data starts in the spool, and how many blocks it has. */
export type FolderExtent = { readonly spoolOffset: number; readonly blockCount: number };

/** A segment being filled or compressed, and the room for its CFDATA structures. */
type Buffers = { readonly bytes: Buffer; readonly out: Buffer };

type OpenFolder = { spoolOffset: number | null; size: number };

export class Segments {
  readonly #spool: Spool;
  readonly #level: Compression;
  readonly #folders: OpenFolder[] = [{ spoolOffset: null, size: 0 }];
  /** The last block of the segment before, which the next one starts with. */
  readonly #history = Buffer.allocUnsafeSlow(BLOCK_SIZE);
  #hasHistory = false;
  #current: Buffers | null = null;
  #filled = 0;

  readonly #free: Buffers[] = [];
  #allocated = 0;
  #onFree: (() => void) | null = null;
  /** Fulfilled when everything handed over so far is in the spool or has failed. */
  #spooled: Promise<void> = Promise.resolve();
  /** What the segments handed over and not yet spooled may take at worst. */
  #inFlight = 0;
  #failure: { readonly error: unknown } | null = null;
  #stopped = false;

  /** Level 0 makes uncompressed folders. */
  constructor(spool: Spool, level: Compression) {
    this.#spool = spool;
    this.#level = level;
  }

  get folderIndex(): number {
    return this.#folders.length - 1;
  }

  /** Uncompressed bytes in the current folder. */
  get folderSize(): number {
    return this.#folder.size;
  }

  /** Bytes the spool will have at most when everything taken so far is in it. */
  get worstSize(): number {
    return this.#spool.size + this.#inFlight + worstSize(this.#filled);
  }

  /** Room to put the next bytes in: never empty, all of one segment at most. */
  async room(): Promise<Buffer> {
    this.#current ??= await this.#start();
    return this.#current.bytes.subarray(BLOCK_SIZE + this.#filled);
  }

  /** Takes the first `count` bytes of `room` into the folder. */
  take(count: number): void {
    this.#filled += count;
    this.#folder.size += count;
    if (this.#filled === SEGMENT_SIZE) this.#handOver();
  }

  /** What comes next goes into another folder. */
  startFolder(): void {
    this.#handOver();
    this.#hasHistory = false;
    this.#folders.push({ spoolOffset: null, size: 0 });
  }

  /** Waits until everything handed over is spooled. */
  async settle(): Promise<void> {
    await this.#spooled;
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Spools what is left; every folder's place. */
  async finish(): Promise<FolderExtent[]> {
    this.#handOver();
    await this.settle();
    return this.#folders.map(({ spoolOffset, size }) => ({
      spoolOffset: spoolOffset ?? this.#spool.size,
      blockCount: Math.ceil(size / BLOCK_SIZE),
    }));
  }

  /** Stops as soon as may be; nothing is under way when the promise is fulfilled. */
  async abandon(): Promise<void> {
    this.#stopped = true;
    await this.#spooled;
  }

  get #folder(): OpenFolder {
    return this.#folders[this.#folders.length - 1] as OpenFolder;
  }

  async #start(): Promise<Buffers> {
    const buffers = await this.#takeFree();
    this.#history.copy(buffers.bytes);
    return buffers;
  }

  async #takeFree(): Promise<Buffers> {
    if (this.#free.length === 0 && this.#allocated <= LANES) {
      this.#allocated++;
      return allocateBuffers();
    }
    while (this.#free.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onFree = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure.error;
    return this.#free.pop() ?? allocateBuffers();
  }

  /** Starts compressing the current segment and queues it for the spool. */
  #handOver(): void {
    if (this.#current === null || this.#filled === 0) return;
    const { bytes, out } = this.#current;
    const [folder, length] = [this.#folder, this.#filled];
    const segment = { bytes, length, hasHistory: this.#hasHistory };
    bytes.copy(this.#history, 0, length, length + BLOCK_SIZE);
    [this.#current, this.#filled, this.#hasHistory] = [null, 0, true];

    const encoding = this.#encode(segment, out);
    // Looked at in its turn, which may be after it failed.
    encoding.catch(() => undefined);
    this.#inFlight += worstSize(length);
    this.#spooled = this.#spooled.then(async () => {
      await this.#spoolSegment(folder, encoding, out);
      this.#inFlight -= worstSize(length);
      this.#free.push({ bytes, out });
      this.#onFree?.();
    });
  }

  async #encode(segment: Segment, out: Buffer): Promise<number> {
    if (this.#level === 0) return storeSegment(segment, out);
    return deflateSegment(segment, this.#level, out, () => this.#stopped);
  }

  async #spoolSegment(folder: OpenFolder, encoding: Promise<number>, out: Buffer): Promise<void> {
    try {
      const size = await encoding;
      if (this.#failure !== null || this.#stopped) return;
      folder.spoolOffset ??= this.#spool.size;
      await this.#spool.append(out.subarray(0, size));
    } catch (error) {
      this.#failure ??= { error };
      this.#stopped = true;
    }
  }
}

function allocateBuffers(): Buffers {
  return {
    bytes: Buffer.allocUnsafeSlow(BLOCK_SIZE + SEGMENT_SIZE),
    out: Buffer.allocUnsafeSlow(worstSize(SEGMENT_SIZE)),
  };
}
