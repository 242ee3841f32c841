import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { pack as tarPack } from "tar-stream";
import type { Entry, WriteOptions } from "../../src/archive/entries/entry.ts";
import { showName } from "../../src/archive/entries/foreign-name.ts";
import { extractTar, readTar, writeTar } from "../../src/archive/tar.ts";
import { entry, makeFolder, TIME } from "../support/archives/cabinet.ts";
import { logText, randomBytes } from "../support/archives/inputs.ts";
import { openFile } from "../support/archives/opened-file.ts";
import { readAll, sha256 } from "../support/bytes.ts";

const run = promisify(execFile);

async function pack(entries: Entry[], options: WriteOptions) {
  const archive = await writeTar(entries, options);
  const bytes = await readAll(archive.open());
  await archive.dispose();
  assert.equal(bytes.length, archive.size);
  assert.equal(sha256(bytes), archive.sha256);
  return { bytes, files: archive.files };
}

async function unpack(tar: Buffer): Promise<[string, Buffer][]> {
  const contents: [string, Buffer][] = [];
  for await (const { file, content } of readTar([tar] as unknown as AsyncIterable<Uint8Array>)) {
    contents.push([file.name, await readAll(content)]);
  }
  return contents;
}

test("the system's tar and our reader find in it what went in", async (t) => {
  const folder = await makeFolder(t);
  const contents: [string, Buffer][] = [
    ["dump.mdmp", randomBytes(700_000, 1)],
    ["log.txt", logText(1_200_001, 2)],
    ["empty", Buffer.alloc(0)],
    ["sub/größe.txt", Buffer.from("€")],
    [`${"long/".repeat(30)}${"n".repeat(40)}`, Buffer.from("deep")],
  ];
  const { bytes, files } = await pack(
    contents.map(([name, body]) => entry(name, body)),
    { spoolDir: folder, memoryLimit: 500_000 },
  );
  assert.deepEqual(
    files.map(({ name, sha256: hash, state }) => [name?.replaceAll("\\", "/"), hash, state]),
    contents.map(([name, body]) => [name, sha256(body), "stored"]),
  );
  assert.deepEqual(await unpack(bytes), contents);
  const path = join(folder, "it.tar");
  await writeFile(path, bytes);
  for (const [name, body] of contents) {
    const { stdout } = await run("tar", ["xOf", path, name], { encoding: "buffer", maxBuffer: 2_000_000 });
    assert.ok(stdout.equals(body), name);
  }
  const { stdout } = await run("tar", ["tvf", path, "--utc", "log.txt"]);
  assert.equal(stdout, "-rw-r--r-- 0/0         1200001 2026-03-04 05:06 log.txt\n");
});

test("contents nobody reads are skipped", async (t) => {
  const bodies = [logText(400_000, 1), logText(10, 2), logText(300_000, 3)];
  const { bytes } = await pack(
    bodies.map((body, index) => entry(String(index), body)),
    { spoolDir: await makeFolder(t) },
  );
  const names: string[] = [];
  for await (const { file } of readTar([bytes] as unknown as AsyncIterable<Uint8Array>))
    names.push(file.name);
  assert.deepEqual(names, ["0", "1", "2"]);
});

test("the same entries make the same bytes, in memory and in a file", async (t) => {
  const folder = await makeFolder(t);
  const entries = () => [entry("a", logText(300_000, 1)), entry("b", "tail")];
  const first = await pack(entries(), { spoolDir: folder });
  const second = await pack(entries(), { spoolDir: folder, memoryLimit: 0 });
  assert.ok(first.bytes.equals(second.bytes));
  assert.deepEqual(await readdir(folder), []);
});

test("a tar is read twice at once, and may be left in the middle", async (t) => {
  const folder = await makeFolder(t);
  for (const memoryLimit of [0, 2_000_000]) {
    const entries = [entry("a", logText(700_000, 1)), entry("b", ""), entry("c", "tail")];
    const archive = await writeTar(entries, { spoolDir: folder, memoryLimit });
    for await (const _ of archive.open()) break;
    const [one, other] = await Promise.all([readAll(archive.open()), readAll(archive.open())]);
    assert.ok(one.equals(other));
    assert.equal(sha256(one), archive.sha256);
    await archive.dispose();
  }
});

