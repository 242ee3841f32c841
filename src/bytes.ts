/**
 * Bytes that come in chunks: counted and hashed as they pass, or joined; and a wait for the next of them that ends with
 * a signal. Chunks may lie in the same memory one after another: nothing here keeps one.
 */

import { createHash, type Hash, hash } from "node:crypto";

/** A length in bytes and a SHA-256 in lower-case hexadecimal digits. */
type Measured = { readonly size: number; readonly sha256: string };

/**
 * Counts and hashes what is added to it, or passes through it. Hides that bytes which come whole are hashed in one call:
 * a hash object costs up to three times as much as hashing a small file, and memory until the garbage collector finds it.
 */
export class Measure {
  readonly #expected: number | null;
  #whole: string | null = null;
  #hash: Hash | null = null;
  #size = 0;

  /** `expected` is how many bytes there will be at most, if that is known. */
  constructor(expected: number | null = null) {
    this.#expected = expected;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  add(chunk: Uint8Array): void {
    if (this.#hash === null && chunk.length === this.#expected) this.#whole = hash("sha256", chunk, "hex");
    else {
      this.#hash ??= createHash("sha256");
      this.#hash.update(chunk);
    }
    this.#size += chunk.length;
  }

  async *through<Chunk extends Uint8Array>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
    for await (const chunk of chunks) {
      this.add(chunk);
      yield chunk;
    }
  }

  /** Of everything so far. Once. */
  finish(): Measured {
    const sha256 = this.#whole ?? (this.#hash ?? createHash("sha256")).digest("hex");
    return { size: this.#size, sha256 };
  }
}

/** Reads the chunks to their end. */
export async function measure(chunks: AsyncIterable<Uint8Array>): Promise<Measured> {
  const measured = new Measure();
  for await (const chunk of chunks) measured.add(chunk);
  return measured.finish();
}

/** Of bytes, or of a text's UTF-8, in lower-case hexadecimal digits. */
export function sha256Of(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** All chunks as one buffer. */
export async function joinChunks(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

/** What `promise` becomes, unless `signal` aborts first: then its reason is thrown and the promise forgotten. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  // Nobody may be there any more when it fails.
  promise.catch(() => undefined);
  signal.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
