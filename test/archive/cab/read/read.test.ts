import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { extractCabinet, verifyCabinet } from "../../../../src/archive/cab/read/contents.ts";
import { openSource } from "../../../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../../../src/archive/cab/read/tables.ts";
import { ArchiveError } from "../../../../src/archive/entries/error.ts";
import { bytesSource } from "../../../support/archives/bytes-source.ts";
import {
  contentsOf,
  entry,
  makeFolder,
  pack,
  sortedContents,
  unpack,
} from "../../../support/archives/cabinet.ts";
import {
  type Crafted,
  craftCabinet,
  mszipBlocks,
  patched,
  storedBlocks,
} from "../../../support/archives/crafted-cabinet.ts";
import { dumpBytes, logText, randomBytes } from "../../../support/archives/inputs.ts";

const log = logText(100_000, 1);

/** One file "a" of 100,000 bytes in one folder, as makecab would write it, with changes. */
function crafted(changes: Partial<Crafted> = {}): Buffer {
  return craftCabinet({
    folders: [{ typeCompress: 1, blocks: mszipBlocks(log) }],
    files: [{ name: "a", size: log.length }],
    ...changes,
  });
}

async function verify(cabinet: Buffer): Promise<void> {
  const source = bytesSource(cabinet);
  await verifyCabinet(source, await readCabinet(source));
}

/** The code, offset and message of what is wrong with it; null when nothing is. */
async function wrongWith(cabinet: Buffer): Promise<[string, number | undefined, string] | null> {
  try {
    await verify(cabinet);
    return null;
  } catch (error) {
    assert.ok(error instanceof ArchiveError, String(error));
    return [error.code, error.offset, error.message];
  }
}

test("makecab's shape is read: one stream a block, history across blocks", async () => {
  assert.deepEqual(await unpack(crafted()), [["a", log]]);
  const dump = dumpBytes(300_000, 3);
  const files = [
    { name: "first", size: 40_000 },
    { name: "empty", size: 0, folderOffset: 40_000 },
    { name: "rest", size: 260_000, folderOffset: 40_000 },
  ];
  const cabinet = craftCabinet({ folders: [{ typeCompress: 1, blocks: mszipBlocks(dump) }], files });
  assert.deepEqual(await unpack(cabinet), [
    ["first", dump.subarray(0, 40_000)],
    ["empty", Buffer.alloc(0)],
    ["rest", dump.subarray(40_000)],
  ]);
});

test("gcab's shape is read: no history; and stored folders; and several folders", async () => {
  const folders = [
    { typeCompress: 1, blocks: mszipBlocks(log, { history: false, level: 6 }) },
    { typeCompress: 0, blocks: storedBlocks(log) },
    { typeCompress: 0x0f01, blocks: mszipBlocks(Buffer.from("x")) },
  ];
  const files = [
    { name: "packed", size: log.length },
    { name: "stored", size: log.length, folderIndex: 1 },
    { name: "x", size: 1, folderIndex: 2 },
  ];
  assert.deepEqual(await unpack(craftCabinet({ folders, files })), [
    ["packed", log],
    ["stored", log],
    ["x", Buffer.from("x")],
  ]);
});

test("reserves of all kinds are skipped, whether or not checksums count them in", async () => {
  for (const sizes of [
    [0, 0, 0],
    [20, 0, 0],
    [0, 4, 0],
    [0, 0, 10],
    [6144, 255, 255],
    [60_000, 1, 3],
  ]) {
    const [header = 0, folder = 0, block = 0] = sizes;
    for (const sumsReserve of [false, true]) {
      const cabinet = crafted({ reserve: { header, folder, block }, sumsReserve });
      assert.deepEqual(await unpack(cabinet), [["a", log]], `${sizes} ${sumsReserve}`);
    }
  }
});

