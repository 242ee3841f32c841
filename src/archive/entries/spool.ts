/**
 * Bytes that are written once and read as often as wanted: in memory while they are few, then in a temporary file.
 * Hides the file, which nobody else can open and which is gone whatever happens to this process.
 */
import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, read, unlinkSync, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../../printable.ts";
import { ArchiveError } from "./error.ts";

const readAsync = promisify(read);
const writeAsync = promisify(write);

const DEFAULT_MEMORY_LIMIT = 2 * 1024 * 1024;
/** Bytes read from the file at a time. */
const READ_SIZE = 512 * 1024;

/**
 * Windows cannot remove the name of an open file, but removes the file with its last handle when asked for that at
 * opening: FILE_FLAG_DELETE_ON_CLOSE, which libuv takes as the C runtime's _O_TEMPORARY. Node does not name it.
 */
const WINDOWS_O_TEMPORARY = 0x0040;

export class Spool {
  readonly #directory: string;
  readonly #memoryLimit: number;
  #chunks: Buffer[] = [];
  #size = 0;
  #file: number | null = null;
  /** Reads and writes under way: the file is closed after the last of them. */
  #pending = 0;
  #disposed = false;
  #closed: (() => void)[] = [];

  constructor(directory: string, memoryLimit: number = DEFAULT_MEMORY_LIMIT) {
    this.#directory = directory;
    this.#memoryLimit = memoryLimit;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Adds bytes at the end. They may be reused when the promise is fulfilled. One append at a time.
   * @throws {ArchiveError} CAB_WRITE_FAILED.
   */
  async append(bytes: Uint8Array): Promise<void> {
    this.#refuseDisposed();
    if (this.#file === null && this.#size + bytes.length <= this.#memoryLimit) {
      this.#chunks.push(Buffer.from(bytes));
    } else {
      await this.#appendToFile(bytes);
    }
    this.#size += bytes.length;
  }

  /** All bytes, from the start. A chunk is good until the next one is asked for: its memory is used again. */
  async *read(): AsyncGenerator<Buffer> {
    this.#refuseDisposed();
    if (this.#file === null) return yield* this.#chunks;
    let [memory, other] = [Buffer.allocUnsafeSlow(READ_SIZE), Buffer.allocUnsafeSlow(READ_SIZE)];
    let reading = this.#readAt(memory, 0);
    for (let at = 0; at < this.#size; [memory, other] = [other, memory]) {
      const chunk = await reading;
      at += chunk.length;
      if (at < this.#size) {
        // The next one is being read while this one is used; nobody may want it any more.
        reading = this.#readAt(other, at);
        reading.catch(() => undefined);
      }
      yield chunk;
    }
  }

  /** Gives up memory and file. May be called more than once. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#chunks = [];
    if (this.#file === null) return;
    if (this.#pending === 0) this.#closeFile();
    else await new Promise<void>((resolve) => this.#closed.push(resolve));
  }

  async #appendToFile(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#file === null) {
        this.#file = openUnnamed(this.#directory);
        let at = 0;
        for (const chunk of this.#chunks.splice(0)) at += await this.#writeAt(chunk, at);
      }
      await this.#writeAt(bytes, this.#size);
    } catch (error) {
      if (error instanceof ArchiveError) throw error;
      const message = `cannot write the temporary file in ${this.#directory}: ${messageOf(error)}`;
      throw new ArchiveError("CAB_WRITE_FAILED", message, { cause: error });
    }
  }

  async #writeAt(bytes: Uint8Array, position: number): Promise<number> {
    for (let done = 0; done < bytes.length; ) {
      done += await this.#use(async (file) => {
        const { bytesWritten } = await writeAsync(file, bytes, done, bytes.length - done, position + done);
        return bytesWritten;
      });
    }
    return bytes.length;
  }

  async #readAt(target: Buffer, position: number): Promise<Buffer> {
    const length = Math.min(target.length, this.#size - position);
    const { bytesRead } = await this.#use((file) => readAsync(file, target, 0, length, position));
    if (bytesRead === 0)
      throw new ArchiveError("CAB_WRITE_FAILED", "the temporary file was cut by someone else");
    return target.subarray(0, bytesRead);
  }

  async #use<T>(operation: (file: number) => Promise<T>): Promise<T> {
    const file = this.#refuseDisposed();
    this.#pending++;
    try {
      return await operation(file);
    } finally {
      this.#pending--;
      if (this.#disposed && this.#pending === 0) this.#closeFile();
    }
  }

  #refuseDisposed(): number {
    if (this.#disposed)
      throw new ArchiveError("CAB_WRITE_FAILED", "the archive was disposed of while it was in use");
    return this.#file ?? -1;
  }

  #closeFile(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    for (const resolve of this.#closed.splice(0)) resolve();
  }
}

/** A file of this process alone. It has lost its name before anything is written, or loses it when it is closed. */
function openUnnamed(directory: string): number {
  const path = join(directory, `cab-${randomBytes(12).toString("hex")}.tmp`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const onWindows = constants.O_NOFOLLOW === undefined;
  const file = openSync(path, onWindows ? flags | WINDOWS_O_TEMPORARY : flags, 0o600);
  if (!onWindows) unlinkSync(path);
  return file;
}
