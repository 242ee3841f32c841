import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { extractCabinet, verifyCabinet } from "../../../../src/archive/cab/read/contents.ts";
import { openSource } from "../../../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../../../src/archive/cab/read/tables.ts";
import { ArchiveError } from "../../../../src/archive/entries/error.ts";
import { showName } from "../../../../src/archive/entries/foreign-name.ts";
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
import { filesBelow } from "../../../support/files.ts";

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
        nameBytes: null,
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

/** The one file's name, the bytes where they are no UTF-8, and what is warned of. */
async function nameIn(name: Buffer, attributes: number): Promise<(string | undefined)[]> {
  const cabinet = crafted({ files: [{ name, size: 100_000, attributes }] });
  const { files, warnings } = await readCabinet(bytesSource(cabinet));
  return [files[0]?.name, files[0]?.nameBytes?.toString("hex"), ...warnings];
}

test("names come in UTF-8, marked or not, or in bytes", async () => {
  assert.deepEqual(await nameIn(Buffer.from("größe"), 0xa0), ["größe", undefined]);
  assert.deepEqual(await nameIn(Buffer.from("größe"), 0x20), ["größe", undefined]);
  assert.deepEqual(await nameIn(Buffer.from("größe", "latin1"), 0x20), [
    "größe",
    "6772f6df65",
    "names in a code page that the cabinet does not tell, read as Latin-1: 1",
  ]);
  assert.deepEqual(await nameIn(Buffer.alloc(255, 0x61), 0x20), ["a".repeat(255), undefined]);
});

test("A12 b: a name that claims UTF-8 and is not keeps its bytes, and the cabinet is whole", async () => {
  for (const [hex, name] of [
    ["ff", "\udcff"],
    ["61ff62", "a\udcffb"],
    ["c0af", "\udcc0\udcaf"],
    ["eda080", "\udced\udca0\udc80"],
    ["f888808080", "\udcf8\udc88\udc80\udc80\udc80"],
    ["c3b6e282", "ö\udce2\udc82"],
  ] as const) {
    const bytes = Buffer.from(hex, "hex");
    assert.deepEqual(await nameIn(bytes, 0xa0), [name, hex]);
    await verify(crafted({ files: [{ name: bytes, size: 100_000, attributes: 0xa0 }] }));
  }
});

test("A12 b: a name that is empty or too long is listed; the cabinet is refused as others refuse it", async () => {
  for (const [size, fault] of [
    [0, "a file without a name"],
    [256, "a name of 256 bytes; at most 255 are allowed"],
    [1020, "a name of 1020 bytes; at most 255 are allowed"],
  ] as const) {
    const cabinet = crafted({ files: [{ name: "n".repeat(size), size: 100_000 }] });
    const { files } = await readCabinet(bytesSource(cabinet));
    assert.deepEqual(
      files.map(({ name }) => name),
      ["n".repeat(size)],
    );
    assert.deepEqual(await wrongWith(cabinet), ["CAB_BAD_NAME", 60, `${fault} (at byte 60)`]);
  }
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
    "CAB_CORRUPT",
    70,
    "folder 19267 of 1 does not exist (at byte 70)",
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
  assert.deepEqual(await withFiles({ name: "n".repeat(1021), size: 100_000 }), [
    "CAB_BAD_NAME",
    60,
    "a name of more than 1020 bytes (at byte 60)",
  ]);
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
  const { files, faults } = await extractCabinet(source, await readCabinet(source), folder);
  assert.deepEqual(
    files.map(({ file, writtenAs, reason }) => [file.name, writtenAs, reason]),
    [
      ["top.txt", "top.txt", null],
      ["sub\\deep\\x.txt", "sub/deep/x.txt", null],
      ["empty", "empty", null],
    ],
  );
  assert.deepEqual(faults, []);
  assert.equal(await readFile(join(folder, "sub", "deep", "x.txt"), "utf8"), "deep");
  assert.deepEqual((await readdir(folder)).sort(), ["empty", "sub", "top.txt"]);
});

/** What became of each file, by name, and what is wrong with the cabinet. */
async function extract(cabinet: Buffer, folder: string) {
  const source = bytesSource(cabinet);
  const { files, faults } = await extractCabinet(source, await readCabinet(source), folder);
  return {
    files: files.map(({ file, writtenAs, reason }) => [showName(file.name), writtenAs, reason]),
    faults,
  };
}

/** A cabinet of files of ten bytes: the digit that is their place. */
function tens(names: readonly (string | Buffer)[], attributes = 0x20): Buffer {
  const bodies = names.map((_, index) => Buffer.alloc(10, `${index % 10}`));
  return craftCabinet({
    folders: [{ typeCompress: 0, blocks: storedBlocks(Buffer.concat(bodies)) }],
    files: names.map((name, index) => ({ name, size: 10, folderOffset: 10 * index, attributes })),
  });
}

