/**
 * A folder files are extracted into. Hides what a name from an archive can do: climb out, follow a link somebody laid,
 * overwrite, or mean a device. Nothing is made outside of the folder and nothing that exists is changed: a file whose
 * name is odd or taken is written under a safe and free one instead.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { foldCase } from "../../names.ts";
import { messageOf } from "../../printable.ts";
import { whyOdd } from "./foreign-name.ts";
import { numberedName, partsOf, safeName } from "./names.ts";

/** A file of an archive as a folder needs it. */
type ExtractableFile = { readonly name: string; readonly time: Date | null };

/** What became of a file of an archive. */
export type Extracted<File> = {
  readonly file: File;
  /** Its path below the folder, parts separated by `/`; null when it was not written, or not to be. */
  readonly writtenAs: string | null;
  /** Why it has another name than in the archive, or was not written; null when it is there as it was called. */
  readonly reason: string | null;
};

/** What became of all files of an archive. */
export type Extraction<File> = {
  readonly files: readonly Extracted<File>[];
  /** What kept a part of the archive from being read, each once. */
  readonly faults: readonly string[];
  /** What the archive holds and is no file. */
  readonly skipped: readonly string[];
};

/** The number last tried for a path, so that ten thousand equal names do not take a hundred million steps. */
type Numbers = Map<string, number>;

export class Target {
  readonly #directory: string;
  readonly #folders: Numbers = new Map();
  readonly #files: Numbers = new Map();

  /** Files are written below `directory`, which exists. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Writes a file; folders in its name, separated by `\` or `/`, are made. `content` is read to its end even when it
   * cannot be written.
   * @throws what reading `content` throws; nothing is left of the file then.
   */
  async write<File extends ExtractableFile>(
    file: File,
    content: AsyncIterable<Uint8Array>,
  ): Promise<Extracted<File>> {
    const odd = whyOdd(file.name);
    const parts = partsOf(odd === null ? file.name : safeName(file.name));
    try {
      const { handle, path } = await this.#create(parts);
      await fill(handle, join(this.#directory, ...path), file.time, content);
      const isMoved = path.join("/") !== parts.join("/");
      return { file, writtenAs: path.join("/"), reason: odd ?? (isMoved ? "its name was taken" : null) };
    } catch (error) {
      if (!(error instanceof CannotWrite)) throw error;
      return { file, writtenAs: null, reason: error.message };
    }
  }

  /** A new file, and where it is: not quite at `parts` when something is in the way. */
  async #create(parts: readonly string[]): Promise<{ handle: FileHandle; path: readonly string[] }> {
    const path: string[] = [];
    // One after another, so that none of them is reached through a link.
    for (const part of parts.slice(0, -1)) {
      const { name } = await this.#claim([...path, part], makeFolder, this.#folders);
      path.push(name);
    }
    const { name, made } = await this.#claim([...path, parts.at(-1) ?? ""], createFile, this.#files);
    return { handle: made, path: [...path, name] };
  }

  /** What `make` makes of a path, with a number in its last part for as long as `make` gives null, and that part. */
  async #claim<Made>(
    path: readonly string[],
    make: (path: string) => Promise<Made | null>,
    numbers: Numbers,
  ): Promise<{ readonly name: string; readonly made: Made }> {
    const part = path.at(-1) ?? "";
    const key = foldCase(path.join("/"));
    for (let number = numbers.get(key) ?? 1; ; number++) {
      const name = number === 1 ? part : numberedName(part, number);
      const made = await make(join(this.#directory, ...path.slice(0, -1), name)).catch((error: unknown) => {
        throw new CannotWrite(error);
      });
      numbers.set(key, number);
      if (made !== null) return { name, made };
    }
  }
}

class CannotWrite extends Error {
  constructor(cause: unknown) {
    super(`it cannot be written: ${messageOf(cause)}`, { cause });
  }
}

/** True for a folder that is there now; null when something else has that name. */
async function makeFolder(path: string): Promise<true | null> {
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  return (await lstat(path)).isDirectory() || null;
}

/** A new file; null when something has that name. */
async function createFile(path: string): Promise<FileHandle | null> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  return open(path, flags, 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    return null;
  });
}

/** @throws {CannotWrite} after the content's end; the file is removed, as when reading the content throws. */
async function fill(
  handle: FileHandle,
  path: string,
  time: Date | null,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  let failure: CannotWrite | null = null;
  try {
    for await (const chunk of content) failure ??= await attempt(() => writeChunk(handle, chunk));
    // A time that the file system does not take is not worth the file.
    if (time !== null) await handle.utimes(time, time).catch(() => undefined);
    failure ??= await attempt(() => handle.close());
    if (failure !== null) throw failure;
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(path, { force: true });
    throw error;
  }
}

async function attempt(operation: () => Promise<void>): Promise<CannotWrite | null> {
  return operation().then(
    () => null,
    (error) => new CannotWrite(error),
  );
}

async function writeChunk(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten;
}
