/** `cer inspect` of archives that other programs made, or that are damaged. */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  type CraftedFile,
  craftCabinet,
  mszipBlocks,
  patched,
  storedBlocks,
} from "../support/archives/crafted-cabinet.ts";
import { inPlace, type Place, runCer } from "../support/run-cer.ts";

const BODY = Buffer.from("0123456789");
const AT = "2026-02-02 12:00:00";

/** A cabinet of files of ten bytes each, in one folder. */
function tens(names: readonly (string | Buffer)[], attributes = 0xa0): Buffer {
  const files: CraftedFile[] = names.map((name, index) => ({
    name,
    size: 10,
    folderOffset: 10 * index,
    attributes,
  }));
  const content = Buffer.concat(names.map(() => BODY));
  return craftCabinet({ folders: [{ typeCompress: 0, blocks: storedBlocks(content) }], files });
}

/** Three folders: MSZIP, LZX, Quantum, a file each. */
const MIXED = craftCabinet({
  folders: [1, 0x1503, 2].map((typeCompress) => ({ typeCompress, blocks: mszipBlocks(BODY) })),
  files: ["mszip.txt", "lzx.txt", "qtm.txt"].map((name, folderIndex) => ({ name, size: 10, folderIndex })),
});

type Ran = { readonly code: number | null; readonly lines: string[]; readonly stderr: string };

async function inspect(place: Place, archive: Buffer, ...flags: string[]): Promise<Ran> {
  await writeFile(join(place.directory, "it"), archive);
  const { code, stdout, stderr } = await runCer(place, ["inspect", "it", ...flags]);
  return { code, lines: stdout.trimEnd().split("\n"), stderr };
}

const ODD = ["ok.txt", Buffer.from("61ff62", "hex"), "..\\up", "x\u009by", "ok.txt"];
const SHOWN = ["ok.txt", '"a\\xFFb"', "..\\up", '"x\\u{9B}y"', "ok.txt"];
const ODDITIES = [
  'warning: two files are named "ok.txt"',
  'warning: "a\\xFFb": it holds bytes that are no UTF-8',
  "warning: ..\\up: it leads out of the folder",
  'warning: "x\\u{9B}y": it is no safe name for a file',
];

test("A12 a, b: a listing shows every name, tells the odd ones, and is no failure; nor is --verify", () =>
  inPlace(async (place) => {
    const archive = tens(ODD);
    const listed = [
      `Cabinet 1.3, none, ${archive.length} bytes: 5 files, 50 bytes, 0.2:1`,
      ...SHOWN.map((name) => `          10  ${AT}  ${name}`),
    ];
    assert.deepEqual(await inspect(place, archive), { code: 0, lines: [...listed, ...ODDITIES], stderr: "" });
    assert.deepEqual(await inspect(place, archive, "--verify"), {
      code: 0,
      lines: [...listed, ...ODDITIES, "Everything was read and is whole."],
      stderr: "",
    });
  }));

test("A12 a, b: --extract writes all files, tells the other names, exit code 0; --json has both names", () =>
  inPlace(async (place) => {
    const out = join(place.directory, "out");
    const { code, lines, stderr } = await inspect(place, tens(ODD), "--extract", "out");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(lines.slice(6), [
      'warning: two files are named "ok.txt"',
      'warning: "a\\xFFb" is extracted as a_b: it holds bytes that are no UTF-8',
      "warning: ..\\up is extracted as up: it leads out of the folder",
      'warning: "x\\u{9B}y" is extracted as x_y: it is no safe name for a file',
      "warning: ok.txt is extracted as ok (2).txt: its name was taken",
      "Everything was read and is whole.",
      `Extracted to ${out}`,
    ]);
    assert.deepEqual((await readdir(out)).sort(), ["a_b", "ok (2).txt", "ok.txt", "up", "x_y"]);

    const again = await inspect(place, tens(ODD), "--extract", "again", "--json");
    const { files, verified, extracted } = JSON.parse(again.lines.join("\n"));
    const time = "2026-02-02T12:00:00.000Z";
    assert.deepEqual([again.code, verified, extracted], [0, true, join(place.directory, "again")]);
    assert.deepEqual(files, [
      { name: "ok.txt", nameBytes: null, size: 10, time, writtenAs: "ok.txt", reason: null },
      {
        name: '"a\\xFFb"',
        nameBytes: "61ff62",
        size: 10,
        time,
        writtenAs: "a_b",
        reason: "it holds bytes that are no UTF-8",
      },
      {
        name: "..\\up",
        nameBytes: null,
        size: 10,
        time,
        writtenAs: "up",
        reason: "it leads out of the folder",
      },
      {
        name: "x\u009by",
        nameBytes: null,
        size: 10,
        time,
        writtenAs: "x_y",
        reason: "it is no safe name for a file",
      },
      {
        name: "ok.txt",
        nameBytes: null,
        size: 10,
        time,
        writtenAs: "ok (2).txt",
        reason: "its name was taken",
      },
    ]);
  }));

