/**
 * Reads a cabinet's tables: what is in it, and where. Hides the layout and everything a cabinet can be wrong in before
 * its first data block. Nothing is believed: every count and offset is checked against the bytes that are there before
 * anything is made of it. What other writers do differently without doing harm is a warning, not an error.
 */
import { isUtf8 } from "node:buffer";
import { ArchiveError, corrupt } from "../../entries/error.ts";
import { decodeName, quoteName } from "../../entries/foreign-name.ts";
import {
  ATTRIBUTE,
  BLOCK_SIZE,
  COMPRESSION,
  decodeDosTime,
  FILE,
  FILE_SIZE,
  FLAG_NEXT_CABINET,
  FLAG_PREV_CABINET,
  FLAG_RESERVE_PRESENT,
  FOLDER,
  FOLDER_SIZE,
  type Folder,
  HEADER,
  HEADER_SIZE,
  type Header,
  MAX_FOLDERS,
  MAX_NAME_SIZE,
  readFields,
  SIGNATURE,
} from "../format.ts";
import { Cursor, type Source } from "./source.ts";

type CompressionName = keyof typeof COMPRESSION;

export type CabinetFolder = {
  readonly compression: CompressionName;
  /** Offset of its first CFDATA, and how many there are. */
  readonly dataOffset: number;
  readonly blockCount: number;
  /** Offset of its CFFOLDER. */
  readonly offset: number;
};

export type CabinetFile = {
  /** As the cabinet has it: not a path to be trusted. What is no text in it is kept as `decodeName` does. */
  readonly name: string;
  /** The bytes of a name that is no UTF-8; null when it is. */
  readonly nameBytes: Buffer | null;
  readonly size: number;
  readonly folderIndex: number;
  /** Offset of its first byte in its folder. */
  readonly folderOffset: number;
  /** Null when date and time name no instant. Cabinets tell no time zone; read as UTC. */
  readonly time: Date | null;
  readonly attributes: number;
  /** Offset of its CFFILE. */
  readonly offset: number;
};

export type Cabinet = {
  /** What the header says; the source may go on after that. */
  readonly size: number;
  readonly version: string;
  readonly setId: number;
  readonly folders: readonly CabinetFolder[];
  /** In the order of the table. */
  readonly files: readonly CabinetFile[];
  /** Bytes in front of each block's data that are not part of it (cbCFData). */
  readonly blockReserve: number;
  /** What is unusual and does no harm. */
  readonly warnings: readonly string[];
};

/** Bytes of a name that are read: the characters that the format allows, as a writer counts that forgets UTF-8. */
const LONGEST_NAME = 4 * MAX_NAME_SIZE;

/** Bytes of header reserve the format allows. */
const MAX_HEADER_RESERVE = 60_000;

/**
 * What is in the cabinet.
 * @throws {ArchiveError} CAB_NOT_A_CABINET, CAB_TRUNCATED, CAB_CORRUPT, CAB_UNSUPPORTED for a part of a split set,
 *   CAB_BAD_NAME for a name of more than 1,020 bytes, each with the offset. Folders compressed with LZX or Quantum are
 *   listed; reading them is unsupported.
 */
export async function readCabinet(source: Source): Promise<Cabinet> {
  const warnings: string[] = [];
  const cursor = new Cursor(source, 0);
  const header = await readHeader(cursor, warnings);
  const reserve = await readReserve(cursor, header);
  const folders = await readFolders(cursor, header, reserve.folder);
  if (header.filesOffset !== cursor.offset && header.fileCount > 0) {
    warnings.push(`the table of files starts at byte ${header.filesOffset}, not after the folders`);
  }
  const filesCursor = new Cursor(source, header.fileCount === 0 ? cursor.offset : header.filesOffset);
  const files = await readFiles(filesCursor, header, folders, cursor.offset);
  warnings.push(...(await whatFollows(filesCursor, header, folders)));
  warnings.push(...namesInNoKnownCodePage(files), ...namesTwice(files));
  checkOverlaps(files);
  return {
    size: header.cabinetSize,
    version: `${header.majorVersion}.${header.minorVersion}`,
    setId: header.setId,
    folders,
    files,
    blockReserve: reserve.block,
    warnings,
  };
}

