/**
 * The inputs the cabinet is measured on: a text log, random bytes, a pretend crash dump and many small files. Made
 * from a fixed seed, so that figures of two days and two machines speak of the same bytes.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const MiB = 1024 * 1024;

/** Marsaglia's xorshift32: the next 32 random bits, unsigned. */
export function randomBits(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Messages as a service logs them; `#` stands for a number, `@` for a path. */
const MESSAGES = [
  "INFO  [http] GET /api/v2/reports/# 200 in # ms",
  "INFO  [http] POST /api/v2/reports 201 in # ms, # bytes",
  "DEBUG [cache] miss for key report:#, loading from store",
  "DEBUG [cache] evicted # entries, # bytes free",
  "INFO  [worker-#] job # finished after # ms, # items done",
  "WARN  [store] slow query: SELECT id, state FROM jobs WHERE owner = # took # ms",
  "INFO  [install] registered component {#-#} at @",
  "DEBUG [install] copying @ (# bytes)",
  "ERROR [install] cannot replace @: the file is in use by process #, will retry after restart",
  "WARN  [net] connection # closed by peer while reading request body, # of # bytes received",
  "INFO  [scheduler] next run of task cleanup-# in # seconds",
  "DEBUG [auth] session # of user# renewed until #",
];
const FOLDERS = ["bin", "lib\\x64", "share\\locale", "plugins", "etc", "var\\cache"];

/** Text lines of a service's log, about `size` bytes, cut to exactly that. */
export function logText(size: number, seed: number): Buffer {
  const next = randomBits(seed);
  const pick = (list: readonly string[]): string => list[next() % list.length] ?? "";
  const path = () => `C:\\Program Files\\Example\\${pick(FOLDERS)}\\module${next() % 300}.dll`;
  const fill = (mark: string) => (mark === "@" ? path() : String(next() % (next() % 2 ? 100 : 65_536)));
  const lines: string[] = [];
  let clock = Date.UTC(2026, 0, 1);
  for (let length = 0; length < size; ) {
    clock += next() % 97;
    const trace = next().toString(16).padStart(8, "0");
    const line = `${new Date(clock).toISOString()} ${trace} ${pick(MESSAGES).replace(/[#@]/g, fill)}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join(""), "latin1").subarray(0, size);
}

/** Bytes nobody can compress. `size` is a multiple of four. */
export function randomBytes(size: number, seed: number): Buffer {
  const next = randomBits(seed);
  const words = new Uint32Array(size / 4);
  for (let at = 0; at < words.length; at++) words[at] = next();
  return Buffer.from(words.buffer);
}

/** A process's memory in miniature: zero runs, small structures with pointers, skewed bytes, random bytes. */
export function dumpBytes(size: number, seed: number): Buffer {
  const next = randomBits(seed);
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, (1 + (next() % 64)) * 4096);
    const kind = next() % 100;
    if (kind >= 40) fillRegion(bytes.subarray(at, at + length), kind, next);
    at += length;
  }
  return bytes;
}

function fillRegion(region: Buffer, kind: number, next: () => number): void {
  if (kind < 75) fillStructures(region, next);
  else if (kind < 88) for (let at = 0; at < region.length; at++) region[at] = next() & next() & next() & 0xff;
  else for (let at = 0; at + 4 <= region.length; at += 4) region.writeUInt32LE(next(), at);
}

function fillStructures(region: Buffer, next: () => number): void {
  const size = 32 + (next() % 3) * 16;
  const vtable = 0x7ff60000 + (next() % 64) * 0x100;
  for (let at = 0; at + size <= region.length; at += size) {
    region.writeUInt32LE(vtable, at);
    region.writeUInt32LE(0x7ff6, at + 4);
    region.writeUInt32LE((0x2000000 + (next() % 0x40000) * 16) >>> 0, at + 8);
    region.writeUInt32LE(0x1d4, at + 12);
    region.writeUInt32LE(at / size, at + 16);
    region.writeUInt32LE(next() % 8, at + 20);
    region.writeUInt32LE(next() % 256, at + 24);
  }
}

/** Writes `size` bytes made in pieces of `piece`, so that no input has to fit in memory. */
function writeInPieces(path: string, size: number, make: (size: number, seed: number) => Buffer): string {
  const file = openSync(path, "wx");
  for (let at = 0, seed = 1; at < size; seed++)
    at += writeSync(file, make(Math.min(16 * MiB, size - at), seed * 7919));
  closeSync(file);
  return path;
}

/** The named inputs of the measurements, made in `folder`: paths of each. */
export const INPUTS = {
  log: (folder: string) => [writeInPieces(join(folder, "log.txt"), 64 * MiB, logText)],
  random: (folder: string) => [writeInPieces(join(folder, "random.bin"), 64 * MiB, randomBytes)],
  dump: (folder: string) => [writeInPieces(join(folder, "mini.dmp"), 256 * MiB, dumpBytes)],
  small: (folder: string) => writeSmallFiles(join(folder, "small"), 5000),
  /** The largest file a cabinet can hold: 65,535 blocks. */
  big: (folder: string) => [writeInPieces(join(folder, "big.dmp"), 65_535 * 32_768, dumpBytes)],
} as const;

function writeSmallFiles(folder: string, count: number): string[] {
  mkdirSync(folder);
  const next = randomBits(4711);
  return Array.from({ length: count }, (_, index) => {
    const size = 1024 + 4 * (next() % 4864);
    const make = [logText, dumpBytes, logText, randomBytes][next() % 4] ?? logText;
    const path = join(folder, `file-${String(index).padStart(5, "0")}.${make === logText ? "log" : "bin"}`);
    writeFileSync(path, make(size, index + 1));
    return path;
  });
}
