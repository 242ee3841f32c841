import assert from "node:assert/strict";
import { test } from "node:test";
import { flushDue } from "../../src/delivery/flush.ts";
import { CerError } from "../../src/errors.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { keepReport, type TestContext, withContext } from "../support/context.ts";
import { FORCED, mustAdd, NOON, sampleReport } from "../support/journal/samples.ts";
import {
  answer,
  busy,
  type Fault,
  neverAnswer,
  ok,
  refusingPort,
  startScripted,
} from "../support/scripted-server.ts";

const TAKES = ok("Bucket=7\r\n");

/** Reports for these ports, waiting, each a second younger than the one before. */
async function keepWaiting(journal: Journal, here: TestContext, ports: readonly number[]): Promise<void> {
  for (const [index, port] of ports.entries()) {
    const claimed = await keepReport(journal, here, port, `${index}`);
    await claimed.settle({ state: "pending", due: null, reason: "it was too early" });
    here.clock.now += 1000;
  }
}

/** What became of each, in the order in which they were sent. */
async function flush(journal: Journal, here: TestContext, until: number | null = null): Promise<string[]> {
  const ended: string[] = [];
  for await (const { outcome } of flushDue(journal, { context: here.context, idleTimeout: 5000, until }))
    ended.push(`${outcome.outcome} ${outcome.error?.code ?? ""}`.trim());
  return ended;
}

async function reasons(journal: Journal): Promise<(string | null | undefined)[]> {
  const listed = await journal.list(["pending"]);
  return Promise.all(listed.map(async (entry) => (await journal.show(entry)).progress?.reason));
}

async function against(
  faults: readonly Fault[],
  play: (port: number, requests: () => number, here: TestContext, journal: Journal) => Promise<void>,
): Promise<void> {
  const server = await startScripted(faults);
  try {
    await withContext(async (here) => {
      const journal = await here.openJournal();
      await play(server.port, () => server.requests.length, here, journal);
      await journal.close();
      // Nothing is left in the hands of a run that is over.
      assert.deepEqual(await journal.list(["claimed"]), []);
    });
  } finally {
    await server.close();
  }
}

test("what is due is sent, the oldest first; each is tried once", () =>
  against([TAKES, answer(503), TAKES], async (port, requests, here, journal) => {
    await keepWaiting(journal, here, [port, port, port]);
    assert.deepEqual(await flush(journal, here), ["reported", "deferred CER_STATUS", "reported"]);
    assert.equal(requests(), 3);
    assert.deepEqual(await flush(journal, here), []);
    assert.deepEqual(here.slept, []);
  }));

test("each run tries another report of a server that is away, until all have had their turn", () =>
  against([], async (_port, _requests, here, journal) => {
    const away = await refusingPort();
    await keepWaiting(journal, here, [away, away, away]);
    const tries = async () => {
      const listed = await journal.list(["pending"]);
      const shown = await Promise.all(listed.map((entry) => journal.show(entry)));
      return shown.map(({ progress }) => progress?.attempts.length ?? 0);
    };
    const seen: number[][] = [];
    for (let run = 0; run < 6; run++) {
      await flush(journal, here);
      seen.push(await tries());
      here.clock.now += 3 * 3_600_000;
    }
    assert.deepEqual(seen, [
      [1, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
      [2, 1, 1],
      [2, 2, 1],
      [2, 2, 2],
    ]);
  }));

test("a server that is away is tried once; its other reports stay as they are, those for another are sent", () =>
  against([TAKES], async (port, requests, here, journal) => {
    const away = await refusingPort();
    await keepWaiting(journal, here, [away, away, port, away]);
    assert.deepEqual(await flush(journal, here), ["deferred CER_UNREACHABLE", "reported"]);
    assert.equal(requests(), 1);
    const refused = `http://127.0.0.1:${away}: the connection was refused (ECONNREFUSED).`;
    assert.deepEqual(await reasons(journal), [refused, "it was too early", "it was too early"]);
    // They are still due.
    assert.deepEqual(await flush(journal, here), ["deferred CER_UNREACHABLE"]);
  }));

test("a report whose settings cannot be read any more is given up, and holds up no other", () =>
  against([TAKES], async (port, requests, here, journal) => {
    const claimed = await mustAdd(journal, { ...sampleReport("odd"), settings: { rules: "none" } }, FORCED);
    await claimed.settle({ state: "pending", due: null, reason: null });
    here.clock.now += 1000;
    await keepWaiting(journal, here, [port]);
    assert.deepEqual(await flush(journal, here), ["failed CER_DAMAGED", "reported"]);
    assert.equal(requests(), 1);
    assert.deepEqual((await journal.list()).map(({ state }) => state).sort(), ["abandoned", "done"]);
  }));

test("A6: a proxy in the environment that is none is passed over, and told with each report", () =>
  against([TAKES], async (port, requests, here, journal) => {
    await keepWaiting(journal, here, [port, port]);
    const context = { ...here.context, env: { http_proxy: "ftp://proxy" } };
    const warnings: (readonly string[])[] = [];
    for await (const { outcome } of flushDue(journal, { context, idleTimeout: 5000, until: null }))
      warnings.push(outcome.warnings);
    const told = [
      "The variable http_proxy holds a proxy by ftp://, which cer cannot use; it is passed over.",
    ];
    assert.deepEqual(warnings, [told, told]);
    assert.equal(requests(), 2);
  }));

test("no report is begun after the time is over, and what was not begun is still due", () =>
  against([TAKES], async (port, requests, here, journal) => {
    await keepWaiting(journal, here, [port, port, port]);
    let looks = 0;
    // The clock reaches the end with the second report.
    const context = { ...here.context, now: () => NOON + 3000 + (requests() > 1 ? 10_000 : looks++) };
    assert.deepEqual(await flush(journal, { ...here, context }, NOON + 8000), ["reported", "reported"]);
    assert.deepEqual(await flush(journal, here), ["reported"]);
    assert.equal(requests(), 3);
  }));

test("stopped in the middle: the one under way is kept, the others stay as they are", () =>
  against([TAKES, neverAnswer(), TAKES, TAKES], async (port, requests, here, journal) => {
    await keepWaiting(journal, here, [port, port, port]);
    const watch = setInterval(() => {
      if (requests() === 2) here.stop.abort(new CerError("CER_INTERRUPTED", "Stopped by SIGTERM."));
    }, 10);
    assert.deepEqual(await flush(journal, here), ["reported", "deferred CER_INTERRUPTED"]);
    clearInterval(watch);
    assert.deepEqual(await reasons(journal), ["Stopped by SIGTERM.", "it was too early"]);
    const context = { ...here.context, signal: new AbortController().signal };
    assert.deepEqual(await flush(journal, { ...here, context }), ["reported", "reported"]);
  }));

for (const [title, step] of [
  ["a day ahead", 86_400_000],
  ["a month back", -30 * 86_400_000],
] as const)
  test(`a clock that is set ${title} neither loses a report nor holds it back for good`, () =>
    against([busy("600"), TAKES], async (port, requests, here, journal) => {
      await keepWaiting(journal, here, [port]);
      assert.deepEqual(await flush(journal, here), ["deferred CER_STATUS"]);
      here.clock.now += step;
      await journal.prune();
      assert.deepEqual(await flush(journal, here), ["reported"]);
      assert.equal(requests(), 2);
    }));
