/**
 * The contents of a cabinet's files, in the order of the data, in one pass: read, checked, or extracted. Hides that
 * files are stretches of folders and know nothing of blocks. Every byte of a folder belongs to exactly one file, or the
 * cabinet is refused: a table that was changed would otherwise give wrong contents that look right.
 */

import { ArchiveError, corrupt } from "../../entries/error.ts";
import { extractFiles } from "../../entries/target.ts";
import { readFolder } from "./blocks.ts";
import type { Source } from "./source.ts";
import { type Cabinet, type CabinetFile, type CabinetFolder, inDataOrder } from "./tables.ts";

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
  const files = inDataOrder(cabinet.files);
  const bounds = dataBounds(cabinet);
  let at = 0;
  for (const [index, folder] of cabinet.folders.entries()) {
    const reader = new FolderReader(readFolder(source, cabinet, folder));
    for (let file = files[at]; file !== undefined && file.folderIndex === index; file = files[++at]) {
      const content = reader.take(file);
      yield { file, content };
      for await (const _ of content);
    }
    const end = await reader.end(folder);
    if (end > (bounds.get(folder.dataOffset) ?? end)) {
      throw corrupt("a folder's data runs into another's", folder.offset);
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
  for await (const _ of readContents(source, cabinet, limits));
}

/**
 * Extracts all files below `directory`, as `extractFiles` does.
 * @throws what `readContents` and `extractFiles` throw.
 */
export function extractCabinet(
  source: Source,
  cabinet: Cabinet,
  directory: string,
): Promise<readonly CabinetFile[]> {
  return extractFiles(readContents(source, cabinet), directory);
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
      throw corrupt(`${gap} bytes before ${JSON.stringify(file.name)} belong to no file`, file.offset);
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
      const message = `the data of ${JSON.stringify(file.name)} ends at byte ${this.#offset} of its folder, too early`;
      throw corrupt(message, file.offset);
    }
  }
}
