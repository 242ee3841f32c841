/**
 * The bytes of an event's file, whatever kind of file it is: a pipe whose writer has not come yet, a device that never
 * ends, a file on a server that hangs. Bounded in size, and in time by the signal.
 */

import { constants } from "node:fs";
import { type FileHandle, open, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { abortable, joinChunks } from "../bytes.ts";
import { CerError } from "../errors.ts";

/** Bytes of an event that are read at most. */
export const MAX_EVENT_SIZE = 64 * 1024 * 1024;

/** Opening a pipe returns at once; Windows has neither the flag nor such pipes. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
/** Bytes read at a time. */
const CHUNK = 64 * 1024;
/** Milliseconds between two looks at a pipe that has nothing to read. */
const PAUSE = 20;

/**
 * The whole of a file.
 * @throws CerError CER_FILE when it is longer than MAX_EVENT_SIZE; the system's error; the signal's reason
 */
export async function readWhole(path: string | Buffer, signal: AbortSignal): Promise<Buffer> {
  const opening = open(path, FLAGS);
  const file = await abortable(opening, signal).catch((thrown: unknown) => {
    opening.then((late) => late.close()).catch(() => undefined);
    throw thrown;
  });
  try {
    return await joinChunks(chunksOf(file, await isNamedPipe(file, path), signal));
  } finally {
    // Closing waits for a read that is under way, which on a server that hangs never ends.
    const closed = file.close();
    if (signal.aborted) closed.catch(() => undefined);
    else await closed;
  }
}

/** A shell's `<(command)` is a pipe without a name: its writer is there from the start. */
async function isNamedPipe(file: FileHandle, path: string | Buffer): Promise<boolean> {
  if (!(await file.stat()).isFIFO()) return false;
  const target = await readlink(path).catch(() => "");
  return !target.startsWith("pipe:");
}

async function* chunksOf(file: FileHandle, waitsForWriter: boolean, signal: AbortSignal) {
  for (let size = 0; ; ) {
    const chunk = await abortable(readChunk(file), signal);
    const isBeforeFirst = waitsForWriter && size === 0;
    if (chunk === null || (chunk.length === 0 && isBeforeFirst)) {
      await sleep(PAUSE, undefined, { signal }).catch(() => signal.throwIfAborted());
      continue;
    }
    if (chunk.length === 0) return;
    size += chunk.length;
    refuseLong(size);
    yield chunk;
  }
}

/** Empty at the end; null when there is nothing to read yet. */
async function readChunk(file: FileHandle): Promise<Buffer | null> {
  try {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, null);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return null;
    throw error;
  }
}

/** @throws CerError CER_FILE */
export function refuseLong(size: number): void {
  if (size <= MAX_EVENT_SIZE) return;
  throw new CerError("CER_FILE", `The event is longer than ${MAX_EVENT_SIZE} bytes, the bound.`, {
    hint: "What is so long belongs into an attached file (--file).",
  });
}
