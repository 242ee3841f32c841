/** Journals that cannot be used, or hold all they may. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { encodeTerms, resolveTerms } from "../../src/config/terms.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import type { Pruned } from "../../src/journal/store.ts";
import {
  FORCED,
  mustAdd,
  mustOpen,
  openHasty,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";
import { inPlace, type Place, refugeOf } from "../support/run-cer.ts";
import { refusingPort, type ScriptedServer, startScripted } from "../support/scripted-server.ts";
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

const TERMS = resolveTerms([], { format: "cab", compression: null, splitLarge: false });

/** Fills a journal with reports that wait for an hour; the ids. */
async function fill(place: Place, count: number, port: number): Promise<string[]> {
  const journal = await openHasty(join(place.directory, "journal"));
  const due = Date.now() + 3_600_000;
  const ids: string[] = [];
  for (let value = 0; value < count; value++) {
    const report = sampleReport(`${value}`);
    const destination = {
      origin: { scheme: "http", host: "127.0.0.1", port },
      path: "/stage2.htm",
      from: "--server",
    } as const;
    const claimed = await mustAdd(journal, { ...report, destination, settings: encodeTerms(TERMS) }, FORCED);
    await claimed.settle({ state: "pending", due, reason: null });
    ids.push(claimed.id);
  }
  await journal.close();
  return ids;
}

async function statesIn(place: Place): Promise<string[]> {
  const journal = await mustOpen(join(place.directory, "journal"), await sampleDeps());
  return (await journal.list()).map(({ state }) => state);
}

test("hostile 3, G1: a full journal and a live server: sent directly with a warning, exit code 0; --drop-oldest still makes room", () =>
  at(async (place, server) => {
    const [oldest] = await fill(place, 50, await refusingPort());
    const sent = await submit(place, server, "journal");
    const { outcome, error, journal, warnings } = JSON.parse(sent.stdout) as Outcome;
    assert.deepEqual([sent.code, outcome, error, journal], [0, "reported", null, null]);
    assert.deepEqual(warnings, [
      `This report is not protected against loss: The journal ${place.directory}/journal is full: 50 reports wait already, the bound is 50.`,
    ]);
    assert.equal(server.whole("POST").length, 1);

    const taken = await submit(place, server, "journal", ["--drop-oldest"]);
    const told = JSON.parse(taken.stdout) as Outcome;
    assert.deepEqual([taken.code, told.outcome], [0, "reported"]);
    assert.deepEqual(told.warnings, [`Report ${oldest} was given up to make room for a newer one.`]);
    const states = await statesIn(place);
    assert.deepEqual(
      ["pending", "abandoned", "done"].map((state) => states.filter((one) => one === state).length),
      [49, 1, 1],
    );
  }));

test("hostile 3, G1: what was sent beside a full journal flushes it, as any delivery does", () =>
  at(async (place, server) => {
    const ids = await fill(place, 50, server.port);
    const retried = await program.run(place, ["queue", "retry", ids[7] ?? "", "--journal", "journal"]);
    assert.equal(retried.code, 0, retried.stderr);
    const sent = await submit(place, server, "journal");
    assert.equal(sent.code, 0, sent.stderr);
    assert.match(sent.stderr, /^Delivered 1 that waited from earlier runs\.$/m);
    assert.equal((await statesIn(place)).filter((state) => state === "pending").length, 49);
  }));

test("hostile 3: a full journal and a dead server: exit code 3, neither kept nor sent, and what to do", () =>
  at(async (place, server) => {
    await fill(place, 50, await refusingPort());
    server.isDown = true;
    const args = [
      "submit",
      "--server",
      server.url,
      "--event-type",
      "X",
      "--retries",
      "0",
      "--journal",
      "journal",
    ];
    const { code, stdout, stderr } = await program.run(place, args);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(stderr, /^warning: .* is full: 50 reports wait already.* --drop-oldest gives up the oldest/);
    assert.match(stderr, /\nThe report was neither kept nor sent\.\n$/);
    assert.equal((await statesIn(place)).length, 50);
  }));

