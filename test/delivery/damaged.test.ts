import assert from "node:assert/strict";
import { rm, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type Manifest, parseManifest } from "../../src/collect/manifest.ts";
import { flushDue } from "../../src/delivery/flush.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { unpack } from "../support/archives/cabinet.ts";
import { keepReport, type TestContext, withContext } from "../support/context.ts";
import { hastyDisk } from "../support/journal/samples.ts";
import { ok, startScripted } from "../support/scripted-server.ts";

/** The attached files, and what is known of this file. */
const ASKS = ok(
  `Bucket=7\r\niData=1\r\nDumpFile=\\Cabs\\7.cab\r\nGetFileVersion=${import.meta.filename}\r\n`,
);

type Sent = {
  readonly outcome: Outcome;
  readonly files: ReadonlyMap<string, Buffer>;
  readonly manifest: Manifest;
  /** The attached file's own path. */
  readonly original: string;
};

/** A report that waits with a copied file, damaged by `damage`, and then sent by a flush. */
async function sendDamaged(damage: (copy: string, original: string) => Promise<unknown>): Promise<Sent> {
  const server = await startScripted([ASKS, ok()]);
  let sent: Sent | null = null;
  try {
    await withContext(async (here: TestContext) => {
      const clone = () => Promise.reject(Object.assign(new Error("ENOTSUP"), { code: "ENOTSUP" }));
      const journal = await here.openJournal({ disk: { ...hastyDisk(), clone } });
      const claimed = await keepReport(journal, here, server.port);
      const original = claimed.record.event.files[0]?.path ?? "";
      await claimed.settle({ state: "pending", due: null, reason: null });
      const [entry] = await journal.list();
      assert.ok(entry !== undefined);
      const again = await journal.claim(entry);
      await damage(again?.stored[0] ?? "", original);
      await again?.settle({ state: "pending", due: null, reason: null });
      for await (const { outcome } of flushDue(journal, {
        context: here.context,
        idleTimeout: 5000,
        until: null,
      })) {
        const files = new Map(await unpack(server.whole("PUT")[0]?.body ?? Buffer.alloc(0)));
        const manifest = parseManifest(files.get("manifest.json")?.toString() ?? "");
        sent = { outcome, files, manifest, original };
      }
      await journal.close();
    });
  } finally {
    await server.close();
  }
  assert.ok(sent !== null);
  return sent;
}

test("hostile 20: an emptied copy whose original is gone is declined by name, with a warning, and the rest is sent", async () => {
  const { outcome, files, manifest, original } = await sendDamaged(async (copy, original) => {
    await truncate(copy, 0);
    await rm(original);
  });
  const reason = "the copy that was kept cannot be used: it has 0 bytes, 208000 were written";
  assert.equal(outcome.outcome, "uploaded");
  assert.ok(!files.has("setup.log"), "nothing of it is in the archive");
  assert.deepEqual(outcome.declined, [{ kind: "File", item: "setup.log", reason }]);
  assert.deepEqual(outcome.warnings, [`${original} is not sent: ${reason}.`]);
  assert.deepEqual(manifest.items[0], {
    kind: "File",
    item: "setup.log",
    rule: "system",
    state: "declined",
    reason,
    files: [],
  });
});

test("hostile 20: a flipped copy whose original is as it was is replaced by it, and that is told", async () => {
  const { outcome, files, original } = await sendDamaged((copy) => writeFile(copy, "x".repeat(208_000)));
  assert.equal(outcome.outcome, "uploaded");
  assert.match(files.get("setup.log")?.toString() ?? "", /^setup failed: error 1603\r\n/);
  assert.deepEqual(outcome.declined, []);
  assert.deepEqual(outcome.warnings, [
    `${original} is taken from where it was, being still the same: the copy that was kept cannot be used: its SHA-256 is not that of what was written.`,
  ]);
});
