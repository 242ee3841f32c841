/** What is on the disk after something ran: the files below a directory, and their hashes. */

import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { sha256 } from "./bytes.ts";

/** Every file below a directory by its path, in order. */
export async function filesBelow(directory: string): Promise<string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Every file below a directory as text of one byte a character: its path, then its content. */
export async function everythingBelow(directory: string): Promise<string> {
  const files = await filesBelow(directory);
  const texts = await Promise.all(files.map(async (path) => `${path}\n${await readFile(path, "latin1")}`));
  return texts.join("\n");
}

/** Every file below a directory: its path from there, and the hash of its content. */
export async function hashesIn(directory: string): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const path of await filesBelow(directory)) hashes.set(relative(directory, path), await hashOf(path));
  return hashes;
}

/** Bytes up to which a file is read at once: a stream for each of sixty thousand takes minutes. */
const SMALL = 1024 * 1024;

/** The hash of a file. */
export async function hashOf(path: string): Promise<string> {
  if (statSync(path).size <= SMALL) return sha256(readFileSync(path));
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}
