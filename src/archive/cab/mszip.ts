/**
 * MSZIP ([MS-MCI]): every data block is "CK" and one complete raw deflate stream, which may refer to the 32 KiB before
 * it. Hides how Node's zlib is made to give that fast and the same each time, and which blocks are not worth its while.
 *
 * A run of blocks goes through one deflate stream, flushed after each block; two bytes, an empty last deflate block,
 * then complete the block. The stream is fresh for every run, with what came before as its dictionary: a stream used
 * again answers with other bytes depending on how full its output buffer happens to be.
 */
import { constants, createDeflateRaw } from "node:zlib";
import { blockChecksum } from "./checksum.ts";
import type { Compression } from "./entry.ts";
import { BLOCK_SIZE, DATA_HEADER_SIZE } from "./format.ts";

/** "CK" and the head of one stored deflate block: what a block that does not compress costs on top. */
export const STORED_OVERHEAD = 7;

/** An empty last deflate block, after a flush that ended at a byte's end. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

/** More than a flush of one block can give, so that the output is never cut at a place that depends on chance. */
const CHUNK_SIZE = 64 * 1024;

const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** A whole data block of zeros as deflated at level 9, without history: a third of a crash dump is this. */
const DEFLATED_ZEROS = Buffer.from(`edc10101000000${"8090feafee080a"}${"00".repeat(31)}18`, "hex");

/** Blocks one after another, with the bytes before them in front: `bytes` holds a block of history, then the data. */
export type Segment = {
  /** Starts at a multiple of four in its ArrayBuffer, as every block in it does. */
  readonly bytes: Buffer;
  /** Bytes of data after the history. */
  readonly length: number;
  /** Whether the history is the folder's; the folder's first segment has none. */
  readonly hasHistory: boolean;
};

/** Room a segment of `length` bytes takes as CFDATA structures, at worst. */
export function worstSize(length: number): number {
  return length + Math.ceil(length / BLOCK_SIZE) * (DATA_HEADER_SIZE + STORED_OVERHEAD);
}

/** Writes the segment's blocks as CFDATA structures of an uncompressed folder into `out`; their size. */
export function storeSegment(segment: Segment, out: Buffer): number {
  let at = 0;
  for (const { block } of blocksOf(segment)) {
    at += writeHeader(out, at, block, block.length);
    at += block.copy(out, at);
  }
  return at;
}

/**
 * Writes the segment's blocks as CFDATA structures of an MSZIP folder into `out`; their size. Same segment and level,
 * same bytes. Stops between two blocks, with what it has, when `stopped` says so.
 */
export async function deflateSegment(
  segment: Segment,
  level: Compression,
  out: Buffer,
  stopped: () => boolean,
): Promise<number> {
  const encoder = new SegmentEncoder(level);
  let at = 0;
  try {
    for (const { block, history } of blocksOf(segment)) {
      if (stopped()) break;
      at += writeBlock(await encoder.encode(block, history), block, out, at);
    }
  } finally {
    encoder.close();
  }
  return at;
}

/** Deflates one block after another, each the way that suits it. */
class SegmentEncoder {
  readonly #level: Compression;
  /** Searches for matches in what it was given before, so it has to be given every block or start anew. */
  #matching: Deflate | null = null;
  /** Codes bytes one by one. */
  #coding: Deflate | null = null;
  /**
   * What coding its bytes one by one would have made of the last block for which matching gave no less; null as long
   * as matching pays. Blocks that look like that one are not searched for matches: that is where random, encrypted
   * and already compressed data cost the most time for nothing.
   */
  #hopelessSize: number | null = null;

  constructor(level: Compression) {
    this.#level = level;
  }

  /** The block as one complete deflate stream, in pieces; null when it does not get smaller. */
  async encode(block: Buffer, history: Buffer | null): Promise<readonly Uint8Array[] | null> {
    if (block.length < BLOCK_SIZE) return this.#match(block, history);
    if (block.equals(ZEROS)) return this.#leaveOut([DEFLATED_ZEROS]);
    const codedSize = estimateCodedSize(block);
    if (this.#hopelessSize !== null && Math.abs(codedSize - this.#hopelessSize) < SAME_LOOK) {
      return this.#leaveOut(codedSize > INCOMPRESSIBLE ? null : await this.#code(block));
    }
    const pieces = await this.#match(block, history);
    this.#hopelessSize = sizeOf(pieces) < codedSize ? null : codedSize;
    return pieces;
  }

  close(): void {
    this.#matching?.close();
    this.#coding?.close();
  }

