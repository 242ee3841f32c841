/**
 * The same archive as a POSIX tar, uncompressed, for servers that cannot open a cabinet; and such a tar read back.
 * Entries, results and rules are those of the cabinet. Hides that a tar tells an entry's size before its bytes: each
 * body goes through a spool of its own first, so that the size is the true one whatever the body does meanwhile.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header, type Pack, pack } from "tar-stream";
import { CerError } from "../errors.ts";
import { type Archive, sealArchive } from "./entries/archive.ts";
import type { Body } from "./entries/body.ts";
import { absentEntry, type Entry, type EntryResult, type WriteOptions } from "./entries/entry.ts";
import { CabError } from "./entries/error.ts";
import { UniqueNames } from "./entries/names.ts";
import { messageOf, openEntry, orderEntries } from "./entries/order.ts";
import { Spool } from "./entries/spool.ts";
import { extractFile } from "./entries/target.ts";

const READ_SIZE = 256 * 1024;

/** tar-stream counts seconds in 32 bits. */
const LAST_SECOND = 0x7fff_ffff;

/**
 * Writes a tar of `entries`. Same entries, same bytes. Compression and splitting do not apply: a tar knows no limits.
 * @throws {CabError} CAB_WRITE_FAILED when the spool cannot be written.
 * @throws the signal's reason when it aborts. Nothing is left behind.
 */
export async function writeTar(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  options: WriteOptions,
): Promise<Archive> {
  const spool = new Spool(options.spoolDir, options.memoryLimit);
  const writer = new TarWriter(spool, options);
  try {
    for (const entry of await orderEntries(entries, options.signal)) await writer.add(entry);
    return await writer.finish();
  } catch (error) {
    throw (await writer.abandon()) ?? error;
  }
}

type Measured = { size: number; sha256: string; missing: string | null };

class TarWriter {
  readonly #spool: Spool;
  readonly #options: WriteOptions;
  readonly #names = new UniqueNames();
  readonly #results: EntryResult[] = [];
  readonly #pack: Pack = pack();
  readonly #packed: Promise<void>;
  #bytesRead = 0;

  constructor(spool: Spool, options: WriteOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#packed = this.#spoolPacked();
    // Looked at when all entries are written; until then a failure ends the pack, and with it the entry being written.
    this.#packed.catch((error) => this.#pack.destroy(error));
  }

  async add(entry: Entry): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const body = await openEntry(entry, this.#results, this.#options.signal);
    this.#results.push("wanted" in body ? body : await this.#addBody(entry, body));
  }

  async finish(): Promise<Archive> {
    this.#pack.finalize();
    await this.#packed;
    this.#options.signal?.throwIfAborted();
    return sealArchive(Buffer.alloc(0), this.#spool, this.#results);
  }

  /** Leaves nothing behind; why the spool could not be written, if that is what ended it. */
  async abandon(): Promise<CabError | null> {
    this.#pack.destroy();
    const failure = await this.#packed.then(
      () => null,
      (error) => (error instanceof CabError ? error : null),
    );
    await this.#spool.dispose();
    return failure;
  }

  async #spoolPacked(): Promise<void> {
    for await (const chunk of this.#pack) await this.#spool.append(chunk as Uint8Array);
  }

  async #addBody(entry: Entry, body: Body): Promise<EntryResult> {
    const content = new Spool(this.#options.spoolDir, this.#options.memoryLimit);
    try {
      const { size, sha256, missing } = await this.#measure(body, content);
      if (size === 0 && missing !== null) return absentEntry(entry, "failed", missing);
      const name = this.#names.take(entry.name);
      await this.#write(entry, name, content);
      const state = missing === null ? "stored" : "cut";
      return { name, wanted: entry.name, size, sha256, state, reason: missing, parts: [] };
    } finally {
      await body.close();
      await content.dispose();
    }
  }

