/** Journals that cannot be used, or hold all they may. */

import assert from "node:assert/strict";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
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
import { inPlace, type Place, refugeOf } from "../support/run-cer.ts";
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

test("a journal that others could change: kept in a refuge, with the reason, and delivered", () =>
  at(async (place, server) => {
    const { directory } = place;
    // Below a directory that only this user can enter, it would be out of their reach.
    await chmod(directory, 0o755);
    await mkdir(join(directory, "open"));
    await chmod(join(directory, "open"), 0o777);
    const refuge = refugeOf(join(directory, "open/journal"));
    const { code, stdout } = await submit(place, server, "open/journal");
    await rm(refuge, { recursive: true });
    const { outcome, journal, warnings } = JSON.parse(stdout) as Outcome;
    assert.deepEqual([code, outcome, journal?.state], [0, "reported", "done"]);
    assert.deepEqual(warnings, [
      `It is kept in ${refuge}, because: Reports cannot be kept safely: ${directory}/open can be written to by others (mode 777).`,
    ]);
    assert.equal(server.whole("POST").length, 1);
  }));

test("a file where the journal should be, and a server that is down: kept in a refuge, from where flush sends it", () =>
  at(async (place, server) => {
    const { directory } = place;
    server.isDown = true;
    await writeFile(join(directory, "journal"), "");
    const { code, stdout } = await submit(place, server, "journal", ["--retries", "0"]);
    const { outcome, error, journal, warnings } = JSON.parse(stdout) as Outcome;
    assert.deepEqual(
      [code, outcome, error?.code, journal?.state],
      [75, "deferred", "CER_CONNECTION_LOST", "pending"],
    );
    const refuge = refugeOf(join(directory, "journal"));
    assert.deepEqual(warnings, [
      `It is kept in ${refuge}, because: Reports cannot be kept safely: ${directory}/journal is not a directory.`,
    ]);
    const listed = await program.run(place, ["queue", "list", "--journal", "journal"]);
    assert.match(listed.stdout, new RegExp(`^${journal?.id}  pending `));
    server.isDown = false;
    await program.run(place, ["queue", "retry", `${journal?.id}`, "--journal", "journal"]);
    const flushed = await program.run(place, ["flush", "--journal", "journal", "--json"]);
    assert.deepEqual([flushed.code, JSON.parse(flushed.stdout).outcomes.length], [0, 1]);
    assert.equal(server.whole("POST").length, 1);
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
