/** A file opened to be an entry's body. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import type { OpenedFile } from "../../../src/archive/entries/entry.ts";

/** Does not wait for what is no regular file (a pipe nobody writes to), but throws. */
export function openFile(path: string): OpenedFile {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const facts = fstatSync(handle);
  if (facts.isFile()) return { handle, size: facts.size };
  closeSync(handle);
  throw new Error(`${path} is not a regular file`);
}
