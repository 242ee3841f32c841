/**
 * A waiting report carried to another machine as one tar: `transfer.json` first, which lists the other parts with their
 * hashes, then the parts of the entry under the names they have in it. What comes in is trusted in nothing: names are
 * those of an entry or the tar is refused, so that no absolute path, no `..` and no link gets near the disk; sizes are
 * bounded before a byte is written, hashes checked before the entry counts.
 *
 * Where the report goes comes with it: whoever imports one should be shown its destination. Attached files travel along
 * or are missing: a path from another machine is never looked up here. The record is marked as imported, so that nobody
 * collects from this machine what a server asked of that one.
 */

import { Readable } from "node:stream";
import { joinChunks, Measure, measure } from "../bytes.ts";
import { CerError } from "../errors.ts";
import { encodeDocument } from "../json.ts";
import type { ClaimedReport } from "./claimed-report.ts";
import { type Disk, systemCode, writeFile, writeWhole } from "./disk/disk.ts";
import { isStored } from "./entry/attachment.ts";
import {
  type Attachment,
  type EntryRecord,
  encodeEntry,
  encodeProgress,
  parseAnswer,
  parseProgress,
  parseTransfer,
  type Stated,
} from "./entry/documents.ts";
import { readDocument, readEntry } from "./entry/entry.ts";
import { readArchive } from "./entry/kept-archive.ts";
import type { Listed } from "./entry/layout.ts";
import type { Journal } from "./journal.ts";

/** One file of the tar, its bytes to be opened as often as needed. */
export type Part = { readonly name: string; readonly size: number; open(): AsyncIterable<Uint8Array> };

/** One entry of a tar being read, in the order of the tar; `content` is to be read to its end before the next. */
export type TarEntry = {
  readonly name: string;
  /** As tar-stream calls it: "file", "directory", "symlink", "link", … */
  readonly type: string;
  readonly size: number;
  readonly content: AsyncIterable<Uint8Array>;
};

const CONTENTS = "transfer.json";
const MAX_CONTENTS = 4 * 1024 * 1024;
const PART_NAME =
  /^(entry\.json|level1|answer\.json|progress\.json|archive\.json|archive|files\/(0|[1-9]\d{0,4}))$/;

/** The parts of an entry for a tar, `transfer.json` first. The entry must stay claimed until they have been written. */
export async function exportParts(disk: Disk, claimed: ClaimedReport): Promise<Part[]> {
  const travelling: Attachment[] = [];
  const parts: Part[] = [];
  await claimed.verifyAttachments();
  for (const [index, { path, state, problem: _, ...attachment }] of claimed.attachments.entries()) {
    const isLost = state === "missing" || state === "damaged";
    const part = isLost ? null : await filePart(disk, `files/${index}`, path);
    if (part !== null) parts.push(part);
    travelling.push(
      carried(
        attachment,
        part === null ? null : { bytes: part.size, sha256: (await measure(part.open())).sha256 },
      ),
    );
  }
  // A damaged archive is done without there, too: it is made again.
  const archive = claimed.archive === null ? [] : ["archive", "archive.json"];
  for (const name of ["answer.json", ...archive]) {
    const part = await filePart(disk, name, `${claimed.path}/${name}`);
    if (part !== null) parts.push(part);
  }
  // As it was read: what is damaged on the disk has been done without.
  if (claimed.attempts.length > 0) parts.push(bufferPart("progress.json", encodeProgress(claimed.progress)));
  parts.push(bufferPart("entry.json", encodeEntry({ ...claimed.record, attachments: travelling })));
  parts.push(bufferPart("level1", claimed.level1));
  const stated: Stated[] = [];
  for (const part of parts)
    stated.push({ name: part.name, bytes: part.size, sha256: (await measure(part.open())).sha256 });
  return [bufferPart(CONTENTS, encodeDocument({ version: 1, id: claimed.id, parts: stated })), ...parts];
}

function carried(attachment: Attachment, stored: { bytes: number; sha256: string } | null): Attachment {
  if (stored === null) return { ...attachment, how: "missing", why: attachment.why ?? "not exported" };
  return { ...attachment, how: "copied", size: stored.bytes, sha256: stored.sha256 };
}

function bufferPart(name: string, bytes: Buffer): Part {
  return { name, size: bytes.length, open: () => Readable.from([bytes]) };
}

