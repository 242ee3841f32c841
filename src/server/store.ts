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
 */

import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CerError } from "../errors.ts";
import type { Level1Report, ParsedReport } from "../wire/report.ts";
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

export type Store = {
  /** Keeps level 1 data for good; resolves once it is on disk. */
  addReport(bytes: Buffer, parsed: ParsedReport, asksForData: boolean): Promise<StoredReport>;
  /** The report for which a DumpFile was handed out, by this server or by the one before it. */
  findReport(dumpFile: string): StoredReport | null;
  /** Streams a body to disk. Rejects, and leaves nothing, when the body breaks off. */
  receive(body: Readable): Promise<ReceivedArchive>;
  discard(archive: ReceivedArchive): Promise<void>;
  /**
   * Makes a received archive the report's own. A report has one: the first. For a second one says whether it is the
   * same, byte for byte; it is discarded either way.
   */
  keepArchive(
    report: StoredReport,
    archive: ReceivedArchive,
    format: ArchiveFormat,
  ): Promise<{ verdict: "kept" | "same" | "different"; path: string }>;
};

/** As the examples number them: from 500, all in table 5. */
const FIRST_BUCKET = 500;
const BUCKET_TABLE = 5;
const PRIVATE_FOLDER = { recursive: true, mode: 0o700 } as const;
const PRIVATE_FILE = { flag: "wx", mode: 0o600 } as const;

/**
 * Opens DIR, made when it is missing, with whatever an earlier server kept in it.
 * @param warn told of what is in DIR but cannot be read; it is left alone
 * @throws CerError CER_WRITE when DIR cannot be made or read
 */
export async function openStore(dir: string, warn: (warning: string) => void): Promise<Store> {
  const incoming = join(dir, "incoming");
  const buckets = new Map<string, Promise<number>>();
  const byDumpFile = new Map<string, StoredReport>();
  let lastBucket = FIRST_BUCKET - 1;
  try {
    await mkdir(dir, PRIVATE_FOLDER);
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, PRIVATE_FOLDER);
    for await (const { bucket, signature, reports } of readBuckets(dir, warn)) {
      lastBucket = Math.max(lastBucket, bucket);
      if (signature !== null) buckets.set(signature, Promise.resolve(bucket));
      for (const report of reports) if (report.dumpFile !== null) byDumpFile.set(report.dumpFile, report);
    }
  } catch (cause) {
    throw new CerError("CER_WRITE", `The directory ${dir} cannot be used: ${(cause as Error).message}`, {
      hint: "Name another one with --dir.",
      cause,
    });
  }

  const makeBucket = async (signature: string): Promise<number> => {
    const bucket = ++lastBucket;
    const aside = join(incoming, randomUUID());
    await mkdir(aside, PRIVATE_FOLDER);
    await writeSynced(
      join(aside, "bucket.json"),
      formatJson({ bucket, bucketTable: BUCKET_TABLE, signature }),
    );
    await rename(aside, join(dir, `bucket-${bucket}`));
    return bucket;
  };

  /** One signature, one bucket, also for reports that arrive at the same moment. */
  const bucketOf = (signature: string): Promise<number> => {
    const known = buckets.get(signature);
    if (known !== undefined) return known;
    const made = makeBucket(signature);
    buckets.set(signature, made);
    made.catch(() => buckets.delete(signature));
    return made;
  };

  const addReport: Store["addReport"] = async (bytes, parsed, asksForData) => {
    const guid = randomUUID();
    const bucket = await bucketOf(signatureOf(parsed.report));
    const dumpFile = asksForData ? formatDumpFile(parsed.report, guid) : null;
    const folder = join(dir, `bucket-${bucket}`, guid);
    const stored = { guid, bucket, bucketTable: BUCKET_TABLE, dumpFile, folder };
    const aside = join(incoming, guid);
    await mkdir(aside, PRIVATE_FOLDER);
    await writeSynced(join(aside, "report.xml"), bytes);
    const { encoding, warnings, report } = parsed;
    await writeSynced(join(aside, "report.json"), formatJson({ dumpFile, encoding, warnings, report }));
    await rename(aside, folder);
    if (dumpFile !== null) byDumpFile.set(dumpFile, stored);
    return stored;
  };

  const receive: Store["receive"] = async (body) => {
    const path = join(incoming, randomUUID());
    const hash = createHash("sha256");
    let size = 0;
    try {
      await pipeline(
        body,
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            size += chunk.length;
            yield chunk;
          }
        },
        createWriteStream(path, { flags: "wx", mode: 0o600, flush: true }),
      );
    } catch (thrown) {
      await rm(path, { force: true });
      throw thrown;
    }
    return { path, size, sha256: hash.digest("hex") };
  };

  const discard: Store["discard"] = ({ path }) => rm(path, { force: true });

  /** By guid: the end of the line of those who want to keep an archive for that report. */
  const keeping = new Map<string, Promise<unknown>>();

  const keepFirst = async (report: StoredReport, archive: ReceivedArchive, format: ArchiveFormat) => {
    const earlier = await findArchive(report.folder);
    if (earlier === null) {
      const path = join(report.folder, `archive.${format}`);
      await rename(archive.path, path);
      return { verdict: "kept", path } as const;
    }
    await discard(archive);
    const isSame = (await hashFile(earlier)) === archive.sha256;
    return { verdict: isSame ? "same" : "different", path: earlier } as const;
  };

  const keepArchive: Store["keepArchive"] = async (report, archive, format) => {
    const before = keeping.get(report.guid) ?? Promise.resolve();
    const kept = before.then(
      () => keepFirst(report, archive, format),
      () => keepFirst(report, archive, format),
    );
    keeping.set(report.guid, kept);
    try {
      return await kept;
    } finally {
      if (keeping.get(report.guid) === kept) keeping.delete(report.guid);
    }
  };

  return {
    addReport,
    findReport: (dumpFile) => byDumpFile.get(dumpFile) ?? null,
    receive,
    discard,
    keepArchive,
  };
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
  readonly reports: readonly StoredReport[];
};

async function* readBuckets(dir: string, warn: (warning: string) => void): AsyncGenerator<StoredBucket> {
  for (const name of await readdir(dir)) {
    const [, number] = /^bucket-([1-9][0-9]{0,8})$/.exec(name) ?? [];
    if (number === undefined) continue;
    const bucket = Number(number);
    const folder = join(dir, name);
    const signature = await readText(join(folder, "bucket.json"), "signature", warn);
    const reports: StoredReport[] = [];
    for (const guid of await readdir(folder)) {
      if (!/^[0-9a-f-]{36}$/.test(guid)) continue;
      const dumpFile = await readText(join(folder, guid, "report.json"), "dumpFile", warn);
      reports.push({ guid, bucket, bucketTable: BUCKET_TABLE, dumpFile, folder: join(folder, guid) });
    }
    yield { bucket, signature, reports };
  }
}

/** One text field of a JSON file; null when it is null, absent or unreadable. */
async function readText(
  path: string,
  field: string,
  warn: (warning: string) => void,
): Promise<string | null> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"))[field];
    return typeof value === "string" ? value : null;
  } catch (thrown) {
    warn(`${path} cannot be read and is left alone: ${(thrown as Error).message}`);
    return null;
  }
}

function formatJson(value: unknown): string {
  return `${JSON.stringify(value, (_, field) => (typeof field === "bigint" ? String(field) : field), 2)}\n`;
}

async function writeSynced(path: string, data: string | Buffer): Promise<void> {
  const file = await open(path, PRIVATE_FILE.flag, PRIVATE_FILE.mode);
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

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
