/**
 * Cabinets built field by field, right or wrong on purpose: the shapes other writers make and the lies a reader has to
 * see through. Independent of the writer under test: bytes are laid out here a second time, from the specification.
 */
import { deflateRawSync } from "node:zlib";

export type CraftedBlock = {
  /** What stands after the block's head (and reserve). */
  payload: Buffer;
  uncompressedSize: number;
  /** The right one when left out. */
  checksum?: number;
};

export type CraftedFolder = {
  typeCompress: number;
  blocks: CraftedBlock[];
  blockCount?: number;
  dataOffset?: number;
};

export type CraftedFile = {
  name: string | Buffer;
  size: number;
  folderOffset?: number;
  folderIndex?: number;
  attributes?: number;
  /** Whether the name's terminator is written. */
  isTerminated?: boolean;
};

export type Crafted = {
  folders: CraftedFolder[];
  files: CraftedFile[];
  /** Sizes of the three reserves: header, folder, block. */
  reserve?: { header: number; folder: number; block: number };
  /** Whether block checksums count the reserve in. */
  sumsReserve?: boolean;
  trailing?: Buffer;
};

const RESERVE_FILL = 0xa5;

/** The checksum, word by word as the specification's pseudo-code has it. */
export function slowChecksum(bytes: Buffer, seed = 0): number {
  let sum = seed;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) sum ^= bytes.readUInt32LE(at);
  let tail = 0;
  if (bytes.length - at === 3)
    tail = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
  if (bytes.length - at === 2) tail = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if (bytes.length - at === 1) tail = bytes[at] ?? 0;
  return (sum ^ tail) >>> 0;
}

export function craftCabinet({ folders, files, reserve, sumsReserve = false, trailing }: Crafted): Buffer {
  const sizes = reserve ?? { header: 0, folder: 0, block: 0 };
  const headerSize = 36 + (reserve === undefined ? 0 : 4 + sizes.header);
  const records = files.map(encodeFile);
  const filesOffset = headerSize + folders.length * (8 + sizes.folder);
  let dataOffset = filesOffset + sum(records.map(({ length }) => length));
  const data = folders.map(({ blocks }) =>
    Buffer.concat(blocks.map((block) => encodeBlock(block, sizes.block, sumsReserve))),
  );
  const folderRecords = folders.map((folder, index) => {
    const record = Buffer.alloc(8 + sizes.folder, RESERVE_FILL);
    record.writeUInt32LE(folder.dataOffset ?? dataOffset, 0);
    record.writeUInt16LE(folder.blockCount ?? folder.blocks.length, 4);
    record.writeUInt16LE(folder.typeCompress, 6);
    dataOffset += data[index]?.length ?? 0;
    return record;
  });
  const header = Buffer.alloc(headerSize, RESERVE_FILL).fill(0, 0, 36);
  header.write("MSCF", 0, "latin1");
  header.writeUInt32LE(dataOffset, 8);
  header.writeUInt32LE(filesOffset, 16);
  header[24] = 3;
  header[25] = 1;
  header.writeUInt16LE(folders.length, 26);
  header.writeUInt16LE(files.length, 28);
  header.writeUInt16LE(reserve === undefined ? 0 : 4, 30);
  header.writeUInt16LE(4711, 32);
  if (reserve !== undefined) {
    header.writeUInt16LE(sizes.header, 36);
    header[38] = sizes.folder;
    header[39] = sizes.block;
  }
  return Buffer.concat([header, ...folderRecords, ...records, ...data, trailing ?? Buffer.alloc(0)]);
}

function encodeFile(file: CraftedFile): Buffer {
  const name = Buffer.isBuffer(file.name) ? file.name : Buffer.from(file.name);
  const record = Buffer.alloc(16);
  record.writeUInt32LE(file.size, 0);
  record.writeUInt32LE(file.folderOffset ?? 0, 4);
  record.writeUInt16LE(file.folderIndex ?? 0, 8);
  record.writeUInt16LE(0x5c42, 10);
  record.writeUInt16LE(0x6000, 12);
  record.writeUInt16LE(file.attributes ?? 0x20, 14);
  return Buffer.concat([record, name, Buffer.alloc(file.isTerminated === false ? 0 : 1)]);
}

function encodeBlock(
  { payload, uncompressedSize, checksum }: CraftedBlock,
  reserve: number,
  sumsReserve: boolean,
): Buffer {
  const head = Buffer.alloc(8 + reserve, RESERVE_FILL);
  head.writeUInt16LE(payload.length, 4);
  head.writeUInt16LE(uncompressedSize, 6);
  const summed = sumsReserve ? Buffer.concat([head.subarray(8), payload]) : payload;
  head.writeUInt32LE(checksum ?? slowChecksum(head.subarray(4, 8), slowChecksum(summed)), 0);
  return Buffer.concat([head, payload]);
}

/** The content in blocks of 32 KiB, as makecab compresses it: one deflate stream each, with what came before as history. */
export function mszipBlocks(
  content: Buffer,
  options: { history?: boolean; level?: number } = {},
): CraftedBlock[] {
  const { history = true, level = 9 } = options;
  return inBlocks(content).map((block, index) => {
    const dictionary = content.subarray((index - 1) * 32_768, index * 32_768);
    const deflated = deflateRawSync(block, { level, ...(history && index > 0 ? { dictionary } : {}) });
    return { payload: Buffer.concat([Buffer.from("CK"), deflated]), uncompressedSize: block.length };
  });
}

export function storedBlocks(content: Buffer): CraftedBlock[] {
  return inBlocks(content).map((block) => ({ payload: block, uncompressedSize: block.length }));
}

function inBlocks(content: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(content.length / 32_768) }, (_, index) =>
    content.subarray(index * 32_768, (index + 1) * 32_768),
  );
}

/** A copy with `bytes` in place of what was at `offset`. */
export function patched(cabinet: Buffer, offset: number, bytes: readonly number[]): Buffer {
  const copy = Buffer.from(cabinet);
  copy.set(bytes, offset);
  return copy;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
