/** What somebody else's server keeps: its files, and both levels held against what the outcome says of them. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome } from "../../../src/delivery/outcome.ts";
import { filesBelow, hashesIn, hashOf } from "../files.ts";
import { runForeign } from "../foreign-program.ts";

export type Keeper = {
  /** Where the bodies of level 1 are kept, a file each. */
  readonly posted: string;
  /** The root that the DumpFile's path is put below. */
  readonly stored: string;
};

/**
 * One report and one archive were kept and nothing else; they are the bytes that the outcome tells; the archive opens in
 * two other programs and holds the report and every file as told.
 */
export async function assertKept({ posted, stored }: Keeper, path: string, outcome: Outcome): Promise<void> {
  const archive = join(stored, path);
  assert.deepEqual(await filesBelow(stored), [archive]);
  assert.equal(await hashOf(archive), outcome.level2?.archive.sha256);
  assert.match((await runForeign("cabextract", ["-t", archive])).stdout, /All done, no errors\.\n$/);
  assert.match((await runForeign("7z", ["t", archive])).stdout, /Everything is Ok/);

  const unpacked = await mkdtemp(join(tmpdir(), "cer-unpacked-"));
  try {
    await runForeign("cabextract", ["-q", "-d", unpacked, archive]);
    const told = outcome.level2?.archive.files ?? [];
    const hashes = new Map(told.map(({ name, sha256 }) => [name, sha256]));
    assert.deepEqual(await hashesIn(unpacked), hashes, "the files of the archive");
    const [report = "", ...others] = await filesBelow(posted);
    assert.deepEqual(others, [], "one POST");
    assert.deepEqual(await readFile(join(unpacked, "report.xml")), await readFile(report));
    assert.equal((await readFile(report)).length, outcome.level1?.bytes);
  } finally {
    await rm(unpacked, { recursive: true });
  }
}