test("blocks shorter than they should be, and without checksums, are read", async () => {
  const blocks = [
    { payload: Buffer.from("Hello"), uncompressedSize: 5, checksum: 0 },
    { payload: Buffer.from("world"), uncompressedSize: 5, checksum: 0 },
  ];
  const cabinet = craftCabinet({ folders: [{ typeCompress: 0, blocks }], files: [{ name: "a", size: 10 }] });
  assert.deepEqual(await unpack(cabinet), [["a", Buffer.from("Helloworld")]]);
});

test("the tables are told as they are", async () => {
  const reserve = { header: 0, folder: 0, block: 2 };
  const cabinet = await readCabinet(
    bytesSource(crafted({ reserve, files: [{ name: "ä.txt", size: 100_000, attributes: 0xa1 }] })),
  );
  const { folders, ...rest } = cabinet;
  assert.deepEqual(rest, {
    size: crafted({ reserve }).length + 5,
    version: "1.3",
    setId: 4711,
    files: [
      {
        name: "ä.txt",
        size: 100_000,
        folderIndex: 0,
        folderOffset: 0,
        time: new Date(Date.UTC(2026, 1, 2, 12, 0, 0)),
        attributes: 0xa1,
        offset: 48,
      },
    ],
    blockReserve: 2,
    warnings: [],
  });
  assert.deepEqual(folders, [{ compression: "mszip", dataOffset: 71, blockCount: 4, offset: 40 }]);
});

test("names come in UTF-8, marked or not, or in bytes", async () => {
  const nameOf = async (name: Buffer, attributes: number) =>
    (await readCabinet(bytesSource(crafted({ files: [{ name, size: 100_000, attributes }] })))).files[0]
      ?.name;
  assert.equal(await nameOf(Buffer.from("größe"), 0xa0), "größe");
  assert.equal(await nameOf(Buffer.from("größe"), 0x20), "größe");
  assert.equal(await nameOf(Buffer.from("größe", "latin1"), 0x20), "größe");
  assert.equal(await nameOf(Buffer.alloc(255, 0x61), 0x20), "a".repeat(255));
});

test("what is unusual and does no harm is a warning", async () => {
  const base = crafted();
  const warnings: [Buffer, string[]][] = [
    [patched(base, 24, [1, 1]), ["version 1.1, not 1.3"]],
    [patched(base, 4, [1]), ["reserved fields of the header are not 0"]],
    [patched(base, 20, [1]), ["reserved fields of the header are not 0"]],
    [patched(base, 31, [0x80]), ["unknown flags 0x8000"]],
    [Buffer.concat([base, Buffer.alloc(9)]), ["9 bytes after the cabinet's end"]],
    [patched(base, 34, [3]), []],
    [
      crafted({
        files: [
          { name: "a", size: 99_999 },
          { name: "A", size: 1, folderOffset: 99_999 },
        ],
      }),
      ['two files are named "A"'],
    ],
  ];
  for (const [cabinet, expected] of warnings) {
    assert.deepEqual((await readCabinet(bytesSource(cabinet))).warnings, expected);
    await verify(cabinet);
  }
  const moved = craftCabinet({
    folders: [{ typeCompress: 0, blocks: storedBlocks(Buffer.from("data")) }],
    files: [],
  });
  const record = Buffer.from("0400000000000000000042 5c0060 2000 6200".replaceAll(" ", ""), "hex");
  const behind = patched(patched(Buffer.concat([moved, record]), 16, [moved.length]), 28, [1]);
  assert.deepEqual((await readCabinet(bytesSource(behind))).warnings, [
    "18 bytes after the cabinet's end",
    "the table of files starts at byte 56, not after the folders",
  ]);
  assert.deepEqual(await unpack(behind), [["b", Buffer.from("data")]]);
});