  /** Reads the body into `content`, as much of it as there is. */
  async #measure(body: Body, content: Spool): Promise<Measured> {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
    let missing: string | null = null;
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const bytes = await this.#read(body, buffer);
      if (typeof bytes === "string") missing = bytes;
      if (typeof bytes === "string" || bytes.length === 0) break;
      hash.update(bytes);
      await content.append(bytes);
      this.#bytesRead += bytes.length;
      this.#options.onProgress?.(this.#bytesRead);
    }
    if (missing === null && body.size !== null && content.size < body.size) {
      missing = `it shrank while it was read, from ${body.size} bytes to ${content.size}`;
    }
    return { size: content.size, sha256: hash.digest("hex"), missing };
  }

  /** Bytes in the front of `buffer`, none at the end; or why there are no more. */
  async #read(body: Body, buffer: Buffer): Promise<Buffer | string> {
    try {
      return buffer.subarray(0, await body.read(buffer));
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      return messageOf(error);
    }
  }

  /** Writes header and content of one file. */
  async #write(entry: Entry, name: string, content: Spool): Promise<void> {
    const seconds = Math.min(Math.max(Math.floor(entry.time.getTime() / 1000), 0), LAST_SECOND);
    const header = {
      name: name.replaceAll("\\", "/"),
      size: content.size,
      mode: 0o644,
      mtime: new Date((Number.isNaN(seconds) ? 0 : seconds) * 1000),
      type: "file" as const,
    };
    const sink = this.#pack.entry(header);
    // Written through a stream: an entry takes all of a content at once otherwise.
    await pipeline(copies(content.read()), sink);
  }
}

/** tar-stream lets chunks wait, beyond the time that those of a spool are good for. */
async function* copies(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

export type TarFile = { readonly name: string; readonly size: number; readonly time: Date };

/**
 * The files of a tar that this program wrote, each with its content, which is read to its end, or skipped, before the
 * next one comes. Anything such a tar does not hold is refused: links, devices, folders.
 * @throws {CerError} CER_DAMAGED when it is no tar, ends too early, or is none of ours.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly file: TarFile; readonly content: AsyncIterable<Buffer> }> {
  const unpacked = extract();
  const reading = pipeline(Readable.from(source, { objectMode: false }), unpacked);
  /** The stream of an entry only tells that it was destroyed; `reading` tells why. */
  const explain = async (error: unknown): Promise<unknown> => {
    if (error instanceof CerError) return error;
    const cause = await reading.then(
      () => error,
      (reason) => reason,
    );
    return new CerError("CER_DAMAGED", `Not a whole tar: ${messageOf(cause)}.`, { cause });
  };
  async function* contentOf(entry: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of entry) yield chunk as Buffer;
    } catch (error) {
      throw await explain(error);
    }
  }
  reading.catch(() => undefined);
  try {
    for await (const entry of unpacked) {
      // A failure reaches whoever reads the content, or this loop; as an event of its own it would end the process.
      entry.on("error", () => undefined);
      const content = contentOf(entry);
      yield { file: checkTarHeader(entry.header), content };
      for await (const _ of content);
    }
    await reading;
  } catch (error) {
    throw await explain(error);
  } finally {
    unpacked.destroy();
  }
}

function checkTarHeader({ name, size = 0, mtime, type }: Header): TarFile {
  if (type !== "file")
    throw new CerError("CER_DAMAGED", `${JSON.stringify(name)} in the tar is a ${type}, not a file`);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new CerError("CER_DAMAGED", `${JSON.stringify(name)} in the tar has a size of ${size} bytes`);
  }
  return { name, size, time: mtime ?? new Date(0) };
}

/**
 * Extracts all files below `directory`, which exists. Stops at the first that is wrong; files before it stay, whole.
 * @throws what `readTar` and `extractFile` throw; CER_DAMAGED when the files have more than `maxBytes` bytes together.
 */
export async function extractTar(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  { maxBytes = Number.POSITIVE_INFINITY }: { maxBytes?: number } = {},
): Promise<readonly TarFile[]> {
  const extracted: TarFile[] = [];
  let total = 0;
  for await (const { file, content } of readTar(source)) {
    total += file.size;
    if (total > maxBytes) {
      throw new CerError(
        "CER_DAMAGED",
        `the tar's files have more than the ${maxBytes} bytes that are accepted`,
      );
    }
    await extractFile(directory, file, content);
    extracted.push(file);
  }
  return extracted;
}
