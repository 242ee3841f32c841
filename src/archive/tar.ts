/**
 * The same archive as a POSIX tar, uncompressed, for servers that cannot open a cabinet; and such a tar read back.
 * Entries, results and rules are those of the cabinet. Hides that a tar tells an entry's size before its bytes: bodies
 * are spooled, headers made afterwards with the true sizes, whatever a body did meanwhile, and put between when the
 * archive is read.
 */
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header, pack } from "tar-stream";
import { CerError } from "../errors.ts";
import { messageOf } from "../printable.ts";
import { type Archive, sealArchive } from "./entries/archive.ts";
import type { Entry, WriteOptions } from "./entries/entry.ts";
import { ArchiveError } from "./entries/error.ts";
import { UniqueNames } from "./entries/names.ts";
import { orderEntries } from "./entries/order.ts";
import { EntryReader, type Reading } from "./entries/reading.ts";
import { Spool } from "./entries/spool.ts";
import { extractFiles } from "./entries/target.ts";

const READ_SIZE = 256 * 1024;

/** Headers and contents begin at a multiple of this. */
const RECORD_SIZE = 512;
const END_OF_TAR = Buffer.alloc(2 * RECORD_SIZE);

/** tar-stream counts seconds in 32 bits. */
const LAST_SECOND = 0x7fff_ffff;

/**
 * Writes a tar of `entries`. Same entries, same bytes. Compression and splitting do not apply: a tar knows no limits.
 * @throws {ArchiveError} CAB_WRITE_FAILED when the spool cannot be written.
 * @throws the signal's reason when it aborts. Nothing is left behind.
 */
export async function writeTar(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  options: WriteOptions,
): Promise<Archive> {
  const spool = new Spool(options.spoolDir, options.memoryLimit);
  const reader = new EntryReader(options.signal);
  const names = new UniqueNames();
  const pieces: Piece[] = [];
  try {
    for (const entry of await orderEntries(entries, options.signal)) {
      options.signal?.throwIfAborted();
      await reader.add(entry, async (reading) => {
        await spoolContent(reading, spool, options.signal);
        const result = reading.finish();
        if (result.sha256 === null) return result;
        const name = names.take(entry.name);
        const padding = -result.size & (RECORD_SIZE - 1);
        await spool.append(END_OF_TAR.subarray(0, padding));
        const header = await encodeHeader(name, result.size, entry.time);
        pieces.push({ header, size: result.size + padding });
        return { ...result, name };
      });
    }
    options.signal?.throwIfAborted();
    return await sealArchive(() => inPlace(pieces, spool), spool, reader.results);
  } catch (error) {
    await spool.dispose();
    throw error;
  }
}

/** A file of the tar: its header's bytes, and how many the spool holds for it, up to the next header. */
type Piece = { readonly header: Buffer; readonly size: number };

async function spoolContent(reading: Reading, spool: Spool, signal: AbortSignal | undefined): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
  for (;;) {
    signal?.throwIfAborted();
    const bytes = await reading.next(buffer);
    if (bytes.length === 0) return;
    await spool.append(bytes);
  }
}

/** One record, or several where the name or the size need more room. */
async function encodeHeader(name: string, size: number, time: Date): Promise<Buffer> {
  const seconds = Math.min(Math.max(Math.floor(time.getTime() / 1000), 0), LAST_SECOND);
  const packing = pack();
  const content = packing.entry({
    name: name.replaceAll("\\", "/"),
    size,
    mode: 0o644,
    mtime: new Date((Number.isNaN(seconds) ? 0 : seconds) * 1000),
    type: "file",
  });
  // Its content does not come this way: tar-stream is told to give up waiting for it, which is an error to it.
  for (const stream of [packing, content]) stream.on("error", () => undefined);
  await once(packing, "readable");
  const read = () => packing.read() as Buffer | null;
  const records: Buffer[] = [];
  for (let record = read(); record !== null; record = read()) records.push(record);
  packing.destroy();
  return Buffer.concat(records);
}

/** Each header with what the spool holds for its file, and the tar's end. */
async function* inPlace(pieces: readonly Piece[], spool: Spool): AsyncGenerator<Buffer> {
  const chunks = spool.read();
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (const { header, size } of pieces) {
      yield header;
      for (let left = size; left > 0; ) {
        if (rest.length === 0) rest = await nextOf(chunks);
        const chunk = rest.subarray(0, left);
        rest = rest.subarray(chunk.length);
        left -= chunk.length;
        yield chunk;
      }
    }
    yield END_OF_TAR;
  } finally {
    await chunks.return(undefined);
  }
}

async function nextOf(chunks: AsyncGenerator<Buffer>): Promise<Buffer> {
  const { done, value } = await chunks.next();
  if (done === true) throw new ArchiveError("CAB_TRUNCATED", "the spool ends before the files that it holds");
  return value;
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
 * Extracts all files below `directory`, as `extractFiles` does.
 * @throws what `readTar` and `extractFiles` throw.
 */
export function extractTar(
  source: AsyncIterable<Uint8Array>,
  directory: string,
): Promise<readonly TarFile[]> {
  return extractFiles(readTar(source), directory);
}
