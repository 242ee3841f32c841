/**
 * Where the embedded server keeps what it receives ([MS-CER2] 3.2.5, the "CER fileshare"). Hides the layout on disk:
 *
 *   DIR/bucket-500/bucket.json          the error signature
 *   DIR/bucket-500/GUID/report.xml      the level 1 data, byte for byte as received
 *   DIR/bucket-500/GUID/report.json     what it says, and the DumpFile handed out for it
 *   DIR/bucket-500/GUID/archive.cab     the level 2 data (or archive.tar)
 *   DIR/incoming/                       what is still being received
 *
 * Only numbers and GUIDs of this server's making become names on disk. Everything is written aside, synced and then
 * moved into place; what a stopped server left in `incoming` is removed at the next start. One server per DIR.
 *
 * The names are the index: a DumpFile ends in its report's GUID, and the folder of that name says which bucket. So a
 * start lists folders and reads the signatures, never a report; a report is read when its archive comes.
 */

import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream, readdirSync, readFileSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Measure, measure } from "../bytes.ts";
import { CerError } from "../errors.ts";
import { bigintAsText } from "../json.ts";
import { messageOf } from "../printable.ts";
import type { Level1Report, ParsedReport } from "../wire/report-reader.ts";
import { formatDumpFile } from "./dump-file.ts";

export type ArchiveFormat = "cab" | "tar";

export type StoredReport = {
  readonly guid: string;
  readonly bucket: number;
  readonly bucketTable: number;
  /** null when no level 2 data was asked for. */
  readonly dumpFile: string | null;
  /** Absolute or as DIR was given. */
  readonly folder: string;
};

/** A body on its way: in `incoming` until it is kept or discarded. */
export type ReceivedArchive = {
  readonly path: string;
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
};

type TakenArchive = {
  /** For a second archive: whether it is the first one again, byte for byte. */
  readonly verdict: "kept" | "same" | "different";
  /** The report's archive. */
  readonly path: string;
};

/** As the examples number them: from 500, all in table 5. */
const FIRST_BUCKET = 500;
const BUCKET_TABLE = 5;
const PRIVATE_FOLDER = { mode: 0o700 } as const;
const PRIVATE_FILE = { flags: "wx", mode: 0o600 } as const;

type Warn = (warning: string) => void;

/**
 * Opens DIR, made when it is missing, with whatever an earlier server kept in it.
 * @param warn told of what is in DIR but cannot be read; it is left alone
 * @throws CerError CER_WRITE when DIR cannot be made or read
 */
export async function openStore(dir: string, warn: Warn): Promise<Store> {
  try {
    const incoming = join(dir, "incoming");
    await mkdir(dir, { ...PRIVATE_FOLDER, recursive: true });
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, PRIVATE_FOLDER);
    return new Store(dir, incoming, readBuckets(dir, warn));
  } catch (cause) {
    throw new CerError("CER_WRITE", `The directory ${dir} cannot be used: ${(cause as Error).message}`, {
      hint: "Name another one with --dir.",
      cause,
    });
  }
}

/** Guards what must stay one: a signature's bucket, a report's archive. */
export class Store {
  readonly #dir: string;
  readonly #incoming: string;
  /** By signature. */
  readonly #buckets = new Map<string, Promise<number>>();
  /** By the guid of a report. */
  readonly #bucketByGuid = new Map<string, number>();
  /** By guid: the last of those who wait to keep an archive for that report. */
  readonly #keeping = new Map<string, Promise<unknown>>();
  #lastBucket = FIRST_BUCKET - 1;

  constructor(dir: string, incoming: string, earlier: Iterable<StoredBucket>) {
    this.#dir = dir;
    this.#incoming = incoming;
    for (const { bucket, signature, guids } of earlier) {
      this.#lastBucket = Math.max(this.#lastBucket, bucket);
      if (signature !== null) this.#buckets.set(signature, Promise.resolve(bucket));
      for (const guid of guids) this.#bucketByGuid.set(guid, bucket);
    }
  }