test("what is wrong with a header is told with its place", async () => {
  const base = crafted();
  const size = base.length;
  assert.deepEqual(await wrongWith(Buffer.alloc(0)), [
    "CAB_NOT_A_CABINET",
    0,
    "not a cabinet: it does not start with MSCF (at byte 0)",
  ]);
  assert.deepEqual(await wrongWith(patched(base, 0, [0x4e])), [
    "CAB_NOT_A_CABINET",
    0,
    "not a cabinet: it does not start with MSCF (at byte 0)",
  ]);
  assert.deepEqual(await wrongWith(patched(base, 0, [...Buffer.from("ISc(")])), [
    "CAB_NOT_A_CABINET",
    0,
    "an InstallShield cabinet, which is another format with the same extension (at byte 0)",
  ]);
  assert.deepEqual(await wrongWith(base.subarray(0, 35)), [
    "CAB_TRUNCATED",
    0,
    "the file ends at byte 35, inside a header of 36 bytes (at byte 0)",
  ]);
  assert.deepEqual(await wrongWith(patched(base, 8, [0, 0, 0, 0])), [
    "CAB_CORRUPT",
    8,
    "the header says the cabinet has 0 bytes (at byte 8)",
  ]);
  assert.deepEqual(await wrongWith(base.subarray(0, size - 1)), [
    "CAB_TRUNCATED",
    size - 1,
    `the cabinet should have ${size} bytes, but the file has ${size - 1} (at byte ${size - 1})`,
  ]);
  for (const [flag, part] of [
    [1, 3],
    [2, 1],
    [3, 2],
  ] as const) {
    assert.deepEqual(await wrongWith(patched(base, 30, [flag, 0, 0, 0, part - 1])), [
      "CAB_UNSUPPORTED",
      30,
      `this is part ${part} of a set of cabinets, which is not supported (at byte 30)`,
    ]);
  }
  assert.deepEqual(await wrongWith(crafted({ reserve: { header: 60_001, folder: 0, block: 0 } })), [
    "CAB_CORRUPT",
    36,
    "a header reserve of 60001 bytes; at most 60000 are allowed (at byte 36)",
  ]);
  assert.deepEqual(await wrongWith(craftCabinet({ folders: [], files: [{ name: "a", size: 0 }] })), [
    "CAB_CORRUPT",
    26,
    "1 files, but no folder (at byte 26)",
  ]);
  assert.deepEqual(await wrongWith(patched(base, 26, [0xfe, 0xff])), [
    "CAB_CORRUPT",
    26,
    "65534 folders; at most 65533 are allowed (at byte 26)",
  ]);
  for (const offset of [0, 36, 43, size, 0x7fffffff]) {
    const bytes = [offset & 0xff, (offset >> 8) & 0xff, (offset >> 16) & 0xff, offset >> 24];
    assert.deepEqual(await wrongWith(patched(base, 16, bytes)), [
      "CAB_CORRUPT",
      16,
      `the table of files cannot start at byte ${offset} of ${size} (at byte 16)`,
    ]);
  }
});

test("tables that end too early are told with their place", async () => {
  const header = (size: number): number[] => [size & 0xff, size >> 8, 0, 0];
  const cut = (size: number, base = crafted()): Buffer => patched(base.subarray(0, size), 8, header(size));
  const reserved = crafted({ reserve: { header: 20, folder: 4, block: 0 } });
  assert.deepEqual(await wrongWith(cut(38, reserved)), [
    "CAB_TRUNCATED",
    36,
    "the file ends at byte 38, inside the reserve sizes of 4 bytes (at byte 36)",
  ]);
  assert.deepEqual(await wrongWith(cut(59, reserved)), [
    "CAB_TRUNCATED",
    40,
    "the file ends at byte 59, inside the header reserve of 20 bytes (at byte 40)",
  ]);
  assert.deepEqual(await wrongWith(cut(71, reserved)), [
    "CAB_TRUNCATED",
    60,
    "the file ends at byte 71, inside a folder of 12 bytes (at byte 60)",
  ]);
  assert.deepEqual(await wrongWith(cut(43)), [
    "CAB_TRUNCATED",
    36,
    "the file ends at byte 43, inside a folder of 8 bytes (at byte 36)",
  ]);
  assert.deepEqual(await wrongWith(cut(50, patched(crafted(), 36, [45]))), [
    "CAB_TRUNCATED",
    44,
    "the file ends at byte 50, inside a file's record of 16 bytes (at byte 44)",
  ]);
  assert.deepEqual(await wrongWith(cut(61, patched(crafted(), 36, [45]))), [
    "CAB_TRUNCATED",
    60,
    "the file ends inside a name (at byte 60)",
  ]);
  assert.deepEqual(await wrongWith(patched(crafted(), 28, [0xff, 0xff])), [
    "CAB_BAD_NAME",
    78,
    "a name marked as UTF-8 that is not (at byte 78)",
  ]);
});

