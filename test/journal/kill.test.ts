import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { ARCHIVE, DAY, mustAdd, mustOpen, NOON, sampleDeps, sampleReport } from "./sample.ts";
import { bundleChild, killAtEveryStep } from "./steps.ts";

const child = await bundleChild(join(import.meta.dirname, "kill.child.ts"));
after(() => child.remove());

const LOG = Buffer.from("setup failed\n".repeat(1000));
const DUMP = Buffer.from("MDMP\0\x01\x02\x03".repeat(1000));

test("killed at any step, the next run finds one whole report, and everything that was acknowledged", async () => {
  const steps = await killAtEveryStep(
    async (directory, log, killAt) => {
      await writeFile(`${directory}/setup.log`, LOG);
      await writeFile(`${directory}/setup.dmp`, DUMP);
      return child.run([directory, log, `${killAt}`]);
    },
    async (directory, step, number) => {
      // The originals may be gone by the retry.
      await writeFile(`${directory}/setup.log`, "overwritten");
      const acks = (await readFile(`${directory}/acks`, "utf8").catch(() => "")).split("\n");
      try {
        await checkRecovery(`${directory}/journal`, new Set(acks));
      } catch (error) {
        throw new Error(`killed at step ${number}, ${step}, acknowledged: ${acks}`, { cause: error });
      }
    },
  );
  assert.ok(steps.length > 300, `${steps.length} steps`);
  for (const kind of [
    "half write",
    "after rename",
    "before sync",
    "after unlink",
    "before rmdir",
    "before mkdir",
  ])
    assert.ok(
      steps.some((step) => step.startsWith(kind)),
      kind,
    );
});

async function checkRecovery(directory: string, acks: ReadonlySet<string>): Promise<void> {
  const deps = await sampleDeps({ now: () => NOON + 2 * DAY });
  const journal = await mustOpen(directory, deps);
  await journal.prune();
  const listed = await journal.list();
  const shown = await Promise.all(listed.map((entry) => journal.show(entry)));
  const first = shown.filter(
    ({ record, receipt }) =>
      (record ?? receipt)?.level1.size === sampleReport("first").level1.length &&
      isFirst(record?.event.parameters[0]?.value, receipt),
  );
  assert.equal(new Set(listed.map(({ label }) => label.id)).size, listed.length, "an entry is there twice");
  assert.deepEqual(
    listed.filter(({ state }) => state === "claimed"),
    [],
  );

  if (acks.has("kept") && !acks.has("old")) assert.equal(first.length, 1, "the acknowledged report");
  assert.ok(first.length <= 1, "the report is there twice");
  if (acks.has("delivered") && !acks.has("old")) assert.equal(first[0]?.listed.state, "done");
  if (!acks.has("kept")) assert.ok(!listed.some(({ state }) => state === "done"));

  for (const { listed: entry, receipt } of shown) {
    if (entry.state === "done") {
      assert.equal(receipt?.archive?.size, ARCHIVE.length);
      assert.equal(entry.label.bytes, 0);
    }
    if (entry.state !== "pending") continue;
    const held = await journal.claim(entry);
    assert.ok(held !== null, "a waiting report can be claimed");
    if (held.event.files.length > 0) {
      const [log, dump] = held.event.files;
      assert.deepEqual(await readFile(log?.path ?? ""), LOG);
      assert.deepEqual(await readFile(dump?.path ?? ""), DUMP);
      if (acks.has("answered")) assert.deepEqual(held.answer?.body, Buffer.from("iData=1\r\n"));
      if (acks.has("packed")) {
        assert.deepEqual(Buffer.concat((await held.archive?.open().toArray()) ?? []), ARCHIVE);
        assert.deepEqual(held.archive?.files, ["setup.log"]);
      }
    }
    await held.settle({ state: "abandoned", reason: "seen" });
  }
  // The turn is free, and the journal works.
  const held = await mustAdd(journal, sampleReport("later"));
  await held.settle({ state: "abandoned", reason: "seen" });
  await journal.close();
  const torn = await journal.listSetAside();
  for (const name of torn) assert.match(name, /^new\./, "only a report that nobody was told of is set aside");
}

function isFirst(value: string | undefined, receipt: unknown): boolean {
  return value === "first" || receipt !== null;
}
