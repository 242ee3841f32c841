import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { bundleChild } from "../support/journal/kill-at-every-step.ts";
import { FORCED, mustAdd, openHasty, sampleReport } from "../support/journal/samples.ts";

const child = await bundleChild(join(import.meta.dirname, "flush.child.ts"));
after(() => child.remove());

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cer-flush-"));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function many(count: number, args: readonly string[]): Promise<string[]> {
  const runs = Array.from({ length: count }, (_, number) => child.run([...args, `${number}`]));
  return (await Promise.all(runs)).map(({ code, signal, stdout, stderr }) => {
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    return stdout.trim();
  });
}

for (const count of [2, 20])
  test(`${count} processes flush one journal at once: each report arrives once`, async () => {
    await inDirectory(async (directory) => {
      const journal = await openHasty(`${directory}/journal`);
      const ids: string[] = [];
      for (let number = 0; number < 40; number++) {
        const claimed = await mustAdd(journal, sampleReport(`${number}`), FORCED);
        ids.push(claimed.id);
        await claimed.settle({ state: "pending", due: null, reason: null });
      }
      await many(count, [directory, "flush"]);
      assert.deepEqual(
        (await readFile(`${directory}/server`, "utf8")).trimEnd().split("\n").sort(),
        ids.sort(),
      );
      const listed = await journal.list();
      assert.deepEqual(
        listed.map(({ state, label }) => [state, label.bytes]),
        ids.map(() => ["done", 0]),
      );
      await journal.close();
      for (const left of ["new", "claimed", "removed", "set-aside", "owners"])
        assert.deepEqual(await readdir(`${directory}/journal/v1/${left}`), [], left);
      assert.deepEqual(await readdir(`${directory}/journal/v1/turn`), ["free"]);
    });
  });

test("twenty processes make a journal and add the same report at once: it is kept once", async () => {
  await inDirectory(async (directory) => {
    const outcomes = (await many(20, [directory, "add"])).sort();
    assert.deepEqual(outcomes, [...Array.from({ length: 19 }, () => "duplicate"), "kept"]);
    const journal = await openHasty(`${directory}/journal`);
    const listed = await journal.list();
    assert.deepEqual(
      listed.map(({ state }) => state),
      Array.from({ length: 21 }, () => "pending"),
    );
    assert.equal(new Set(listed.map(({ label }) => label.identity)).size, 21);
    const repeats = await Promise.all(listed.map((entry) => journal.repeats(entry)));
    assert.equal(
      repeats.reduce((sum, { duplicates }) => sum + duplicates, 0),
      19,
    );
    await journal.close();
  });
});