test("what is wrong with a folder is told with its place", async () => {
  const blocks = mszipBlocks(log);
  const folder = { typeCompress: 1, blocks };
  const size = crafted().length;
  assert.deepEqual(await wrongWith(crafted({ folders: [{ ...folder, dataOffset: 43 }] })), [
    "CAB_CORRUPT",
    36,
    "a folder's data starts at byte 43, inside the tables (at byte 36)",
  ]);
  assert.deepEqual(await wrongWith(crafted({ folders: [{ ...folder, dataOffset: size }] })), [
    "CAB_TRUNCATED",
    36,
    `a folder's data starts at byte ${size}, but the file has ${size} (at byte 36)`,
  ]);
  for (const [method, name] of [
    [2, "Quantum"],
    [0x1503, "LZX"],
  ] as const) {
    const cabinet = crafted({ folders: [{ ...folder, typeCompress: method }] });
    assert.equal((await readCabinet(bytesSource(cabinet))).files.length, 1);
    assert.deepEqual(await wrongWith(cabinet), [
      "CAB_UNSUPPORTED",
      42,
      `a folder is compressed with ${name}, which is not supported (at byte 42)`,
    ]);
  }
  assert.deepEqual(await wrongWith(crafted({ folders: [{ ...folder, typeCompress: 4 }] })), [
    "CAB_CORRUPT",
    42,
    "compression method 4 does not exist (at byte 42)",
  ]);
  const twice = {
    folders: [
      { ...folder, dataOffset: 70 },
      { ...folder, dataOffset: 70 },
    ],
  };
  assert.deepEqual(await wrongWith(crafted(twice)), [
    "CAB_CORRUPT",
    44,
    "two folders with the same data (at byte 44)",
  ]);
  const [first, ...others] = blocks;
  assert.ok(first !== undefined);
  const inside = craftCabinet({
    folders: [
      { typeCompress: 1, blocks },
      { typeCompress: 1, blocks: [], blockCount: 1, dataOffset: 52 + 2 * 18 + 8 + first.payload.length },
    ],
    files: [
      { name: "a", size: log.length },
      { name: "b", size: others[0]?.uncompressedSize ?? 0, folderIndex: 1 },
    ],
  });
  assert.deepEqual(await wrongWith(inside), [
    "CAB_CORRUPT",
    36,
    "a folder's data runs into another's (at byte 36)",
  ]);
  assert.deepEqual(await wrongWith(crafted({ folders: [{ ...folder, blockCount: 3 }] })), [
    "CAB_CORRUPT",
    44,
    '"a" ends at byte 100000, but its folder has room for 98304 (at byte 44)',
  ]);
  assert.deepEqual(await wrongWith(crafted({ folders: [{ ...folder, blockCount: 5 }] })), [
    "CAB_TRUNCATED",
    size,
    `the file ends at byte ${size}, inside the head of a block of 8 bytes (at byte ${size})`,
  ]);
});

