/**
 * The version resource of a PE file, found and read with a few small reads however large the file is. Hides the PE
 * layout. Everything in the file is untrusted: every offset, count and length is bounded and checked before use.
 */

/** Reads up to `length` bytes at an offset; fewer at the end of the file. */
type ReadAt = (offset: number, length: number) => Promise<Buffer>;

export type VersionResource = {
  /** `a.b.c.d` of the fixed part; null when there is none. */
  readonly fileVersion: string | null;
  readonly productVersion: string | null;
  /** The named texts of one language, English if there is one: CompanyName, FileDescription, OriginalFilename and so on. */
  readonly strings: ReadonlyMap<string, string>;
};

const MAX_SECTIONS = 96;
const MAX_ENTRIES = 4096;
/** Bytes of a version resource; its own length field holds 16 bits. */
const MAX_RESOURCE = 65_536;
const MAX_STRINGS = 256;
const RT_VERSION = 16;
/** Languages that are preferred, as LANGIDs. */
const [ENGLISH, NEUTRAL] = [1033, 0];

/** The version resource; null for what is no PE file, has none, or does not hold together. */
export async function readVersionResource(readAt: ReadAt): Promise<VersionResource | null> {
  try {
    const sections = await readSections(readAt);
    const place = sections === null ? null : await findVersion(readAt, sections);
    return place === null
      ? null
      : parseVersion(await readAt(place.offset, Math.min(place.size, MAX_RESOURCE)));
  } catch (thrown) {
    if (thrown instanceof RangeError) return null;
    throw thrown;
  }
}

type Section = { readonly address: number; readonly size: number; readonly offset: number };
type Sections = { readonly all: readonly Section[]; readonly resources: number };

/** The sections and the resources' address; reading past what is there throws RangeError. */
async function readSections(readAt: ReadAt): Promise<Sections | null> {
  const dos = await readAt(0, 64);
  if (dos.length < 64 || dos.readUInt16LE(0) !== 0x5a4d) return null;
  const at = dos.readUInt32LE(60);
  const header = await readAt(at, 24 + 240);
  if (header.readUInt32LE(0) !== 0x4550) return null;
  const count = Math.min(header.readUInt16LE(6), MAX_SECTIONS);
  const optionalSize = header.readUInt16LE(20);
  const magic = header.readUInt16LE(24);
  if (magic !== 0x10b && magic !== 0x20b) return null;
  const directories = 24 + (magic === 0x20b ? 112 : 96);
  if (header.readUInt32LE(directories - 4) < 3) return null;
  const table = await readAt(at + 24 + optionalSize, count * 40);
  const all = Array.from({ length: Math.floor(table.length / 40) }, (_, index) => ({
    address: table.readUInt32LE(index * 40 + 12),
    size: table.readUInt32LE(index * 40 + 16),
    offset: table.readUInt32LE(index * 40 + 20),
  }));
  return { all, resources: header.readUInt32LE(directories + 2 * 8) };
}

/** Where in the file an address lies; null outside of every section. */
function offsetOf({ all }: Sections, address: number): number | null {
  const section = all.find((one) => address >= one.address && address - one.address < one.size);
  return section === undefined ? null : section.offset + (address - section.address);
}

const SUBDIRECTORY = 0x80000000;

/** Type 16, then the first name, then English or the first language: the three levels of the resource tree. */
async function findVersion(
  readAt: ReadAt,
  sections: Sections,
): Promise<{ offset: number; size: number } | null> {
  const root = sections.resources === 0 ? null : offsetOf(sections, sections.resources);
  if (root === null) return null;
  const types = await readDirectory(readAt, root);
  const names = await below(
    readAt,
    root,
    types.find(({ id }) => id === RT_VERSION),
  );
  const languages = await below(readAt, root, names[0]);
  const leaf =
    [ENGLISH, NEUTRAL].map((id) => languages.find((one) => one.id === id)).find(Boolean) ?? languages[0];
  if (leaf === undefined || leaf.target >= SUBDIRECTORY) return null;
  const entry = await readAt(root + leaf.target, 16);
  const offset = offsetOf(sections, entry.readUInt32LE(0));
  return offset === null ? null : { offset, size: entry.readUInt32LE(4) };
}

type DirectoryEntry = { readonly id: number; readonly target: number };

async function below(
  readAt: ReadAt,
  root: number,
  entry: DirectoryEntry | undefined,
): Promise<DirectoryEntry[]> {
  if (entry === undefined || entry.target < SUBDIRECTORY) return [];
  return readDirectory(readAt, root + (entry.target - SUBDIRECTORY));
}

async function readDirectory(readAt: ReadAt, offset: number): Promise<DirectoryEntry[]> {
  const head = await readAt(offset, 16);
  const count = Math.min(head.readUInt16LE(12) + head.readUInt16LE(14), MAX_ENTRIES);
  const table = await readAt(offset + 16, count * 8);
  return Array.from({ length: Math.floor(table.length / 8) }, (_, index) => ({
    id: table.readUInt32LE(index * 8),
    target: table.readUInt32LE(index * 8 + 4),
  }));
}

/** A block of the version tree: a length, a value, a key, and blocks inside; all on four-byte borders. */
type Block = { readonly key: string; readonly value: Buffer; readonly children: Buffer };

function parseVersion(bytes: Buffer): VersionResource | null {
  const root = parseBlock(bytes);
  if (root === null || root.key !== "VS_VERSION_INFO") return null;
  const fixed = root.value.length >= 24 && root.value.readUInt32LE(0) === 0xfeef04bd ? root.value : null;
  const tables = blocksIn(root.children)
    .filter(({ key }) => key === "StringFileInfo")
    .flatMap(({ children }) => blocksIn(children));
  const strings = tables.flatMap(({ children }) => blocksIn(children)).map(textOf);
  const firstOfEach = strings.slice(0, MAX_STRINGS).reverse();
  return {
    fileVersion: fixed === null ? null : versionAt(fixed, 8),
    productVersion: fixed === null ? null : versionAt(fixed, 16),
    strings: new Map(firstOfEach),
  };
}

function versionAt(fixed: Buffer, at: number): string {
  return [2, 0, 6, 4].map((offset) => fixed.readUInt16LE(at + offset)).join(".");
}

function textOf({ key, value }: Block): [string, string] {
  const text = value.toString("utf16le");
  const end = text.indexOf("\0");
  return [key, end < 0 ? text : text.slice(0, end)];
}

function blocksIn(bytes: Buffer): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at + 6 <= bytes.length && blocks.length < MAX_STRINGS; ) {
    const length = bytes.readUInt16LE(at);
    const block = parseBlock(bytes.subarray(at));
    if (block === null) break;
    blocks.push(block);
    at = aligned(at + length);
  }
  return blocks;
}

/** Null where the length is too small to hold a block: whoever went on there would not get anywhere. */
function parseBlock(bytes: Buffer): Block | null {
  if (bytes.length < 6) return null;
  const length = bytes.readUInt16LE(0);
  if (length < 8) return null;
  const block = bytes.subarray(0, length);
  const isText = block.readUInt16LE(4) === 1;
  let keyEnd = 6;
  while (keyEnd + 2 <= block.length && block.readUInt16LE(keyEnd) !== 0) keyEnd += 2;
  const key = block.toString("utf16le", 6, keyEnd);
  const valueStart = aligned(keyEnd + 2);
  const valueLength = block.readUInt16LE(2) * (isText ? 2 : 1);
  const valueEnd = Math.min(valueStart + valueLength, block.length);
  return { key, value: block.subarray(valueStart, valueEnd), children: block.subarray(aligned(valueEnd)) };
}

function aligned(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
