import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Spool } from "../../../src/archive/entries/spool.ts";
import { makeFolder } from "../../support/archives/cabinet.ts";

const run = promisify(execFile);

// A disk of 64 KiB takes the right to mount one.
test("a full disk is a clear error and leaves nothing", async (t) => {
  const folder = join(await makeFolder(t), "disk");
  await mkdir(folder);
  await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
  try {
    const spool = new Spool(folder, 0);
    await assert.rejects(spool.append(Buffer.alloc(1_000_000, 1)), {
      code: "CAB_WRITE_FAILED",
      message: `cannot write the temporary file in ${folder}: ENOSPC: no space left on device, write`,
    });
    await spool.dispose();
    assert.deepEqual(await readdir(folder), []);
  } finally {
    await run("umount", [folder]);
  }
});
