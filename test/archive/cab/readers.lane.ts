/** Five programs that are not ours read what we write: contents compared by hash. */
import assert from "node:assert/strict";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { readContents } from "../../../src/archive/cab/read/contents.ts";
import { openSource } from "../../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../../src/archive/cab/read/tables.ts";
import { writeCabinet } from "../../../src/archive/cab/write/write.ts";
import type { Entry, WriteOptions } from "../../../src/archive/entries/entry.ts";
import { entry, makeFolder, TIME } from "../../support/archives/cabinet.ts";
import {
  extractWithWine,
  hashOfOutput,
  makeTarget,
  READERS,
} from "../../support/archives/foreign-readers.ts";
import { dumpBytes, logText, randomBytes } from "../../support/archives/inputs.ts";
import { sha256 } from "../../support/bytes.ts";
import { hashesIn, hashOf } from "../../support/files.ts";

const MiB = 1024 * 1024;

/** Writes the cabinet to a file: its path, and what is in it, by name and hash. */
async function write(folder: string, entries: Entry[], options: Partial<WriteOptions> = {}) {
  const archive = await writeCabinet(entries, { spoolDir: folder, ...options });
  const path = join(folder, "it.cab");
  await pipeline(archive.open(), createWriteStream(path));
  await archive.dispose();
  const wanted = archive.files.flatMap(({ name, sha256: hash }) =>
    name === null || hash === null ? [] : [[name.replaceAll("\\", "/"), hash] as const],
  );
  return { path, wanted: new Map([...wanted].sort()), files: archive.files };
}

const log = logText(3 * MiB + 17, 1);
const mixed: [string, Buffer][] = [
  ["log.txt", log],
  ["random.bin", randomBytes(2 * MiB, 2)],
  ["zeros", Buffer.alloc(2 * MiB + 5)],
  ["pretend.mdmp", dumpBytes(6 * MiB, 3)],
];

const cases: Record<string, () => Entry[]> = {
  "text, random bytes, zeros and a dump": () => mixed.map(([name, body]) => entry(name, body)),
  "every size around a block": () =>
    [0, 1, 32_767, 32_768, 32_769, 65_536].map((size) => entry(`size-${size}`, log.subarray(0, size))),
  "an empty file first": () => [entry("empty", ""), entry("log.txt", log)],
  "an empty file last": () => [entry("log.txt", log), entry("empty", "")],
  "an empty file alone": () => [entry("empty", "")],
  "nothing but empty files": () => ["a", "b", "c"].map((name) => entry(name, "")),
  "names of all kinds": () => [
    entry("größe €.txt", "1"),
    entry("日本語.log", "2"),
    entry("n".repeat(250), "3"),
    entry("twin.txt", "4"),
    entry("TWIN.TXT", "5"),
    entry("sub\\folder\\x", "6"),
    entry("..\\..\\out", "7"),
    entry("com1.txt", "8"),
  ],
  "five thousand small files": () =>
    Array.from({ length: 5000 }, (_, index) =>
      entry(`f${index}.log`, log.subarray(index * 37, index * 38 + 1500)),
    ),
};

for (const [title, entries] of Object.entries(cases)) {
  for (const compression of title.startsWith("five") ? ([4] as const) : ([0, 1, 4, 9] as const)) {
    test(`${compression === 4 ? "five" : "four"} readers agree: ${title}, level ${compression}`, async (t) => {
      const folder = await makeFolder(t);
      const { path, wanted } = await write(folder, entries(), { compression });
      for (const [name, extract] of Object.entries(READERS)) {
        const target = await makeTarget(folder, name);
        await extract(path, target);
        assert.deepEqual(await hashesIn(target), wanted, name);
      }
      // Starting Wine takes seconds.
      if (compression !== 4) return;
      const target = await makeTarget(folder, "wine");
      await extractWithWine(path, target);
      assert.deepEqual([...(await hashesIn(target)).values()].sort(), [...wanted.values()].sort(), "wine");
    });
  }
}

