import assert from "node:assert/strict";
import { test } from "node:test";
import { type DeliveryResult, deliverUnprotected } from "../../src/delivery/deliver.ts";
import { keepAndDeliver } from "../../src/delivery/keep-and-deliver.ts";
import { exitCodeFor } from "../../src/delivery/outcome.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { LIMITS } from "../../src/journal/limits.ts";
import { attachedReport, keepReport, type TestContext, withContext } from "../support/context.ts";
import { FORCED, NOON, PLAIN } from "../support/journal/samples.ts";
import {
  answer,
  busy,
  ok,
  refusingPort,
  type Script,
  type ScriptedServer,
  startScripted,
} from "../support/scripted-server.ts";

const REPORTED = ok("Bucket=7\r\nBucketTable=2\r\n");

async function against(
  script: Script,
  play: (server: ScriptedServer, here: TestContext, journal: Journal) => Promise<void>,
): Promise<void> {
  const server = await startScripted(script);
  try {
    await withContext(async (here) => {
      const journal = await here.openJournal();
      await play(server, here, journal);
      await journal.close();
    });
  } finally {
    await server.close();
  }
}

async function submit(
  here: TestContext,
  port: number,
  journal: Journal,
  adding = PLAIN,
): Promise<DeliveryResult> {
  return submitReport(here, await attachedReport(here, port), journal, adding);
}

function submitReport(
  { context }: TestContext,
  report: Awaited<ReturnType<typeof attachedReport>>,
  journal: Journal,
  adding = PLAIN,
): Promise<DeliveryResult> {
  const options = { context, idleTimeout: 5000, until: null, retries: 0 };
  const fresh = { ...report, target: { destination: report.destination, noServer: null } };
  return keepAndDeliver(fresh, journal, adding, options, (why) => deliverUnprotected(report, why, options));
}

test("a fresh report is kept with its terms, delivered, and its receipt says who agreed", () =>
  against([REPORTED], async (server, here, journal) => {
    const { outcome, receipt } = await submit(here, server.port, journal);
    assert.deepEqual([outcome.outcome, outcome.journal?.state], ["reported", "done"]);
    assert.deepEqual(receipt?.consent, { level: "all", setBy: "--consent" });
  }));

test("what was delivered is not sent again, unless it is forced", () =>
  against([REPORTED], async (server, here, journal) => {
    const first = await submit(here, server.port, journal);
    const { outcome, receipt } = await submit(here, server.port, journal);
    assert.equal(receipt, null);
    assert.deepEqual(
      [outcome.outcome, outcome.bucket, outcome.bucketTable, outcome.error],
      ["duplicate", "7", "2", null],
    );
    const at = new Date(NOON).toISOString();
    assert.deepEqual(outcome.journal, { id: first.receipt?.id, state: "done", at });
    assert.equal(server.requests.length, 1);
    assert.equal((await submit(here, server.port, journal, FORCED)).outcome.outcome, "reported");
    assert.equal(server.requests.length, 2);
  }));

test("a report that a server told to wait is left alone until its time", () =>
  against([busy("3600")], async (server, here, journal) => {
    const first = await submit(here, server.port, journal);
    assert.deepEqual([first.outcome.outcome, first.outcome.error?.code], ["deferred", "CER_STATUS"]);
    const { outcome } = await submit(here, server.port, journal);
    assert.deepEqual([outcome.outcome, outcome.error?.code], ["deferred", "CER_ENTRY_WAITS"]);
    assert.deepEqual(outcome.journal, first.outcome.journal);
    assert.equal(server.requests.length, 1);
    here.clock.now += 3_600_000;
    assert.equal((await submit(here, server.port, journal)).outcome.error?.code, "CER_STATUS");
    assert.equal(server.requests.length, 2);
  }));

test("a report whose server was not there is tried in place of the one that repeats it", async () => {
  const port = await refusingPort();
  await withContext(async (here) => {
    const journal = await here.openJournal();
    const first = await submit(here, port, journal);
    assert.equal(first.outcome.error?.code, "CER_UNREACHABLE");
    const second = await submit(here, port, journal);
    assert.deepEqual(
      [second.outcome.outcome, second.outcome.error?.code, second.outcome.journal?.id],
      ["deferred", "CER_UNREACHABLE", first.outcome.journal?.id],
    );
    assert.equal((await journal.list()).length, 1);
    await journal.close();
  });
});

