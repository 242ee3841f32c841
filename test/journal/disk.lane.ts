/**
 * The journal on disks that really are full, read-only, or somebody else's. Needs root: it mounts small file systems,
 * gives directories away, and runs as another user.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { openJournal } from "../../src/journal/open.ts";
import {
  archiveOf,
  mustAdd,
  mustOpen,
  PLAIN,
  receiptOf,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";

const NOBODY = 65_534;

let base = "";
let mounts: string[] = [];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-disk-"));
  mounts = [];
});
afterEach(async () => {
  for (const mount of mounts) execFileSync("umount", [mount]);
  await rm(base, { recursive: true, force: true });
});

async function mountSmall(bytes: number): Promise<string> {
  const at = join(base, `disk${mounts.length}`);
  await mkdir(at, { mode: 0o700 });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=700`, "tmpfs", at]);
  mounts.push(at);
  return at;
}

test("a disk that fills up while a report is kept: told, nothing left behind, and the next small one fits", async () => {
  const disk = await mountSmall(1024 * 1024);
  const journal = await mustOpen(join(disk, "cer"), await sampleDeps());
  await writeFile(join(base, "big.log"), Buffer.alloc(2 * 1024 * 1024, "x"));
  const report = sampleReport("big", [{ path: join(base, "big.log"), name: "big.log", type: 5 }]);
  const added = await journal.add(report, PLAIN);
  assert.equal(
    added.outcome === "unprotected" && added.why.message,
    "The journal cannot be written to: the disk is full (ENOSPC).",
  );
  assert.deepEqual(
    [await readdir(join(disk, "cer/v1/new")), await readdir(join(disk, "cer/v1/removed"))],
    [[], []],
  );
  const claimed = await mustAdd(journal, sampleReport("small"));
  await claimed.settle({ state: "pending", due: null, reason: null });
  await journal.close();
});

test("a disk that is full when the report has been delivered: it is done all the same, with its receipt", async () => {
  const disk = await mountSmall(1024 * 1024);
  const journal = await mustOpen(join(disk, "cer"), await sampleDeps());
  await writeFile(join(base, "some.log"), Buffer.alloc(64 * 1024, "x"));
  const claimed = await mustAdd(
    journal,
    sampleReport("a", [{ path: join(base, "some.log"), name: "some.log", type: 5 }]),
  );
  await writeFile(join(disk, "filler"), Buffer.alloc(1024 * 1024)).catch(() => {});
  await assert.rejects(claimed.beginAttempt(1), {
    code: "CER_JOURNAL_UNAVAILABLE",
    message: "The journal cannot be written to: the disk is full (ENOSPC).",
  });
  await claimed.settle({ state: "done", receipt: receiptOf(claimed, Date.now()) });
  const [entry] = await journal.list();
  assert.equal(entry?.state, "done");
  assert.equal(entry && (await journal.show(entry)).receipt?.id, claimed.id);
  await journal.close();
});

test("an archive that the disk has no room for: told, and none of it is left there", async () => {
  const disk = await mountSmall(1024 * 1024);
  const journal = await mustOpen(join(disk, "cer"), await sampleDeps());
  const claimed = await mustAdd(journal, sampleReport("a"));
  const large = Buffer.alloc(2 * 1024 * 1024, "x");
  await assert.rejects(claimed.keepArchive(archiveOf(large)), {
    code: "CER_JOURNAL_UNAVAILABLE",
    message: "The journal cannot be written to: the disk is full (ENOSPC).",
  });
  assert.deepEqual((await readdir(claimed.path)).sort(), ["entry.json", "level1"]);
  await claimed.settle({ state: "pending", due: null, reason: null });
  await journal.close();
});

test("a read-only file system: no journal is a result, one that is there can be read, nothing can be added", async () => {
  const disk = await mountSmall(1024 * 1024);
  const before = await mustOpen(join(disk, "cer"), await sampleDeps());
  await (await mustAdd(before, sampleReport("a"))).settle({ state: "pending", due: null, reason: null });
  await before.close();
  execFileSync("mount", ["-o", "remount,ro", disk]);
  const none = await openJournal(join(disk, "other"), await sampleDeps());
  assert.equal(
    none.journal === null && none.why.message,
    "The journal cannot be written to: the file system is read-only (EROFS).",
  );
  const deps = await sampleDeps();
  const journal = await mustOpen(join(disk, "cer"), deps);
  const [entry] = await journal.list();
  assert.ok(entry);
  assert.equal((await journal.show(entry)).record?.id, entry.label.id);
  const added = await journal.add(sampleReport("b"), PLAIN);
  assert.equal(
    added.outcome === "unprotected" && added.why.message,
    "The journal cannot be written to: the file system is read-only (EROFS).",
  );
  await assert.rejects(journal.claim(entry), { code: "CER_JOURNAL_UNAVAILABLE" });
  await journal.prune();
  for await (const { claimed } of journal.claimDue()) assert.fail(claimed.id);
  assert.equal(deps.warnings.length, 1);
  await journal.close();
});

test("a directory of somebody else is refused: the journal's own, and one on the way", async () => {
  const other = join(base, "other");
  await mkdir(join(other, "mine"), { recursive: true, mode: 0o755 });
  await chown(other, NOBODY, NOBODY);
  for (const directory of [other, join(other, "mine"), join(other, "mine/deeper/cer")])
    await assert.rejects(openJournal(directory, await sampleDeps()), {
      code: "CER_JOURNAL_UNSAFE",
      message: `Reports cannot be kept safely: ${other} belongs to user ${NOBODY}, not to you or root.`,
    });
});

test("a user without rights gets a result from a place that is not theirs, and a journal from one that is", async () => {
  await chmod(base, 0o755);
  await mkdir(join(base, "theirs"), { mode: 0o700 });
  await chown(join(base, "theirs"), NOBODY, NOBODY);
  const root = await mustOpen(join(base, "roots"), await sampleDeps());
  await root.close();
  process.seteuid?.(NOBODY);
  try {
    const refused = await openJournal(join(base, "cer"), await sampleDeps({ uid: NOBODY }));
    assert.equal(
      refused.journal === null && refused.why.message,
      "The journal cannot be written to: permission denied (EACCES).",
    );
    const closed = await openJournal(join(base, "roots"), await sampleDeps({ uid: NOBODY }));
    assert.equal(
      closed.journal === null && closed.why.message,
      "The journal cannot be written to: permission denied (EACCES).",
    );
    const journal = await mustOpen(join(base, "theirs/cer"), await sampleDeps({ uid: NOBODY }));
    await (await mustAdd(journal, sampleReport("a"))).settle({ state: "pending", due: null, reason: null });
    await journal.close();
  } finally {
    process.seteuid?.(0);
  }
});

test("an entry that root made in a user's journal is told of, and the user's own is sent", async () => {
  await chmod(base, 0o755);
  await mkdir(join(base, "theirs"), { mode: 0o700 });
  await chown(join(base, "theirs"), NOBODY, NOBODY);
  const deps = await sampleDeps({ uid: NOBODY });
  process.seteuid?.(NOBODY);
  try {
    const journal = await mustOpen(join(base, "theirs/cer"), deps);
    process.seteuid?.(0);
    const roots = await mustAdd(journal, sampleReport("root's"));
    await roots.settle({ state: "pending", due: null, reason: null });
    process.seteuid?.(NOBODY);
    const own = await mustAdd(journal, sampleReport("own"));
    await own.settle({ state: "pending", due: null, reason: null });
    await journal.prune();
    const sent: string[] = [];
    for await (const { claimed } of journal.claimDue()) sent.push(claimed.id);
    assert.deepEqual(sent, [own.id]);
    assert.deepEqual(deps.warnings, [
      `Report ${roots.id} cannot be taken. The journal cannot be written to: permission denied (EACCES).`,
    ]);
    await journal.close();
  } finally {
    process.seteuid?.(0);
  }
});
