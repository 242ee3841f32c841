/** The journal under clocks that stand wrong: what is made then can be read and is sent, and nothing ends by it. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { ClaimedReport } from "../../src/journal/claimed-report.ts";
import { parseReceipt } from "../../src/journal/entry/receipt.ts";
import type { Journal } from "../../src/journal/journal.ts";
import {
  DAY,
  HOUR,
  mustAdd,
  NOON,
  openHasty,
  PLAIN,
  receiptOf,
  sampleReport,
} from "../support/journal/samples.ts";

let base = "";
let now = NOON;
let warnings: string[] = [];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-clock-"));
  now = NOON;
  warnings = [];
});
afterEach(() => rm(base, { recursive: true, force: true }));

async function open(): Promise<Journal> {
  const warn = (problem: string) => warnings.push(problem);
  return openHasty(join(base, "cer"), { now: () => now, warn });
}

const NOTHING = { recovered: [], givenUp: [], setAside: [], removed: [] };
const LOST = { status: null, errorCode: "CER_UNREACHABLE", peer: null };
const inside = (...path: string[]) => join(base, "cer/v1", ...path);
const states = async (journal: Journal) => (await journal.list()).map(({ state }) => state);

async function fail(claimed: ClaimedReport): Promise<void> {
  await claimed.beginAttempt(1);
  await claimed.endAttempt(LOST);
}

async function claimAll(journal: Journal): Promise<ClaimedReport[]> {
  const all: ClaimedReport[] = [];
  for await (const { claimed } of journal.claimDue()) all.push(claimed);
  return all;
}

/** Before year 1, before 1601, before 1970, at its beginning, no battery, ahead, beyond four digits. */
const CLOCKS = [
  -1e14,
  Date.UTC(1590, 0, 1),
  Date.UTC(1960, 5, 6),
  0,
  Date.UTC(2006, 0, 1),
  Date.UTC(2099, 0, 1),
  Date.UTC(11_000, 0, 1),
  8.64e15,
];

test("hostile 4: a report made and tried at any wrong time is kept, found again, and waits when the clock is right", async () => {
  for (const clock of CLOCKS) {
    now = clock;
    const journal = await open();
    const claimed = await mustAdd(journal, sampleReport(`${clock}`));
    for (let time = 0; time < 3; time++) await fail(claimed);
    await claimed.settle({ state: "pending", due: now + HOUR, reason: "no route" });
    await journal.close();
  }
  now = NOON;
  const journal = await open();
  await journal.prune();
  assert.deepEqual([journal.pruned, warnings], [NOTHING, []]);
  const all = await claimAll(journal);
  assert.deepEqual(
    all.map(({ record }) => record.event.parameters[0]?.value).sort(),
    CLOCKS.map((clock) => `${clock}`).sort(),
  );
  for (const claimed of all) {
    await fail(claimed);
    assert.deepEqual(claimed.counted, { count: 4, age: 0 });
    await claimed.settle({ state: "pending", due: null, reason: null });
  }
  await journal.close();
});

test("hostile 4: a receipt written at any wrong time is one", async () => {
  for (const clock of CLOCKS) {
    now = clock;
    const journal = await open();
    const claimed = await mustAdd(journal, sampleReport(`${clock}`));
    await claimed.settle({ state: "done", receipt: receiptOf(claimed, now) });
    await journal.close();
  }
  assert.equal((await readdir(inside("done"))).length, CLOCKS.length);
  for (const name of await readdir(inside("done"))) {
    const text = await readFile(inside("done", name, "receipt.json"), "utf8");
    assert.equal(parseReceipt(text).id, name.slice(0, 25));
  }
});

test("hostile 4: a run with a clock far ahead or behind gives nothing up, and removes no receipt, note or set-aside", async () => {
  const journal = await open();
  for (const name of ["a", "b"]) {
    const waiting = await mustAdd(journal, sampleReport(name));
    for (let time = 0; time < 3; time++) await fail(waiting);
    await waiting.settle({ state: "pending", due: null, reason: null });
  }
  const done = await mustAdd(journal, sampleReport("done"));
  await done.settle({ state: "done", receipt: receiptOf(done, NOON) });
  await journal.add(sampleReport("done"), PLAIN);
  await writeFile(inside("pending", "foreign"), "");
  await journal.prune();
  await journal.close();
  for (const name of await readdir(inside("repeats"))) await utimes(inside("repeats", name), 0, 0);
  const everything = async () => [await readdir(inside("repeats")), await readdir(inside("set-aside"))];
  const before = await everything();
  assert.deepEqual(
    before.map(({ length }) => length),
    [1, 2],
  );
  for (const jump of [31 * DAY, 60 * DAY, 70 * 365 * DAY, -DAY * 40, -NOON, -2 * NOON]) {
    now = NOON + jump;
    const wrong = await open();
    await wrong.prune();
    assert.deepEqual(wrong.pruned, NOTHING, `${jump / DAY} days`);
    assert.deepEqual(await states(wrong), ["pending", "pending", "done"]);
    await wrong.close();
  }
  assert.deepEqual(await everything(), before);
});

test("a report made by a clock far ahead does not keep receipts for ever", async () => {
  now = Date.UTC(2099);
  const journal = await open();
  const ahead = await mustAdd(journal, sampleReport("ahead"));
  await ahead.settle({ state: "done", receipt: receiptOf(ahead, now) });
  now = NOON;
  const done = await mustAdd(journal, sampleReport("done"));
  await done.settle({ state: "done", receipt: receiptOf(done, now) });
  now += 8 * DAY;
  await journal.prune();
  assert.deepEqual(journal.pruned.removed, [done.id]);
  await journal.close();
});

