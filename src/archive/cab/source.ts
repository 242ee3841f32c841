/**
 * Where a cabinet is read from: a file or bytes, at any place. Hides that a file is read in large pieces while the
 * cabinet's structures are small.
 */
import { type FileHandle, open } from "node:fs/promises";
import { CabError } from "./error.ts";

/** Random access to bytes that do not change while they are read. */
export type Source = {
  readonly size: number;
  /** The `length` bytes at `offset`; fewer only where the source ends. The caller may keep them. */
  read(offset: number, length: number): Promise<Buffer>;
};

export function bytesSource(bytes: Buffer): Source {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

/** A file opened for reading; `close` lets go of it. Errors of the file system come as they are. */
export async function openSource(path: string): Promise<Source & { close(): Promise<void> }> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    return { size, read: (offset, length) => readFrom(file, offset, length), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readFrom(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** Bytes read ahead at first, and at most: a cabinet of sixty thousand tiny folders is not to be read whole for each. */
const FIRST_AHEAD = 4096;
const MAX_AHEAD = 256 * 1024;

/** Reads a source from one place on. */
export class Cursor {
  readonly #source: Source;
  #ahead: Buffer = Buffer.alloc(0);
  #aheadSize = FIRST_AHEAD;
  /** Offset of the next byte. */
  offset: number;

  constructor(source: Source, offset: number) {
    this.#source = source;
    this.offset = offset;
  }

  /**
   * The next `length` bytes, 64 KiB at most; good until the source changes.
   * @throws {CabError} CAB_TRUNCATED when the source ends before; `what` says what was being read.
   */
  async take(length: number, what: string): Promise<Buffer> {
    const bytes = await this.peek(length);
    if (bytes.length < length) {
      const missing = `the file ends at byte ${this.#source.size}, inside ${what} of ${length} bytes`;
      throw new CabError("CAB_TRUNCATED", missing, { offset: this.offset });
    }
    this.skip(length);
    return bytes;
  }

  /** The next `length` bytes, which stay the next; fewer where the source ends. */
  async peek(length: number): Promise<Buffer> {
    if (this.#ahead.length < length && this.offset + this.#ahead.length < this.#source.size) {
      const wanted = Math.max(length, this.#aheadSize);
      this.#ahead = await this.#source.read(this.offset, Math.min(wanted, this.#source.size - this.offset));
      this.#aheadSize = Math.min(4 * this.#aheadSize, MAX_AHEAD);
    }
    return this.#ahead.subarray(0, length);
  }

  /** Goes on `length` bytes further, which have been peeked at. */
  skip(length: number): void {
    this.#ahead = this.#ahead.subarray(length);
    this.offset += length;
  }
}