test("what is wrong with a file is told with its place", async () => {
  const withFiles = (...files: Crafted["files"]) => wrongWith(crafted({ files }));
  assert.deepEqual(await withFiles({ name: "", size: 100_000 }), [
    "CAB_BAD_NAME",
    60,
    "a file without a name (at byte 60)",
  ]);
  assert.deepEqual(await withFiles({ name: "n".repeat(256), size: 100_000 }), [
    "CAB_BAD_NAME",
    60,
    "a name of more than 255 bytes (at byte 60)",
  ]);
  for (const bytes of [
    [0xff],
    [0xc0, 0xaf],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
  ]) {
    assert.deepEqual(await withFiles({ name: Buffer.from(bytes), size: 100_000, attributes: 0xa0 }), [
      "CAB_BAD_NAME",
      60,
      "a name marked as UTF-8 that is not (at byte 60)",
    ]);
  }
  assert.deepEqual(await withFiles({ name: "a", size: 100_000, folderIndex: 1 }), [
    "CAB_CORRUPT",
    52,
    "folder 1 of 1 does not exist (at byte 52)",
  ]);
  for (const folderIndex of [0xfffd, 0xfffe, 0xffff]) {
    assert.deepEqual(await withFiles({ name: "a", size: 100_000, folderIndex }), [
      "CAB_UNSUPPORTED",
      52,
      '"a" is continued in another cabinet, which is not supported (at byte 52)',
    ]);
  }
  assert.deepEqual(await withFiles({ name: "a", size: 0xffffffff, folderOffset: 0xffffffff }), [
    "CAB_CORRUPT",
    44,
    '"a" ends at byte 8589934590, but its folder has room for 131072 (at byte 44)',
  ]);
  assert.deepEqual(
    await withFiles({ name: "a", size: 60_000 }, { name: "b", size: 60_000, folderOffset: 40_000 }),
    ["CAB_CORRUPT", 62, '"b" overlaps "a" (at byte 62)'],
  );
  assert.deepEqual(await withFiles({ name: "a", size: 10 }, { name: "b", size: 99_989, folderOffset: 11 }), [
    "CAB_CORRUPT",
    62,
    '1 bytes before "b" belong to no file (at byte 62)',
  ]);
  assert.deepEqual(await withFiles({ name: "a", size: 99_999 }), [
    "CAB_CORRUPT",
    36,
    "from byte 99999 of a folder on, its data belongs to no file (at byte 36)",
  ]);
  assert.deepEqual(await withFiles({ name: "a", size: 100_001 }), [
    "CAB_CORRUPT",
    44,
    'the data of "a" ends at byte 100000 of its folder, too early (at byte 44)',
  ]);
});

const CK = Buffer.from("CK");
const zip = (content: Buffer): Buffer => Buffer.concat([CK, deflateRawSync(content)]);

