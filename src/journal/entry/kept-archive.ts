/** The level 2 bytes in an entry: every retry of the upload sends exactly these. */

import { createHash } from "node:crypto";
import { CerError } from "../../errors.ts";
import { encodeDocument } from "../../json.ts";
import { type Disk, systemCode, writeFile, writeWhole } from "../disk/disk.ts";
import type { ReportArchive } from "../report.ts";
import { type ArchiveFacts, parseArchiveFacts } from "./documents.ts";
import { readDocument } from "./entry.ts";

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
  const hash = createHash("sha256");
  let size = 0;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of archive.open()) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  }
  try {
    await writeFile(disk, aside, hashed());
  } catch (error) {
    // Half an archive is of no use, and a full disk has use for the room.
    await disk.unlink(aside).catch(() => {});
    throw error;
  }
  const sha256 = hash.digest("hex");
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
 * @throws CerError CER_DAMAGED when what is there is not what was written
 */
export async function readArchive(disk: Disk, entry: string): Promise<ReportArchive | null> {
  const facts = await readDocument(disk, entry, "archive.json", parseArchiveFacts);
  if (facts === null) return null;
  const archive = openArchive(disk, entry, facts);
  const hash = createHash("sha256");
  try {
    for await (const chunk of archive.open()) hash.update(chunk);
  } catch (cause) {
    throw new CerError("CER_DAMAGED", `archive cannot be read (${systemCode(cause) ?? "unknown"}).`, {
      cause,
    });
  }
  if (hash.digest("hex") !== facts.sha256)
    throw new CerError("CER_DAMAGED", "archive is not what was written: its SHA-256 differs.");
  return archive;
}

function openArchive(disk: Disk, entry: string, facts: ArchiveFacts): ReportArchive {
  return { ...facts, open: () => disk.readChunks(`${entry}/archive`, facts.size) };
}
