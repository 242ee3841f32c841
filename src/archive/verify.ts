/** Whether an archive that arrived holds together: every block read, every checksum compared, nothing kept. */

import { createReadStream } from "node:fs";
import { CerError } from "../errors.ts";
import { verifyCabinet } from "./cab/read/contents.ts";
import { openSource } from "./cab/read/source.ts";
import { nameFaults, readCabinet } from "./cab/read/tables.ts";
import { ArchiveError } from "./entries/error.ts";
import { readTar } from "./tar.ts";

/** Uncompressed bytes of an archive that are read at most: far above any report, far below a bomb. */
const MAX_CONTENTS = 64 * 1024 ** 3;

/**
 * Resolves when the archive is whole. Of a cabinet compressed with LZX or Quantum, which other programs write, only the
 * tables are checked.
 * @throws CerError CER_DAMAGED naming what is wrong and where
 */
export async function verifyArchive(path: string, format: "cab" | "tar"): Promise<void> {
  if (format === "tar") return verifyTar(path);
  const source = await openSource(path);
  try {
    const cabinet = await readCabinet(source);
    const isReadable = cabinet.folders.every(({ compression }) => /^(none|mszip)$/.test(compression));
    if (isReadable) await verifyCabinet(source, cabinet, { maxBytes: MAX_CONTENTS });
    const [fault] = nameFaults(cabinet);
    if (fault !== undefined) throw fault;
  } catch (thrown) {
    throw asDamage(thrown);
  } finally {
    await source.close();
  }
}

async function verifyTar(path: string): Promise<void> {
  const bytes = createReadStream(path);
  try {
    for await (const _ of readTar(bytes));
  } catch (thrown) {
    // What the disk says is no damage of the tar.
    throw bytes.errored ?? thrown;
  }
}

/** A cabinet's fault as this program's own kind of error; anything else as it is. */
export function asDamage(thrown: unknown): unknown {
  if (!(thrown instanceof ArchiveError)) return thrown;
  const message = thrown.message.charAt(0).toUpperCase() + thrown.message.slice(1);
  return new CerError("CER_DAMAGED", `${message} (${thrown.code}).`, { cause: thrown });
}