test("what is wrong with a block is told with its place", async () => {
  const text = Buffer.from("Hello, world!\n");
  const wrong = (typeCompress: number, payload: Buffer, uncompressedSize: number, checksum?: number) =>
    wrongWith(
      craftCabinet({
        folders: [
          {
            typeCompress,
            blocks: [{ payload, uncompressedSize, ...(checksum === undefined ? {} : { checksum }) }],
          },
        ],
        files: [{ name: "a", size: uncompressedSize % 32_769 }],
      }),
    );
  assert.deepEqual(await wrong(0, text, 14, 0x7f2e1a4d), [
    "CAB_CHECKSUM",
    62,
    "a block's checksum is 0x7f2e1a4d, but its bytes give 0x7f2e1a4c (at byte 62)",
  ]);
  assert.deepEqual(await wrong(0, text, 13), [
    "CAB_CORRUPT",
    62,
    "a stored block of 14 bytes says it has 13 (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(text), 0), [
    "CAB_CORRUPT",
    62,
    "a block that goes on in another cabinet (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(text), 32_769), [
    "CAB_CORRUPT",
    62,
    "a block of 32769 uncompressed bytes; at most 32768 are allowed (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, Buffer.alloc(38_913), 14), [
    "CAB_CORRUPT",
    62,
    "a block of 38913 bytes; at most 38912 are allowed (at byte 62)",
  ]);
  for (const payload of [Buffer.alloc(0), Buffer.from("C"), Buffer.from("KC\u0003\u0000")]) {
    assert.deepEqual(await wrong(1, payload, 14), [
      "CAB_CORRUPT",
      62,
      "an MSZIP block does not start with CK (at byte 62)",
    ]);
  }
  assert.deepEqual(await wrong(1, CK, 14), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: unexpected end of file (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(text), 13), [
    "CAB_CORRUPT",
    62,
    "a block inflates to 14 bytes, not 13 (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(text), 15), [
    "CAB_CORRUPT",
    62,
    "a block inflates to 14 bytes, not 15 (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(text).subarray(0, -1), 14), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: unexpected end of file (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, Buffer.concat([zip(text), Buffer.alloc(3)]), 14), [
    "CAB_CORRUPT",
    62,
    "3 bytes after the end of a block's deflate stream (at byte 62)",
  ]);
  const noLast = Buffer.concat([CK, Buffer.from([0x00, 14, 0, ~14 & 0xff, 0xff]), text]);
  assert.deepEqual(await wrong(1, noLast, 14), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: unexpected end of file (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, Buffer.concat([CK, Buffer.from([0x07])]), 14), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: invalid block type (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(Buffer.alloc(32_769)), 32_768), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: more than 32768 bytes (at byte 62)",
  ]);
  assert.deepEqual(await wrong(1, zip(Buffer.alloc(30_000_000)), 32_768), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: more than 32768 bytes (at byte 62)",
  ]);
  // A match that reaches before the first byte.
  assert.deepEqual(await wrong(1, Buffer.concat([CK, Buffer.from([0x03, 0x02, 0x00])]), 3), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: invalid distance too far back (at byte 62)",
  ]);
});

test("a block that needs history it does not have is refused", async () => {
  const [, second] = mszipBlocks(log);
  assert.ok(second !== undefined);
  const cabinet = craftCabinet({
    folders: [{ typeCompress: 1, blocks: [second] }],
    files: [{ name: "a", size: 32_768 }],
  });
  assert.deepEqual(await wrongWith(cabinet), [
    "CAB_CORRUPT",
    62,
    "a block does not inflate: invalid distance too far back (at byte 62)",
  ]);
});

test("more than is accepted is refused before anything is read", async () => {
  const source = bytesSource(crafted());
  await assert.rejects(verifyCabinet(source, await readCabinet(source), { maxBytes: 99_999 }), {
    code: "CAB_LIMIT",
    message: "the cabinet's files have 100000 bytes; at most 99999 are accepted",
  });
  await verifyCabinet(source, await readCabinet(source), { maxBytes: 100_000 });
});

test("sixty thousand folders, or files, that all point at the same place cost no time", {
  timeout: 20_000,
}, async () => {
  const blocks = mszipBlocks(Buffer.alloc(32_768));
  const folders = Array.from({ length: 65_533 }, () => ({
    typeCompress: 1,
    blocks: [],
    blockCount: 65_535,
    dataOffset: 524_324,
  }));
  const many = craftCabinet({ folders: [...folders.slice(1), { typeCompress: 1, blocks }], files: [] });
  assert.equal((await wrongWith(many))?.[2], "two folders with the same data (at byte 44)");
  const files = Array.from({ length: 65_535 }, () => ({ name: "a", size: 32_768 }));
  assert.equal(
    (await wrongWith(craftCabinet({ folders: [{ typeCompress: 1, blocks }], files })))?.[0],
    "CAB_CORRUPT",
  );
});

test("any single byte changed gives the same contents or a clear error", async () => {
  const entries = [
    entry("log", log),
    entry("random", randomBytes(40_000, 2)),
    entry("dump", dumpBytes(90_000, 2)),
    entry("e", ""),
  ];
  for (const compression of [0, 4] as const) {
    const { bytes } = await pack(entries, { compression });
    const contents = sortedContents(await unpack(bytes));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(140), fc.nat(bytes.length - 1)),
        fc.integer({ min: 1, max: 255 }),
        async (at, change) => {
          const changed = patched(bytes, at, [(bytes[at] ?? 0) ^ change]);
          const found = await unpack(changed).catch((error) =>
            assert.ok(error instanceof ArchiveError, String(error)),
          );
          if (found !== undefined) assert.deepEqual(sortedContents(found), contents);
        },
      ),
      { numRuns: 300 },
    );
  }
});

