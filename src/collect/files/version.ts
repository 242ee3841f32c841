/**
 * What GetFileVersion answers of a file ([MS-CER2] 2.2.2): the version resource of a PE file, and of any file its size,
 * its time and its SHA-256. Hides how they are got, and writes them as text for people and as JSON.
 */

import { measure } from "../../bytes.ts";
import { type OpenedFile, readRange } from "./open.ts";
import { readVersionResource } from "./version-resource.ts";

export type FileVersion = {
  readonly size: number;
  readonly modified: Date;
  /** Lower-case hexadecimal; null when the file is larger than may be hashed. */
  readonly sha256: string | null;
  /** Of the version resource; null where there is none, or it does not say. */
  readonly fileVersion: string | null;
  readonly productVersion: string | null;
  readonly companyName: string | null;
  readonly productName: string | null;
  readonly fileDescription: string | null;
  readonly originalFilename: string | null;
};

export type NamedVersion = FileVersion & {
  /** As it was asked for. */
  readonly item: string;
};

/**
 * Reads and closes the file.
 * @param options.maxHashed bytes of the largest file whose hash is taken
 */
export async function readFileVersion(
  file: OpenedFile,
  options: { readonly maxHashed: number; readonly signal: AbortSignal },
): Promise<FileVersion> {
  const { handle, size, modified } = file;
  try {
    const resource = await readVersionResource((offset, length) => readAt(file, offset, length));
    const textOf = (name: string) => resource?.strings.get(name)?.trim() || null;
    return {
      size,
      modified,
      sha256:
        size > options.maxHashed ? null : (await measure(readRange(handle, 0, size, options.signal))).sha256,
      fileVersion: textOf("FileVersion") ?? resource?.fileVersion ?? null,
      productVersion: textOf("ProductVersion") ?? resource?.productVersion ?? null,
      companyName: textOf("CompanyName"),
      productName: textOf("ProductName"),
      fileDescription: textOf("FileDescription"),
      originalFilename: textOf("OriginalFilename"),
    };
  } finally {
    await handle.close();
  }
}

async function readAt({ handle, size }: OpenedFile, offset: number, length: number): Promise<Buffer> {
  const wanted = Math.max(0, Math.min(length, size - offset));
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(wanted), 0, wanted, offset);
  return buffer.subarray(0, bytesRead);
}

/** `key=value` lines with CRLF, an empty line before each file, as the answers to queries have it; UTF-8. */
export function formatVersions(versions: readonly NamedVersion[]): string {
  return versions
    .map((version) => {
      const lines = Object.entries(fieldsOf(version)).map(([key, value]) => `${key}=${value ?? ""}\r\n`);
      return `\r\n${lines.join("")}`;
    })
    .join("");
}

/** A JSON array, one file to a line. */
export function encodeVersions(versions: readonly NamedVersion[]): string {
  const lines = versions.map((version) => `  ${JSON.stringify(fieldsOf(version))}`);
  return `[\n${lines.join(",\n")}\n]\n`;
}

/** Windows' names; control characters of a resource become blanks, so that a line stays a line. */
function fieldsOf(version: NamedVersion): Readonly<Record<string, string | number | null>> {
  const clean = (text: string | null) => text?.replace(/[\u0000-\u001f\u007f]/g, " ").slice(0, 1000) ?? null;
  return {
    File: version.item,
    Size: version.size,
    Modified: version.modified.toISOString(),
    SHA256: version.sha256,
    FileVersion: clean(version.fileVersion),
    ProductVersion: clean(version.productVersion),
    CompanyName: clean(version.companyName),
    ProductName: clean(version.productName),
    FileDescription: clean(version.fileDescription),
    OriginalFilename: clean(version.originalFilename),
  };
}
