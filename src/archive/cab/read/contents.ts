/**
 * The contents of a cabinet's files, in the order of the data, in one pass: read, checked, or extracted. Hides that
 * files are stretches of folders and know nothing of blocks. Every byte of a folder belongs to exactly one file, or the
 * cabinet is refused: a table that was changed would otherwise give wrong contents that look right.
 */

import { ArchiveError, corrupt } from "../../entries/error.ts";
import { quoteName } from "../../entries/foreign-name.ts";
import { type Extracted, type Extraction, Target } from "../../entries/target.ts";
import { readFolder } from "./blocks.ts";
import type { Source } from "./source.ts";
import { type Cabinet, type CabinetFile, type CabinetFolder, inDataOrder, nameFaults } from "./tables.ts";

type ReadLimits = {
  /** Uncompressed bytes of all files together that are accepted; no bound when left out. */
  readonly maxBytes?: number;
};

/** A chunk of the content is good until the next one is asked for. */
type FileContent = { readonly file: CabinetFile; readonly content: AsyncIterable<Buffer> };

/**
 * Each file with its content, which is read to its end, or skipped, before the next file comes. A file is right only
 * when the loop has gone on past it without an error.
 * @throws {ArchiveError} CAB_LIMIT before the first file; what `readFolder` throws; CAB_CORRUPT when data and table do
 *   not fit together.
 */
export async function* readContents(
  source: Source,
  cabinet: Cabinet,
  limits: ReadLimits = {},
): AsyncGenerator<FileContent> {
  checkTotal(cabinet, limits.maxBytes);
  for (const stretch of stretchesOf(cabinet)) yield* readStretch(source, cabinet, stretch);
}

/**
 * Reads everything and keeps nothing: whether the cabinet is whole, and one that other readers take.
 * @throws {ArchiveError} the first of `nameFaults`; what `readContents` throws.
 */
export async function verifyCabinet(
  source: Source,
  cabinet: Cabinet,
  limits: ReadLimits = {},
): Promise<void> {
  const [fault] = nameFaults(cabinet);
  if (fault !== undefined) throw fault;
  for await (const _ of readContents(source, cabinet, limits));
}

/**
 * Extracts all files below `directory`, which exists, as a `Target` writes them. A folder that cannot be read, because
 * it is damaged or compressed with LZX or Quantum, costs its own files from there on, and no others.
 * @throws what the source throws.
 */
export async function extractCabinet(
  source: Source,
  cabinet: Cabinet,
  directory: string,
): Promise<Extraction<CabinetFile>> {
  const target = new Target(directory);
  const files: Extracted<CabinetFile>[] = [];
  const faults: string[] = [];
  for (const stretch of stretchesOf(cabinet)) {
    const before = files.length;
    try {
      for await (const { file, content } of readStretch(source, cabinet, stretch))
        files.push(await target.write(file, content));
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      const reason = error.message;
      faults.push(reason);
      const lost = stretch.files.slice(files.length - before);
      files.push(...lost.map((file) => ({ file, writtenAs: null, reason })));
    }
  }
  // In the order of the table again, as a listing has them.
  files.sort((a, b) => a.file.offset - b.file.offset);
  return { files, faults, skipped: [] };
}

/** A folder, its files in the order of their data, and where its data must have ended. */
type Stretch = {
  readonly folder: CabinetFolder;
  readonly files: readonly CabinetFile[];
  readonly bound: number;
};

function stretchesOf(cabinet: Cabinet): Stretch[] {
  const bounds = dataBounds(cabinet);
  const files: CabinetFile[][] = cabinet.folders.map(() => []);
  for (const file of inDataOrder(cabinet.files)) files[file.folderIndex]?.push(file);
  return cabinet.folders.map((folder, index) => ({
    folder,
    files: files[index] ?? [],
    bound: bounds.get(folder.dataOffset) ?? Number.POSITIVE_INFINITY,
  }));
}

async function* readStretch(
  source: Source,
  cabinet: Cabinet,
  { folder, files, bound }: Stretch,
): AsyncGenerator<FileContent> {
  const reader = new FolderReader(readFolder(source, cabinet, folder));
  for (const file of files) {
    const content = reader.take(file);
    yield { file, content };
    for await (const _ of content);
  }
  if ((await reader.end(folder)) > bound) throw corrupt("a folder's data runs into another's", folder.offset);
}

function checkTotal({ files }: Cabinet, maxBytes: number | undefined): void {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (maxBytes === undefined || total <= maxBytes) return;
  throw new ArchiveError(
    "CAB_LIMIT",
    `the cabinet's files have ${total} bytes; at most ${maxBytes} are accepted`,
  );
}

/** For each start of a folder's data, the next one: where it must have ended. */
function dataBounds({ folders }: Cabinet): Map<number, number> {
  const starts = folders
    .filter(({ blockCount }) => blockCount > 0)
    .map(({ dataOffset }) => dataOffset)
    .sort((a, b) => a - b);
  return new Map(
    starts.flatMap((start, index) => (index === 0 ? [] : [[starts[index - 1] as number, start]])),
  );
}

/** The bytes of one folder, handed out file by file. */
class FolderReader {
  readonly #blocks: ReturnType<typeof readFolder>;
  #rest: Buffer = Buffer.alloc(0);
  /** Offset in the folder of the next byte. */
  #offset = 0;

  constructor(blocks: ReturnType<typeof readFolder>) {
    this.#blocks = blocks;
  }

  /** The file's bytes, which are the next ones. */
  async *take(file: CabinetFile): AsyncGenerator<Buffer> {
    if (file.folderOffset !== this.#offset && file.size > 0) {
      const gap = file.folderOffset - this.#offset;
      throw corrupt(`${gap} bytes before ${quoteName(file.name)} belong to no file`, file.offset);
    }
    for (let left = file.size; left > 0; ) {
      if (this.#rest.length === 0) await this.#nextBlock(file);
      const chunk = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(chunk.length);
      this.#offset += chunk.length;
      left -= chunk.length;
      yield chunk;
    }
  }

  /** Offset in the cabinet of the first byte after the folder's data, all of which has been taken. */
  async end(folder: CabinetFolder): Promise<number> {
    const step = await this.#blocks.next();
    if (this.#rest.length === 0 && step.done === true) return step.value;
    throw corrupt(`from byte ${this.#offset} of a folder on, its data belongs to no file`, folder.offset);
  }

  async #nextBlock(file: CabinetFile): Promise<void> {
    const step = await this.#blocks.next();
    if (step.done !== true) this.#rest = step.value;
    else {
      const message = `the data of ${quoteName(file.name)} ends at byte ${this.#offset} of its folder, too early`;
      throw corrupt(message, file.offset);
    }
  }
}
