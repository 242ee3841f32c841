/** A hundred thousand damaged cabinets: the same contents, or a clear error, in bounded time and memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArchiveError } from "../../../src/archive/entries/error.ts";
import { entry, pack, sortedContents, unpack } from "../../support/archives/cabinet.ts";
import { craftCabinet, mszipBlocks, storedBlocks } from "../../support/archives/crafted-cabinet.ts";
import { dumpBytes, logText, randomBits, randomBytes } from "../../support/archives/inputs.ts";

const COUNT = 100_000;
const MiB = 1024 * 1024;

async function samples(): Promise<Buffer[]> {
  const entries = [
    entry("log", logText(9000, 1)),
    entry("r", randomBytes(2000, 2)),
    entry("d", dumpBytes(40_000, 8)),
    entry("e", ""),
  ];
  const body = logText(40_000, 4);
  const crafted = craftCabinet({
    folders: [
      { typeCompress: 1, blocks: mszipBlocks(body) },
      { typeCompress: 0, blocks: storedBlocks(body.subarray(0, 3000)) },
    ],
    files: [
      { name: "a", size: 39_000 },
      { name: "b\\c", size: 1000, folderOffset: 39_000 },
      { name: "ä", size: 3000, folderIndex: 1, attributes: 0xa0 },
    ],
    reserve: { header: 20, folder: 4, block: 8 },
  });
  const written = await Promise.all(([0, 4] as const).map((compression) => pack(entries, { compression })));
  return [...written.map(({ bytes }) => bytes), crafted];
}

/** One byte changed, or several, or a stretch cut out, doubled or zeroed; the first half of them in the tables. */
function mutate(cabinet: Buffer, next: () => number): { bytes: Buffer; isOneByte: boolean } {
  const bytes = Buffer.from(cabinet);
  const place = (): number => next() % (next() % 2 === 0 ? Math.min(260, bytes.length) : bytes.length);
  const flip = (): void => {
    const at = place();
    bytes[at] = (bytes[at] ?? 0) ^ (1 + (next() % 255));
  };
  const kind = next() % 8;
  const [from, to] = [place(), place()].sort((a, b) => a - b) as [number, number];
  if (kind < 4) flip();
  else if (kind < 5) for (let count = 2 + (next() % 6); count > 0; count--) flip();
  else if (kind < 6) bytes.fill(next() % 2 === 0 ? 0 : 0xff, from, Math.min(to, from + 16));
  else if (kind < 7)
    return { bytes: Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]), isOneByte: false };
  else return { bytes: Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]), isOneByte: false };
  return { bytes, isOneByte: kind < 4 };
}

test(`${COUNT} damaged cabinets give the same contents or a clear error, soon and in little memory`, async () => {
  const cabinets = await samples();
  const contents = await Promise.all(cabinets.map(async (cabinet) => sortedContents(await unpack(cabinet))));
  const next = randomBits(20_261_124);
  const codes = new Map<string, number>();
  const memory = process.memoryUsage().rss;
  let [peak, slowest] = [memory, 0];
  for (let count = 0; count < COUNT; count++) {
    const which = count % cabinets.length;
    const { bytes, isOneByte } = mutate(cabinets[which] ?? Buffer.alloc(0), next);
    const start = performance.now();
    const found = await unpack(bytes).catch((error) => {
      assert.ok(error instanceof ArchiveError, `number ${count}: ${error}`);
      codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
      return null;
    });
    slowest = Math.max(slowest, performance.now() - start);
    if (count % 64 === 0) peak = Math.max(peak, process.memoryUsage().rss);
    if (found === null) continue;
    codes.set("whole", (codes.get("whole") ?? 0) + 1);
    // The checksum is an XOR: two changes can cancel out, and one cannot.
    if (isOneByte) assert.deepEqual(sortedContents(found), contents[which], `number ${count}`);
  }
  assert.deepEqual([...codes.keys()].sort(), [
    "CAB_BAD_NAME",
    "CAB_CHECKSUM",
    "CAB_CORRUPT",
    "CAB_NOT_A_CABINET",
    "CAB_TRUNCATED",
    "CAB_UNSUPPORTED",
    "whole",
  ]);
  assert.ok(slowest < 5000, `the slowest took ${slowest} ms`);
  assert.ok(peak - memory < 128 * MiB, `memory grew by ${(peak - memory) / MiB} MiB`);
});
