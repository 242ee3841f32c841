/**
 * What GetFileVersion answers of a file ([MS-CER2] 2.2.2): the version resource of a PE file, and of any file its size,
 * its time and its SHA-256. Hides how they are got, and writes them as text for people and as JSON.
 */

import { measure } from "../../bytes.ts";
import { formatObject } from "../wmi/cim/format.ts";
import { type OpenedFile, readAt, readRange } from "./open.ts";
import { readVersionResource } from "./version-resource.ts";

/** In Windows' words; null where there is no version resource, or it does not say. */
export type FileVersion = Awaited<ReturnType<typeof readFileVersion>>;

/**
 * Reads and closes the file.
 * @param item as it was asked for
 * @param options.maxHashed bytes of the largest file whose hash is taken
 */
export async function readFileVersion(
  item: string,
  { handle, size, modified }: OpenedFile,
  { maxHashed, signal }: { readonly maxHashed: number; readonly signal: AbortSignal },
) {
  try {
    const resource = await readVersionResource((offset, length) =>
      readAt(handle, offset, Math.max(0, Math.min(length, size - offset))),
    );
    const textOf = (name: string) => oneLine(resource?.strings.get(name)?.trim() ?? "") || null;
    return {
      File: item,
      Size: size,
      Modified: modified.toISOString(),
      SHA256: size > maxHashed ? null : (await measure(readRange(handle, 0, size, signal))).sha256,
      FileVersion: textOf("FileVersion") ?? resource?.fileVersion ?? null,
      ProductVersion: textOf("ProductVersion") ?? resource?.productVersion ?? null,
      CompanyName: textOf("CompanyName"),
      ProductName: textOf("ProductName"),
      FileDescription: textOf("FileDescription"),
      OriginalFilename: textOf("OriginalFilename"),
    };
  } finally {
    await handle.close();
  }
}

/** Control characters of a resource become blanks, so that a line stays a line. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, " ").slice(0, 1000);
}

/** As the answers to queries have it, in UTF-8. */
export function formatVersions(versions: readonly FileVersion[]): string {
  return versions.map(formatObject).join("");
}

/** A JSON array, one file to a line. */
export function encodeVersions(versions: readonly FileVersion[]): string {
  return `[\n${versions.map((version) => `  ${JSON.stringify(version)}`).join(",\n")}\n]\n`;
}
