/**
 * Names that are not UTF-8. Node hands an argument to the program as text, with U+FFFD for each byte that is none; such a
 * text opens nothing. The folder itself has the bytes.
 */

import { lstat, readdir } from "node:fs/promises";
import { posix } from "node:path";

const REPLACED = "\uFFFD";

/**
 * The path to open for a path as text: itself, but for one that is not there and holds U+FFFD. Of that, each part is
 * looked for in its folder by what its bytes read as. The text itself where that is not one file or folder alone: links
 * do not count, since anybody can lay one beside a log in a place that is open to all.
 */
export async function pathOnDisk(path: string): Promise<string | Buffer> {
  if (!path.includes(REPLACED) || !posix.isAbsolute(path) || (await isThere(path))) return path;
  let found = Buffer.from("/");
  for (const part of path.split("/").filter(Boolean)) {
    const name = part.includes(REPLACED) ? await nameIn(found, part) : Buffer.from(part);
    if (name === null) return path;
    found = Buffer.concat([found, name, Buffer.from("/")]);
  }
  return found.subarray(0, -1);
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function nameIn(folder: Buffer, text: string): Promise<Buffer | null> {
  const names = await readdir(folder, { encoding: "buffer" }).catch(() => []);
  const alike = names.filter((name) => name.toString() === text);
  const [only] = alike;
  if (only === undefined || alike.length > 1) return null;
  const stat = await lstat(Buffer.concat([folder, only])).catch(() => null);
  return stat?.isFile() || stat?.isDirectory() ? only : null;
}
