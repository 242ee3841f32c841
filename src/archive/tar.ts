/**
 * The same archive as a POSIX tar, uncompressed, for servers that cannot open a cabinet; and such a tar read back.
 * Entries, results and rules are those of the cabinet. Hides that a tar tells an entry's size before its bytes: bodies
 * are spooled, headers made afterwards with the true sizes, whatever a body did meanwhile, and put between when the
 * archive is read.
 */
import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header, pack } from "tar-stream";
import { CerError } from "../errors.ts";
import { messageOf } from "../printable.ts";
import { type Archive, sealArchive } from "./entries/archive.ts";
import type { Entry, WriteOptions } from "./entries/entry.ts";
import { ArchiveError } from "./entries/error.ts";
import { decodeName, quoteName } from "./entries/foreign-name.ts";
import { UniqueNames } from "./entries/names.ts";
import { orderEntries } from "./entries/order.ts";
import { EntryReader, type Reading } from "./entries/reading.ts";
import { Spool } from "./entries/spool.ts";
import { type Extracted, type Extraction, Target } from "./entries/target.ts";

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

export type TarFile = {
  /** As the tar has it: not a path to be trusted. What is no text in it is kept as `decodeName` does. */
  readonly name: string;
  /** The bytes of a name that is no UTF-8; null when it is. */
  readonly nameBytes: Buffer | null;
  readonly size: number;
  readonly time: Date;
};

/** In Latin-1 every byte of a name is a character, from which the bytes can be had again. The types leave it out. */
const NAMES_AS_BYTES = { filenameEncoding: "latin1" } as Parameters<typeof extract>[0];

/** Told of what is in a tar and no file. */
type Skipped = (what: string) => void;

/**
 * The files of a tar, each with its content, which is read to its end, or skipped, before the next one comes. What is
 * no file, links, devices, folders, is left out and told to `skipped`; without that the tar is refused, because this
 * program writes no such thing.
 * @throws {CerError} CER_DAMAGED when it is no tar, ends too early, or is refused.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  skipped: Skipped = refuse,
): AsyncGenerator<{ readonly file: TarFile; readonly content: AsyncIterable<Buffer> }> {
  const unpacked = extract(NAMES_AS_BYTES);
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
      const file = checkTarHeader(entry.header);
      if (entry.header.type === "file") yield { file, content };
      else skipped(`${quoteName(file.name)} in the tar is a ${entry.header.type}, not a file`);
      for await (const _ of content);
    }
    await reading;
  } catch (error) {
    throw await explain(error);
  } finally {
    unpacked.destroy();
  }
}

function refuse(what: string): never {
  throw new CerError("CER_DAMAGED", what);
}

function checkTarHeader(header: Header): TarFile {
  const { size = 0, mtime } = header;
  const name = tarName(header);
  if (!Number.isSafeInteger(size) || size < 0)
    refuse(`${quoteName(name.name)} in the tar has a size of ${size} bytes`);
  return { ...name, size, time: mtime ?? new Date(0) };
}

/** A name in a pax header is UTF-8, or was made it on the way here. */
function tarName({ name, pax }: Header): Pick<TarFile, "name" | "nameBytes"> {
  if ((pax as { path?: string } | null | undefined)?.path) return { name, nameBytes: null };
  const bytes = Buffer.from(name, "latin1");
  return isUtf8(bytes)
    ? { name: bytes.toString(), nameBytes: null }
    : { name: decodeName(bytes), nameBytes: bytes };
}

/**
 * Extracts all files below `directory`, as a `Target` writes them; reads them only when that is null. Where the tar is
 * damaged, what follows is not known; the file that it breaks off in is lost.
 * @throws {CerError} CER_DAMAGED when nothing at all can be read of it.
 */
export async function extractTar(
  source: AsyncIterable<Uint8Array>,
  directory: string | null,
): Promise<Extraction<TarFile>> {
  const target = directory === null ? null : new Target(directory);
  const take = async (file: TarFile, content: AsyncIterable<Buffer>): Promise<Extracted<TarFile>> => {
    if (target !== null) return target.write(file, content);
    for await (const _ of content);
    return { file, writtenAs: null, reason: null };
  };
  const files: Extracted<TarFile>[] = [];
  const skipped: string[] = [];
  let current: TarFile | null = null;
  try {
    for await (const { file, content } of readTar(source, (what) => skipped.push(what))) {
      current = file;
      files.push(await take(file, content));
      current = null;
    }
    return { files, faults: [], skipped };
  } catch (error) {
    const isSomething = current !== null || files.length + skipped.length > 0;
    if (!(error instanceof CerError) || !isSomething) throw error;
    if (current !== null) files.push({ file: current, writtenAs: null, reason: error.message });
    return { files, faults: [error.message], skipped };
  }
}
