import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, open, readdir, readFile, readlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { promisify } from "node:util";
import { path7za } from "7zip-bin";
import fc from "fast-check";
import { readCabinet } from "../../../../src/archive/cab/read/tables.ts";
import { writeCabinet } from "../../../../src/archive/cab/write/write.ts";
import type { Entry, EntryResult } from "../../../../src/archive/entries/entry.ts";
import { bytesSource } from "../../../support/archives/bytes-source.ts";
import { entry, makeFolder, pack, TIME, unpack } from "../../../support/archives/cabinet.ts";
import { dumpBytes, logText, randomBytes } from "../../../support/archives/inputs.ts";
import { openFile } from "../../../support/archives/opened-file.ts";
import { readAll, sha256 } from "../../../support/bytes.ts";

const run = promisify(execFile);

/** What 7-Zip, as npm brings it, makes of a cabinet: name → hash. */
async function extractWith7z(cabinet: Buffer, folder: string): Promise<Record<string, string>> {
  await chmod(path7za, 0o755);
  const path = join(folder, "it.cab");
  const target = join(folder, "out");
  await mkdir(target);
  await writeFile(path, cabinet);
  await run(path7za, ["x", "-y", `-o${target}`, path]);
  const files = await readdir(target, { recursive: true, withFileTypes: true });
  const found = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
  const hashed = await Promise.all(
    found.map(async (file) => [file.slice(target.length + 1), sha256(await readFile(file))] as const),
  );
  return Object.fromEntries(hashed);
}

test("7-Zip and our reader find in it what went in, at every level", async (t) => {
  const contents: [string, Buffer][] = [
    ["dump.mdmp", dumpBytes(1_500_000, 1)],
    ["log.txt", logText(1_200_001, 2)],
    ["random.bin", randomBytes(400_000, 3)],
    ["zeros", Buffer.alloc(300_000)],
    ["empty", Buffer.alloc(0)],
    ["sub\\größe.txt", Buffer.from("€")],
  ];
  for (const compression of [0, 1, 4, 9] as const) {
    const { bytes, archive } = await pack(
      contents.map(([name, body]) => entry(name, body)),
      { compression },
    );
    assert.equal(archive.size, bytes.length);
    assert.equal(archive.sha256, sha256(bytes));
    assert.deepEqual(await unpack(bytes), contents, `level ${compression}`);
    const extracted = await extractWith7z(bytes, await makeFolder(t));
    const wanted = contents.map(([name, body]) => [name.replace("\\", "/"), sha256(body)]);
    assert.deepEqual(extracted, Object.fromEntries(wanted), `level ${compression}`);
  }
});

test("sizes around a block's and a segment's come back", async () => {
  const sizes = [0, 1, 32_767, 32_768, 32_769, 65_536, 1_048_575, 1_048_576, 1_048_577, 3_000_000];
  const log = logText(3_000_000, 5);
  for (const compression of [0, 4] as const) {
    for (const size of sizes) {
      const { bytes } = await pack([entry("x", log.subarray(0, size))], { compression });
      assert.deepEqual(
        await unpack(bytes),
        [["x", log.subarray(0, size)]],
        `${size} bytes, level ${compression}`,
      );
    }
  }
});

test("no entries make a cabinet without files", async () => {
  const { bytes, archive } = await pack([]);
  assert.deepEqual(await unpack(bytes), []);
  assert.deepEqual(archive.files, []);
  assert.equal(
    bytes.toString("hex"),
    `4d534346 00000000 2c000000 00000000 2c000000 00000000 0301 0100 0000 0000 0000 0000 2c000000 0000 0100`.replaceAll(
      " ",
      "",
    ),
  );
});

test("a tiny stored cabinet is these bytes", async () => {
  const { bytes } = await pack([entry("hello.txt", "Hello, world!\n")], { compression: 0 });
  const expected = [
    "4d534346 00000000 5c000000 00000000 2c000000 00000000 0301 0100 0100 0000 0000 0000",
    "46000000 0100 0000",
    "0e000000 00000000 0000 645c c428 2000 68656c6c6f2e74787400",
    "4c1a2e7f 0e00 0e00 48656c6c6f2c20776f726c64210a",
  ];
  assert.equal(bytes.toString("hex"), expected.join("").replaceAll(" ", ""));
});

