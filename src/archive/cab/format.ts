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

/** A file's attributes, of DOS: "archive", which all files are given; and the cabinet's mark of a name in UTF-8. */
export const ATTRIBUTE = { archive: 0x20, nameIsUtf8: 0x80 } as const;

/** The fields of a structure in their order, each with its width in bytes. All are unsigned and little-endian. */
type Layout = Readonly<Record<string, number>>;
type Fields<L extends Layout> = { readonly [Field in keyof L]: number };

export const HEADER = {
  signature: 4,
  reserved1: 4,
  cabinetSize: 4,
  reserved2: 4,
  filesOffset: 4,
  reserved3: 4,
  minorVersion: 1,
  majorVersion: 1,
  folderCount: 2,
  fileCount: 2,
  flags: 2,
  setId: 2,
  /** This cabinet's place in its set, from 0. */
  cabinetIndex: 2,
} as const satisfies Layout;

export const FOLDER = {
  /** Offset of the folder's first CFDATA in the cabinet. */
  dataOffset: 4,
  blockCount: 2,
  /** typeCompress, whole: the method is its low nibble. */
  compression: 2,
} as const satisfies Layout;

/** CFFILE without its name. */
export const FILE = {
  size: 4,
  /** Offset of the file's first byte in its folder's uncompressed stream. */
  folderOffset: 4,
  folderIndex: 2,
  date: 2,
  time: 2,
  attributes: 2,
} as const satisfies Layout;

/** CFDATA without its reserve and its payload. */
export const DATA_HEADER = { checksum: 4, size: 2, uncompressedSize: 2 } as const satisfies Layout;

export type Header = Fields<typeof HEADER>;
export type Folder = Fields<typeof FOLDER>;

/** Writes the fields to `target`, from `at` on; where they end. */
export function writeFields<L extends Layout>(layout: L, fields: Fields<L>, target: Buffer, at = 0): number {
  let end = at;
  for (const field in layout) end = target.writeUIntLE(fields[field], end, layout[field] as number);
  return end;
}

/** The fields that `bytes` begins with. */
export function readFields<L extends Layout>(layout: L, bytes: Buffer): Fields<L> {
  const fields = {} as { -readonly [Field in keyof L]: number };
  let at = 0;
  for (const field in layout) {
    const width = layout[field] as number;
    fields[field] = bytes.readUIntLE(at, width);
    at += width;
  }
  return fields;
}

/** The CFHEADER of a cabinet that is not split. */
export function encodeHeader(
  header: Pick<Header, "cabinetSize" | "filesOffset" | "folderCount" | "fileCount">,
): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE);
  const version = { majorVersion: 1, minorVersion: 3 };
  const zeros = { reserved1: 0, reserved2: 0, reserved3: 0, flags: 0, setId: 0, cabinetIndex: 0 };
  writeFields(HEADER, { signature: SIGNATURE, ...version, ...zeros, ...header }, bytes);
  return bytes;
}

export function encodeFolder(folder: Folder): Buffer {
  const bytes = Buffer.alloc(FOLDER_SIZE);
  writeFields(FOLDER, folder, bytes);
  return bytes;
}

/** A CFFILE: the fixed part, then the name's bytes and their terminator. */
export function encodeFileRecord(record: Fields<typeof FILE>, name: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(FILE_SIZE + name.length + 1);
  const end = writeFields(FILE, record, bytes) + name.copy(bytes, FILE_SIZE);
  bytes.writeUInt8(0, end);
  return bytes;
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
