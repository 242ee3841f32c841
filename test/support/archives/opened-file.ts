/** A file opened to be an entry's body. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import type { OpenedFile } from "../../../src/archive/entries/entry.ts";

/** Does not wait for what is no regular file (a pipe nobody writes to), but throws. */
export function openFile(path: string): OpenedFile {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const facts = fstatSync(fd);
  if (facts.isFile()) return { handle: { fd, close: async () => closeSync(fd) }, size: facts.size };
  closeSync(fd);
  throw new Error(`${path} is not a regular file`);
}
