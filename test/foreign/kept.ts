/** What somebody else's server keeps: its files, and both levels held against what the outcome says of them. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Outcome } from "../../src/outcome.ts";

const run = promisify(execFile);

export type Keeper = {
  /** Where the bodies of level 1 are kept, a file each. */
  readonly posted: string;
  /** The root that the DumpFile's path is put below. */
  readonly stored: string;
};

export async function filesBelow(directory: string): Promise<string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

export async function sha256Of(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/**
 * One report and one archive were kept and nothing else; they are the bytes that the outcome tells; the archive opens in
 * two other programs and holds the report and every file as told.
 */
export async function assertKept({ posted, stored }: Keeper, path: string, outcome: Outcome): Promise<void> {
  const archive = join(stored, path);
  assert.deepEqual(await filesBelow(stored), [archive]);
  assert.equal(await sha256Of(archive), outcome.level2?.archive.sha256);
  assert.match((await run("cabextract", ["-t", archive])).stdout, /All done, no errors\.\n$/);
  assert.match((await run("7z", ["t", archive])).stdout, /Everything is Ok/);

  const unpacked = await mkdtemp(join(tmpdir(), "cer-unpacked-"));
  try {
    await run("cabextract", ["-q", "-d", unpacked, archive]);
    const told = outcome.level2?.archive.files ?? [];
    assert.deepEqual(
      (await filesBelow(unpacked)).sort(),
      told.map(({ name }) => join(unpacked, name)).sort(),
      "the files of the archive",
    );
    for (const { name, sha256 } of told) assert.equal(await sha256Of(join(unpacked, name)), sha256, name);
    const [report = "", ...others] = await filesBelow(posted);
    assert.deepEqual(others, [], "one POST");
    assert.deepEqual(await readFile(join(unpacked, "report.xml")), await readFile(report));
    assert.equal((await readFile(report)).length, outcome.level1?.bytes);
  } finally {
    await rm(unpacked, { recursive: true });
  }
}
