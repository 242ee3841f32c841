/**
 * What an entry holds, and how it is written and read (its JSON: documents.ts). One directory:
 *
 *   level1        the exact bytes of the level 1 report
 *   files/0 …     the attached files
 *   entry.json    everything known when the report was made; written last, so that its presence means the rest is there
 *   progress.json the attempts, and why the report was given up
 *   answer.json   the level 1 reply
 *   archive       the level 2 bytes
 *   archive.json  their hash and what they hold; written after them
 *   receipt.json  from then on the report is delivered, whatever else lies here
 */

import { sha256Of } from "../../bytes.ts";
import { CerError } from "../../errors.ts";
import { type Disk, systemCode, unlessMissing, writeFile, writeWhole } from "../disk/disk.ts";
import { attachmentPath, isStored, keepAttachment } from "./attachment.ts";
import {
  type Answer,
  type Attachment,
  type EntryRecord,
  encodeAnswer,
  encodeEntry,
  encodeProgress,
  type Progress,
  parseEntry,
} from "./documents.ts";

/** Bytes of an entry's documents that are read at most. */
const MAX_DOCUMENT = 64 * 1024 * 1024;
/** Bytes an entry's documents are counted as. */
const DOCUMENTS = 4096;
/** Attempts that are remembered: the first ones and the last ones tell the story. */
const MAX_ATTEMPTS = 1000;

/**
 * Writes a new entry's directory, which must not exist, down to the last synced byte.
 * @throws CerError CER_DAMAGED for a document longer than is read back; the system's errors
 */
export async function writeEntry(
  disk: Disk,
  path: string,
  made: Omit<EntryRecord, "attachments" | "level1"> & { readonly level1: Buffer },
  { copy }: { copy: boolean },
): Promise<EntryRecord> {
  const { level1, ...rest } = made;
  // Nearly all that the record says is in level 1 as well: one that is too long is not even put into words.
  checkLength("level1", level1);
  await disk.makeDirectory(path);
  await writeFile(disk, `${path}/level1`, [level1]);
  const attachments: Attachment[] = [];
  if (made.event.files.length > 0) {
    await disk.makeDirectory(`${path}/files`);
    for (const [index, file] of made.event.files.entries())
      attachments.push(await keepAttachment(disk, file, attachmentPath(path, index), { copy }));
    await disk.syncDirectory(`${path}/files`);
  }
  const kept = { size: level1.length, sha256: sha256Of(level1) };
  const record: EntryRecord = { ...rest, level1: kept, attachments };
  const encoded = encodeEntry(record);
  checkLength("entry.json", encoded);
  await writeWhole(disk, path, "entry.json", encoded);
  return record;
}

function checkLength(name: string, { length }: Buffer): void {
  if (length <= MAX_DOCUMENT) return;
  throw new CerError("CER_DAMAGED", `${name} has ${length} bytes, the bound is ${MAX_DOCUMENT}.`);
}

/** Bytes an entry is counted as in the journal's limits. Linked files count: the original may be deleted any time. */
export function entryBytes({ level1, attachments }: EntryRecord, archive: number): number {
  const stored = attachments.filter(isStored).reduce((sum, { size }) => sum + size, 0);
  return DOCUMENTS + level1.size + stored + archive;
}

/**
 * Finishes an entry whose writer was killed when all was written and only the last step, the renaming of its record, was
 * missing. What is not whole stays as it is, for its reader to refuse.
 */
export async function finishEntry(disk: Disk, entry: string): Promise<void> {
  if ((await unlessMissing(disk.facts(`${entry}/entry.json`), null)) !== null) return;
  const record = await readDocument(disk, entry, "entry.json.new", parseEntry).catch(() => null);
  if (record === null) return;
  // A killed process leaves to the system what it wrote, synced or not.
  await disk.syncFile(`${entry}/entry.json.new`);
  await disk.rename(`${entry}/entry.json.new`, `${entry}/entry.json`);
  await disk.syncDirectory(entry);
}

/**
 * Reads a document of an entry; null when there is none.
 * @throws CerError CER_DAMAGED when it is torn, not ours, or too long; the system's errors
 */
export async function readDocument<T>(
  disk: Disk,
  entry: string,
  name: string,
  parse: (text: string) => T,
): Promise<T | null> {
  const bytes = await readBytes(disk, entry, name);
  return bytes === null ? null : parse(bytes.toString());
}

/** Null when there is no such file. @throws CerError CER_DAMAGED for what is no file, or too long; the system's errors */
async function readBytes(disk: Disk, entry: string, name: string): Promise<Buffer | null> {
  try {
    return await unlessMissing(disk.read(`${entry}/${name}`, MAX_DOCUMENT), null);
  } catch (cause) {
    const code = systemCode(cause) ?? "";
    const fault = DAMAGE[code];
    if (fault === undefined) throw cause;
    throw new CerError("CER_DAMAGED", `${name} ${fault} (${code}).`, { cause });
  }
}

/** What no other time and no other user could read either. Of any other error the entry is not to blame. */
const DAMAGE: Readonly<Record<string, string>> = {
  EINVAL: "is no regular file",
  ENXIO: "is no regular file",
  ELOOP: "is a link that leads nowhere",
  EFBIG: `has more than ${MAX_DOCUMENT} bytes`,
};

/**
 * Reads an entry's record and its level 1 bytes, and checks these against their hash.
 * @throws CerError CER_DAMAGED when either is missing, torn, or of another entry; the system's errors
 */
export async function readEntry(
  disk: Disk,
  entry: string,
  id: string,
): Promise<{ record: EntryRecord; level1: Buffer }> {
  const record = await readDocument(disk, entry, "entry.json", parseEntry);
  if (record === null) throw new CerError("CER_DAMAGED", "entry.json is missing.");
  if (record.id !== id) throw new CerError("CER_DAMAGED", "entry.json belongs to another entry.");
  const level1 = await readBytes(disk, entry, "level1");
  if (level1 === null) throw new CerError("CER_DAMAGED", "level1 is missing.");
  if (sha256Of(level1) !== record.level1.sha256)
    throw new CerError("CER_DAMAGED", "level1 is not what was written: its SHA-256 differs.");
  return { record, level1 };
}

export async function writeProgress(disk: Disk, entry: string, progress: Progress): Promise<void> {
  await writeWhole(disk, entry, "progress.json", encodeProgress(shorten(progress)));
}

/** Leaves out attempts of the middle; how many of the first ones no longer count stays true. */
function shorten(progress: Progress): Progress {
  const { attempts, uncounted } = progress;
  const half = MAX_ATTEMPTS / 2;
  const leftOut = Math.max(0, attempts.length - MAX_ATTEMPTS);
  return {
    ...progress,
    attempts: [...attempts.slice(0, half), ...attempts.slice(half + leftOut)],
    ...(uncounted !== undefined && {
      uncounted: Math.max(Math.min(uncounted, half), uncounted - leftOut),
    }),
  };
}

export async function writeAnswer(disk: Disk, entry: string, answer: Answer): Promise<void> {
  await writeWhole(disk, entry, "answer.json", encodeAnswer(answer));
}
