import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { writeCabinet } from "../../src/archive/cab/write/write.ts";
import { writeTar } from "../../src/archive/tar.ts";
import { verifyArchive } from "../../src/archive/verify.ts";
import { CerError } from "../../src/errors.ts";
import { readAll } from "../support/bytes.ts";

let place = "";
before(async () => {
  place = await mkdtemp(join(tmpdir(), "cer-verify-"));
});
after(() => rm(place, { recursive: true }));

const ENTRIES = [
  { name: "empty.txt", time: new Date(0), open: () => Buffer.alloc(0) },
  { name: "text.txt", time: new Date(0), open: () => Buffer.alloc(100_000, "some text, ") },
];

async function make(write: typeof writeCabinet | typeof writeTar): Promise<Buffer> {
  const archive = await write(ENTRIES, { spoolDir: place });
  const bytes = await readAll(archive.open());
  await archive.dispose();
  return bytes;
}

/** null when the archive is whole, the reason when it is not. */
async function verdictOn(bytes: Buffer, format: "cab" | "tar"): Promise<string | null> {
  const path = join(place, "archive");
  await writeFile(path, bytes);
  try {
    await verifyArchive(path, format);
    return null;
  } catch (thrown) {
    assert.ok(thrown instanceof CerError && thrown.code === "CER_DAMAGED", String(thrown));
    return thrown.message;
  }
}

test("a cabinet and a tar of ours are whole", async () => {
  assert.equal(await verdictOn(await make(writeCabinet), "cab"), null);
  assert.equal(await verdictOn(await make(writeTar), "tar"), null);
});

test("no cut of a cabinet and no change of one of its data bytes goes unnoticed", async () => {
  const bytes = await make(writeCabinet);
  for (let end = 0; end < bytes.length; end += 7)
    assert.notEqual(await verdictOn(bytes.subarray(0, end), "cab"), null, `cut at ${end}`);
  const data = bytes.indexOf("CK");
  for (let at = data; at < bytes.length; at += 5) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
    assert.notEqual(await verdictOn(changed, "cab"), null, `changed at ${at}`);
  }
});

test("a tar that ends too early is damaged", async () => {
  const bytes = await make(writeTar);
  assert.equal(await verdictOn(bytes.subarray(0, 50_000), "tar"), "Not a whole tar: Unexpected end of data.");
});

test("a cabinet compressed as this program cannot read is taken at its tables' word", async () => {
  const bytes = await make(writeCabinet);
  const firstFolder = 36;
  bytes.writeUInt16LE(0x1503, firstFolder + 6);
  assert.equal(await verdictOn(bytes, "cab"), null);
  assert.notEqual(await verdictOn(bytes.subarray(0, 60), "cab"), null);
});
