/**
 * Reads a folder's data blocks back into its uncompressed bytes, checking every one. Hides CFDATA, checksums, MSZIP's
 * history, and all that can be wrong with a block. Memory is a few blocks, whatever the cabinet claims.
 */
import { inflateRawSync } from "node:zlib";
import { ArchiveError, corrupt } from "../../entries/error.ts";
import { blockChecksum, xorWords } from "../checksum.ts";
import {
  BLOCK_SIZE,
  DATA_HEADER,
  DATA_HEADER_SIZE,
  MAX_BLOCK_DATA,
  readFields,
  STORED_OVERHEAD,
} from "../format.ts";
import { Cursor, type Source } from "./source.ts";
import type { Cabinet, CabinetFolder } from "./tables.ts";

type Block = {
  readonly offset: number;
  readonly checksum: number;
  /** The reserve's bytes and then the payload's. */
  readonly bytes: Buffer;
  readonly payload: Buffer;
  readonly uncompressedSize: number;
};

/**
 * The uncompressed bytes of a folder, block by block, and the offset at which its data ends. A chunk is good until the
 * next one is asked for.
 * @throws {ArchiveError} CAB_UNSUPPORTED, CAB_TRUNCATED, CAB_CORRUPT, CAB_CHECKSUM, with the offset of the block.
 */
export async function* readFolder(
  source: Source,
  { blockReserve }: Cabinet,
  folder: CabinetFolder,
): AsyncGenerator<Buffer, number> {
  const { compression, blockCount } = folder;
  if (compression !== "none" && compression !== "mszip" && blockCount > 0) {
    const message = `a folder is compressed with ${compression === "lzx" ? "LZX" : "Quantum"}, which is not supported`;
    throw new ArchiveError("CAB_UNSUPPORTED", message, { offset: folder.offset + 6 });
  }
  const cursor = new Cursor(source, folder.dataOffset);
  const inflater = new Inflater();
  for (let left = blockCount; left > 0; left--) {
    const block = await readBlock(cursor, blockReserve);
    checkBlock(block, blockReserve);
    yield compression === "none" ? storedContent(block) : inflater.inflate(block);
  }
  return cursor.offset;
}

async function readBlock(cursor: Cursor, reserve: number): Promise<Block> {
  const { offset } = cursor;
  const head = await cursor.take(DATA_HEADER_SIZE, "the head of a block");
  const { checksum, size, uncompressedSize } = readFields(DATA_HEADER, head);
  if (uncompressedSize === 0) throw corrupt("a block that goes on in another cabinet", offset);
  if (uncompressedSize > BLOCK_SIZE) {
    throw corrupt(
      `a block of ${uncompressedSize} uncompressed bytes; at most ${BLOCK_SIZE} are allowed`,
      offset,
    );
  }
  if (size > MAX_BLOCK_DATA)
    throw corrupt(`a block of ${size} bytes; at most ${MAX_BLOCK_DATA} are allowed`, offset);
  const bytes = await cursor.take(reserve + size, "a block");
  return { offset, checksum, bytes, payload: bytes.subarray(reserve), uncompressedSize };
}

/** Payloads are checked here, at an aligned place. */
const aligned = Buffer.allocUnsafeSlow(MAX_BLOCK_DATA + 256);

/**
 * A checksum of 0 means none was made. With a reserve there are two readings of the format: most writers leave it out
 * of the sum, some count it in; either sum shows that the payload is whole.
 */
function checkBlock({ checksum, bytes, payload, uncompressedSize, offset }: Block, reserve: number): void {
  if (checksum === 0) return;
  const sum = blockChecksum(align(payload), uncompressedSize);
  if (sum === checksum) return;
  const sizes = payload.length | (uncompressedSize << 16);
  if (reserve > 0 && (xorWords(align(bytes)) ^ sizes) >>> 0 === checksum) return;
  const message = `a block's checksum is ${hex(checksum)}, but its bytes give ${hex(sum)}`;
  throw new ArchiveError("CAB_CHECKSUM", message, { offset });
}

function align(bytes: Buffer): Buffer {
  return aligned.subarray(0, bytes.copy(aligned));
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function storedContent({ payload, uncompressedSize, offset }: Block): Buffer {
  if (payload.length !== uncompressedSize) {
    throw corrupt(`a stored block of ${payload.length} bytes says it has ${uncompressedSize}`, offset);
  }
  return payload;
}

/** Inflates the blocks of one folder, in their order. */
class Inflater {
  #history: Buffer | null = null;
  /** Stored blocks lie here by turns: each is the next one's history. */
  #memory: Buffer = Buffer.alloc(0);
  #otherMemory: Buffer = Buffer.alloc(0);

  inflate(block: Block): Buffer {
    const { payload, uncompressedSize, offset } = block;
    if (payload.toString("latin1", 0, 2) !== "CK")
      throw corrupt("an MSZIP block does not start with CK", offset);
    const content = isStored(block)
      ? this.#keep(payload.subarray(STORED_OVERHEAD))
      : inflatePayload(block, this.#history);
    if (content.length !== uncompressedSize) {
      throw corrupt(`a block inflates to ${content.length} bytes, not ${uncompressedSize}`, offset);
    }
    this.#history = joinHistory(this.#history, content);
    return content;
  }

  #keep(content: Buffer): Buffer {
    const memory = this.#otherMemory.length > 0 ? this.#otherMemory : Buffer.allocUnsafeSlow(MAX_BLOCK_DATA);
    [this.#memory, this.#otherMemory] = [memory, this.#memory];
    return memory.subarray(0, content.copy(memory));
  }
}

/** Whether all of it is one stored deflate block. */
function isStored({ payload }: Block): boolean {
  const size = payload.length - STORED_OVERHEAD;
  return (
    size >= 0 &&
    payload[2] === 0x01 &&
    payload.readUInt16LE(3) === size &&
    payload.readUInt16LE(5) === (~size & 0xffff)
  );
}

function inflatePayload({ payload, uncompressedSize, offset }: Block, history: Buffer | null): Buffer {
  const deflated = payload.subarray(2);
  const { content, used } = inflateBytes(deflated, history, uncompressedSize, offset);
  if (used !== deflated.length) {
    throw corrupt(`${deflated.length - used} bytes after the end of a block's deflate stream`, offset);
  }
  return content;
}

/** The deflate stream's content and the bytes it takes. */
function inflateBytes(deflated: Buffer, history: Buffer | null, size: number, offset: number) {
  try {
    const { buffer, engine } = inflateRawSync(deflated, {
      info: true,
      maxOutputLength: BLOCK_SIZE,
      // One more than fits, or an exactly full buffer takes a second round.
      chunkSize: size + 64,
      ...(history === null ? {} : { dictionary: history }),
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    return { content: buffer, used: engine.bytesWritten };
  } catch (error) {
    const reason = error instanceof RangeError ? `more than ${BLOCK_SIZE} bytes` : (error as Error).message;
    throw new ArchiveError("CAB_CORRUPT", `a block does not inflate: ${reason}`, { offset, cause: error });
  }
}

/** The last 32 KiB of what came before and `content`: blocks may be shorter, though they should not. */
function joinHistory(history: Buffer | null, content: Buffer): Buffer {
  if (history === null || content.length === BLOCK_SIZE) return content;
  return Buffer.concat([history, content]).subarray(-BLOCK_SIZE);
}