test("the same entries make the same bytes, whatever pieces their bodies come in", async (t) => {
  const folder = await makeFolder(t);
  const body = Buffer.concat([dumpBytes(2_000_000, 9), logText(500_000, 8), randomBytes(200_000, 7)]);
  const path = join(folder, "body");
  await writeFile(path, body);
  async function* inPieces(size: number) {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
  }
  const hashes = new Set<string>();
  const bodies = [body, body, inPieces(999), inPieces(70_001), inPieces(5_000_000)];
  for (const each of bodies) hashes.add((await pack([entry("a", each), entry("b", "tail")])).archive.sha256);
  const file = { name: "a", time: TIME, open: () => openFile(path) };
  hashes.add((await pack([file, entry("b", "tail")])).archive.sha256);
  const handle = {
    name: "a",
    time: TIME,
    open: async () => ({ handle: await open(path), size: body.length }),
  };
  hashes.add((await pack([handle, entry("b", "tail")], { memoryLimit: 0, spoolDir: folder })).archive.sha256);
  assert.equal(hashes.size, 1);
});

test("any entries come back", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.integer({ min: 0, max: 80_000 }), fc.integer()).map(([size, seed]) => dumpBytes(size, seed)),
    fc
      .tuple(fc.integer({ min: 0, max: 20_000 }), fc.integer())
      .map(([size, seed]) => randomBytes(size * 4, seed)),
  );
  const body = fc.array(piece, { maxLength: 3 }).map((pieces) => Buffer.concat(pieces));
  const level = fc.constantFrom(0, 1, 4, 6, 9) as fc.Arbitrary<0 | 1 | 4 | 6 | 9>;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string({ maxLength: 12 }), body), { maxLength: 5 }),
      level,
      async (wanted, compression) => {
        const { bytes, archive } = await pack(
          wanted.map(([name, content]) => entry(name, content)),
          { compression },
        );
        const named = new Map(
          archive.files.map(({ name, wanted: original, sha256: hash }) => [name, [original, hash]]),
        );
        const found = await unpack(bytes);
        assert.equal(named.size, wanted.length);
        assert.deepEqual(
          new Map(found.map(([name, content]) => [name, [named.get(name)?.[0], sha256(content)]])),
          named,
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("the first crash dump comes first, the rest stays in order", async () => {
  const names = ["report.xml", "a.txt", "Second.MDMP", "third.dmp", "dmp", "z.hdmp"];
  const { bytes } = await pack(names.map((name) => entry(name, name)));
  const found = (await readCabinet(bytesSource(bytes))).files.map(({ name }) => name);
  assert.deepEqual(found, ["Second.MDMP", "report.xml", "a.txt", "third.dmp", "dmp", "z.hdmp"]);
});

test("an entry is opened when its turn comes and told what became of those before it", async () => {
  const told: string[] = [];
  const tell = (name: string): Entry => ({
    name,
    time: TIME,
    open: (before) => {
      told.push(`${name} after ${before.map((result) => result.name).join(",")}`);
      return Buffer.from(name);
    },
  });
  const { archive } = await pack([tell("a"), tell("A"), tell("c.dmp")]);
  assert.deepEqual(told, ["c.dmp after ", "a after c.dmp", "A after c.dmp,a"]);
  assert.deepEqual(archive.files[1], {
    name: "a",
    wanted: "a",
    size: 1,
    sha256: sha256(Buffer.from("a")),
    state: "stored",
    reason: null,
    parts: [],
  } satisfies EntryResult);
  assert.equal(archive.files[2]?.name, "A (2)");
});

test("a file has the attribute of all files; a name beyond ASCII is marked as UTF-8", async () => {
  const { bytes } = await pack([entry("plain", ""), entry("ünicode", "")]);
  const { files } = await readCabinet(bytesSource(bytes));
  assert.deepEqual(
    files.map(({ attributes, time }) => [attributes, time?.toISOString()]),
    [0x20, 0xa0].map((attributes) => [attributes, TIME.toISOString()]),
  );
});

/** The result of one entry among two that are well, and that these two are. */
async function resultOf(
  name: string,
  open: Entry["open"],
  options = {},
): Promise<Omit<EntryResult, "wanted" | "parts">> {
  const { bytes, archive } = await pack(
    [entry("before", "1"), { name, time: TIME, open }, entry("after", "2")],
    options,
  );
  const [first, result, last] = archive.files;
  assert.deepEqual([first?.state, last?.state], ["stored", "stored"]);
  assert.ok(result !== undefined && result.wanted === name);
  const contents = new Map(await unpack(bytes));
  assert.equal(contents.get("before")?.toString() ?? "", "1");
  assert.equal(contents.get("after")?.toString() ?? "", "2");
  const content = contents.get(name);
  assert.equal(result.name, content === undefined ? null : name);
  assert.equal(result.sha256, content === undefined ? null : sha256(content));
  assert.equal(result.size, content?.length ?? 0);
  const { wanted: _, parts: __, ...rest } = result;
  return rest;
}

test("an entry that declines, fails to open or fails at once is not in the archive, and says why", async () => {
  const absent = { name: null, size: 0, sha256: null };
  assert.deepEqual(await resultOf("x", () => null), { ...absent, state: "left-out", reason: "not wanted" });
  const throws = () => {
    throw new Error("access denied");
  };
  assert.deepEqual(await resultOf("x", throws), { ...absent, state: "failed", reason: "access denied" });
  assert.deepEqual(await resultOf("x", async () => throws()), {
    ...absent,
    state: "failed",
    reason: "access denied",
  });
  assert.deepEqual(await resultOf("x", () => Readable.from(failingAfter([]))), {
    ...absent,
    state: "failed",
    reason: "disk on fire",
  });
  assert.deepEqual(await resultOf("x", () => Readable.from(["text"])), {
    ...absent,
    state: "failed",
    reason: "the body's stream gave string where bytes were expected",
  });
});

async function* failingAfter(chunks: Buffer[]) {
  yield* chunks;
  throw new Error("disk on fire");
}

test("an entry that fails in the middle is cut there", async () => {
  const content = logText(1_500_000, 3);
  const result = await resultOf("x", () => failingAfter([content.subarray(0, 99), content.subarray(99)]));
  assert.deepEqual(result, {
    name: "x",
    size: 1_500_000,
    sha256: sha256(content),
    state: "cut",
    reason: "disk on fire",
  });
});

test("a file that grows is stored as it was when opened; one that shrinks is cut", async (t) => {
  const path = join(await makeFolder(t), "file");
  const content = logText(400_000, 4);
  await writeFile(path, content);
  const grown = await resultOf("x", async () => {
    const file = openFile(path);
    await writeFile(path, Buffer.concat([content, content]));
    return file;
  });
  assert.deepEqual(grown, {
    name: "x",
    size: 400_000,
    sha256: sha256(content),
    state: "stored",
    reason: null,
  });
  const shrunk = await resultOf("x", async () => {
    const file = openFile(path);
    await truncate(path, 300_000);
    return file;
  });
  assert.deepEqual(shrunk, {
    name: "x",
    size: 300_000,
    sha256: sha256(content.subarray(0, 300_000)),
    state: "cut",
    reason: "it shrank while it was read, from 800000 bytes to 300000",
  });
  const emptied = await resultOf("x", async () => {
    const file = openFile(path);
    await truncate(path, 0);
    return file;
  });
  assert.equal(emptied.reason, "it shrank while it was read, from 300000 bytes to 0");
  assert.equal(emptied.state, "failed");
});

test("what is no regular file is not opened, nor waited for", async (t) => {
  const folder = await makeFolder(t);
  await run("mkfifo", [join(folder, "pipe")]);
  assert.equal(
    (await resultOf("x", () => openFile(join(folder, "pipe")))).reason,
    `${join(folder, "pipe")} is not a regular file`,
  );
  assert.equal((await resultOf("x", () => openFile(folder))).reason, `${folder} is not a regular file`);
});

test("a file larger than a cabinet's folder is left out, with both numbers, before it is read", async (t) => {
  const path = join(await makeFolder(t), "huge");
  await writeFile(path, "");
  await truncate(path, 2_147_450_881);
  assert.deepEqual(await resultOf("huge", () => openFile(path)), {
    name: null,
    size: 0,
    sha256: null,
    state: "left-out",
    reason: "2147450881 bytes; a file in a cabinet has at most 2147450880",
  });
});

test("what does not fit uncompressed is left out before it is read", async (t) => {
  const path = join(await makeFolder(t), "huge");
  await writeFile(path, "");
  await truncate(path, 2_147_450_880);
  const result = await resultOf("huge", () => openFile(path), { compression: 0 });
  assert.equal(result.state, "left-out");
  assert.match(
    result.reason ?? "",
    /^2147450880 bytes, not compressed; 2129[0-9]{6} are left of the cabinet's 2147483647$/,
  );
});

async function openFilesIn(folder: string): Promise<string[]> {
  const links = await readdir("/proc/self/fd");
  const targets = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return targets.filter((target) => target.startsWith(folder));
}

test("aborting at any point leaves no file, no open handle and nothing unhandled", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "source");
  await writeFile(path, randomBytes(4_000_000, 6));
  for (let step = 0; step < 40; step++) {
    const controller = new AbortController();
    const reason = new Error(`stop at ${step}`);
    let left = step;
    const maybeStop = () => {
      if (left-- === 0) controller.abort(reason);
    };
    const opens = (): Entry => ({
      name: "f",
      time: TIME,
      open: async () => {
        maybeStop();
        const { handle, size } = openFile(path);
        await new Promise(setImmediate);
        maybeStop();
        const watched = {
          /** Asked for at every read. */
          get fd() {
            maybeStop();
            return handle.fd;
          },
          close: handle.close,
        };
        return { handle: watched, size };
      },
    });
    const writing = writeCabinet([opens(), opens(), opens()], {
      spoolDir: folder,
      memoryLimit: 100_000,
      signal: controller.signal,
    });
    if (left < 0) await assert.rejects(writing, (error) => error === reason);
    else {
      const archive = await writing.catch((error) => assert.equal(error, reason));
      await archive?.dispose();
    }
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual(await readdir(folder), ["source"]);
    assert.deepEqual(await openFilesIn(folder), [], `step ${step}`);
  }
});

