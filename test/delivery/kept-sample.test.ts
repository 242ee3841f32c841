import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { deliverClaimed } from "../../src/delivery/deliver.ts";
import { entryPath } from "../../src/journal/entry/layout.ts";
import { withContext } from "../support/context.ts";
import { ANSWERED, copyKeptJournal, LATER } from "../support/journal/kept-sample.ts";
import { ok, startScripted } from "../support/scripted-server.ts";

test("a report that an earlier version packed is delivered by one PUT of the kept archive", async () => {
  const server = await startScripted([ok()]);
  try {
    await withContext(async (here) => {
      here.clock.now = LATER;
      const root = join(here.directory, "journal");
      await copyKeptJournal(root);
      const journal = await here.openJournal();
      const listed = await journal.find(ANSWERED);
      const path = entryPath(root, "pending", listed.label);
      const archive = await readFile(`${path}/archive`);
      // The server of that time is not there any more; this one has a port of its own.
      const entry = await readFile(`${path}/entry.json`, "utf8");
      await writeFile(`${path}/entry.json`, entry.replace('"port": 1273', `"port": ${server.port}`));
      const claimed = await journal.claim(listed);
      assert.ok(claimed !== null);
      const { outcome, receipt } = await deliverClaimed(claimed, {
        context: here.context,
        idleTimeout: 5000,
        until: null,
        retries: 0,
      });
      assert.deepEqual([outcome.outcome, outcome.error, outcome.warnings], ["uploaded", null, []]);
      assert.deepEqual(
        server.requests.map(({ method, target }) => `${method} ${target}`),
        ["PUT /Cabs/7.cab"],
      );
      assert.deepEqual(server.requests[0]?.body, archive);
      assert.equal(server.requests[0]?.headers["content-type"], "application/vnd.ms-cab-compressed");
      assert.deepEqual(
        receipt?.attempts.map(({ level, status }) => [level, status]),
        [
          [1, 200],
          [2, 503],
          [2, 200],
        ],
      );
      assert.equal(receipt?.archive?.files.length, 4);
      assert.deepEqual([receipt?.declined, receipt?.redacted, receipt?.bucket], [1, 1, "507"]);
      await journal.close();
    });
  } finally {
    await server.close();
  }
});
