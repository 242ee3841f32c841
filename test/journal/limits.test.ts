import assert from "node:assert/strict";
import { test } from "node:test";
import { formatId, formatTime, type Listed, type State } from "../../src/journal/entry/layout.ts";
import { isOldReceipt, LIMITS, planRoom } from "../../src/journal/limits.ts";
import { DAY, NOON } from "../support/journal/samples.ts";

const SMALL = { ...LIMITS, maxEntries: 3, maxBytes: 10_000 };
const KEEP = { dropOldest: false };
const DROP = { dropOldest: true };

function listed(state: State, age: number, bytes: number): Listed {
  const createdAt = NOON - age;
  const label = {
    id: formatId(createdAt, "aaaaaa"),
    bytes,
    identity: "0",
    signature: "0",
    mark: formatTime(createdAt),
  };
  return { state, label, createdAt };
}

test("the defaults are those of the documentation", () => {
  assert.deepEqual(LIMITS, {
    maxEntries: 50,
    maxBytes: 1_073_741_824,
    maxAge: 30 * DAY,
    keepReceipts: 7 * DAY,
  });
});

test("what fits needs no room", () => {
  assert.deepEqual(planRoom([], 10_000, SMALL, KEEP), { fits: true, remove: [], giveUp: [] });
  const two = [listed("pending", 1, 100), listed("claimed", 2, 100)];
  assert.deepEqual(planRoom(two, 9800, SMALL, KEEP), { fits: true, remove: [], giveUp: [] });
});

test("a report larger than everything is refused, whatever may be dropped", () => {
  assert.deepEqual(planRoom([], 10_001, SMALL, DROP), {
    fits: false,
    why: "it is 10001 bytes, more than the journal's 10000 in all",
  });
});

test("one too many is refused, unless the oldest that waits may be given up", () => {
  const three = [listed("pending", 2, 1), listed("pending", 9, 1), listed("claimed", 99, 1)];
  assert.deepEqual(planRoom(three, 1, SMALL, KEEP), {
    fits: false,
    why: "3 reports wait already, the bound is 3",
  });
  assert.deepEqual(planRoom(three, 1, SMALL, DROP), { fits: true, remove: [], giveUp: [three[1]] });
  const claimed = [1, 2, 3].map((age) => listed("claimed", age, 1));
  assert.equal(planRoom(claimed, 1, SMALL, DROP).fits, false, "what is being sent is nobody's to drop");
});

test("no age makes a waiting report give way: a clock that stood wrong would empty the journal", () => {
  const three = [listed("pending", 300 * DAY, 1), listed("pending", 30 * DAY, 1), listed("claimed", 1, 1)];
  assert.deepEqual(planRoom(three, 1, SMALL, KEEP), {
    fits: false,
    why: "3 reports wait already, the bound is 3",
  });
  assert.deepEqual(planRoom(three, 1, SMALL, DROP), { fits: true, remove: [], giveUp: [three[0]] });
});

test("for bytes, the oldest receipts go first, then the oldest given-up reports, and waiting ones never", () => {
  const entries = [
    listed("pending", 50, 3000),
    listed("abandoned", 40, 1500),
    listed("abandoned", 60, 1000),
    listed("done", 10, 0),
    listed("done", 20, 0),
  ];
  const room = (bytes: number) => {
    const plan = planRoom(entries, bytes, { ...SMALL, maxBytes: 14_000 }, KEEP);
    return plan.fits ? plan.remove.map((entry) => entries.indexOf(entry)) : plan.why;
  };
  assert.deepEqual(room(308), []);
  assert.deepEqual(room(309), [4]);
  assert.deepEqual(room(4405), [4, 3]);
  assert.deepEqual(room(8501), [4, 3, 2]);
  assert.deepEqual(room(9501), [4, 3, 2, 1]);
  assert.deepEqual(room(11_000), [4, 3, 2, 1]);
  assert.equal(room(11_001), "13692 bytes wait already, the bound is 14000 and this one has 11001");
});

test("a receipt is old after seven days, and never one from the future", () => {
  const old = (age: number, state: State = "done") => isOldReceipt(listed(state, age, 0), NOON, 0, LIMITS);
  assert.deepEqual(
    [old(7 * DAY), old(7 * DAY + 1), old(-400 * DAY), old(99 * DAY, "pending")],
    [false, true, false, false],
  );
  const since = NOON - 6 * DAY;
  assert.equal(
    isOldReceipt(listed("done", 99 * DAY, 0), NOON, since, LIMITS),
    false,
    "by a clock that was put right",
  );
});