/** Null when it is not there. The size it has now is the size that is read, also if it grows. */
async function filePart(disk: Disk, name: string, path: string): Promise<Part | null> {
  try {
    const source = await disk.openSource(path);
    await source.close();
    const { size } = source;
    return { name, size, open: () => disk.readChunks(path, size) };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}

/**
 * Takes in an exported report; it waits then, and is due at once.
 * @param maxBytes of all parts together
 * @throws CerError CER_DAMAGED for anything but a tar that exportParts made; CER_USAGE when the report is there already;
 *   CER_JOURNAL_FULL, CER_JOURNAL_UNAVAILABLE. Nothing is left behind.
 */
export async function importReport(
  journal: Journal,
  disk: Disk,
  entries: AsyncIterable<TarEntry>,
  maxBytes: number,
): Promise<Listed> {
  return journal.adopt((directory) => unpack(disk, directory, entries, maxBytes));
}

async function unpack(
  disk: Disk,
  directory: string,
  entries: AsyncIterable<TarEntry>,
  maxBytes: number,
): Promise<EntryRecord> {
  let expected: Map<string, Stated> | null = null;
  let id = "";
  await disk.makeDirectory(`${directory}/files`);
  for await (const entry of entries) {
    if (entry.type !== "file") throw refuse(`${JSON.stringify(entry.name)} is a ${entry.type}`);
    if (expected === null) {
      ({ id, expected } = await readContents(entry, maxBytes));
      continue;
    }
    const stated = expected.get(entry.name);
    if (stated === undefined)
      throw refuse(`${JSON.stringify(entry.name)} is in it, which it does not list, or twice`);
    expected.delete(entry.name);
    await unpackPart(disk, `${directory}/${entry.name}`, entry, stated);
  }
  if (expected === null) throw refuse("it is empty");
  const [missing] = expected.keys();
  if (missing !== undefined) throw refuse(`${missing} is missing`);
  return checkUnpacked(disk, directory, id);
}

async function readContents(
  entry: TarEntry,
  maxBytes: number,
): Promise<{ id: string; expected: Map<string, Stated> }> {
  if (entry.name !== CONTENTS || entry.size > MAX_CONTENTS)
    throw refuse(`it does not begin with ${CONTENTS}`);
  const { id, parts } = parseTransfer((await joinChunks(entry.content)).toString());
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total > maxBytes) throw refuse(`it holds ${total} bytes, the bound is ${maxBytes}`);
  const foreign = parts.find(({ name }) => !PART_NAME.test(name));
  if (foreign !== undefined) throw refuse(`${JSON.stringify(foreign.name)} is no part of a report`);
  return { id, expected: new Map(parts.map((part) => [part.name, part])) };
}

async function unpackPart(disk: Disk, path: string, entry: TarEntry, stated: Stated): Promise<void> {
  const taken = new Measure();
  const checked = async function* () {
    for await (const chunk of taken.through(entry.content)) {
      if (taken.size > stated.bytes)
        throw refuse(`${entry.name} is longer than the ${stated.bytes} bytes it lists`);
      yield chunk;
    }
  };
  await writeFile(disk, path, checked());
  const { size, sha256 } = taken.finish();
  if (size !== stated.bytes) throw refuse(`${entry.name} is ${size} bytes long, it lists ${stated.bytes}`);
  if (sha256 !== stated.sha256) throw refuse(`the SHA-256 of ${entry.name} is not the one it lists`);
}

/** What an entry's own reader will demand later is demanded now, and files that did not travel are missing. */
async function checkUnpacked(disk: Disk, directory: string, id: string): Promise<EntryRecord> {
  const { record } = await readEntry(disk, directory, id);
  await readDocument(disk, directory, "answer.json", parseAnswer);
  await readDocument(disk, directory, "progress.json", parseProgress);
  await readArchive(disk, directory);
  const present = new Set(await disk.names(`${directory}/files`));
  const attachments = record.attachments.map((attachment, index) => {
    if (!isStored(attachment)) return carried(attachment, null);
    if (!present.has(`${index}`)) throw refuse(`files/${index} is missing`);
    return attachment;
  });
  const checked = { ...record, attachments, imported: true };
  await disk.syncDirectory(`${directory}/files`);
  await writeWhole(disk, directory, "entry.json", encodeEntry(checked));
  return checked;
}

function refuse(why: string): CerError {
  return new CerError("CER_DAMAGED", `This is not an exported report: ${why}. Nothing was imported.`);
}
