/** Journals that cannot be used, or hold all they may. */

import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import {
  FORCED,
  hastyDisk,
  mustAdd,
  mustOpen,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";
import { inPlace, type Place } from "../support/run-cer.ts";
import { type ScriptedServer, startScripted } from "../support/scripted-server.ts";
import { bundleProgram, type Program } from "../support/steps/stepped-program.ts";

let program: Program;
before(async () => {
  program = await bundleProgram();
});
after(() => program.remove());

async function at(play: (place: Place, server: ScriptedServer) => Promise<void>): Promise<void> {
  const server = await startScripted();
  try {
    await inPlace((place) => play(place, server));
  } finally {
    await server.close();
  }
}

function submit(place: Place, server: ScriptedServer, journal: string, more: readonly string[] = []) {
  const args = ["submit", "--server", server.url, "--event-type", "X", "-p", "1", "--no-level2", "--json"];
  return program.run(place, [...args, "--journal", journal, ...more]);
}

test("a journal that others could change: sent directly, with the reason, exit code 0", () =>
  at(async (place, server) => {
    const { directory } = place;
    // Below a directory that only this user can enter, it would be out of their reach.
    await chmod(directory, 0o755);
    await mkdir(join(directory, "open"));
    await chmod(join(directory, "open"), 0o777);
    const { code, stdout } = await submit(place, server, "open/journal");
    const { outcome, journal, warnings } = JSON.parse(stdout) as Outcome;
    assert.deepEqual([code, outcome, journal], [0, "reported", null]);
    assert.deepEqual(warnings, [
      `This report is not protected against loss: Reports cannot be kept safely: ${directory}/open can be written to by others (mode 777).`,
    ]);
    assert.equal(server.whole("POST").length, 1);
  }));

test("a file where the journal should be: sent directly, and flush says why it cannot", () =>
  at(async (place, server) => {
    const { directory } = place;
    await writeFile(join(directory, "journal"), "");
    const { code, stdout } = await submit(place, server, "journal");
    const { outcome, warnings } = JSON.parse(stdout) as Outcome;
    assert.deepEqual([code, outcome], [0, "reported"]);
    assert.deepEqual(warnings, [
      `This report is not protected against loss: Reports cannot be kept safely: ${directory}/journal is not a directory.`,
    ]);
    const flushed = await program.run(place, ["flush", "--journal", "journal"]);
    assert.deepEqual(
      [flushed.code, flushed.stderr.split("\n")[0]],
      [2, `cer: Reports cannot be kept safely: ${directory}/journal is not a directory.`],
    );
  }));

test("an unprotected report that cannot be delivered now is lost, and nobody is told otherwise", () =>
  at(async (place, server) => {
    const { directory } = place;
    server.isDown = true;
    await writeFile(join(directory, "journal"), "");
    const { code, stdout } = await submit(place, server, "journal", ["--retries", "1"]);
    const { outcome, error, journal } = JSON.parse(stdout) as Outcome;
    assert.deepEqual([code, outcome, error?.code, journal], [3, "failed", "CER_CONNECTION_LOST", null]);
  }));

test("a full journal refuses the new report, and --drop-oldest gives up the oldest for it", () =>
  at(async (place, server) => {
    const { directory } = place;
    const journal = await mustOpen(join(directory, "journal"), await sampleDeps({ disk: hastyDisk() }));
    const due = Date.now() + 3_600_000;
    for (let value = 0; value < 50; value++) {
      const claimed = await mustAdd(journal, sampleReport(`${value}`), FORCED);
      await claimed.settle({ state: "pending", due, reason: null });
    }
    const [oldest] = await journal.list();
    await journal.close();

    const refused = await submit(place, server, "journal");
    const { outcome, error } = JSON.parse(refused.stdout) as Outcome;
    assert.deepEqual(
      [refused.code, outcome, error],
      [
        1,
        "failed",
        {
          code: "CER_JOURNAL_FULL",
          message: `The journal ${directory}/journal is full: 50 reports wait already, the bound is 50. The report was neither kept nor sent.`,
          hint: "Send what waits with cer flush, see it with cer queue list, give up the oldest with --drop-oldest, or leave attached files where they are with --no-copy.",
        },
      ],
    );
    assert.equal(server.requests.length, 0);

    const taken = await submit(place, server, "journal", ["--drop-oldest"]);
    const told = JSON.parse(taken.stdout) as Outcome;
    assert.deepEqual([taken.code, told.outcome], [0, "reported"]);
    assert.deepEqual(told.warnings, [
      `Report ${oldest?.label.id} was given up to make room for a newer one.`,
    ]);
    const states = (await journal.list()).map(({ state }) => state);
    assert.deepEqual(
      ["pending", "abandoned", "done"].map((state) => states.filter((one) => one === state).length),
      [49, 1, 1],
    );
  }));