test("four readers agree: 65,535 files; of two more, the last has its place kept", async (t) => {
  const folder = await makeFolder(t);
  const entries = Array.from({ length: 65_537 }, (_, index) =>
    entry(`d${index % 100}\\${index}`, String(index)),
  );
  const { path, wanted, files } = await write(folder, entries);
  assert.deepEqual(
    files
      .filter(({ state }) => state !== "stored")
      .map(({ wanted: name, state, reason }) => [name, state, reason]),
    [65_534, 65_535].map((index) => [
      `d${index % 100}\\${index}`,
      "left-out",
      "a cabinet holds at most 65535 files",
    ]),
  );
  assert.equal(wanted.size, 65_535);
  assert.equal(wanted.get("d36/65536"), sha256(Buffer.from("65536")));
  for (const [name, extract] of Object.entries(READERS)) {
    const target = await makeTarget(folder, name);
    await extract(path, target);
    assert.deepEqual(await hashesIn(target), wanted, name);
    await rm(target, { recursive: true });
  }
});

/** `size` bytes of dump, a stretch of which repeats. */
async function* bigBody(size: number): AsyncGenerator<Buffer> {
  const stretch = dumpBytes(48 * MiB, 5);
  for (let at = 0; at < size; at += stretch.length) yield stretch.subarray(0, size - at);
}

const LARGEST = 65_535 * 32_768;

test("four readers agree: the largest file, beside others, in two folders", async (t) => {
  const folder = await makeFolder(t);
  const big = (size: number): Entry => ({ name: "big.dmp", time: TIME, open: () => bigBody(size) });
  const { path, wanted } = await write(folder, [big(LARGEST), entry("small", "small"), entry("last", log)], {
    compression: 1,
  });
  const hash = wanted.get("big.dmp") ?? "";
  assert.equal(await hashOfOutput("cabextract", ["-q", "-p", "-F", "big.dmp", path]), hash, "cabextract");
  assert.equal(await hashOfOutput("7z", ["x", "-so", path, "big.dmp"]), hash, "7z");
  assert.equal(await hashOfOutput("bsdtar", ["-xOf", path, "big.dmp"]), hash, "bsdtar");
  const target = await makeTarget(folder, "gcab");
  await READERS.gcab(path, target);
  assert.deepEqual(await hashesIn(target), wanted, "gcab");
  const source = await openSource(path);
  const cabinet = await readCabinet(source);
  assert.equal(cabinet.folders.length, 2);
  for await (const { file } of readContents(source, cabinet)) assert.ok(wanted.has(file.name));
  await source.close();
});

test("one byte more is cut, or becomes two parts that joined are the whole", async (t) => {
  const folder = await makeFolder(t);
  const big: Entry = { name: "big.dmp", time: TIME, open: () => bigBody(LARGEST + 1) };
  const cut = await write(folder, [big, entry("small", "small")], { compression: 1 });
  assert.deepEqual(
    cut.files.map(({ name, size, state, reason }) => [name, size, state, reason]),
    [
      [
        "big.dmp",
        LARGEST,
        "cut",
        `it is larger than the ${LARGEST} bytes there was room for in one folder of the cabinet`,
      ],
      ["small", 5, "stored", null],
    ],
  );
  const split = await write(folder, [big, entry("small", "small")], { compression: 1, splitLarge: true });
  const [whole, small] = split.files;
  assert.equal(small?.state, "stored");
  assert.equal(whole?.state, "stored");
  assert.equal(whole?.size, LARGEST + 1);
  assert.deepEqual(
    whole?.parts.map(({ name, size }) => [name, size]),
    [
      ["big.dmp.001", LARGEST],
      ["big.dmp.002", 1],
    ],
  );
  const target = await makeTarget(folder, "cabextract");
  await READERS.cabextract(split.path, target);
  for (const part of whole?.parts ?? [])
    assert.equal(await hashOf(join(target, part.name)), part.sha256, part.name);
  const joined = await hashOfOutput("cat", whole?.parts.map(({ name }) => join(target, name)) ?? []);
  assert.equal(joined, whole?.sha256);
});
