/** The built program under clocks that stand wrong (libfaketime): nothing is lost by them, and nothing ends. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { type Ended, inPlace, type Place, runCer } from "../support/run-cer.ts";
import { refusingPort, type ScriptedServer, startScripted } from "../support/scripted-server.ts";

/** What `faketime` puts before every program it starts. */
const PRELOAD = execFileSync("faketime", ["-f", "+0", "printenv", "LD_PRELOAD"], { encoding: "utf8" }).trim();

/** Runs `cer` at a time such as -20y, +60d, or @1590-01-01 00:00:00; null is the right one. */
type Cer = (clock: string | null, args: readonly string[]) => Promise<Ended>;

async function at(play: (cer: Cer, server: ScriptedServer, place: Place) => Promise<void>): Promise<void> {
  const server = await startScripted();
  try {
    await inPlace(async (place) => {
      await writeFile(join(place.directory, "setup.log"), "setup failed\n");
      const cer: Cer = (clock, args) =>
        runCer(place, args, { env: clock === null ? {} : { LD_PRELOAD: PRELOAD, FAKETIME: clock } });
      await play(cer, server, place);
    });
  } finally {
    await server.close();
  }
}

function submit(url: string, eventType: string): string[] {
  const event = ["--event-type", eventType, "--file", "setup.log", "--retries", "0", "--json"];
  return ["submit", "--server", url, ...event];
}

const outcomeOf = ({ stdout }: Ended) => JSON.parse(stdout) as Outcome;

const CLOCKS = [
  "@1590-01-01 00:00:00",
  "@1605-01-01 00:00:00",
  "@1969-12-31 00:00:00",
  "@1970-01-01 00:00:01",
  "@2006-01-01 00:00:00",
  "+400d",
  "@2099-01-01 00:00:00",
  "+9000y",
];

test("hostile 4: a report made at any wrong time is kept, and sent with its file once the clock is right", () =>
  at(async (cer, server) => {
    server.isDown = true;
    for (const clock of CLOCKS) {
      const { code, stderr } = await cer(clock, submit(server.url, "Made"));
      assert.equal(code, 75, `${clock}: ${stderr}`);
      await cer(null, ["flush"]);
      server.isDown = false;
      await cer(null, ["queue", "retry", "-"]);
      const flushed = await cer(null, ["flush", "--json"]);
      const { outcomes, waiting } = JSON.parse(flushed.stdout) as { outcomes: Outcome[]; waiting: number };
      assert.deepEqual(
        [flushed.code, outcomes.map(({ outcome }) => outcome), waiting],
        [0, ["uploaded"], 0],
        `${clock}: ${flushed.stderr}`,
      );
      const { id } = outcomes[0]?.journal ?? assert.fail();
      assert.equal((await cer(null, ["queue", "show", id])).code, 0, clock);
      assert.equal((await cer(null, ["queue", "drop", id])).code, 0, clock);
      server.isDown = true;
    }
    assert.equal(server.whole("PUT").length, CLOCKS.length);
  }));

test("hostile 4: a report is delivered at any wrong time", () =>
  at(async (cer, server) => {
    for (const clock of CLOCKS) {
      const sent = await cer(clock, submit(server.url, `Sent${clock}`));
      assert.deepEqual([sent.code, outcomeOf(sent).outcome], [0, "uploaded"], `${clock}: ${sent.stderr}`);
      assert.deepEqual(outcomeOf(sent).warnings, [], clock);
    }
    const listed = await cer(null, ["queue", "list", "--json"]);
    const { reports } = JSON.parse(listed.stdout) as { reports: { state: string }[] };
    assert.deepEqual([...new Set(reports.map(({ state }) => state))], ["done"]);
    assert.equal(reports.length, CLOCKS.length);
  }));

test("hostile 4: runs with the clock 60 days ahead, or far behind, give up nothing that waits and remove no receipt", () =>
  at(async (cer, server) => {
    const dead = `127.0.0.1:${await refusingPort()}`;
    assert.equal((await cer(null, submit(server.url, "Delivered"))).code, 0);
    for (const name of ["A", "B"]) assert.equal((await cer(null, submit(dead, name))).code, 75);
    for (const clock of ["+60d", "+60d", "+100y", "-20y", "@1969-01-01 00:00:00"]) {
      const { code, stdout } = await cer(clock, ["flush", "--json"]);
      const { pruned } = JSON.parse(stdout) as { pruned: object };
      assert.equal(code, 75, clock);
      assert.deepEqual(pruned, { recovered: [], givenUp: [], setAside: [], removed: [] }, clock);
    }
    assert.equal((await cer("+60d", submit(server.url, "Later"))).code, 0);
    const listed = await cer(null, ["queue", "list", "--json"]);
    const { reports } = JSON.parse(listed.stdout) as { reports: { state: string }[] };
    assert.deepEqual(reports.map(({ state }) => state).sort(), ["done", "done", "pending", "pending"]);
  }));