/** Every change of each of these bytes that gives other contents without an error, as `byte: was → is`. */
async function silentChanges(cabinet: Buffer, from = 0, to = cabinet.length): Promise<string[]> {
  const contents = sortedContents(await unpack(cabinet));
  const silent: string[] = [];
  for (let at = from; at < to; at++) {
    for (let is = 0; is < 256; is++) {
      const found = await unpack(patched(cabinet, at, [is])).catch((error) =>
        assert.ok(error instanceof ArchiveError, String(error)),
      );
      if (found !== undefined && !isDeepStrictEqual(sortedContents(found), contents))
        silent.push(`${at}: ${cabinet[at]} → ${is}`);
    }
  }
  return silent;
}

test("no change of any byte is silent in a small cabinet whose last file is empty", async () => {
  for (const compression of [0, 4] as const) {
    const { bytes } = await pack([entry("log", "Hello, world!\n"), entry("e", "")], { compression });
    assert.deepEqual(await silentChanges(bytes), []);
  }
});

test("no change of an offset or a count is silent, wherever empty files stand", async () => {
  const text = Buffer.from("Hello, world!\n");
  const [empty, other] = [entry("e", ""), entry("log", text)];
  const folders = [
    { typeCompress: 0, blocks: storedBlocks(text) },
    { typeCompress: 1, blocks: mszipBlocks(text) },
  ];
  const files = [
    { name: "a", size: 14 },
    { name: "b", size: 14, folderIndex: 1 },
    { name: "e", size: 0, folderIndex: 1, folderOffset: 14 },
  ];
  const cabinets = [
    (await pack([empty, other, empty, empty])).bytes,
    (await pack([empty, empty])).bytes,
    craftCabinet({ folders, files }),
    craftCabinet({ folders, files, reserve: { header: 20, folder: 4, block: 8 } }),
  ];
  for (const cabinet of cabinets) assert.deepEqual(await silentChanges(cabinet, 16, 32), []);
});

test("a count of files that is too low or too high is told", async () => {
  const text = Buffer.from("Hello, world!\n");
  const { bytes } = await pack([entry("log", text), entry("e1", ""), entry("e2", "")]);
  const corrupt = (message: string, offset: number) => [
    "CAB_CORRUPT",
    offset,
    `${message} (at byte ${offset})`,
  ];
  const left = (count: number, name: string) => `"${name}" follows the ${count} files that the header counts`;
  assert.deepEqual(await wrongWith(patched(bytes, 28, [2])), corrupt(left(2, "e2"), 83));
  assert.deepEqual(await wrongWith(patched(bytes, 28, [1])), corrupt(left(1, "e1"), 64));
  assert.deepEqual(await wrongWith(patched(bytes, 28, [0])), corrupt(left(0, "log"), 44));
  const emptyOnly = (await pack([entry("e1", ""), entry("e2", "")])).bytes;
  assert.deepEqual((await wrongWith(patched(emptyOnly, 28, [1])))?.[2], `${left(1, "e2")} (at byte 63)`);
  // Heads of blocks that would do as the record of an empty file.
  const blocks = Array.from({ length: 10 }, () => ({
    payload: Buffer.alloc(4),
    uncompressedSize: 4,
    checksum: 0,
  }));
  const high = craftCabinet({ folders: [{ typeCompress: 0, blocks }], files: [{ name: "a", size: 40 }] });
  assert.equal(await wrongWith(high), null);
  assert.deepEqual(
    await wrongWith(patched(high, 28, [2])),
    corrupt("the table of files ends at byte 80, inside the data that starts at byte 62", 16),
  );
});