async function readHeader(cursor: Cursor, warnings: string[]): Promise<Header> {
  const { size } = cursor;
  const start = await cursor.peek(HEADER_SIZE);
  if (start.length < 4 || start.readUInt32LE(0) !== SIGNATURE) throw notACabinet(start);
  const header = readFields(HEADER, await cursor.take(HEADER_SIZE, "a header"));
  if (header.cabinetSize < HEADER_SIZE) {
    throw corrupt(`the header says the cabinet has ${header.cabinetSize} bytes`, 8);
  }
  if (header.cabinetSize > size) {
    const message = `the cabinet should have ${header.cabinetSize} bytes, but the file has ${size}`;
    throw new ArchiveError("CAB_TRUNCATED", message, { offset: size });
  }
  if (header.flags & (FLAG_PREV_CABINET | FLAG_NEXT_CABINET)) {
    const message = `this is part ${header.cabinetIndex + 1} of a set of cabinets, which is not supported`;
    throw new ArchiveError("CAB_UNSUPPORTED", message, { offset: 30 });
  }
  warnings.push(...unusualHeader(header, size));
  return header;
}

function notACabinet(start: Buffer): ArchiveError {
  const isInstallShield = start.toString("latin1", 0, 4) === "ISc(";
  const message = isInstallShield
    ? "an InstallShield cabinet, which is another format with the same extension"
    : "not a cabinet: it does not start with MSCF";
  return new ArchiveError("CAB_NOT_A_CABINET", message, { offset: 0 });
}

function unusualHeader(header: Header, size: number): string[] {
  const version = `${header.majorVersion}.${header.minorVersion}`;
  const isUsed = header.reserved1 !== 0 || header.reserved2 !== 0 || header.reserved3 !== 0;
  const unknownFlags = header.flags & ~(FLAG_PREV_CABINET | FLAG_NEXT_CABINET | FLAG_RESERVE_PRESENT);
  return [
    ...(version === "1.3" ? [] : [`version ${version}, not 1.3`]),
    ...(isUsed ? ["reserved fields of the header are not 0"] : []),
    ...(unknownFlags === 0 ? [] : [`unknown flags 0x${unknownFlags.toString(16)}`]),
    ...(size === header.cabinetSize ? [] : [`${size - header.cabinetSize} bytes after the cabinet's end`]),
  ];
}

/** Skips the header's reserve; the sizes of the other two kinds. */
async function readReserve(cursor: Cursor, { flags }: Header): Promise<{ folder: number; block: number }> {
  if ((flags & FLAG_RESERVE_PRESENT) === 0) return { folder: 0, block: 0 };
  const sizes = await cursor.take(4, "the reserve sizes");
  const [size, folder, block] = [sizes.readUInt16LE(0), sizes.readUInt8(2), sizes.readUInt8(3)];
  if (size > MAX_HEADER_RESERVE) {
    throw corrupt(
      `a header reserve of ${size} bytes; at most ${MAX_HEADER_RESERVE} are allowed`,
      HEADER_SIZE,
    );
  }
  await cursor.take(size, "the header reserve");
  return { folder, block };
}

async function readFolders(
  cursor: Cursor,
  { folderCount }: Header,
  reserve: number,
): Promise<CabinetFolder[]> {
  if (folderCount > MAX_FOLDERS)
    throw corrupt(`${folderCount} folders; at most ${MAX_FOLDERS} are allowed`, 26);
  const end = cursor.offset + folderCount * (FOLDER_SIZE + reserve);
  const folders: CabinetFolder[] = [];
  const starts = new Set<number>();
  while (folders.length < folderCount) {
    const { offset } = cursor;
    const folder = readFields(FOLDER, await cursor.take(FOLDER_SIZE + reserve, "a folder"));
    checkFolder(folder, offset, end, cursor.size);
    if (folder.blockCount > 0) {
      if (starts.has(folder.dataOffset)) throw corrupt("two folders with the same data", offset);
      starts.add(folder.dataOffset);
    }
    folders.push({ ...folder, compression: compressionName(folder.compression, offset), offset });
  }
  return folders;
}

