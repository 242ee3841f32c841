import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { steadySince, type Tries, triedFor, triesOf } from "../../src/journal/age.ts";
import { formatId, formatTime, type Listed, type State } from "../../src/journal/entry/layout.ts";
import { DAY, NOON } from "../support/journal/samples.ts";

const LONGEST = 30 * DAY;

/** Days as times after NOON. */
const days = (...numbers: number[]) => numbers.map((number) => NOON + number * DAY);

function age(since: number, starts: readonly number[], now: number): number {
  return triedFor({ since, starts }, now, LONGEST) / DAY;
}

test("a report tried every few days has the age that its clock says", () => {
  assert.equal(age(NOON, days(0, 10, 20, 31), NOON + 31 * DAY), 31);
  assert.equal(
    age(NOON, days(0, 10, 20, 29), NOON + 45 * DAY),
    29,
    "the last try was made when it was young",
  );
});

test("hostile 4: one made in 1970, 2006 or 2099 has all its days from the first try by the right clock on", () => {
  for (const made of [0, Date.UTC(2006, 0, 1), Date.UTC(2099, 0, 1)]) {
    const wrong = [made + 1000, made + 2000];
    assert.equal(age(made, [...wrong, ...days(0)], NOON), 0);
    assert.equal(age(made, [...wrong, ...days(0, 10, 20)], NOON + 20 * DAY), 20);
    assert.equal(age(made, [...wrong, ...days(0, 10, 20, 31)], NOON + 31 * DAY), 31);
  }
});

test("hostile 4: one run with the clock 60 days ahead, or 20 years behind, ends nothing, and neither does the way back", () => {
  for (const jump of [60 * DAY, -20 * 365 * DAY]) {
    assert.equal(age(NOON, [...days(0, 1, 2), NOON + jump], NOON + jump), 0);
    assert.equal(age(NOON, [...days(0, 1, 2), NOON + jump, ...days(3)], NOON + 3 * DAY), 0);
  }
});

test("a clock put right during the last try ends nothing", () => {
  assert.equal(age(0, [1, 2, 3], NOON), 0);
  assert.equal(age(NOON, days(0, 20, 40), NOON), 0);
});

test("a machine that was off for longer than a report may wait has done nothing wrong", () => {
  assert.equal(age(NOON, days(0, 1, 32), NOON + 32 * DAY), 0);
  assert.equal(
    age(NOON, days(0, 1, 31), NOON + 31 * DAY),
    31,
    "thirty days to the millisecond are no such step",
  );
  assert.equal(age(NOON, [NOON, NOON, NOON + LONGEST + 1], NOON + LONGEST + 1), 0);
});

test("fewer than three tries bear witness to no age", () => {
  assert.equal(age(NOON, [], NOON + 99 * DAY), 0);
  assert.equal(age(NOON, days(20, 40), NOON + 40 * DAY), 0);
});

test("the age is never negative, never more than from the first time to the last, and a single jump makes it young", () => {
  const time = fc.integer({ min: 0, max: 253_402_300_799_999 });
  const tries = fc.record({ since: time, starts: fc.array(time, { maxLength: 12 }) });
  fc.assert(
    fc.property(tries, time, (some: Tries, now) => {
      const found = triedFor(some, now, LONGEST);
      const times = [some.since, ...some.starts];
      return found >= 0 && found <= Math.max(...times) - Math.min(...times);
    }),
  );
  const jump = fc.oneof(fc.integer({ min: LONGEST + 1, max: 1e13 }), fc.integer({ min: -1e13, max: -1 }));
  fc.assert(
    fc.property(tries, jump, ({ since, starts }, step) => {
      const last = starts.at(-1) ?? since;
      return triedFor({ since, starts: [...starts, last + step] }, last + step, LONGEST) === 0;
    }),
  );
});

test("after a retry the tries before it do not count, whatever clock they were made by", () => {
  const attempt = (startedAt: number) => ({
    level: 1 as const,
    startedAt,
    endedAt: startedAt,
    status: null,
    errorCode: "CER_UNREACHABLE",
    peer: null,
  });
  const attempts = [...days(0, 99), NOON].map(attempt);
  const progress = { attempts, countedFrom: NOON + 5, reason: null };
  assert.deepEqual(triesOf(NOON, { ...progress, uncounted: 2 }), { since: NOON + 5, starts: [NOON] });
  assert.deepEqual(
    triesOf(NOON, progress),
    { since: NOON + 5, starts: days(99) },
    "as earlier versions tell",
  );
  assert.deepEqual(triesOf(NOON, { ...progress, countedFrom: 0 }), {
    since: NOON,
    starts: [...days(0, 99), NOON],
  });
});

function listed(state: State, createdAt: number, mark = "0"): Listed {
  const label = { id: formatId(createdAt, "aaaaaa"), bytes: 0, identity: "0", signature: "0", mark };
  return { state, label, createdAt };
}

test("the clock is steady since the first time from which no step to the next was longer than thirty days", () => {
  const at = (now: number, ...times: number[]) =>
    (steadySince(
      now,
      times.map((time) => listed("claimed", time)),
      LONGEST,
    ) -
      NOON) /
    DAY;
  assert.equal(at(NOON, NOON - DAY), -1);
  assert.equal(at(NOON, ...days(-20, -10, -55)), -20, "a gap of 35 days");
  assert.equal(at(NOON, ...days(-20, -50, -80)), -80);
  assert.equal(at(NOON + 60 * DAY, ...days(0, -1)), 60, "just put ahead");
  assert.equal(at(NOON + 60 * DAY, ...days(0, -1, 60, 59)), 59, "put ahead a day ago");
  assert.equal(at(NOON - 99 * DAY, ...days(0, -1)), -99, "just put back");
  assert.equal(at(NOON, ...days(-1), Date.UTC(2099)), -1, "one made by a clock far ahead is no objection");
  assert.equal(steadySince(NOON, [], LONGEST), Number.NEGATIVE_INFINITY);
});

test("when a report was settled bears witness, when it is due does not", () => {
  const since = (state: State, mark: number) =>
    (steadySince(NOON, [listed(state, NOON - 99 * DAY, formatTime(mark))], LONGEST) - NOON) / DAY;
  assert.equal(since("done", NOON - 3 * DAY), -3);
  assert.equal(since("abandoned", NOON - 3 * DAY), -3);
  assert.equal(since("pending", NOON - 3 * DAY), 0);
  assert.equal(since("claimed", NOON - 3 * DAY), 0);
});