/** All files below a folder, sorted, with what is in them. */
async function filesIn(folder: string): Promise<[string, string][]> {
  const paths = await filesBelow(folder);
  return Promise.all(paths.map(async (path) => [relative(folder, path), await readFile(path, "utf8")]));
}

test("A12 a: names that are odd or taken are written under safe and free ones, and the others as they are", async (t) => {
  const folder = await makeFolder(t);
  const names = ["a", "x\u0080y", "\u00a0b", 'q"q', "c?", "con", "d.", "a", "dir\\a", "e\u202egpj.exe"];
  const odd = "it is no safe name for a file";
  assert.deepEqual(await extract(tens(names, 0xa0), folder), {
    files: [
      ["a", "a", null],
      ['"x\\u{80}y"', "x_y", odd],
      ['"\\u{A0}b"', "b", odd],
      ['"q\\"q"', "q_q", odd],
      ["c?", "c_", odd],
      ["con", "_con", odd],
      ["d.", "d", odd],
      ["a", "a (2)", "its name was taken"],
      ["dir\\a", "dir/a", null],
      ['"e\\u{202E}gpj.exe"', "e_gpj.exe", odd],
    ],
    faults: [],
  });
  assert.deepEqual(
    (await filesIn(folder)).map(([path, body]) => [path, body[0], body.length]),
    [
      ["_con", "5", 10],
      ["a", "0", 10],
      ["a (2)", "7", 10],
      ["b", "2", 10],
      ["c_", "4", 10],
      ["d", "6", 10],
      ["dir/a", "8", 10],
      ["e_gpj.exe", "9", 10],
      ["q_q", "3", 10],
      ["x_y", "1", 10],
    ],
  );
});

test("A12 a: names in a code page that nobody tells are extracted", async (t) => {
  const folder = await makeFolder(t);
  const koi8 = Buffer.from("e4c1cbc1cbcf", "hex");
  const sjis = Buffer.from("898e82e0", "hex");
  const { files, faults } = await extract(tens([koi8, sjis]), folder);
  assert.deepEqual(files, [
    ["äÁËÁËÏ", "äÁËÁËÏ", null],
    ['"\\u{89}\\u{8E}\\u{82}à"', "___à", "it is no safe name for a file"],
  ]);
  assert.deepEqual(faults, []);
});

test("A12 b: names that are no UTF-8 or empty are extracted under others", async (t) => {
  const folder = await makeFolder(t);
  const names = [Buffer.from("61ff62", "hex"), Buffer.from("61fe62", "hex"), "", "größe", "n".repeat(256)];
  const { files } = await extract(tens(names, 0xa0), folder);
  const noText = "it holds bytes that are no UTF-8";
  assert.deepEqual(files.slice(0, 4), [
    ['"a\\xFFb"', "a_b", noText],
    ['"a\\xFEb"', "a_b (2)", noText],
    ['""', "file", "it is no safe name for a file"],
    ["größe", "größe", null],
  ]);
  assert.deepEqual(files[4]?.slice(1), [
    "n".repeat(199),
    "it is longer than the 255 bytes that a file's name may have",
  ]);
  const bodies = (await filesIn(folder)).map(([, body]) => body);
  assert.deepEqual(
    bodies.sort(),
    [0, 1, 2, 3, 4].map((digit) => `${digit}`.repeat(10)),
  );
});

test("A12 a: names that lead out are written inside, and nothing outside", async (t) => {
  const folder = await makeFolder(t);
  const below = join(folder, "a", "b");
  await mkdir(below, { recursive: true });
  const names = [
    "..\\evil",
    "../evil",
    "x/../../evil",
    "/evil",
    "\\evil",
    "C:\\evil",
    "C:evil",
    "\\\\srv\\x\\evil",
    "..",
    "/",
  ];
  const { files } = await extract(tens(names), below);
  assert.deepEqual(
    files.map(([name, writtenAs]) => [name, writtenAs]),
    [
      ["..\\evil", "evil"],
      ["../evil", "evil (2)"],
      ["x/../../evil", "x/evil"],
      ["/evil", "evil (3)"],
      ["\\evil", "evil (4)"],
      ["C:\\evil", "C_/evil"],
      ["C:evil", "C_evil"],
      ["\\\\srv\\x\\evil", "srv/x/evil"],
      ["..", "file"],
      ["/", "file (2)"],
    ],
  );
  assert.equal((await filesIn(below)).length, names.length);
  assert.equal((await filesIn(folder)).length, names.length);
});