  /** Keeps level 1 data for good; resolves once it is on disk. Rejects, and leaves nothing, when the disk takes none. */
  async addReport(bytes: Buffer, parsed: ParsedReport, asksForData: boolean): Promise<StoredReport> {
    const { report, encoding, warnings } = parsed;
    const guid = randomUUID();
    const bucket = await this.#bucketOf(signatureOf(report));
    const dumpFile = asksForData ? formatDumpFile(report, guid) : null;
    const folder = this.#folderOf(bucket, guid);
    await this.#addFolder(folder, {
      "report.xml": bytes,
      "report.json": formatJson({ dumpFile, encoding, warnings, report }),
    });
    this.#bucketByGuid.set(guid, bucket);
    return { guid, bucket, bucketTable: BUCKET_TABLE, dumpFile, folder };
  }

  #folderOf(bucket: number, guid: string): string {
    return join(this.#dir, `bucket-${bucket}`, guid);
  }

  /** The same promise for reports that arrive at the same moment. */
  #bucketOf(signature: string): Promise<number> {
    const known = this.#buckets.get(signature);
    if (known !== undefined) return known;
    const made = this.#makeBucket(signature);
    this.#buckets.set(signature, made);
    made.catch(() => this.#buckets.delete(signature));
    return made;
  }

  async #makeBucket(signature: string): Promise<number> {
    const bucket = ++this.#lastBucket;
    const content = formatJson({ bucket, bucketTable: BUCKET_TABLE, signature });
    await this.#addFolder(join(this.#dir, `bucket-${bucket}`), { "bucket.json": content });
    return bucket;
  }

  async #addFolder(folder: string, files: Readonly<Record<string, string | Buffer>>): Promise<void> {
    const aside = join(this.#incoming, randomUUID());
    try {
      await mkdir(aside, PRIVATE_FOLDER);
      for (const [name, content] of Object.entries(files)) await writeSynced(join(aside, name), content);
      await rename(aside, folder);
    } catch (thrown) {
      // Why it could not be written counts, not whether the rest could be removed.
      await rm(aside, { recursive: true, force: true }).catch(() => {});
      throw thrown;
    }
  }

  /**
   * The report for which a DumpFile was handed out, by this server or by the one before it. Rejects when what is kept
   * of it cannot be read.
   */
  async findReport(dumpFile: string): Promise<StoredReport | null> {
    const [, guid = ""] = /\\([0-9a-f-]{36})\.cab$/.exec(dumpFile) ?? [];
    const bucket = this.#bucketByGuid.get(guid);
    if (bucket === undefined) return null;
    const folder = this.#folderOf(bucket, guid);
    const kept = textField(await readFile(join(folder, "report.json"), "utf8"), "dumpFile");
    if (kept !== dumpFile) return null;
    return { guid, bucket, bucketTable: BUCKET_TABLE, dumpFile, folder };
  }

  /** Streams a body to disk. Rejects, and leaves nothing, when the body breaks off or the disk takes no more. */
  async receive(body: AsyncIterable<Buffer>): Promise<ReceivedArchive> {
    const path = join(this.#incoming, randomUUID());
    const received = new Measure();
    const file = createWriteStream(path, { ...PRIVATE_FILE, flush: true });
    const closed = new Promise<void>((resolve) => file.once("close", resolve));
    try {
      await pipeline(body, (chunks) => received.through(chunks), file);
    } catch (thrown) {
      // One that is still being opened would be made after it was removed.
      await closed;
      await rm(path, { force: true });
      throw thrown;
    }
    return { path, ...received.finish() };
  }

  async discard({ path }: ReceivedArchive): Promise<void> {
    await rm(path, { force: true });
  }

  /**
   * Makes a received archive the report's own. A report has one: the first. A second one stays where it is, to be
   * discarded.
   */
  async keepArchive(
    report: StoredReport,
    archive: ReceivedArchive,
    format: ArchiveFormat,
  ): Promise<TakenArchive> {
    const before = this.#keeping.get(report.guid) ?? Promise.resolve();
    const keep = () => this.#keepFirst(report, archive, format);
    const kept = before.then(keep, keep);
    this.#keeping.set(report.guid, kept);
    try {
      return await kept;
    } finally {
      if (this.#keeping.get(report.guid) === kept) this.#keeping.delete(report.guid);
    }
  }

  async #keepFirst(
    report: StoredReport,
    archive: ReceivedArchive,
    format: ArchiveFormat,
  ): Promise<TakenArchive> {
    const earlier = await findArchive(report.folder);
    if (earlier !== null) {
      const { sha256 } = await measure(createReadStream(earlier));
      return { verdict: sha256 === archive.sha256 ? "same" : "different", path: earlier };
    }
    const path = join(report.folder, `archive.${format}`);
    await rename(archive.path, path);
    return { verdict: "kept", path };
  }
}

/**
 * What makes two reports the same error: the event type and the parameters, or for a report that has none, as a kernel
 * fault, the secondary parameters. Names are left out: Windows translates them.
 */
function signatureOf({ eventType, parameters, secondaryParameters }: Level1Report): string {
  const values =
    parameters.length > 0
      ? parameters.map(({ id, value }) => [id, value])
      : secondaryParameters.map(({ name, value }) => [name, value]);
  return JSON.stringify([eventType, ...values]);
}

type StoredBucket = {
  readonly bucket: number;
  /** null when bucket.json is damaged: the number stays taken. */
  readonly signature: string | null;
  /** Of its reports. */
  readonly guids: readonly string[];
};

/** Waits for the disk in place: nobody is served yet, and twenty thousand buckets are read in half the time. */
function* readBuckets(dir: string, warn: Warn): Generator<StoredBucket> {
  for (const name of readdirSync(dir)) {
    const [, number] = /^bucket-([1-9][0-9]{0,8})$/.exec(name) ?? [];
    if (number === undefined) continue;
    const folder = join(dir, name);
    yield {
      bucket: Number(number),
      signature: readSignature(join(folder, "bucket.json"), warn),
      guids: readdirSync(folder).filter((guid) => /^[0-9a-f-]{36}$/.test(guid)),
    };
  }
}

/** Null, and told of, when it cannot be read. */
function readSignature(path: string, warn: Warn): string | null {
  try {
    return textField(readFileSync(path, "utf8"), "signature");
  } catch (thrown) {
    warn(`${path} cannot be read and is left alone: ${messageOf(thrown)}`);
    return null;
  }
}

/** One text field of a JSON object; null when it is null or absent. Throws for what is no JSON. */
function textField(json: string, field: string): string | null {
  const value: unknown = JSON.parse(json)[field];
  return typeof value === "string" ? value : null;
}

function formatJson(value: unknown): string {
  return `${JSON.stringify(value, bigintAsText, 2)}\n`;
}

async function writeSynced(path: string, data: string | Buffer): Promise<void> {
  const file = await open(path, PRIVATE_FILE.flags, PRIVATE_FILE.mode);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function findArchive(folder: string): Promise<string | null> {
  const name = (await readdir(folder)).find((entry) => entry.startsWith("archive."));
  return name === undefined ? null : join(folder, name);
}
