import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Disk, Facts } from "../../../src/journal/disk/disk.ts";
import { openJournal } from "../../../src/journal/open.ts";
import { FORCED, mustAdd, mustOpen, sampleDeps, sampleReport } from "../../support/journal/samples.ts";

let base = "";
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-safety-"));
  await chmod(base, 0o755);
});
afterEach(() => rm(base, { recursive: true, force: true }));

/** The real disk, on which one path is said to be different: an owner can be given away by root only. */
function pretending(disk: Disk, path: string, change: Partial<Facts>): Disk {
  return {
    ...disk,
    facts: async (asked) => ({ ...(await disk.facts(asked)), ...(asked === path ? change : {}) }),
  };
}

async function refusal(
  directory: string,
  change: Partial<{ disk: Disk; uid: number | null }> = {},
): Promise<unknown> {
  const deps = await sampleDeps(change);
  await assert.rejects(openJournal(directory, deps), (error) => {
    assert.equal((error as { code?: unknown }).code, "CER_JOURNAL_UNSAFE");
    return true;
  });
  const error = await openJournal(directory, deps).catch((thrown) => thrown);
  return [error.message, error.hint];
}

const CHOOSE = "another place with --journal DIR or CER_JOURNAL.";

test("what the journal makes, only its owner can enter and read", async () => {
  const journal = await mustOpen(join(base, "deep/down/cer"), await sampleDeps());
  const claimed = await mustAdd(journal, sampleReport("a"), FORCED);
  for (const name of await readdir(base, { recursive: true })) {
    const { mode } = await stat(join(base, name));
    assert.equal((mode & 0o777).toString(8), mode & 0o040000 ? "700" : "600", name);
  }
  await claimed.settle({ state: "abandoned", reason: "" });
  await journal.close();
});

test("a directory on the way that others can write to is refused, and the way out is said", async () => {
  await mkdir(join(base, "open"));
  await chmod(join(base, "open"), 0o775);
  assert.deepEqual(await refusal(join(base, "open/mine/cer")), [
    `Reports cannot be kept safely: ${base}/open can be written to by others (mode 775).`,
    `Run: chmod go-w "${base}/open", or choose ${CHOOSE}`,
  ]);
  assert.deepEqual(await readdir(join(base, "open")), [], "nothing was made");
});

test("below a directory that only its owner can enter, others have no say", async () => {
  await mkdir(join(base, "closed/open"), { recursive: true });
  await chmod(join(base, "closed"), 0o700);
  await chmod(join(base, "closed/open"), 0o777);
  await (await mustOpen(join(base, "closed/open/cer"), await sampleDeps())).close();
  await chmod(join(base, "closed"), 0o710);
  assert.match(
    String(await refusal(join(base, "closed/open/cer"))),
    /closed\/open can be written to by others/,
  );
});

test("a sticky directory like /tmp is safe to be in, unless the journal's own name was taken by another", async () => {
  const { disk, uid } = await sampleDeps();
  await mkdir(join(base, "tmp"));
  await chmod(join(base, "tmp"), 0o1777);
  await (await mustOpen(join(base, "tmp/cer"), await sampleDeps())).close();
  const other = (uid ?? 0) + 1;
  assert.deepEqual(
    await refusal(join(base, "tmp/cer"), { disk: pretending(disk, join(base, "tmp/cer"), { uid: other }) }),
    [
      `Reports cannot be kept safely: ${base}/tmp/cer belongs to user ${other}, not to you or root.`,
      `Choose ${CHOOSE}`,
    ],
  );
});

test("the version's directory is looked at like the journal's own", async () => {
  const deps = await sampleDeps();
  await (await mustOpen(join(base, "cer"), deps)).close();
  await chmod(join(base, "cer"), 0o755);
  await chmod(join(base, "cer/v1"), 0o777);
  assert.match(String(await refusal(join(base, "cer"))), /cer\/v1 can be written to by others/);
});

test("a link is followed if it is ours, to a place that obeys the same rules", async () => {
  const { disk, uid } = await sampleDeps();
  await mkdir(join(base, "good"), { mode: 0o700 });
  await mkdir(join(base, "bad"));
  await chmod(join(base, "bad"), 0o777);
  await symlink(join(base, "good"), join(base, "to-good"));
  await symlink("bad", join(base, "to-bad"));
  await (await mustOpen(join(base, "to-good/cer"), await sampleDeps())).close();
  assert.ok((await readdir(join(base, "good/cer/v1"))).includes("pending"));
  assert.match(String(await refusal(join(base, "to-bad/cer"))), /\/bad can be written to by others/);
  const foreign = pretending(disk, join(base, "to-good"), { uid: (uid ?? 0) + 1 });
  assert.match(
    String(await refusal(join(base, "to-good/cer"), { disk: foreign })),
    /to-good belongs to user/,
  );
});

test("a file in the way is said to be one", async () => {
  const { disk } = await sampleDeps();
  await (await disk.create(join(base, "cer"))).close();
  assert.match(String(await refusal(join(base, "cer"))), /\/cer is not a directory/);
});

test("on Windows, the journal's directory must be a real one", async () => {
  await mkdir(join(base, "real"));
  await symlink(join(base, "real"), join(base, "junction"));
  const root = join(base, "junction/v1/new");
  await mkdir(join(base, "junction/v1"), { recursive: true });
  await symlink(join(base, "real"), root);
  assert.match(
    String(await refusal(join(base, "junction"), { uid: null })),
    /v1\/new is a link or no directory/,
  );
});