test("links are not followed and files are not overwritten: the file comes beside them", async (t) => {
  const folder = await makeFolder(t);
  const outside = await makeFolder(t);
  await symlink(outside, join(folder, "link"));
  await symlink(join(outside, "new"), join(folder, "dangling"));
  await writeFile(join(folder, "there"), "mine");
  const names = ["link\\evil", "dangling", "there", "link", "there\\x", "link\\more"];
  const taken = "its name was taken";
  assert.deepEqual((await extract(tens(names), folder)).files, [
    ["link\\evil", "link (2)/evil", taken],
    ["dangling", "dangling (2)", taken],
    ["there", "there (2)", taken],
    ["link", "link (3)", taken],
    ["there\\x", "there (3)/x", taken],
    ["link\\more", "link (2)/more", taken],
  ]);
  assert.equal(await readFile(join(folder, "there"), "utf8"), "mine");
  assert.deepEqual(await readdir(outside), []);
});

test("A12 a: a file that cannot be written is told, and the others are written", async (t) => {
  let folder = await makeFolder(t);
  // So deep that a path has room for a short name, and none for a long one.
  while (folder.length < 3900) folder = join(folder, "d".repeat(Math.min(200, 3999 - folder.length)));
  await mkdir(folder, { recursive: true });
  const { files, faults } = await extract(tens(["a", "n".repeat(200), "b"]), folder);
  assert.deepEqual(
    files.map(([name, writtenAs]) => [name?.length, writtenAs]),
    [
      [1, "a"],
      [200, null],
      [1, "b"],
    ],
  );
  assert.match(files[1]?.[2] ?? "", /^it cannot be written: ENAMETOOLONG/);
  assert.deepEqual(faults, []);
  assert.deepEqual(await filesIn(folder), [
    ["a", "0".repeat(10)],
    ["b", "2".repeat(10)],
  ]);
});

test("A12 c: a folder compressed with LZX or Quantum costs its own files only", async (t) => {
  const folder = await makeFolder(t);
  const body = Buffer.from("0123456789");
  const block = mszipBlocks(body);
  const cabinet = craftCabinet({
    folders: [1, 0x1503, 2, 1].map((typeCompress) => ({ typeCompress, blocks: block })),
    files: ["mszip.txt", "lzx.txt", "quantum.txt", "last.txt"].map((name, folderIndex) => ({
      name,
      size: 10,
      folderIndex,
    })),
  });
  const lzx = "a folder is compressed with LZX, which is not supported (at byte 50)";
  const quantum = "a folder is compressed with Quantum, which is not supported (at byte 58)";
  assert.deepEqual(await extract(cabinet, folder), {
    files: [
      ["mszip.txt", "mszip.txt", null],
      ["lzx.txt", null, lzx],
      ["quantum.txt", null, quantum],
      ["last.txt", "last.txt", null],
    ],
    faults: [lzx, quantum],
  });
  assert.deepEqual(await filesIn(folder), [
    ["last.txt", "0123456789"],
    ["mszip.txt", "0123456789"],
  ]);
});

test("A12 c: damaged data costs the files from there to the end of its folder; none is left half", async (t) => {
  const folder = await makeFolder(t);
  const folders = [0, 1].map(() => ({ typeCompress: 0, blocks: storedBlocks(log) }));
  const files = [
    { name: "a", size: 30_000 },
    { name: "b", size: 40_000, folderOffset: 30_000 },
    { name: "c", size: 30_000, folderOffset: 70_000 },
    { name: "d", size: 100_000, folderIndex: 1 },
  ];
  const cabinet = craftCabinet({ folders, files });
  const second = cabinet.indexOf(log.subarray(32_768, 32_868));
  const broken = patched(cabinet, second, [(cabinet[second] ?? 0) ^ 1]);
  const result = await extract(broken, folder);
  const [fault = ""] = result.faults;
  assert.match(fault, /^a block's checksum is /);
  assert.deepEqual(result, {
    files: [
      ["a", "a", null],
      ["b", null, fault],
      ["c", null, fault],
      ["d", "d", null],
    ],
    faults: [fault],
  });
  assert.deepEqual(await readdir(folder), ["a", "d"]);
});

test("a folder whose end does not fit its files is told, though all of them are written", async (t) => {
  const folder = await makeFolder(t);
  const result = await extract(crafted({ files: [{ name: "a", size: 99_999 }] }), folder);
  assert.deepEqual(result, {
    files: [["a", "a", null]],
    faults: ["from byte 99999 of a folder on, its data belongs to no file (at byte 36)"],
  });
});

test("twenty thousand files of one name are written under as many, soon", { timeout: 60_000 }, async (t) => {
  const folder = await makeFolder(t);
  const cabinet = craftCabinet({
    folders: [{ typeCompress: 0, blocks: [] }],
    files: Array.from({ length: 20_000 }, () => ({ name: "a", size: 0 })),
  });
  const { files } = await extract(cabinet, folder);
  assert.deepEqual(files.at(-1), ["a", "a (20000)", "its name was taken"]);
  assert.equal((await readdir(folder)).length, 20_000);
});
