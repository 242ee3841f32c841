/**
 * The contents of a cabinet's files, in the order of the data, in one pass: read, checked, or extracted. Hides that
 * files are stretches of folders and know nothing of blocks. Every byte of a folder belongs to exactly one file, or the
 * cabinet is refused: a table that was changed would otherwise give wrong contents that look right.
 */

import { ArchiveError } from "../../entries/error.ts";
import { extractFile } from "../../entries/target.ts";
import { readFolder } from "./blocks.ts";
import type { Source } from "./source.ts";
import { type Cabinet, type CabinetFile, type CabinetFolder, inDataOrder } from "./tables.ts";

export type ReadLimits = {
  /** Uncompressed bytes of all files together that are accepted; no bound when left out. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
};

/** A chunk of the content is good until the next one is asked for. */
export type FileContent = { readonly file: CabinetFile; readonly content: AsyncIterable<Buffer> };

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
  const files = inDataOrder(cabinet.files);
  const bounds = dataBounds(cabinet);
  let at = 0;
  for (const [index, folder] of cabinet.folders.entries()) {
    const stretch = new Stretch(readFolder(source, cabinet, folder), limits.signal);
    for (let file = files[at]; file !== undefined && file.folderIndex === index; file = files[++at]) {
      const content = stretch.take(file);
      yield { file, content };
      for await (const _ of content);
    }
    const end = await stretch.end(folder);
    if (end > (bounds.get(folder.dataOffset) ?? end)) {
      throw new ArchiveError("CAB_CORRUPT", "a folder's data runs into another's", { offset: folder.offset });
    }
  }
}

/**
 * Reads everything and keeps nothing: whether the cabinet is whole.
 * @throws what `readContents` throws.
 */
export async function verifyCabinet(
  source: Source,
  cabinet: Cabinet,
  limits: ReadLimits = {},
): Promise<void> {
  for await (const { content } of readContents(source, cabinet, limits)) for await (const _ of content);
}

/**
 * Extracts all files below `directory`, which exists. Stops at the first that is wrong; files before it stay, whole.
 * @throws what `readContents` and `extractFile` throw.
 */
export async function extractCabinet(
  source: Source,
  cabinet: Cabinet,
  directory: string,
): Promise<readonly CabinetFile[]> {
  const extracted: CabinetFile[] = [];
  for await (const { file, content } of readContents(source, cabinet)) {
    await extractFile(directory, file, content);
    extracted.push(file);
  }
  return extracted;
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
class Stretch {
  readonly #blocks: ReturnType<typeof readFolder>;
  readonly #signal: AbortSignal | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** Offset in the folder of the next byte. */
  #offset = 0;

  constructor(blocks: ReturnType<typeof readFolder>, signal: AbortSignal | undefined) {
    this.#blocks = blocks;
    this.#signal = signal;
  }

  /** The file's bytes, which are the next ones. */
  async *take(file: CabinetFile): AsyncGenerator<Buffer> {
    if (file.folderOffset !== this.#offset && file.size > 0) {
      const gap = file.folderOffset - this.#offset;
      const message = `${gap} bytes before ${JSON.stringify(file.name)} belong to no file`;
      throw new ArchiveError("CAB_CORRUPT", message, { offset: file.offset });
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
    if (this.#rest.length === 0 && step.done === true) return step.value.offset;
    const message = `from byte ${this.#offset} of a folder on, its data belongs to no file`;
    throw new ArchiveError("CAB_CORRUPT", message, { offset: folder.offset });
  }

  async #nextBlock(file: CabinetFile): Promise<void> {
    this.#signal?.throwIfAborted();
    const step = await this.#blocks.next();
    if (step.done !== true) this.#rest = step.value;
    else {
      const message = `the data of ${JSON.stringify(file.name)} ends at byte ${this.#offset} of its folder, too early`;
      throw new ArchiveError("CAB_CORRUPT", message, { offset: file.offset });
    }
  }
}