test("A12 b: a name that other readers refuse is listed and extracted; --verify says no", () =>
  inPlace(async (place) => {
    const archive = tens(["a", "", "b"]);
    const fault = "a file without a name (at byte 78)";
    const listed = await inspect(place, archive);
    assert.deepEqual(
      [listed.code, listed.lines.slice(1, 4).map((line) => line.slice(35))],
      [0, ["a", '""', "b"]],
    );
    assert.ok(listed.lines.includes(`warning: ${fault}`), listed.lines.join("\n"));
    const verified = await inspect(place, archive, "--verify");
    assert.deepEqual(
      [verified.code, verified.stderr],
      [3, "cer: A file without a name (at byte 78) (CAB_BAD_NAME).\n"],
    );
    const extracted = await inspect(place, archive, "--extract", "out");
    assert.deepEqual([extracted.code, extracted.stderr], [0, ""]);
    assert.ok(!extracted.lines.includes("Everything was read and is whole."));
    assert.deepEqual((await readdir(join(place.directory, "out"))).sort(), ["a", "b", "file"]);
    const both = await inspect(place, archive, "--extract", "both", "--verify");
    assert.deepEqual(
      [both.code, both.stderr],
      [3, `cer: 3 of 3 files written to ${join(place.directory, "both")}; ${fault}.\n`],
    );
  }));

test("A12 c: what is compressed with LZX or Quantum is named, the rest is extracted, exit code 3", () =>
  inPlace(async (place) => {
    const out = join(place.directory, "out");
    const lzx = "a folder is compressed with LZX, which is not supported (at byte 50)";
    const quantum = "a folder is compressed with Quantum, which is not supported (at byte 58)";
    const { code, lines, stderr } = await inspect(place, MIXED, "--extract", "out");
    assert.deepEqual(
      [code, stderr, lines.slice(4)],
      [
        3,
        `cer: 1 of 3 files written to ${out}; not lzx.txt, qtm.txt.\n`,
        [`warning: lzx.txt is not extracted: ${lzx}`, `warning: qtm.txt is not extracted: ${quantum}`],
      ],
    );
    assert.deepEqual(await readdir(out), ["mszip.txt"]);
    assert.equal(await readFile(join(out, "mszip.txt"), "utf8"), "0123456789");
    const again = await inspect(place, MIXED, "--extract", "again", "--json");
    const { files, verified } = JSON.parse(again.lines.join("\n"));
    assert.deepEqual([again.code, verified], [3, false]);
    assert.deepEqual(
      files.map(({ name, writtenAs, reason }: Record<string, unknown>) => [name, writtenAs, reason]),
      [
        ["mszip.txt", "mszip.txt", null],
        ["lzx.txt", null, lzx],
        ["qtm.txt", null, quantum],
      ],
    );
    const listed = await inspect(place, MIXED);
    assert.deepEqual([listed.code, listed.stderr, listed.lines.length], [0, "", 4]);
  }));

test("A12 c: damaged data in one folder costs its files only", () =>
  inPlace(async (place) => {
    const whole = craftCabinet({
      folders: [0, 1].map(() => ({ typeCompress: 0, blocks: storedBlocks(BODY) })),
      files: ["a", "b"].map((name, folderIndex) => ({ name, size: 10, folderIndex })),
    });
    const broken = patched(whole, whole.indexOf(BODY), [0x55]);
    const { code, stderr } = await inspect(place, broken, "--extract", "out");
    const out = join(place.directory, "out");
    assert.deepEqual([code, stderr], [3, `cer: 1 of 2 files written to ${out}; not a.\n`]);
    assert.deepEqual(await readdir(out), ["b"]);
    assert.equal((await inspect(place, broken, "--verify")).code, 3);
  }));

test("of many files that could not be extracted the first ten are named", () =>
  inPlace(async (place) => {
    const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
    const cabinet = craftCabinet({
      folders: [{ typeCompress: 2, blocks: mszipBlocks(Buffer.concat(names.map(() => BODY))) }],
      files: names.map((name, index) => ({ name, size: 10, folderOffset: 10 * index })),
    });
    const { code, stderr } = await inspect(place, cabinet, "--extract", "out", "--quiet");
    const named = names.slice(0, 10).join(", ");
    const out = join(place.directory, "out");
    assert.deepEqual([code, stderr], [3, `cer: 0 of 12 files written to ${out}; not ${named} and 2 more.\n`]);
  }));

test("a folder that cannot be made is told as such", () =>
  inPlace(async (place) => {
    await mkdir(join(place.directory, "taken"));
    await writeFile(join(place.directory, "taken", "file"), "");
    const { code, stderr } = await inspect(place, MIXED, "--extract", "taken/file/out");
    const out = join(place.directory, "taken", "file", "out");
    assert.deepEqual([code, stderr], [1, `cer: The folder ${out} cannot be made (ENOTDIR).\n`]);
  }));
