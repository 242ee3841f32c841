/** A cabinet in memory, to be read from. */
import type { Source } from "../../../src/archive/cab/read/source.ts";

export function bytesSource(bytes: Buffer): Source {
  return { size: bytes.length, read: async (offset, target) => bytes.copy(target, 0, offset) };
}