test("entries follow the cabinet's rules: order, names, cut, failed, left out", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "file");
  await writeFile(path, logText(400_000, 4));
  async function* failing() {
    yield Buffer.from("half");
    throw new Error("gone");
  }
  const shrinking: Entry = {
    name: "shrinking",
    time: TIME,
    open: async () => {
      const file = openFile(path);
      await truncate(path, 300_000);
      return file;
    },
  };
  const { bytes, files } = await pack(
    [
      entry("a", "1"),
      entry("A", "2"),
      entry("../x", failing()),
      shrinking,
      { name: "no", time: TIME, open: () => null },
      entry("m.dmp", "3"),
    ],
    { spoolDir: folder },
  );
  assert.deepEqual(
    files.map(({ wanted, name, state, reason }) => [wanted, name, state, reason]),
    [
      ["m.dmp", "m.dmp", "stored", null],
      ["a", "a", "stored", null],
      ["A", "A (2)", "stored", null],
      ["../x", "x", "cut", "gone"],
      ["shrinking", "shrinking", "cut", "it shrank while it was read, from 400000 bytes to 300000"],
      ["no", null, "left-out", "not wanted"],
    ],
  );
  assert.deepEqual(
    (await unpack(bytes)).map(([name, { length }]) => [name, length]),
    [
      ["m.dmp", 1],
      ["a", 1],
      ["A (2)", 1],
      ["x", 4],
      ["shrinking", 300_000],
    ],
  );
});

test("aborting and a failing spool end it and leave nothing", async (t) => {
  const folder = await makeFolder(t);
  for (let step = 1; step < 12; step++) {
    const controller = new AbortController();
    let left = step;
    const stop = () => {
      if (--left === 0) controller.abort(new Error("enough"));
    };
    async function* inPieces(body: Buffer) {
      for (let at = 0; at < body.length; at += 256 * 1024) {
        stop();
        yield body.subarray(at, at + 256 * 1024);
      }
    }
    const entries = [entry("a", inPieces(logText(2_000_000, 1))), entry("b", inPieces(Buffer.from("x")))];
    const writing = writeTar(entries, { spoolDir: folder, memoryLimit: 0, signal: controller.signal });
    if (step < 10) await assert.rejects(writing, { message: "enough" });
    else await (await writing).dispose();
    assert.deepEqual(await readdir(folder), []);
  }
  const nowhere = { spoolDir: join(folder, "no"), memoryLimit: 2000 };
  await assert.rejects(writeTar([entry("a", logText(1_000_000, 1))], nowhere), { code: "CAB_WRITE_FAILED" });
  await assert.rejects(writeTar([entry("a", logText(1_500, 1)), entry("b", logText(1_500, 1))], nowhere), {
    code: "CAB_WRITE_FAILED",
  });
});

async function hostile(
  header: Parameters<ReturnType<typeof tarPack>["entry"]>[0],
  body = "",
): Promise<Buffer> {
  const packing = tarPack();
  packing.entry(header, body);
  packing.finalize();
  return readAll(packing as unknown as AsyncIterable<Uint8Array>);
}

/** What became of each file, what is wrong with the tar, and what in it is no file. */
async function extractTo(folder: string | null, tar: Buffer) {
  const { files, ...rest } = await extractTar([tar] as unknown as AsyncIterable<Uint8Array>, folder);
  return {
    files: files.map(({ file, writtenAs, reason }) => [showName(file.name), writtenAs, reason]),
    ...rest,
  };
}

async function refusal(tar: Buffer): Promise<unknown> {
  return unpack(tar).then(
    () => null,
    (error) => [error.code, error.message],
  );
}

/** Several tars as one: their entries one after another. */
function joined(...tars: readonly Buffer[]): Buffer {
  const end = Buffer.alloc(1024);
  return Buffer.concat([...tars.map((tar) => tar.subarray(0, -1024)), end]);
}

