/**
 * The SHA-256 of a file's content as it is read. Hides that thousands of small files are hashed in one call each: a
 * hash object costs three times as much as the hashing, and memory until the garbage collector finds it.
 */
import { createHash, type Hash, hash } from "node:crypto";

export class ContentHash {
  readonly #size: number | null;
  #whole: string | null = null;
  #stream: Hash | null = null;

  /** `size` is that of the content, if it is known. */
  constructor(size: number | null) {
    this.#size = size;
  }

  /** Adds what comes next. */
  update(bytes: Buffer): void {
    if (this.#stream === null && bytes.length === this.#size) this.#whole = hash("sha256", bytes, "hex");
    else {
      this.#stream ??= createHash("sha256");
      this.#stream.update(bytes);
    }
  }

  /** Of everything added, in lower-case hexadecimal digits. Once. */
  digest(): string {
    return this.#whole ?? (this.#stream ?? createHash("sha256")).digest("hex");
  }
}
