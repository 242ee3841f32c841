import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  BETWEEN_RUNS,
  type FailedAttempt,
  type Failure,
  nextAttempt,
  parseRetryAfter,
  withinRun,
} from "../../src/delivery/retry.ts";
import { isDue } from "../../src/journal/entry/layout.ts";
import { DAY, NOON } from "../support/journal/samples.ts";

const MINUTE = 60_000;
const UNREACHABLE: Failure = { code: "CER_UNREACHABLE", status: null, retryAfter: null, date: null };
const failed = (change: Partial<FailedAttempt>): FailedAttempt => ({
  failure: UNREACHABLE,
  attempts: 1,
  firstAt: NOON,
  now: NOON,
  random: 0.5,
  ...change,
});

test("the wait is at most twice as long each time, by full jitter, up to a bound", () => {
  const waits = [1, 2, 3, 9, 10, 150].map((attempts) => {
    const decision = nextAttempt(failed({ attempts, random: 0.999_999 }), BETWEEN_RUNS);
    return decision.again ? Math.ceil((decision.at - NOON) / MINUTE) : null;
  });
  assert.deepEqual(waits, [1, 2, 4, 256, 360, 360]);
  assert.deepEqual(nextAttempt(failed({ attempts: 9, random: 0 }), BETWEEN_RUNS), { again: true, at: NOON });
  assert.deepEqual(nextAttempt(failed({ attempts: 3, random: 0.25 }), BETWEEN_RUNS), {
    again: true,
    at: NOON + MINUTE,
  });
});

test("within one run there are as many retries as were asked for, each after seconds", () => {
  const policy = withinRun(2);
  assert.deepEqual(nextAttempt(failed({ attempts: 1 }), policy), { again: true, at: NOON + 500 });
  assert.deepEqual(nextAttempt(failed({ attempts: 2 }), policy), { again: true, at: NOON + 1000 });
  assert.deepEqual(nextAttempt(failed({ attempts: 3 }), policy), {
    again: false,
    why: "tries",
    reason: "CER_UNREACHABLE after 3 tries, the bound",
  });
  assert.equal(nextAttempt(failed({ attempts: 1 }), withinRun(0)).again, false);
});

test("a permanent failure ends it at the first try, with its status as the reason", () => {
  assert.deepEqual(
    nextAttempt(failed({ failure: { ...UNREACHABLE, code: "CER_STATUS", status: 413 } }), BETWEEN_RUNS),
    {
      again: false,
      why: "permanent",
      reason: "CER_STATUS (status 413) will not change by trying again",
    },
  );
});

test("what only an administrator can put right is not tried within the run, and waits between runs", () => {
  const forbidden = failed({ failure: { ...UNREACHABLE, code: "CER_AUTH", status: 401 } });
  assert.deepEqual(nextAttempt(forbidden, withinRun(2)), {
    again: false,
    why: "slow",
    reason: "CER_AUTH (status 401) will not change within seconds",
  });
  assert.deepEqual(nextAttempt(forbidden, BETWEEN_RUNS), { again: true, at: NOON + MINUTE / 2 });
});

test("a server that is being set up gets twenty tries in a row, whatever came before", () => {
  const failure: Failure = { ...UNREACHABLE, code: "CER_STATUS", status: 404 };
  const after = (change: Partial<FailedAttempt>) => nextAttempt(failed({ failure, ...change }), BETWEEN_RUNS);
  assert.equal(after({ attempts: 19 }).again, true);
  assert.deepEqual(after({ attempts: 20 }), {
    again: false,
    why: "tries",
    reason: "CER_STATUS (status 404) after 20 tries, the bound",
  });
  assert.equal(after({ attempts: 150, alike: 19 }).again, true);
  assert.equal(after({ attempts: 150, alike: 20 }).again, false);
  assert.deepEqual(after({ attempts: 200, alike: 3 }), {
    again: false,
    why: "tries",
    reason: "CER_STATUS (status 404) after 200 tries, the bound",
  });
});

test("age ends it after thirty days, on the far side of the boundary only", () => {
  const at = (age: number, attempts = 3) =>
    nextAttempt(failed({ attempts, now: NOON + age, random: 0 }), BETWEEN_RUNS);
  assert.deepEqual(at(30 * DAY), { again: true, at: NOON + 30 * DAY });
  assert.deepEqual(at(30 * DAY + 1), {
    again: false,
    why: "age",
    reason: "CER_UNREACHABLE after 30 days, the bound is 30 days",
  });
  assert.deepEqual(
    at(300 * DAY, 2),
    { again: true, at: NOON + 300 * DAY },
    "a jump of the clock alone ends nothing",
  );
});

test("a clock that went back makes a report young, not eternal", () => {
  assert.deepEqual(nextAttempt(failed({ attempts: 5, now: NOON - 400 * DAY, random: 0 }), BETWEEN_RUNS), {
    again: true,
    at: NOON - 400 * DAY,
  });
  assert.equal(nextAttempt(failed({ attempts: 200, now: NOON - 400 * DAY }), BETWEEN_RUNS).again, false);
});

test("Retry-After is obeyed in both forms, up to a day", () => {
  const at = (retryAfter: string, date: string | null = null) => {
    const decision = nextAttempt(
      failed({ failure: { code: "CER_STATUS", status: 503, retryAfter, date } }),
      BETWEEN_RUNS,
    );
    return decision.again ? decision.at - NOON : null;
  };
  assert.equal(at("120"), 2 * MINUTE);
  assert.equal(at(" 0 "), 0);
  assert.equal(at("Tue, 24 Nov 2026 12:05:00 GMT"), 5 * MINUTE);
  assert.equal(at("Tuesday, 24-Nov-26 12:05:00 GMT"), 5 * MINUTE);
  assert.equal(at("Tue Nov 24 12:05:00 2026"), 5 * MINUTE);
  assert.equal(at("9999999999"), DAY);
  assert.equal(at("Fri, 31 Dec 9999 23:59:59 GMT"), DAY);
});

test("a Retry-After date is measured by the server's own clock", () => {
  const date = "Sun, 24 Nov 2024 12:00:00 GMT";
  assert.equal(parseRetryAfter("Sun, 24 Nov 2024 12:05:00 GMT", date, NOON), 5 * MINUTE);
  assert.equal(parseRetryAfter("Sun, 24 Nov 2024 12:05:00 GMT", null, NOON), null, "long past");
});

test("a Retry-After that says nothing leaves the wait to the policy", () => {
  for (const nonsense of [
    "",
    "soon",
    "-5",
    "1.5",
    "1e3",
    "12345678901",
    "24 Nov 2026",
    "Tue, 99 Nov 2026 12:05:00 GMT",
    "2026-11-24T12:05:00Z",
  ])
    assert.equal(parseRetryAfter(nonsense, null, NOON), null, nonsense);
});

test("whatever the clocks and the server say, the next try is within a day", () => {
  const times = fc.integer({ min: 0, max: 4e12 });
  fc.assert(
    fc.property(
      times,
      times,
      fc.integer({ min: 1, max: 199 }),
      fc.nat(),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (firstAt, now, attempts, seconds, random) => {
        for (const retryAfter of [null, `${seconds}`, new Date(firstAt).toUTCString()]) {
          const decision = nextAttempt(
            failed({ firstAt, now, attempts, random, failure: { ...UNREACHABLE, retryAfter } }),
            BETWEEN_RUNS,
          );
          if (!decision.again) assert.equal(decision.why, "age");
          else assert.ok(decision.at >= now && decision.at <= now + DAY && isDue(decision.at, decision.at));
        }
      },
    ),
  );
});