test("pruning gives a report up only when its last try failed after it had been tried for thirty days", async () => {
  const journal = await open();
  const tried = await mustAdd(journal, sampleReport("tried"));
  await (await mustAdd(journal, sampleReport("untried"))).settle({
    state: "pending",
    due: null,
    reason: null,
  });
  for (const day of [0, 10, 20, 29]) {
    now = NOON + day * DAY;
    await fail(tried);
  }
  await tried.settle({ state: "pending", due: null, reason: null });
  now = NOON + 40 * DAY;
  await journal.prune();
  assert.deepEqual(journal.pruned, NOTHING, "it was young when it was last tried");
  const again = (await claimAll(journal)).find(({ id }) => id === tried.id);
  assert.ok(again !== undefined);
  await again.beginAttempt(1);
  await journal.close();
  await journal.prune();
  assert.deepEqual(journal.pruned.givenUp, [], "a try that was cut short says nothing");
  const last = (await claimAll(journal)).find(({ id }) => id === tried.id);
  assert.ok(last !== undefined);
  await fail(last);
  await last.settle({ state: "pending", due: null, reason: null });
  await journal.close();
  await journal.prune();
  const reason = "It was tried for more than 30 days.";
  assert.deepEqual(journal.pruned.givenUp, [{ id: tried.id, reason }]);
  assert.deepEqual(warnings, [`Report ${tried.id} was given up: ${reason}`]);
  const [given] = await journal.list(["abandoned"]);
  assert.equal(given && (await journal.reason(given)), reason);
  assert.deepEqual(await states(journal), ["pending", "abandoned"].sort().reverse());
  await journal.close();
});

test("retry by a clock far ahead counts the tries after it all the same", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  await fail(claimed);
  await claimed.settle({ state: "abandoned", reason: "" });
  now = Date.UTC(2099);
  await journal.retry(claimed.id);
  now = NOON;
  const [again] = await claimAll(journal);
  assert.ok(again !== undefined);
  assert.deepEqual(again.counted, { count: 0, age: 0 });
  for (const day of [0, 20, 40]) {
    now = NOON + day * DAY;
    await fail(again);
  }
  assert.deepEqual(again.counted, { count: 3, age: 40 * DAY });
  await journal.close();
});

/** A report that is damaged, and set aside when it is claimed. */
async function damageOne(journal: Journal): Promise<void> {
  await (await mustAdd(journal, sampleReport(`${now}`))).settle({
    state: "pending",
    due: null,
    reason: null,
  });
  const [name = ""] = await readdir(inside("pending"));
  await truncate(inside("pending", name, "level1"), 1);
  assert.deepEqual(await claimAll(journal), []);
}

test("what was set aside is told with its reason, and cleaned thirty days later, with its note", async () => {
  const journal = await open();
  await damageOne(journal);
  const [aside] = await journal.listSetAside();
  assert.ok(aside !== undefined);
  const reason = "level1 is not what was written: its SHA-256 differs.";
  assert.deepEqual([aside.at, aside.reason], [new Date(NOON).toISOString(), reason]);
  assert.match(aside.id ?? "", /^20261124-120000000-[0-9a-z]{6}$/);
  assert.deepEqual(journal.pruned, { ...NOTHING, setAside: [aside] });
  now = NOON + 30 * DAY;
  await journal.prune();
  assert.deepEqual(await journal.listSetAside(), [aside]);
  now += 1;
  await journal.prune();
  assert.deepEqual(journal.pruned, { ...NOTHING, setAside: [aside], removed: [aside.name] });
  assert.equal(warnings.at(-1), `What was set aside as ${aside.name} had its time there and was removed.`);
  assert.deepEqual(await readdir(inside("set-aside")), []);
  await journal.close();
});

test("what an earlier version set aside, or a clock that stood wrong, has its thirty days from the next run on", async () => {
  const journal = await open();
  for (const clock of [Date.UTC(2006), Date.UTC(2099), NOON]) {
    now = clock;
    await damageOne(journal);
  }
  const names = (await readdir(inside("set-aside"))).filter((name) => !name.endsWith(".why"));
  const right = names.find((name) => name.includes("20261124-")) ?? "";
  const old = right.replace(/[0-9a-z]+-([0-9a-f]{6})$/, "$1");
  await rename(inside("set-aside", right), inside("set-aside", old));
  await rm(inside("set-aside", `${right}.why`));
  await (await mustAdd(journal, sampleReport("fresh"))).settle({ state: "pending", due: null, reason: null });
  now += 1000;
  await journal.prune();
  const marked = await journal.listSetAside();
  assert.deepEqual(
    marked.map(({ at, reason }) => [at, reason === null]),
    [
      [new Date(NOON + 1000).toISOString(), false],
      [new Date(NOON + 1000).toISOString(), true],
      [new Date(NOON + 1000).toISOString(), false],
    ],
  );
  assert.deepEqual(journal.pruned.removed, []);
  now = NOON + 29 * DAY;
  await (await mustAdd(journal, sampleReport("later"))).settle({ state: "pending", due: null, reason: null });
  now = NOON + 31 * DAY;
  await journal.prune();
  assert.deepEqual(journal.pruned.removed.sort(), marked.map(({ name }) => name).sort());
  assert.deepEqual(await readdir(inside("set-aside")), []);
  await journal.close();
});

test("a name of any length finds room among what was set aside", async () => {
  const journal = await open();
  const long = "ü".repeat(127);
  await writeFile(inside("pending", long), "");
  await journal.prune();
  assert.equal(warnings.length, 1);
  assert.deepEqual(await readdir(inside("pending")), []);
  const [aside] = await journal.listSetAside();
  assert.deepEqual([aside?.id, aside?.reason], [null, `There is something foreign in pending: "${long}".`]);
  await journal.close();
});
