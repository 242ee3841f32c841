/** The level 2 bytes in an entry: every retry of the upload sends exactly these. */

import { Measure, measure } from "../../bytes.ts";
import { CerError } from "../../errors.ts";
import { encodeDocument } from "../../json.ts";
import { type Disk, lacksMeans, systemCode, writeFile, writeWhole } from "../disk/disk.ts";
import { type ArchiveFacts, parseArchiveFacts } from "./documents.ts";
import { readDocument } from "./entry.ts";

/** An archive for level 2. */
export type ReportArchive = ArchiveFacts & {
  /** The same bytes every time. A chunk is good until the next one is asked for. */
  open(): AsyncIterable<Uint8Array>;
};

/**
 * Copies an archive into the entry; it counts once its document is there.
 * @throws CerError CER_ARCHIVE when the bytes are not what the caller says they are
 */
export async function writeArchive(
  disk: Disk,
  entry: string,
  archive: ReportArchive,
): Promise<ReportArchive> {
  const aside = `${entry}/archive.new`;
  const copied = new Measure();
  try {
    await writeFile(disk, aside, copied.through(archive.open()));
  } catch (error) {
    // Half an archive is of no use, and a full disk has use for the room.
    await disk.unlink(aside).catch(() => {});
    throw error;
  }
  const { size, sha256 } = copied.finish();
  if (size !== archive.size || sha256 !== archive.sha256)
    throw new CerError(
      "CER_ARCHIVE",
      `The archive changed while it was kept: ${size} bytes with SHA-256 ${sha256}, expected ${archive.size} with ${archive.sha256}.`,
    );
  await disk.rename(aside, `${entry}/archive`);
  const { files, declined, warnings, mediaType, redacted } = archive.about;
  const facts = { size, sha256, about: { files, declined, warnings, mediaType, redacted } };
  await writeWhole(disk, entry, "archive.json", encodeDocument({ version: 1, ...facts }));
  return openArchive(disk, entry, facts);
}

/**
 * The kept archive, its bytes checked; null when none was finished.
 * @throws CerError CER_DAMAGED when what is there is not what was written; the system's errors
 */
export async function readArchive(disk: Disk, entry: string): Promise<ReportArchive | null> {
  const facts = await readDocument(disk, entry, "archive.json", parseArchiveFacts);
  if (facts === null) return null;
  const archive = openArchive(disk, entry, facts);
  const { sha256 } = await measure(archive.open()).catch((cause: unknown) => {
    if (lacksMeans(cause)) throw cause;
    throw new CerError("CER_DAMAGED", `archive cannot be read (${systemCode(cause) ?? "unknown"}).`, {
      cause,
    });
  });
  if (sha256 !== facts.sha256)
    throw new CerError("CER_DAMAGED", "archive is not what was written: its SHA-256 differs.");
  return archive;
}

function openArchive(disk: Disk, entry: string, facts: ArchiveFacts): ReportArchive {
  return { ...facts, open: () => disk.readChunks(`${entry}/archive`, facts.size) };
}