test("a body, an open and a list that never answer do not keep an abort waiting", async () => {
  const never = new Promise<never>(() => undefined);
  let destroyed = false;
  const hanging = new Readable({
    read() {},
    destroy(error, done) {
      destroyed = true;
      done(error);
    },
  });
  async function* hangingList(): AsyncGenerator<Entry> {
    yield entry("a", "a");
    await never;
  }
  for (const entries of [
    [entry("x", hanging)],
    [{ name: "x", time: TIME, open: () => never }],
    hangingList(),
  ]) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await assert.rejects(writeCabinet(entries, { spoolDir: tmpdir(), signal: controller.signal }), {
      message: "enough",
    });
  }
  assert.equal(destroyed, true);
});

test("a spool that cannot be written ends it, with every handle closed", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "source");
  await writeFile(path, randomBytes(4_000_000, 6));
  await assert.rejects(
    writeCabinet([{ name: "f", time: TIME, open: () => openFile(path) }], {
      spoolDir: join(folder, "no"),
      memoryLimit: 0,
    }),
    { code: "CAB_WRITE_FAILED" },
  );
  assert.deepEqual(await openFilesIn(folder), []);
});

test("an archive can be read twice at a time, and not after it was disposed of", async (t) => {
  const archive = await writeCabinet([entry("r", randomBytes(3_000_000, 1))], {
    spoolDir: await makeFolder(t),
    memoryLimit: 1000,
  });
  const [first, second] = await Promise.all([readAll(archive.open()), readAll(archive.open())]);
  assert.ok(first.equals(second));
  assert.equal(sha256(first), archive.sha256);
  await archive.dispose();
  await archive.dispose();
  await assert.rejects(readAll(archive.open()), { code: "CAB_WRITE_FAILED" });
});