function checkFolder(
  { dataOffset, blockCount }: Folder,
  offset: number,
  tablesEnd: number,
  size: number,
): void {
  if (blockCount === 0) return;
  if (dataOffset < tablesEnd)
    throw corrupt(`a folder's data starts at byte ${dataOffset}, inside the tables`, offset);
  if (dataOffset >= size) {
    const message = `a folder's data starts at byte ${dataOffset}, but the file has ${size}`;
    throw new ArchiveError("CAB_TRUNCATED", message, { offset });
  }
}

function compressionName(typeCompress: number, offset: number): CompressionName {
  const method = typeCompress & 0x0f;
  const found = (Object.keys(COMPRESSION) as CompressionName[]).find((name) => COMPRESSION[name] === method);
  if (found === undefined) throw corrupt(`compression method ${method} does not exist`, offset + 6);
  return found;
}

async function readFiles(
  cursor: Cursor,
  { fileCount, filesOffset }: Header,
  folders: readonly CabinetFolder[],
  tablesEnd: number,
): Promise<CabinetFile[]> {
  if (fileCount === 0) return [];
  if (folders.length === 0) throw corrupt(`${fileCount} files, but no folder`, 26);
  if (filesOffset < tablesEnd || filesOffset >= cursor.size) {
    throw corrupt(`the table of files cannot start at byte ${filesOffset} of ${cursor.size}`, 16);
  }
  const files: CabinetFile[] = [];
  while (files.length < fileCount) files.push(await readFile(cursor, folders));
  return files;
}

/**
 * What is unusual between the end of the table of files, where `cursor` stands, and what comes next. Another record of
 * a file there, or a table that runs into the data, means that the count of files is wrong: a file would be missing,
 * or one too many, and nothing else would show it when that file is empty.
 */
async function whatFollows(
  cursor: Cursor,
  { cabinetSize, fileCount, filesOffset }: Header,
  folders: readonly CabinetFolder[],
): Promise<string[]> {
  const end = cursor.offset;
  let next = cabinetSize >= end ? cabinetSize : cursor.size;
  for (const { dataOffset, blockCount } of folders) {
    if (blockCount === 0) continue;
    if (dataOffset >= filesOffset && dataOffset < end) {
      const message = `the table of files ends at byte ${end}, inside the data that starts at byte ${dataOffset}`;
      throw corrupt(message, 16);
    }
    if (dataOffset >= end) next = Math.min(next, dataOffset);
  }
  if (next === end) return [];
  const file = await readFile(cursor, folders).catch((error) => {
    if (error instanceof ArchiveError) return null;
    throw error;
  });
  if (file !== null && isProperName(file) && cursor.offset <= next) {
    const name = quoteName(file.name);
    throw corrupt(`${name} follows the ${fileCount} files that the header counts`, end);
  }
  return [`${next - end} bytes after the table of files belong to nothing`];
}

async function readFile(cursor: Cursor, folders: readonly CabinetFolder[]): Promise<CabinetFile> {
  const { offset } = cursor;
  const record = readFields(FILE, await cursor.take(FILE_SIZE, "a file's record"));
  const { name, nameBytes } = await readName(cursor, isMarkedAsUtf8(record));
  const folder = folders[record.folderIndex];
  if (record.folderIndex >= MAX_FOLDERS) {
    const message = `${quoteName(name)} is continued in another cabinet, which is not supported`;
    throw new ArchiveError("CAB_UNSUPPORTED", message, { offset: offset + 8 });
  }
  if (folder === undefined) {
    throw corrupt(`folder ${record.folderIndex} of ${folders.length} does not exist`, offset + 8);
  }
  const end = record.folderOffset + record.size;
  if (end > folder.blockCount * BLOCK_SIZE) {
    const room = `its folder has room for ${folder.blockCount * BLOCK_SIZE}`;
    throw corrupt(`${quoteName(name)} ends at byte ${end}, but ${room}`, offset);
  }
  const { size, folderIndex, folderOffset, attributes } = record;
  const time = decodeDosTime(record.date, record.time) ?? null;
  return { name, nameBytes, size, folderIndex, folderOffset, time, attributes, offset };
}

