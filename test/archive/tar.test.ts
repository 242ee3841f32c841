import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { pack as tarPack } from "tar-stream";
import type { Entry, WriteOptions } from "../../src/archive/entries/entry.ts";
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

async function extractError(tar: Buffer, folder: string): Promise<unknown> {
  const source = [tar] as unknown as AsyncIterable<Uint8Array>;
  return extractTar(source, folder).then(
    () => null,
    (error) => [error.code, error.message],
  );
}

test("a tar that is not ours, not whole or not safe is refused", async (t) => {
  const folder = await makeFolder(t);
  const types = ["symlink", "link", "directory", "fifo", "character-device", "block-device"] as const;
  for (const type of types) {
    assert.deepEqual(
      await extractError(await hostile({ name: "x", type, linkname: "/etc/passwd" }), folder),
      ["CER_DAMAGED", `"x" in the tar is a ${type}, not a file`],
    );
  }
  for (const name of ["../evil", "/evil", "a/../../evil", "C:/evil"]) {
    assert.equal(
      ((await extractError(await hostile({ name }, "x"), folder)) as string[])[0],
      "CAB_BAD_NAME",
      name,
    );
  }
  const whole = await hostile({ name: "whole" }, "x".repeat(3000));
  assert.deepEqual(await extractError(whole.subarray(0, 2000), folder), [
    "CER_DAMAGED",
    "Not a whole tar: Unexpected end of data.",
  ]);
  assert.deepEqual(await extractError(Buffer.from("x".repeat(1024)), folder), [
    "CER_DAMAGED",
    "Not a whole tar: Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?.",
  ]);
  assert.deepEqual(await readdir(folder), []);
  assert.equal(await extractError(whole, folder), null);
  assert.equal(await readFile(join(folder, "whole"), "utf8"), "x".repeat(3000));
});
