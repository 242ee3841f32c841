/**
 * The attached files in an entry. The originals may be gone by the time of a retry, and they may change: a log is
 * still being written, a temporary directory is swept.
 *
 * A file is cloned where the file system can share blocks (a snapshot that costs nothing), else copied up to
 * COPY_LIMIT bytes, else hard-linked (which costs nothing but shares later writes in place: of a linked file only the
 * recorded size counts, and a changed time is told), else copied after all. With `copy: false` only path, size and
 * time are kept. Of a copy the hash is kept: one that is not what was written is never sent.
 */

import { Measure, measure } from "../../bytes.ts";
import type { AttachedFile } from "../../event.ts";
import { clampTime } from "../../json.ts";
import { type Disk, lacksMeans, type Source, systemCode, unlessMissing } from "../disk/disk.ts";
import type { Attachment } from "./documents.ts";

/** Bytes up to which a file is copied rather than hard-linked. Logs are below it, dumps worth linking above. */
const COPY_LIMIT = 64 * 1024 * 1024;

/** Where the n-th attached file lies in its entry. */
export function attachmentPath(entry: string, index: number): string {
  return `${entry}/files/${index}`;
}

export function isStored(attachment: Attachment): boolean {
  return attachment.how !== "left" && attachment.how !== "missing";
}

/**
 * Keeps one file. An unreadable original is `missing`; one that this process has no open file to spare for is `left`.
 * @throws the system's error when the journal's disk cannot take it
 */
export async function keepAttachment(
  disk: Disk,
  file: AttachedFile,
  to: string,
  { copy }: { copy: boolean },
): Promise<Attachment> {
  const original = file.path;
  let source: Source;
  try {
    source = await disk.openSource(original);
  } catch (error) {
    return notOpened(disk, original, error);
  }
  try {
    const facts = { original, size: source.size, modifiedAt: clampTime(source.mtime), why: null };
    if (!copy) return { ...facts, how: "left", sha256: null };
    if (await tryShare(disk, () => disk.clone(original, to), to))
      return { ...facts, how: "cloned", size: (await disk.facts(to)).size, sha256: null };
    const isBig = source.size > COPY_LIMIT;
    if (isBig && (await tryShare(disk, async () => disk.link(await disk.resolve(original), to), to)))
      return { ...facts, how: "linked", sha256: null };
    return { ...facts, how: "copied", ...(await copyFile(disk, source, to)) };
  } finally {
    await source.close().catch(() => {});
  }
}

async function notOpened(disk: Disk, original: string, error: unknown): Promise<Attachment> {
  // A path that cannot even be asked for (a NUL in it) has no system code.
  const why = systemCode(error) ?? "EINVAL";
  const asking = async () => disk.facts(await disk.resolve(original));
  const facts = lacksMeans(error) ? await asking().catch(() => null) : null;
  if (facts?.kind !== "file") return { original, how: "missing", size: 0, modifiedAt: 0, sha256: null, why };
  return { original, how: "left", size: facts.size, modifiedAt: clampTime(facts.mtime), sha256: null, why };
}

async function tryShare(disk: Disk, share: () => Promise<void>, to: string): Promise<boolean> {
  try {
    await share();
  } catch (error) {
    // Whatever the reason (another file system, not ours to link, no such feature), a copy tells the real one.
    if (systemCode(error) === null) throw error;
    return false;
  }
  await disk.syncFile(to);
  return true;
}

async function copyFile(disk: Disk, source: Source, to: string): Promise<{ size: number; sha256: string }> {
  const copied = new Measure();
  const file = await disk.create(to);
  try {
    for await (const chunk of copied.through(source.chunks())) await file.write(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  return copied.finish();
}

/** What became of a kept file since: the path to read, and what to say of it. */
export type AttachmentNow = {
  /** In the entry (nothing is there when it was missing from the start), or the original's when it was left. */
  readonly path: string;
  /**
   * changed: a linked or left file was written to since, which is the user's doing · damaged: what lies in the entry is
   * not what was written there, and not to be sent · replaced: it was damaged, and the original, which still is what was
   * copied, takes its place · missing: it was never there, or a left one is gone
   */
  readonly state: "as kept" | "changed" | "damaged" | "replaced" | "missing";
  /** What is wrong with one that was damaged: a clause without a final stop. Null otherwise. */
  readonly problem: string | null;
};

/**
 * Looks at a kept file again, before it is used.
 * @param verify reads a copied file whole, to compare it with what was written
 * @throws the system's error when it had no means to look (too many open files, no memory)
 */
export async function checkAttachment(
  disk: Disk,
  attachment: Attachment,
  stored: string,
  { verify }: { verify: boolean },
): Promise<AttachmentNow> {
  if (attachment.how === "missing") return { path: stored, state: "missing", problem: null };
  try {
    return isStored(attachment)
      ? await checkStored(disk, attachment, stored, verify)
      : await checkLeft(disk, attachment);
  } catch (error) {
    if (systemCode(error) === null || lacksMeans(error)) throw error;
    return damaged(stored, `it cannot be read (${systemCode(error)})`);
  }
}

function damaged(path: string, problem: string): AttachmentNow {
  return { path, state: "damaged", problem: `the copy that was kept cannot be used: ${problem}` };
}

async function checkLeft(disk: Disk, attachment: Attachment): Promise<AttachmentNow> {
  const path = attachment.original;
  try {
    const source = await disk.openSource(path);
    await source.close();
    return { path, state: isUntouched(attachment, source) ? "as kept" : "changed", problem: null };
  } catch (error) {
    if (systemCode(error) === null || lacksMeans(error)) throw error;
    return { path, state: "missing", problem: null };
  }
}

async function checkStored(
  disk: Disk,
  attachment: Attachment,
  path: string,
  verify: boolean,
): Promise<AttachmentNow> {
  const facts = await unlessMissing(disk.facts(path), null);
  if (facts === null) return damaged(path, "it is gone");
  if (facts.kind !== "file")
    return damaged(path, facts.kind === "link" ? "it is a symbolic link" : "it is no regular file");
  const source = await disk.openSource(path);
  await source.close();
  if (attachment.how !== "copied") {
    const isSame =
      attachment.how === "cloned" ? source.size === attachment.size : isUntouched(attachment, source);
    return { path, state: isSame ? "as kept" : "changed", problem: null };
  }
  const { size, sha256 } = attachment;
  if (source.size !== size) return damaged(path, `it has ${source.size} bytes, ${size} were written`);
  if (verify && sha256 !== null && (await measure(disk.readChunks(path, size))).sha256 !== sha256)
    return damaged(path, "its SHA-256 is not that of what was written");
  return { path, state: "as kept", problem: null };
}

function isUntouched({ size, modifiedAt }: Attachment, source: Source): boolean {
  return source.size === size && clampTime(source.mtime) === modifiedAt;
}

/** Whether the file that was copied still is, where it was, what was copied. */
export async function isOriginalIntact(disk: Disk, { original, size, sha256 }: Attachment): Promise<boolean> {
  if (sha256 === null) return false;
  try {
    const source = await disk.openSource(original);
    const isSameSize = source.size === size;
    if (!isSameSize) await source.close();
    return isSameSize && (await measure(source.chunks())).sha256 === sha256;
  } catch (error) {
    if (systemCode(error) === null) throw error;
    return false;
  }
}
