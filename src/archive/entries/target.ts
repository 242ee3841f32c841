/**
 * A folder files are extracted into. Hides what a name from an archive can do: climb out, follow a link somebody laid,
 * overwrite, or mean a device. Nothing is made outside of the folder and nothing that exists is changed.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../printable.ts";
import { ArchiveError } from "./error.ts";
import { whyUnsafe } from "./names.ts";

/** A file of an archive as a folder needs it. `offset` is its place in the archive, if that is known. */
type ExtractableFile = { readonly name: string; readonly time: Date | null; readonly offset?: number };

/**
 * Writes an archive's files below `directory`, which exists; those that were written. Folders in their names, separated
 * by `\` or `/`, are made. Stops at the first that is wrong, which is removed again; files before it stay, whole.
 * @throws {ArchiveError} CAB_BAD_NAME when a name is unsafe, is taken, or leads through a link; CAB_WRITE_FAILED.
 * @throws what reading `files` throws.
 */
export async function extractFiles<File extends ExtractableFile>(
  files: AsyncIterable<{ readonly file: File; readonly content: AsyncIterable<Uint8Array> }>,
  directory: string,
): Promise<readonly File[]> {
  const extracted: File[] = [];
  for await (const { file, content } of files) {
    await extractFile(directory, file, content);
    extracted.push(file);
  }
  return extracted;
}

async function extractFile(
  directory: string,
  file: ExtractableFile,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const parts = safeParts(file);
  await makeFolders(directory, parts.slice(0, -1), file);
  const path = join(directory, ...parts);
  const handle = await createFile(path, file);
  try {
    for await (const chunk of content) await writeChunk(handle, chunk, file.name);
    if (file.time !== null) await handle.utimes(file.time, file.time);
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
  await handle.close();
}

function safeParts(file: ExtractableFile): string[] {
  const reason = whyUnsafe(file.name);
  if (reason !== null) throw badName(file, reason);
  return file.name.split(/[\\/]/);
}

/** One after another, so that none of them is reached through a link. */
async function makeFolders(
  directory: string,
  parts: readonly string[],
  file: ExtractableFile,
): Promise<void> {
  let path = directory;
  for (const part of parts) {
    path = join(path, part);
    await mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw writeFailed(file.name, error);
    });
    if (!(await lstat(path)).isDirectory()) throw badName(file, `${path} is no folder`);
  }
}

async function createFile(path: string, file: ExtractableFile): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw badName(file, `${path} exists`);
    throw writeFailed(file.name, error);
  }
}

async function writeChunk(handle: FileHandle, chunk: Uint8Array, name: string): Promise<void> {
  try {
    for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten;
  } catch (error) {
    throw writeFailed(name, error);
  }
}

function badName({ name, offset }: ExtractableFile, reason: string): ArchiveError {
  const message = `${JSON.stringify(name)} cannot be extracted: ${reason}`;
  return new ArchiveError("CAB_BAD_NAME", message, offset === undefined ? {} : { offset });
}

function writeFailed(name: string, cause: unknown): ArchiveError {
  const message = `cannot write ${JSON.stringify(name)}: ${messageOf(cause)}`;
  return new ArchiveError("CAB_WRITE_FAILED", message, { cause });
}
