/**
 * The data of a cabinet on its way into the spool: bytes are filled into segments, segments are compressed here and in
 * a second thread, and their blocks spooled in order. Hides the overlap of reading, compressing and writing, and the
 * few buffers that all of it runs in.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { abortable } from "../../../bytes.ts";
import type { Compression } from "../../entries/entry.ts";
import type { Spool } from "../../entries/spool.ts";
import { BLOCK_SIZE } from "../format.ts";
import { deflateSegment, MAX_SEGMENT_SIZE, type Segment, storeSegment, worstSize } from "./mszip.ts";
import { SecondThread } from "./second-thread.ts";

/** Segments in memory: three with the second thread, one done and waiting for them, one being filled or deflated here. */
const MAX_SEGMENTS = 5;

/** Where a folder's data starts in the spool, and how many blocks it has. */
export type FolderExtent = { readonly spoolOffset: number; readonly blockCount: number };

type OpenFolder = { spoolOffset: number | null; size: number };

export class Segments {
  readonly #spool: Spool;
  readonly #level: Compression;
  readonly #signal: AbortSignal | undefined;
  readonly #secondThread = new SecondThread();
  readonly #folders: OpenFolder[] = [{ spoolOffset: null, size: 0 }];
  /** The last block of the segment before, which the next one starts with. */
  readonly #history = Buffer.allocUnsafeSlow(BLOCK_SIZE);
  #hasHistory = false;
  #current: Buffer | null = null;
  #filled = 0;

  readonly #free: Buffer[] = [];
  #allocated = 0;
  #onFree: (() => void) | null = null;
  /** Fulfilled when everything handed over so far is in the spool or has failed. */
  #spooled: Promise<void> = Promise.resolve();
  /** What the segments handed over and not yet spooled may take at worst. */
  #inFlight = 0;
  #failure: { readonly error: unknown } | null = null;
  /** Nothing goes into the spool any more: something failed, or nobody wants it. */
  #stopped = false;

  /** Level 0 makes uncompressed folders. Waiting ends when `signal` aborts. */
  constructor(spool: Spool, level: Compression, signal: AbortSignal | undefined) {
    this.#spool = spool;
    this.#level = level;
    this.#signal = signal;
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
    if (this.#filled === MAX_SEGMENT_SIZE) {
      // Small files are read without ever waiting: time for the second thread to tell what it has done meanwhile.
      await nextTurn();
      this.#handOver();
    }
    if (this.#current === null) {
      this.#current = await this.#takeFree();
      this.#history.copy(this.#current);
    }
    return this.#current.subarray(BLOCK_SIZE + this.#filled);
  }

  /** Takes the first `count` bytes of `room` into the folder; they are not there any more afterwards. */
  take(count: number): void {
    this.#filled += count;
    this.#folder.size += count;
  }

  /** What comes next goes into another folder. */
  startFolder(): void {
    this.#handOver();
    this.#hasHistory = false;
    this.#folders.push({ spoolOffset: null, size: 0 });
  }

  /** Waits until everything handed over is spooled. */
  async settle(): Promise<void> {
    await abortable(this.#spooled, this.#signal);
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Spools what is left; every folder's place. */
  async finish(): Promise<FolderExtent[]> {
    this.#handOver();
    await this.settle();
    await this.#secondThread.stop();
    return this.#folders.map(({ spoolOffset, size }) => ({
      spoolOffset: spoolOffset ?? this.#spool.size,
      blockCount: Math.ceil(size / BLOCK_SIZE),
    }));
  }

  /** Stops as soon as may be; nothing is under way when the promise is fulfilled. */
  async abandon(): Promise<void> {
    this.#stopped = true;
    await this.#secondThread.stop();
    await this.#spooled;
  }

  get #folder(): OpenFolder {
    return this.#folders[this.#folders.length - 1] as OpenFolder;
  }

  async #takeFree(): Promise<Buffer> {
    if (this.#free.length === 0 && this.#allocated < MAX_SEGMENTS) {
      this.#allocated++;
      return allocateSegment();
    }
    while (this.#free.length === 0) {
      const freed = new Promise<void>((resolve) => {
        this.#onFree = resolve;
      });
      await abortable(freed, this.#signal);
    }
    if (this.#failure !== null) throw this.#failure.error;
    return this.#free.pop() ?? allocateSegment();
  }

  /** Starts compressing the current segment and queues it for the spool. */
  #handOver(): void {
    if (this.#current === null || this.#filled === 0) return;
    const bytes = this.#current;
    const [folder, length] = [this.#folder, this.#filled];
    const segment = { bytes, length, hasHistory: this.#hasHistory };
    bytes.copy(this.#history, 0, length, length + BLOCK_SIZE);
    [this.#current, this.#filled] = [null, 0];

    // There is likely to be more.
    if (this.#level > 0 && length === MAX_SEGMENT_SIZE) this.#secondThread.start();
    this.#hasHistory = true;
    const encoding = this.#encode(segment);
    // Looked at in its turn, which may be after it failed.
    encoding.catch(() => undefined);
    this.#inFlight += worstSize(length);
    this.#spooled = this.#spooled.then(async () => {
      await this.#spoolSegment(folder, encoding, bytes);
      this.#inFlight -= worstSize(length);
      this.#free.push(bytes);
      this.#onFree?.();
    });
  }

  async #encode(segment: Segment): Promise<number> {
    if (this.#level === 0) return storeSegment(segment);
    return (
      this.#secondThread.deflate({ segment, level: this.#level }) ?? deflateSegment(segment, this.#level)
    );
  }

  async #spoolSegment(folder: OpenFolder, encoding: Promise<number>, bytes: Buffer): Promise<void> {
    try {
      const size = await encoding;
      if (this.#stopped) return;
      folder.spoolOffset ??= this.#spool.size;
      await this.#spool.append(bytes.subarray(0, size));
    } catch (error) {
      this.#failure ??= { error };
      this.#stopped = true;
    }
  }
}

/** In memory that the second thread can see. */
function allocateSegment(): Buffer {
  return Buffer.from(new SharedArrayBuffer(BLOCK_SIZE + MAX_SEGMENT_SIZE));
}
