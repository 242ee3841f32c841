/** Bytes in memory: all that a stream gives, and their hash. */

import { createHash } from "node:crypto";

/** Everything that an archive, a body or a file's content gives. Its chunks may lie in the same memory one after another. */
export async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
