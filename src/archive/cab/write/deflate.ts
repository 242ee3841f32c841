/**
 * A raw deflate stream that is flushed after each write, works at once, and writes where it is told to. Hides that Node
 * keeps such a thing inside its zlib streams: from outside, each write waits for a thread's turn and gets a new buffer,
 * which takes as long as deflating the block does. npm's own archiver (minizlib) reaches for the same handle. Should a
 * Node not have it, each write is deflated by itself with what came before as its dictionary: slower, and other bytes,
 * but as good to read.
 */
import { constants, createDeflateRaw, deflateRawSync, type ZlibOptions } from "node:zlib";

export type DeflateOptions = Pick<ZlibOptions, "level" | "strategy" | "memLevel"> & {
  /** The 32 KiB before the first write, if there were any. */
  readonly dictionary?: Uint8Array;
};

export type Deflate = {
  /**
   * Deflates `bytes`, flushed to a whole byte, to the front of `target`, which has room to spare; how many bytes that
   * took. They are good for a decoder that has seen all that was written before.
   */
  write(bytes: Uint8Array, target: Uint8Array): number;
  /** Frees zlib's memory. */
  close(): void;
};

/** What a zlib stream of Node 20 to 24 has inside. */
type Engine = {
  readonly _handle?: {
    writeSync?(
      flush: number,
      input: Uint8Array,
      inputOffset: number,
      inputSize: number,
      output: Uint8Array,
      outputOffset: number,
      outputSize: number,
    ): void;
  };
  /** Left of the output and of the input after a write. */
  readonly _writeState?: Uint32Array;
  close(): void;
};

const FLUSH = constants.Z_SYNC_FLUSH;

export function openDeflate(options: DeflateOptions): Deflate {
  // Its own output buffer is never used.
  const engine: Engine = createDeflateRaw({
    ...options,
    chunkSize: constants.Z_MIN_CHUNK,
  }) as unknown as Engine;
  const known = engineDeflate(engine);
  if (known !== null) return known;
  engine.close();
  return separateDeflate(options);
}

/** Null when the engine is not as it is known to be. */
function engineDeflate(engine: Engine): Deflate | null {
  const { _handle: handle, _writeState: left } = engine;
  if (typeof handle?.writeSync !== "function" || !(left instanceof Uint32Array)) return null;
  return {
    write(bytes, target) {
      handle.writeSync?.(FLUSH, bytes, 0, bytes.length, target, 0, target.length);
      const [outputLeft = 0, inputLeft = 0] = left;
      if (outputLeft === 0 || inputLeft > 0) throw new Error("deflating took more room than there was");
      return target.length - outputLeft;
    },
    close: () => engine.close(),
  };
}

/** Every write a stream of its own. */
export function separateDeflate({ dictionary, ...options }: DeflateOptions): Deflate {
  let history = dictionary;
  return {
    write(bytes, target) {
      const deflated = deflateRawSync(bytes, {
        ...options,
        finishFlush: FLUSH,
        ...(history === undefined ? {} : { dictionary: history }),
      });
      // What is made of the bytes may soon be written over them.
      history = Buffer.from(bytes);
      target.set(deflated);
      return deflated.length;
    },
    close() {},
  };
}