  #match(block: Buffer, history: Buffer | null): Promise<readonly Uint8Array[]> {
    this.#matching ??= openDeflate({
      level: this.#level,
      ...(history === null ? {} : { dictionary: history }),
    });
    return this.#matching.write(block);
  }

  #code(block: Buffer): Promise<readonly Uint8Array[]> {
    this.#coding ??= openDeflate({ level: this.#level, strategy: constants.Z_HUFFMAN_ONLY, memLevel: 9 });
    return this.#coding.write(block);
  }

  /** The matching stream has not seen this block: the next one to be matched starts another, with this as history. */
  #leaveOut<T>(encoded: T): T {
    this.#matching?.close();
    this.#matching = null;
    return encoded;
  }
}

/** Blocks whose estimated sizes differ by less look alike: 2 % of a block. */
const SAME_LOOK = 655;

/** Estimates from here on mean random bytes: the sample leaves the estimate about 1 % short of the block's size. */
const INCOMPRESSIBLE = BLOCK_SIZE * 0.985;

const SAMPLES = 4096;
const counts = new Uint32Array(256);

/** Bytes a whole block would take with each byte coded by its frequency alone, from every eighth of them. */
function estimateCodedSize(block: Buffer): number {
  counts.fill(0);
  const step = BLOCK_SIZE / SAMPLES;
  for (let at = 0; at < BLOCK_SIZE; at += step)
    counts[block[at] as number] = (counts[block[at] as number] as number) + 1;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= count * Math.log2(count / SAMPLES);
  return (bits * step) / 8;
}

/** A raw deflate stream that is flushed after each write, which is then given the end it lacks. */
type Deflate = {
  /** `block` as a complete deflate stream, for a decoder that has seen what was written before. One at a time. */
  write(block: Buffer): Promise<readonly Uint8Array[]>;
  close(): void;
};

function openDeflate(options: {
  level: Compression;
  strategy?: number;
  memLevel?: number;
  dictionary?: Buffer;
}): Deflate {
  const stream = createDeflateRaw({ ...options, flush: constants.Z_SYNC_FLUSH, chunkSize: CHUNK_SIZE });
  let pieces: Uint8Array[] = [];
  let fail: (error: Error) => void = () => undefined;
  stream.on("data", (piece: Uint8Array) => pieces.push(piece));
  stream.on("error", (error) => fail(error));
  return {
    write(block) {
      pieces = [];
      return new Promise((resolve, reject) => {
        fail = reject;
        stream.write(block, () => resolve([...pieces, LAST_BLOCK]));
      });
    },
    close: () => stream.close(),
  };
}

/** Blocks of a segment, each with the 32 KiB before it, if there are any. */
function* blocksOf({
  bytes,
  length,
  hasHistory,
}: Segment): Generator<{ block: Buffer; history: Buffer | null }> {
  for (let at = 0; at < length; at += BLOCK_SIZE) {
    const block = bytes.subarray(BLOCK_SIZE + at, BLOCK_SIZE + Math.min(length, at + BLOCK_SIZE));
    yield { block, history: hasHistory || at > 0 ? bytes.subarray(at, at + BLOCK_SIZE) : null };
  }
}

/** Where one block's payload is put together: a checksum wants it at an aligned place. */
const payload = Buffer.allocUnsafeSlow(BLOCK_SIZE + STORED_OVERHEAD);

/** Writes one CFDATA at `at` of `out`, with the block stored when deflating it gains nothing; its size. */
function writeBlock(deflated: readonly Uint8Array[] | null, block: Buffer, out: Buffer, at: number): number {
  let end = payload.write("CK", "latin1");
  if (deflated === null || end + sizeOf(deflated) > block.length + STORED_OVERHEAD) {
    end = payload.writeUInt8(0x01, end);
    end = payload.writeUInt16LE(block.length, end);
    end = payload.writeUInt16LE(~block.length & 0xffff, end);
    end += block.copy(payload, end);
  } else {
    for (const piece of deflated) {
      payload.set(piece, end);
      end += piece.length;
    }
  }
  writeHeader(out, at, payload.subarray(0, end), block.length);
  return DATA_HEADER_SIZE + payload.copy(out, at + DATA_HEADER_SIZE, 0, end);
}

/** Writes the head of a CFDATA with its checksum; its size. */
function writeHeader(out: Buffer, at: number, payload: Uint8Array, uncompressedSize: number): number {
  out.writeUInt32LE(blockChecksum(payload, uncompressedSize), at);
  out.writeUInt16LE(payload.length, at + 4);
  out.writeUInt16LE(uncompressedSize, at + 6);
  return DATA_HEADER_SIZE;
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
