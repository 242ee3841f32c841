/**
 * MSZIP ([MS-MCI]): every data block is "CK" and one complete raw deflate stream, which may refer to the 32 KiB before
 * it. Hides how Node's zlib is made to give that fast and the same each time, and which blocks are not worth its while.
 *
 * A run of blocks goes through one deflate stream, flushed after each block; two bytes, an empty last deflate block,
 * then complete the block. The stream is fresh for every run, with what came before as its dictionary: runs can so be
 * compressed side by side.
 */
import { constants } from "node:zlib";
import type { Compression } from "../../entries/entry.ts";
import { blockChecksum } from "../checksum.ts";
import { BLOCK_SIZE, DATA_HEADER, DATA_HEADER_SIZE, STORED_OVERHEAD, writeFields } from "../format.ts";
import { type Deflate, openDeflate } from "./deflate.ts";

const SIGNATURE = Buffer.from("CK");

/** An empty last deflate block, after a flush that ended at a byte's end. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

/** Room for a block that deflating makes larger, to spare. */
const MAX_DEFLATED_SIZE = 2 * BLOCK_SIZE;

const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** A whole data block of zeros as deflated at level 9, without history: a third of a crash dump is this. */
const DEFLATED_ZEROS = Buffer.from(`edc10101000000${"8090feafee080a"}${"00".repeat(31)}18`, "hex");

/**
 * Blocks one after another, with the bytes before them in front: `bytes` holds a block of history, then the data.
 * Encoded, its CFDATA structures take the place of both: a block's never reach as far as the next one's data, because
 * the history leaves them more room than so few blocks can add.
 */
export type Segment = {
  /** Starts at a multiple of four in its ArrayBuffer, as every block in it does. */
  readonly bytes: Buffer;
  /** Bytes of data after the history; `MAX_SEGMENT_SIZE` at most. */
  readonly length: number;
  /** Whether the history is the folder's; the folder's first segment has none. */
  readonly hasHistory: boolean;
};

/** 768 KiB: shorter ones spend more of the processor on starting deflate streams, longer ones gain little. */
export const MAX_SEGMENT_SIZE = 24 * BLOCK_SIZE;

/** Room a segment of `length` bytes takes as CFDATA structures, at worst. */
export function worstSize(length: number): number {
  return length + Math.ceil(length / BLOCK_SIZE) * (DATA_HEADER_SIZE + STORED_OVERHEAD);
}

/** Makes the segment's blocks CFDATA structures of an uncompressed folder, at the front of its bytes; their size. */
export function storeSegment(segment: Segment): number {
  let at = 0;
  for (const block of blocksOf(segment)) {
    const size = block.length;
    const head = { checksum: blockChecksum(block, size), size, uncompressedSize: size };
    // The head may lie where the block begins: the block goes first.
    block.copy(segment.bytes, at + DATA_HEADER_SIZE);
    at = writeFields(DATA_HEADER, head, segment.bytes, at) + size;
  }
  return at;
}

/**
 * Makes the segment's blocks CFDATA structures of an MSZIP folder, at the front of its bytes; their size. Same segment
 * and level, same bytes.
 */
export function deflateSegment(segment: Segment, level: Compression): number {
  const encoder = new SegmentEncoder(level, historyOf(segment));
  let at = 0;
  try {
    for (const block of blocksOf(segment)) at += writeBlock(encoder.encode(block), block, segment.bytes, at);
  } finally {
    encoder.close();
  }
  return at;
}

/** Where a block's payload is put together: a checksum wants it at an aligned place. */
const payload = Buffer.allocUnsafeSlow(SIGNATURE.length + MAX_DEFLATED_SIZE);
SIGNATURE.copy(payload);
/** The part of it that a deflate stream goes into. */
const deflated = payload.subarray(SIGNATURE.length);

/** Deflates one block after another, each the way that suits it. */
class SegmentEncoder {
  readonly #level: Compression;
  /** What the first block to be matched may refer to. */
  #history: Buffer | null;
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
  /** Whether the last block was zeros. */
  #sawZeros = false;

  constructor(level: Compression, history: Buffer | null) {
    this.#level = level;
    this.#history = history;
  }

  /** Puts the block into `deflated` as one complete deflate stream; its size, or null when it does not get smaller. */
  encode(block: Buffer): number | null {
    if (block.length < BLOCK_SIZE) return this.#match(block);
    const [isZeros, followsZeros] = [block.equals(ZEROS), this.#sawZeros];
    this.#sawZeros = isZeros;
    // Zeros are all that the matching stream remembers after zeros, whether it is given more of them or not.
    if (isZeros && (followsZeros || this.#matching === null)) {
      this.#history = null;
      return DEFLATED_ZEROS.copy(deflated);
    }
    if (isZeros) return this.#match(block);
    const codedSize = estimateCodedSize(block);
    if (this.#hopelessSize !== null && Math.abs(codedSize - this.#hopelessSize) < SAME_LOOK) {
      this.#forget();
      return codedSize > INCOMPRESSIBLE ? null : this.#code(block);
    }
    const size = this.#match(block);
    this.#hopelessSize = size < codedSize ? null : codedSize;
    return size;
  }

  close(): void {
    this.#forget();
    this.#coding?.close();
  }

  #match(block: Buffer): number {
    if (this.#matching === null) {
      const dictionary = this.#history === null ? {} : { dictionary: this.#history };
      this.#matching = openDeflate({ level: this.#level, ...dictionary });
    }
    return complete(this.#matching.write(block, deflated));
  }

  #code(block: Buffer): number {
    this.#coding ??= openDeflate({ level: this.#level, strategy: constants.Z_HUFFMAN_ONLY, memLevel: 9 });
    return complete(this.#coding.write(block, deflated));
  }

  /**
   * The matching stream does not see this block: the next one to be matched starts another, without history, which
   * nothing was found to match anyway.
   */
  #forget(): void {
    this.#matching?.close();
    this.#matching = null;
    this.#history = null;
  }
}

/** Ends the flushed stream of `size` bytes in `deflated`; its size then. */
function complete(size: number): number {
  return size + LAST_BLOCK.copy(deflated, size);
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

function* blocksOf({ bytes, length }: Segment): Generator<Buffer> {
  for (let at = 0; at < length; at += BLOCK_SIZE)
    yield bytes.subarray(BLOCK_SIZE + at, BLOCK_SIZE + Math.min(length, at + BLOCK_SIZE));
}

function historyOf({ bytes, hasHistory }: Segment): Buffer | null {
  return hasHistory ? bytes.subarray(0, BLOCK_SIZE) : null;
}

/** Writes one CFDATA at `at` of `out`, with the block stored when deflating it gains nothing; its size. */
function writeBlock(deflatedSize: number | null, block: Buffer, out: Buffer, at: number): number {
  let end = SIGNATURE.length;
  if (deflatedSize !== null && end + deflatedSize <= block.length + STORED_OVERHEAD) {
    end += deflatedSize;
  } else {
    end = payload.writeUInt8(0x01, end);
    end = payload.writeUInt16LE(block.length, end);
    end = payload.writeUInt16LE(~block.length & 0xffff, end);
    end += block.copy(payload, end);
  }
  const checksum = blockChecksum(payload.subarray(0, end), block.length);
  const head = { checksum, size: end, uncompressedSize: block.length };
  const start = writeFields(DATA_HEADER, head, out, at);
  return start + payload.copy(out, start, 0, end) - at;
}