type Name = Pick<CabinetFile, "name" | "nameBytes">;

async function readName(cursor: Cursor, isUtf8: boolean): Promise<Name> {
  const { offset } = cursor;
  const bytes = await cursor.peek(LONGEST_NAME + 1);
  const length = bytes.indexOf(0);
  if (length < 0 && bytes.length <= LONGEST_NAME) {
    throw new ArchiveError("CAB_TRUNCATED", "the file ends inside a name", { offset });
  }
  if (length < 0)
    throw new ArchiveError("CAB_BAD_NAME", `a name of more than ${LONGEST_NAME} bytes`, { offset });
  cursor.skip(length + 1);
  return toName(bytes.subarray(0, length), isUtf8);
}

/** Names not marked as UTF-8 are in the writer's code page, which nobody tells; some are UTF-8 all the same. */
function toName(bytes: Buffer, isMarked: boolean): Name {
  if (isUtf8(bytes)) return { name: bytes.toString(), nameBytes: null };
  return { name: isMarked ? decodeName(bytes) : bytes.toString("latin1"), nameBytes: Buffer.from(bytes) };
}

function isMarkedAsUtf8({ attributes }: Pick<CabinetFile, "attributes">): boolean {
  return (attributes & ATTRIBUTE.nameIsUtf8) !== 0;
}

/** What is wrong with a name that the format rules out, where other readers refuse the cabinet; null when nothing is. */
function nameFault({ name, nameBytes, offset }: CabinetFile): ArchiveError | null {
  const size = nameBytes?.length ?? Buffer.byteLength(name);
  if (size > 0 && size <= MAX_NAME_SIZE) return null;
  const message =
    size === 0 ? "a file without a name" : `a name of ${size} bytes; at most ${MAX_NAME_SIZE} are allowed`;
  return new ArchiveError("CAB_BAD_NAME", message, { offset: offset + FILE_SIZE });
}

/** Whether a file's name is as a writer makes it. */
function isProperName(file: CabinetFile): boolean {
  return nameFault(file) === null && (file.nameBytes === null || !isMarkedAsUtf8(file));
}

/** What is wrong with names that the format rules out: empty, or longer than 255 bytes. */
export function nameFaults({ files }: Cabinet): ArchiveError[] {
  return files.map(nameFault).filter((fault) => fault !== null);
}

function namesInNoKnownCodePage(files: readonly CabinetFile[]): string[] {
  const found = files.filter((file) => file.nameBytes !== null && !isMarkedAsUtf8(file));
  if (found.length === 0) return [];
  return [`names in a code page that the cabinet does not tell, read as Latin-1: ${found.length}`];
}

function namesTwice(files: readonly CabinetFile[]): string[] {
  const seen = new Set<string>();
  return files.flatMap(({ name }) => {
    const key = name.toLowerCase();
    if (seen.has(key)) return [`two files are named ${quoteName(name)}`];
    seen.add(key);
    return [];
  });
}

/** Files in the order of their data. */
export function inDataOrder(files: readonly CabinetFile[]): CabinetFile[] {
  return [...files].sort(
    (a, b) => a.folderIndex - b.folderIndex || a.folderOffset - b.folderOffset || a.size - b.size,
  );
}

function checkOverlaps(files: readonly CabinetFile[]): void {
  let previous: CabinetFile | null = null;
  for (const file of inDataOrder(files.filter(({ size }) => size > 0))) {
    if (
      previous !== null &&
      previous.folderIndex === file.folderIndex &&
      file.folderOffset < previous.folderOffset + previous.size
    ) {
      throw corrupt(`${quoteName(file.name)} overlaps ${quoteName(previous.name)}`, file.offset);
    }
    previous = file;
  }
}