test("a report of the same event that another process sends is left to it", () =>
  against([answer(503)], async (server, here, journal) => {
    const first = await submit(here, server.port, journal);
    const other = await here.openJournal();
    const [waiting] = await other.list(["pending"]);
    const claimed = waiting === undefined ? null : await other.claim(waiting);
    assert.ok(claimed !== null);
    const { outcome } = await submit(here, server.port, journal);
    assert.equal(outcome.outcome, "duplicate");
    assert.deepEqual(outcome.journal, { id: first.outcome.journal?.id, state: "claimed", at: null });
    await claimed.settle({ state: "pending", due: null, reason: null });
    await other.close();
  }));

test("one too many of a kind is dropped, with the time of the next", () =>
  against([REPORTED], async (server, here, journal) => {
    const adding = { ...PLAIN, admission: { window: 0, perHour: 1 } };
    await submit(here, server.port, journal, adding);
    const { outcome } = await submit(here, server.port, journal, adding);
    assert.equal(outcome.outcome, "suppressed");
    const at = new Date(NOON + 3_600_000).toISOString();
    assert.deepEqual(outcome.journal, { id: "", state: "suppressed", at });
    assert.equal(server.requests.length, 1);
  }));

test("hostile 3: a full journal and a live server: sent directly, with a warning", () =>
  against([REPORTED], async (server, here) => {
    const journal = await here.openJournal({ limits: { ...LIMITS, maxEntries: 1 } });
    const waiting = await keepReport(journal, here, server.port, "waits");
    await waiting.settle({ state: "pending", due: null, reason: null });
    const { outcome, receipt } = await submit(here, server.port, journal);
    assert.deepEqual(
      [outcome.outcome, outcome.journal, outcome.error, receipt],
      ["reported", null, null, null],
    );
    assert.deepEqual(outcome.warnings, [
      `This report is not protected against loss: The journal ${journal.directory} is full: 1 reports wait already, the bound is 1.`,
    ]);
    assert.deepEqual(
      (await journal.list()).map(({ state, label }) => [state, label.id]),
      [["pending", waiting.id]],
    );
    await journal.close();
  }));

test("hostile 3: a full journal and a dead server: the delivery's own failure, and what to do about the journal", async () => {
  const port = await refusingPort();
  await withContext(async (here) => {
    const journal = await here.openJournal({ limits: { ...LIMITS, maxEntries: 0 } });
    const { outcome } = await submit(here, port, journal);
    assert.deepEqual(
      [outcome.outcome, outcome.error?.code, outcome.journal, exitCodeFor(outcome)],
      ["failed", "CER_UNREACHABLE", null, 3],
    );
    assert.match(
      outcome.warnings[0] ?? "",
      /is full: 0 reports wait already, .* --drop-oldest gives up the oldest/,
    );
    await journal.close();
  });
});

test("hostile 23: an event too large for the journal is sent directly, with the reason", () =>
  against([REPORTED], async (server, here, journal) => {
    const report = await attachedReport(here, server.port);
    const secondaryParameters = Array.from({ length: 100_001 }, () => ({ name: "n", value: "" }));
    const large = { ...report, event: { ...report.event, secondaryParameters } };
    const { outcome } = await submitReport(here, large, journal);
    assert.equal(outcome.outcome, "reported");
    assert.match(outcome.warnings[0] ?? "", /has 100001 items, the bound is 100000\.$/);
    assert.deepEqual(await journal.list(["new", "pending", "claimed", "done"]), []);
  }));

test("a report that seems to be there and never is, is left to whoever moves it, after three looks", () =>
  against([REPORTED], async (server, here, journal) => {
    let looks = 0;
    // No real process moves an entry three times between two looks.
    const restless: Journal = Object.create(journal, {
      add: {
        value: async () => {
          looks++;
          return { outcome: "duplicate", of: "20261124-120000000-aaaaaa", deliveredAt: null };
        },
      },
      list: { value: async () => [] },
    });
    await assert.rejects(submit(here, server.port, restless), { code: "CER_ENTRY_BUSY" });
    assert.deepEqual([looks, server.requests.length], [3, 0]);
  }));
