/**
 * A finished archive: bytes whose size and hash are known and which can be read as often as wanted. Hides that they
 * are a head made last and a spool filled first.
 */
import { measure } from "../../bytes.ts";
import type { EntryResult } from "./entry.ts";
import type { Spool } from "./spool.ts";

export type Archive = {
  /** Bytes `open` gives. */
  readonly size: number;
  /** Of those bytes, in lower-case hexadecimal digits. */
  readonly sha256: string;
  /** What became of each entry, in the order they were written. */
  readonly files: readonly EntryResult[];
  /**
   * The archive's bytes from the start: the same every time, also while they are being read elsewhere. A chunk is good
   * until the next one is asked for: its memory is used again.
   */
  open(): AsyncIterable<Buffer>;
  /** Gives up memory and temporary file; reading on fails. May be called more than once. */
  dispose(): Promise<void>;
};

/** The archive that `open` gives, made of what is in `spool`, which is the archive's from now on. */
export async function sealArchive(
  open: Archive["open"],
  spool: Spool,
  files: readonly EntryResult[],
): Promise<Archive> {
  return { ...(await measure(open())), files, open, dispose: () => spool.dispose() };
}
