/**
 * Entry bodies of every kind as one thing to read from: bytes, a stream, an opened file. Hides how each is read and
 * closed, and that a stream may never answer.
 */
import { read, readSync } from "node:fs";
import { promisify } from "node:util";
import { abortable } from "../../bytes.ts";
import type { EntryBody, OpenedFile } from "./entry.ts";
import { ArchiveError } from "./error.ts";

const readAsync = promisify(read);

/** Up to here a read from a file is done at once: handing it to a thread costs more than it takes. */
const SMALL_READ = 64 * 1024;

export type Body = {
  /** Bytes there will be, as far as that is known: a file may still turn out shorter. */
  readonly size: number | null;
  /** Fills the front of `target`; the number of bytes, 0 at the end. */
  read(target: Uint8Array): number | Promise<number>;
  /** Whether nothing is left to read. */
  ended(): boolean | Promise<boolean>;
  /** Lets go of what the body holds, at its end or in the middle. Never throws. */
  close(): void | Promise<void>;
};

/** A body for reading. A stream's pending read is given up when `signal` aborts. */
export function openBody(body: EntryBody, signal: AbortSignal | undefined): Body {
  if (Buffer.isBuffer(body)) return bytesBody(body);
  return "handle" in body ? fileBody(body) : streamBody(body, signal);
}

function bytesBody(bytes: Buffer): Body {
  let at = 0;
  return {
    size: bytes.length,
    read(target) {
      const count = bytes.copy(target, 0, at, at + target.length);
      at += count;
      return count;
    },
    ended: () => at === bytes.length,
    close() {},
  };
}

function fileBody({ handle, size }: OpenedFile): Body {
  let at = 0;
  let ended = size === 0;
  const count = (bytes: number): number => {
    at += bytes;
    ended = bytes === 0 || at === size;
    return bytes;
  };
  return {
    size,
    read(target) {
      const wanted = Math.min(target.length, size - at);
      if (ended || wanted === 0) return 0;
      if (wanted <= SMALL_READ) return count(readSync(handle.fd, target, 0, wanted, at));
      return readAsync(handle.fd, target, 0, wanted, at).then(({ bytesRead }) => count(bytesRead));
    },
    ended: () => ended,
    close: () => handle.close().catch(() => undefined),
  };
}

function streamBody(stream: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Body {
  const iterator = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let ended = false;
  /** Waits for a byte or the end. */
  const fill = async (): Promise<void> => {
    while (rest.length === 0 && !ended) {
      const step = await abortable(iterator.next(), signal);
      if (step.done === true) ended = true;
      else rest = asBytes(step.value);
    }
  };
  return {
    size: null,
    async read(target) {
      await fill();
      const count = Math.min(rest.length, target.length);
      target.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      return count;
    },
    async ended() {
      await fill();
      return ended && rest.length === 0;
    },
    close() {
      if (ended) return;
      // Not waited for: an iterator that never answers `next` does not answer `return` either.
      iterator.return?.().catch(() => undefined);
      if ("destroy" in stream && typeof stream.destroy === "function") stream.destroy();
    },
  };
}

function asBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new ArchiveError(
    "CAB_ENTRY_FAILED",
    `the body's stream gave ${typeof chunk} where bytes were expected`,
  );
}