test("room between the tables and the data that holds no file is a warning", async () => {
  for (const fill of [0, 0xa5]) {
    const gap = Buffer.alloc(512, fill);
    const base = crafted();
    const spread = Buffer.concat([base.subarray(0, 62), gap, base.subarray(62)]);
    spread.writeUInt32LE(spread.length, 8);
    spread.writeUInt32LE(62 + gap.length, 36);
    assert.deepEqual((await readCabinet(bytesSource(spread))).warnings, [
      "512 bytes after the table of files belong to nothing",
    ]);
    assert.deepEqual(await unpack(spread), [["a", log]]);
  }
});

test("a cabinet in a file is read in pieces, and only as far as it is asked for", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "it.cab");
  const body = dumpBytes(2_000_000, 12);
  await writeFile(path, (await pack([entry("body", body)])).bytes);
  const source = await openSource(path);
  assert.deepEqual(await contentsOf(source, await readCabinet(source)), [["body", body]]);
  await source.close();
});

test("extracting makes files and folders, and keeps times", async (t) => {
  const folder = await makeFolder(t);
  const { bytes } = await pack([
    entry("top.txt", "top"),
    entry("sub\\deep\\x.txt", "deep"),
    entry("empty", ""),
  ]);
  const source = bytesSource(bytes);
  const files = await extractCabinet(source, await readCabinet(source), folder);
  assert.deepEqual(
    files.map(({ name }) => name),
    ["top.txt", "sub\\deep\\x.txt", "empty"],
  );
  assert.equal(await readFile(join(folder, "sub", "deep", "x.txt"), "utf8"), "deep");
  assert.deepEqual((await readdir(folder)).sort(), ["empty", "sub", "top.txt"]);
});

async function extractError(cabinet: Buffer, folder: string): Promise<unknown> {
  const source = bytesSource(cabinet);
  return extractCabinet(source, await readCabinet(source), folder).then(
    () => null,
    (error) => [error.code, error.offset, error.message],
  );
}

test("names that lead out, through a link, or over a file are refused", async (t) => {
  const folder = await makeFolder(t);
  const outside = await makeFolder(t);
  const named = (name: string): Buffer => crafted({ files: [{ name, size: log.length }] });
  for (const name of [
    "..\\evil",
    "../evil",
    "a/../../evil",
    "/evil",
    "\\evil",
    "C:\\evil",
    "C:evil",
    "\\\\srv\\x\\evil",
  ]) {
    const [code, offset] = (await extractError(named(name), folder)) as [string, number];
    assert.deepEqual([name, code, offset], [name, "CAB_BAD_NAME", 44]);
  }
  await symlink(outside, join(folder, "link"));
  assert.deepEqual(await extractError(named("link\\evil"), folder), [
    "CAB_BAD_NAME",
    44,
    `"link\\\\evil" cannot be extracted: ${join(folder, "link")} is no folder (at byte 44)`,
  ]);
  await symlink(join(outside, "new"), join(folder, "dangling"));
  await writeFile(join(folder, "there"), "mine");
  for (const name of ["dangling", "there", "link"]) {
    assert.deepEqual(await extractError(named(name), folder), [
      "CAB_BAD_NAME",
      44,
      `"${name}" cannot be extracted: ${join(folder, name)} exists (at byte 44)`,
    ]);
  }
  assert.equal(await readFile(join(folder, "there"), "utf8"), "mine");
  assert.deepEqual(await readdir(outside), []);
  assert.deepEqual((await readdir(folder)).sort(), ["dangling", "link", "there"]);
});

test("a file whose data is wrong is not left behind", async (t) => {
  const folder = await makeFolder(t);
  const cabinet = crafted();
  assert.equal(
    ((await extractError(patched(cabinet, cabinet.length - 1, [0x55]), folder)) as string[])[0],
    "CAB_CHECKSUM",
  );
  assert.deepEqual(await readdir(folder), []);
  await mkdir(join(folder, "a"));
});
