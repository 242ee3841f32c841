import assert from "node:assert/strict";
import { test } from "node:test";
import { type Limits, type Overrun, type Sight, Watch } from "../../src/wire/watch.ts";

/** One look each 10 ms: 8 looks of silence, 10 of a measured rate of 100 bytes, 20 for the answer. */
const LIMITS: Limits = {
  idleTimeout: 80,
  leastRate: { bytes: 100, time: 100 },
  answerTimeout: 200,
};

const BEGUN: Sight = {
  hasBegun: true,
  sent: 0,
  isAllSent: false,
  unacknowledged: 0,
  received: 0,
  isAnswered: false,
};
const SENT: Sight = { ...BEGUN, sent: 1000, isAllSent: true };

/** What ends it, and at which look; null when nothing has until then. */
async function watch(
  sightAt: (look: number) => Sight,
  looks = 60,
): Promise<readonly [Overrun | null, looks: number]> {
  return new Promise((resolve) => {
    let look = 0;
    const running = new Watch(
      LIMITS,
      async () => {
        if (++look === looks) {
          running.end();
          resolve([null, look]);
        }
        return sightAt(look);
      },
      (overrun) => resolve([overrun, look]),
    );
  });
}

test("silence ends it in any phase: while it connects, sends, waits and is answered", async () => {
  assert.deepEqual(await watch(() => ({ ...BEGUN, hasBegun: false })), ["silence", 8]);
  for (const sight of [BEGUN, SENT, { ...SENT, received: 1, isAnswered: true }])
    assert.deepEqual(await watch(() => sight), ["silence", 9]);
});

test("a body that moves at the least rate goes on for ever, one that does not is given up", async () => {
  assert.deepEqual(await watch((look) => ({ ...BEGUN, sent: look * 10 }), 200), [null, 200]);
  assert.deepEqual(await watch((look) => ({ ...BEGUN, sent: look * 9 })), ["rate", 11]);
  // In bursts, as a socket takes it.
  assert.deepEqual(await watch((look) => ({ ...BEGUN, sent: Math.floor(look / 5) * 50 }), 200), [null, 200]);
});

test("what the system has taken and the other side has not is still on its way", async () => {
  const draining = (look: number) => ({ ...SENT, sent: 3000, unacknowledged: Math.max(0, 3000 - look * 10) });
  assert.deepEqual(await watch(draining, 250), [null, 250]);
  assert.deepEqual(await watch((look) => ({ ...SENT, sent: 3000, unacknowledged: 3000 - look * 9 })), [
    "rate",
    11,
  ]);
  assert.deepEqual(await watch(() => ({ ...SENT, unacknowledged: 500 })), ["silence", 9]);
});

test("interim answers that drip hold up neither a body that stands still nor the time for the answer", async () => {
  assert.deepEqual(await watch((look) => ({ ...BEGUN, received: look })), ["rate", 11]);
  assert.deepEqual(await watch((look) => ({ ...SENT, received: look })), ["answer", 20]);
});

test("an answer that drips is too slow; a long one that flows has its time, counted from the request's end", async () => {
  const answered = { ...SENT, isAnswered: true };
  assert.deepEqual(await watch((look) => ({ ...answered, received: look })), ["rate", 11]);
  assert.deepEqual(await watch((look) => ({ ...answered, received: look * 50 })), ["answer", 20]);
  const late = (look: number) =>
    look < 15 ? { ...BEGUN, sent: look * 10 } : { ...answered, received: look * 50 };
  assert.deepEqual(await watch(late), ["answer", 34]);
});

test("when it was ended nothing ends it again", async () => {
  const [overrun] = await watch(() => BEGUN, 2);
  assert.equal(overrun, null);
});