test("a report set aside makes flush exit with 3, says why in its JSON, and queue list shows it", () =>
  at(async (place, server) => {
    const [first = "", second = ""] = await fill(place, 2, server.port);
    const pending = join(place.directory, "journal/v1/pending");
    const [damaged = ""] = (await readdir(pending)).filter((name) => name.startsWith(first));
    await writeFile(join(pending, damaged, "level1"), "torn");
    for (const id of [first, second])
      await program.run(place, ["queue", "retry", id, "--journal", "journal"]);
    const flushed = await program.run(place, ["flush", "--json", "--journal", "journal"]);
    const { outcomes, waiting, pruned } = JSON.parse(flushed.stdout) as {
      outcomes: Outcome[];
      waiting: number;
      pruned: Pruned;
    };
    const reason = "level1 is not what was written: its SHA-256 differs.";
    assert.deepEqual(
      [flushed.code, outcomes.map(({ outcome }) => outcome), waiting],
      [3, ["reported"], 0],
      flushed.stderr,
    );
    const [aside] = pruned.setAside;
    assert.deepEqual([pruned.setAside.length, aside?.id, aside?.reason], [1, first, reason]);
    assert.match(flushed.stderr, new RegExp(`^warning: Report ${first} cannot be used: ${reason}`));
    const listed = await program.run(place, ["queue", "list", "--journal", "journal"]);
    assert.match(listed.stdout, new RegExp(`^${first}  set aside    ${aside?.at}  ${reason}$`, "m"));
    const json = await program.run(place, ["queue", "list", "--json", "--journal", "journal"]);
    assert.deepEqual((JSON.parse(json.stdout) as { setAside: unknown }).setAside, [aside]);
    const again = await program.run(place, ["flush", "--journal", "journal"]);
    assert.deepEqual([again.code, again.stdout], [0, "Nothing waits.\n"]);
  }));

test("a report set aside by the flush after a delivery is told by the submit that did it", () =>
  at(async (place, server) => {
    const [first = ""] = await fill(place, 1, server.port);
    const pending = join(place.directory, "journal/v1/pending");
    const [name = ""] = await readdir(pending);
    await writeFile(join(pending, name, "answer.json"), "torn");
    await program.run(place, ["queue", "retry", first, "--journal", "journal"]);
    const sent = await submit(place, server, "journal");
    assert.equal(sent.code, 0);
    assert.match(
      sent.stderr,
      new RegExp(`^warning: Report ${first} cannot be used: answer\\.json is not JSON`, "m"),
    );
  }));

test("hostile 32: a FIFO in the place of a kept archive holds up neither list, show, flush nor submit", () =>
  at(async (place, server) => {
    server.isDown = true;
    await writeFile(join(place.directory, "setup.log"), "failed");
    const event = [
      "--event-type",
      "X",
      "--file",
      "setup.log",
      "--journal",
      "journal",
      "--server",
      server.url,
    ];
    assert.equal((await program.run(place, ["submit", ...event, "--retries", "0"])).code, 75);
    server.isDown = false;
    const pending = join(place.directory, "journal/v1/pending");
    const [name = ""] = await readdir(pending);
    const facts = { size: 6, sha256: "0".repeat(64) };
    const about = { files: [], declined: [], warnings: [], mediaType: "application/x", redacted: 0 };
    await writeFile(join(pending, name, "archive.json"), JSON.stringify({ ...facts, about }));
    execFileSync("mkfifo", [join(pending, name, "archive")]);
    await program.run(place, ["queue", "retry", "2", "--journal", "journal"]);
    for (const args of [["list"], ["show", "2"]])
      assert.equal((await program.run(place, ["queue", ...args, "--journal", "journal"])).code, 0);
    const flushed = await program.run(place, ["flush", "--journal", "journal"]);
    assert.equal(flushed.code, 0, flushed.stderr);
    assert.match(
      flushed.stderr,
      /^warning: Report \S+: archive cannot be read \(EINVAL\)\. It is done without\.$/m,
    );
    assert.equal(server.whole("PUT").length, 1);
  }));

test("G8: what is dropped is called so, and the next one that is let through tells how many were", () =>
  at(async (place, server) => {
    await writeFile(join(place.directory, "few.json"), '{"reportsPerHour": 1, "duplicateHours": 0}');
    const run = (ahead: number, ...more: string[]) =>
      program.run(
        place,
        [
          "submit",
          "--server",
          server.url,
          "--event-type",
          "X",
          "--no-level2",
          "--config",
          "few.json",
          ...more,
        ],
        { ahead },
      );
    assert.equal((await run(0)).code, 0);
    for (let time = 0; time < 2; time++) {
      const { code, stdout } = await run(0);
      assert.equal(code, 0);
      assert.match(stdout, /^Dropped: .*; the next one is let through at \d{4}-\d\d-\d\dT[0-9:.]+Z\.$/m);
    }
    const next = JSON.parse((await run(3_700_000, "--json")).stdout) as Outcome;
    assert.deepEqual(
      [next.outcome, next.warnings],
      ["reported", ["2 reports of this kind were dropped since the last one that was let through."]],
    );
  }));