test("a tar with something else than files is refused where it should be ours, and else left out", async (t) => {
  const folder = await makeFolder(t);
  const types = ["symlink", "link", "directory", "fifo", "character-device", "block-device"] as const;
  for (const type of types) {
    const other = await hostile({ name: "x", type, linkname: "/etc/passwd" });
    const what = `"x" in the tar is a ${type}, not a file`;
    assert.deepEqual(await refusal(other), ["CER_DAMAGED", what]);
    const tar = joined(other, await hostile({ name: type }, "after"));
    assert.deepEqual(await extractTo(folder, tar), {
      files: [[type, type, null]],
      faults: [],
      skipped: [what],
    });
  }
  assert.deepEqual((await readdir(folder)).sort(), [...types].sort());
});

test("A12 a: a tar's names that lead out or are taken are written inside, under free names", async (t) => {
  const folder = await makeFolder(t);
  const names = ["../evil", "/evil", "a/../../evil", "C:/evil", "./plain", "plain", "a/b", "a"];
  const tar = joined(...(await Promise.all(names.map((name) => hostile({ name }, name)))));
  assert.deepEqual(await extractTo(folder, tar), {
    files: [
      ["../evil", "evil", "it leads out of the folder"],
      ["/evil", "evil (2)", "it is an absolute path"],
      ["a/../../evil", "a/evil", "it leads out of the folder"],
      ["C:/evil", "C_/evil", "it is an absolute path"],
      ["./plain", "plain", null],
      ["plain", "plain (2)", "its name was taken"],
      ["a/b", "a/b", null],
      ["a", "a (2)", "its name was taken"],
    ],
    faults: [],
    skipped: [],
  });
  assert.equal(await readFile(join(folder, "evil (2)"), "utf8"), "/evil");
});

test("A12 b: a tar's name that is no UTF-8 keeps its bytes", async (t) => {
  const folder = await makeFolder(t);
  const odd = join(folder, "odd");
  const path = join(folder, "it.tar");
  await mkdir(odd);
  await writeFile(Buffer.concat([Buffer.from(`${odd}/a`), Buffer.from([0xff])]), "odd");
  await writeFile(join(odd, "größe"), "even");
  for (const format of ["ustar", "gnu"]) {
    await mkdir(join(folder, format));
    await run("tar", ["cf", path, `--format=${format}`, "--sort=name", "-C", odd, "."]);
    const tar = await readFile(path);
    assert.deepEqual(await extractTo(null, tar), {
      files: [
        ['"./a\\xFF"', null, null],
        ["./größe", null, null],
      ],
      faults: [],
      skipped: ['"./" in the tar is a directory, not a file'],
    });
    assert.deepEqual((await extractTo(join(folder, format), tar)).files, [
      ['"./a\\xFF"', "a_", "it holds bytes that are no UTF-8"],
      ["./größe", "größe", null],
    ]);
  }
});

test("A12 c: a tar that ends too early gives what comes before, and names the file that it breaks off in", async (t) => {
  const folder = await makeFolder(t);
  const [first, second] = [
    await hostile({ name: "first" }, "1"),
    await hostile({ name: "whole" }, "x".repeat(3000)),
  ];
  const tooEarly = "Not a whole tar: Unexpected end of data.";
  assert.deepEqual(await extractTo(folder, joined(first, second).subarray(0, 3000)), {
    files: [
      ["first", "first", null],
      ["whole", null, tooEarly],
    ],
    faults: [tooEarly],
    skipped: [],
  });
  assert.deepEqual(await readdir(folder), ["first"]);
  assert.deepEqual(await refusal(second.subarray(0, 2000)), ["CER_DAMAGED", tooEarly]);
  const noTar =
    "Not a whole tar: Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?.";
  await assert.rejects(extractTo(folder, Buffer.from("x".repeat(1024))), {
    code: "CER_DAMAGED",
    message: noTar,
  });
  await extractTo(folder, second);
  assert.equal(await readFile(join(folder, "whole"), "utf8"), "x".repeat(3000));
});
