import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathOnDisk } from "../../src/system/path-on-disk.ts";

/** `name` with this byte in the place of `?`, below a directory. */
function bytesOf(directory: string, name: string, byte: number): Buffer {
  const [before = "", after = ""] = name.split("?");
  return Buffer.concat([Buffer.from(`${directory}/${before}`), Buffer.of(byte), Buffer.from(after)]);
}

async function inFolder(play: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cer-names-"));
  try {
    await play(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

test("a name that is not UTF-8 is found by what its bytes read as, in folders of such names as well", () =>
  inFolder(async (directory) => {
    const folder = bytesOf(directory, "d?", 0xe9);
    await mkdir(folder);
    const file = Buffer.concat([folder, Buffer.from("/caf"), Buffer.of(0xe9), Buffer.from(".log")]);
    await writeFile(file, "");
    assert.deepEqual(await pathOnDisk(`${directory}/d\ufffd/caf\ufffd.log`), file);
    assert.equal(
      await pathOnDisk(`${directory}/d\ufffd/tee\ufffd.log`),
      `${directory}/d\ufffd/tee\ufffd.log`,
    );
  }));

test("a name that is there as it is written, or that holds no such character, is itself", () =>
  inFolder(async (directory) => {
    await writeFile(bytesOf(directory, "a?.log", 0xe9), "");
    await writeFile(`${directory}/a\ufffd.log`, "");
    assert.equal(await pathOnDisk(`${directory}/a\ufffd.log`), `${directory}/a\ufffd.log`);
    assert.equal(await pathOnDisk(`${directory}/none.log`), `${directory}/none.log`);
  }));

test("where two names read alike, or the only one is a link, none is guessed", () =>
  inFolder(async (directory) => {
    const asked = `${directory}/setup-\ufffd.log`;
    await symlink("/etc/hostname", bytesOf(directory, "setup-?.log", 0x80));
    assert.equal(await pathOnDisk(asked), asked);
    await writeFile(bytesOf(directory, "setup-?.log", 0xe9), "");
    assert.equal(await pathOnDisk(asked), asked);
  }));
