/**
 * The attached files in an entry. The originals may be gone by the time of a retry, and they may change: a log is
 * still being written, a temporary directory is swept.
 *
 * A file is cloned where the file system can share blocks (a snapshot that costs nothing), else copied up to
 * COPY_LIMIT bytes, else hard-linked (which costs nothing but shares later writes in place: of a linked file only the
 * recorded size counts, and a changed time is told), else copied after all. With `copy: false` only path, size and
 * time are kept.
 */

import { Measure } from "../../bytes.ts";
import type { AttachedFile } from "../../event.ts";
import { type Disk, type Source, systemCode } from "../disk/disk.ts";
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
 * Keeps one file.
 * @throws the system's error when the journal's disk cannot take it; an unreadable original is `missing`
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
    // A path that cannot even be asked for (a NUL in it) has no system code.
    const why = systemCode(error) ?? "EINVAL";
    return { original, how: "missing", size: 0, modifiedAt: 0, sha256: null, why };
  }
  try {
    const facts = { original, size: source.size, modifiedAt: wholeTime(source.mtime), why: null };
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

/** A file's time as ISO 8601 can write it: whole milliseconds of the years 1970 to 9999. */
function wholeTime(mtime: number): number {
  return Math.min(Math.max(Math.floor(mtime), 0), 253_402_300_799_999);
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
  /** `changed`: written to since it was kept (only linked and left files can be). */
  readonly state: "as kept" | "changed" | "missing";
};

/** Looks at a kept file again, before it is used. */
export async function checkAttachment(
  disk: Disk,
  attachment: Attachment,
  stored: string,
): Promise<AttachmentNow> {
  if (attachment.how === "missing") return { path: stored, state: "missing" };
  const path = isStored(attachment) ? stored : attachment.original;
  try {
    const source = await disk.openSource(path);
    await source.close();
    const isSame = source.size === attachment.size;
    const isUntouched = attachment.how === "copied" || wholeTime(source.mtime) === attachment.modifiedAt;
    return { path, state: isSame && (isUntouched || attachment.how === "cloned") ? "as kept" : "changed" };
  } catch (error) {
    if (systemCode(error) === null) throw error;
    return { path, state: "missing" };
  }
}
