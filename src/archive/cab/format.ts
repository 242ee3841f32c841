/**
 * The cabinet's structures as bytes: CFHEADER, CFFOLDER, CFFILE and the head of CFDATA ([MS-CAB] section 2), with
 * their limits, the block checksum and DOS times. Pure: bytes in, values out, and back.
 */

/** "MSCF", little-endian. */
export const SIGNATURE = 0x4643534d;
export const HEADER_SIZE = 36;
export const FOLDER_SIZE = 8;
/** CFFILE without its name. */
export const FILE_SIZE = 16;
export const DATA_HEADER_SIZE = 8;

/** Uncompressed bytes of every block but a folder's last. */
export const BLOCK_SIZE = 32_768;
/** cFiles and cFolders are 16-bit; folder indexes from 0xFFFD on mean "continued". */
export const MAX_FILES = 0xffff;
export const MAX_FOLDERS = 0xfffd;
/** cCFData is 16-bit. */
const MAX_FOLDER_BLOCKS = 0xffff;
/** Bytes of one folder, and so of one file: 65,535 blocks. */
export const MAX_FOLDER_SIZE = MAX_FOLDER_BLOCKS * BLOCK_SIZE;
/** Bytes of the whole cabinet: Windows keeps its size in a signed 32-bit number. */
export const MAX_CABINET_SIZE = 0x7fff_ffff;
/** Bytes of a name without its terminator. */
export const MAX_NAME_SIZE = 255;
/** What decoders allow a block to grow to: 32 KiB and 6,144 bytes. */
export const MAX_BLOCK_DATA = BLOCK_SIZE + 6_144;

/** "CK" and the head of one stored deflate block: what an MSZIP block that does not compress costs on top. */
export const STORED_OVERHEAD = 7;

export const FLAG_PREV_CABINET = 0x0001;
export const FLAG_NEXT_CABINET = 0x0002;
export const FLAG_RESERVE_PRESENT = 0x0004;

/** typeCompress, low nibble. */
export const COMPRESSION = { none: 0, mszip: 1, quantum: 2, lzx: 3 } as const;

export const ATTRIBUTE = {
  readOnly: 0x01,
  hidden: 0x02,
  system: 0x04,
  archive: 0x20,
  exec: 0x40,
  nameIsUtf8: 0x80,
} as const;

/** The fields of a CFHEADER that a single, unsplit cabinet does not fix. */
export type NewHeader = {
  readonly cabinetSize: number;
  readonly filesOffset: number;
  readonly folderCount: number;
  readonly fileCount: number;
};

export function encodeHeader(header: NewHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE);
  bytes.writeUInt32LE(SIGNATURE, 0);
  bytes.writeUInt32LE(header.cabinetSize, 8);
  bytes.writeUInt32LE(header.filesOffset, 16);
  bytes.writeUInt8(3, 24);
  bytes.writeUInt8(1, 25);
  bytes.writeUInt16LE(header.folderCount, 26);
  bytes.writeUInt16LE(header.fileCount, 28);
  return bytes;
}

export type Header = NewHeader & {
  readonly reserved: readonly [number, number, number];
  readonly majorVersion: number;
  readonly minorVersion: number;
  readonly flags: number;
  readonly setId: number;
  /** This cabinet's place in its set, from 0. */
  readonly cabinetIndex: number;
};

export function decodeHeader(bytes: Buffer): Header {
  return {
    reserved: [bytes.readUInt32LE(4), bytes.readUInt32LE(12), bytes.readUInt32LE(20)],
    cabinetSize: bytes.readUInt32LE(8),
    filesOffset: bytes.readUInt32LE(16),
    minorVersion: bytes.readUInt8(24),
    majorVersion: bytes.readUInt8(25),
    folderCount: bytes.readUInt16LE(26),
    fileCount: bytes.readUInt16LE(28),
    flags: bytes.readUInt16LE(30),
    setId: bytes.readUInt16LE(32),
    cabinetIndex: bytes.readUInt16LE(34),
  };
}

export type Folder = {
  /** Offset of the folder's first CFDATA in the cabinet. */
  dataOffset: number;
  blockCount: number;
  /** typeCompress, whole: the method is its low nibble. */
  compression: number;
};

export function encodeFolder(folder: Folder): Buffer {
  const bytes = Buffer.alloc(FOLDER_SIZE);
  bytes.writeUInt32LE(folder.dataOffset, 0);
  bytes.writeUInt16LE(folder.blockCount, 4);
  bytes.writeUInt16LE(folder.compression, 6);
  return bytes;
}

export function decodeFolder(bytes: Buffer): Folder {
  return {
    dataOffset: bytes.readUInt32LE(0),
    blockCount: bytes.readUInt16LE(4),
    compression: bytes.readUInt16LE(6),
  };
}

export type FileRecord = {
  size: number;
  /** Offset of the file's first byte in its folder's uncompressed stream. */
  folderOffset: number;
  folderIndex: number;
  date: number;
  time: number;
  attributes: number;
};

/** A CFFILE: the fixed part, then the name's bytes and their terminator. */
export function encodeFileRecord(record: FileRecord, name: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(FILE_SIZE + name.length + 1);
  bytes.writeUInt32LE(record.size, 0);
  bytes.writeUInt32LE(record.folderOffset, 4);
  bytes.writeUInt16LE(record.folderIndex, 8);
  bytes.writeUInt16LE(record.date, 10);
  bytes.writeUInt16LE(record.time, 12);
  bytes.writeUInt16LE(record.attributes, 14);
  name.copy(bytes, FILE_SIZE);
  bytes.writeUInt8(0, FILE_SIZE + name.length);
  return bytes;
}

export function decodeFileRecord(bytes: Buffer): FileRecord {
  return {
    size: bytes.readUInt32LE(0),
    folderOffset: bytes.readUInt32LE(4),
    folderIndex: bytes.readUInt16LE(8),
    date: bytes.readUInt16LE(10),
    time: bytes.readUInt16LE(12),
    attributes: bytes.readUInt16LE(14),
  };
}

/**
 * A time as CFFILE's date and time, in UTC so that the same report gives the same bytes everywhere: clamped to
 * 1980-01-01 … 2107-12-31, rounded down to two seconds.
 */
export function encodeDosTime(instant: Date): { date: number; time: number } {
  const year = instant.getUTCFullYear();
  if (Number.isNaN(year) || year < 1980) return { date: (1 << 5) | 1, time: 0 };
  if (year > 2107) return { date: (127 << 9) | (12 << 5) | 31, time: (23 << 11) | (59 << 5) | 29 };
  return {
    date: ((year - 1980) << 9) | ((instant.getUTCMonth() + 1) << 5) | instant.getUTCDate(),
    time: (instant.getUTCHours() << 11) | (instant.getUTCMinutes() << 5) | (instant.getUTCSeconds() >> 1),
  };
}

/** The instant a CFFILE's date and time name, read as UTC; undefined when they name none (month 13, hour 25). */
export function decodeDosTime(date: number, time: number): Date | undefined {
  const month = (date >> 5) & 0x0f;
  const day = date & 0x1f;
  const [hour, minute, second] = [time >> 11, (time >> 5) & 0x3f, (time & 0x1f) * 2];
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return undefined;
  const instant = new Date(Date.UTC(1980 + (date >> 9), month - 1, day, hour, minute, second));
  return instant.getUTCDate() === day ? instant : undefined;
}
