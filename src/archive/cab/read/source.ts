/** What a cabinet is read from: a file, read at any offset or, by a cursor, from one offset on. */
import { type FileHandle, open } from "node:fs/promises";
import { ArchiveError } from "../../entries/error.ts";

/** Random access to bytes that do not change while they are read. */
export type Source = {
  readonly size: number;
  /** Fills `target` with the bytes at `offset`; how many there were: fewer only where the source ends. */
  read(offset: number, target: Buffer): Promise<number>;
};

/** A file opened for reading; `close` lets go of it. Errors of the file system come as they are. */
export async function openSource(path: string): Promise<Source & { close(): Promise<void> }> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    return { size, read: (offset, target) => readFrom(file, offset, target), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readFrom(file: FileHandle, offset: number, target: Buffer): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** Bytes read ahead at first, and at most: a cabinet of sixty thousand tiny folders is not to be read whole for each. */
const FIRST_AHEAD = 4096;
const MAX_AHEAD = 512 * 1024;

/** Reads a source from one place on. Hides that it is read in large pieces, into the same memory again and again. */
export class Cursor {
  readonly #source: Source;
  #memory: Buffer = Buffer.alloc(0);
  /** The part of the memory that is read and not yet taken. */
  #ahead: Buffer = this.#memory;
  /** Offset of the next byte. */
  offset: number;

  constructor(source: Source, offset: number) {
    this.#source = source;
    this.offset = offset;
  }

  /** Bytes of the source. */
  get size(): number {
    return this.#source.size;
  }

  /**
   * The next `length` bytes, 64 KiB at most; good until more are asked for.
   * @throws {ArchiveError} CAB_TRUNCATED when the source ends before; `what` says what was being read.
   */
  async take(length: number, what: string): Promise<Buffer> {
    const bytes = await this.peek(length);
    if (bytes.length < length) {
      const missing = `the file ends at byte ${this.size}, inside ${what} of ${length} bytes`;
      throw new ArchiveError("CAB_TRUNCATED", missing, { offset: this.offset });
    }
    this.skip(length);
    return bytes;
  }

  /** The next `length` bytes, which stay the next; fewer where the source ends. Good until more are asked for. */
  async peek(length: number): Promise<Buffer> {
    if (this.#ahead.length < length && this.offset + this.#ahead.length < this.size) {
      await this.#readAhead(length);
    }
    return this.#ahead.subarray(0, length);
  }

  /** Goes on `length` bytes further, which have been peeked at. */
  skip(length: number): void {
    this.#ahead = this.#ahead.subarray(length);
    this.offset += length;
  }

  async #readAhead(length: number): Promise<void> {
    const kept = this.#ahead;
    const size = Math.max(length, Math.min(MAX_AHEAD, 4 * this.#memory.length || FIRST_AHEAD));
    if (size > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(size);
    kept.copy(this.#memory);
    const count = await this.#source.read(this.offset + kept.length, this.#memory.subarray(kept.length));
    this.#ahead = this.#memory.subarray(0, kept.length + count);
  }
}
