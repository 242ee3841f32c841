import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { abortable, joinChunks, Measure, measure, sha256Of } from "../src/bytes.ts";

const TEXT = "one two three";
const SHA256 = createHash("sha256").update(TEXT).digest("hex");

/** The text in chunks that lie in the same memory one after another. */
async function* reused(): AsyncGenerator<Buffer> {
  const memory = Buffer.alloc(8);
  for (const word of ["one", " two", " three"]) yield memory.subarray(0, memory.write(word));
}

test("chunks are counted, hashed and joined though their memory is used again", async () => {
  const whole = { size: TEXT.length, sha256: SHA256 };
  assert.deepEqual(await measure(reused()), whole);
  assert.equal((await joinChunks(reused())).toString(), TEXT);
  assert.equal(sha256Of(TEXT), SHA256);
  const passing = new Measure();
  assert.equal((await joinChunks(passing.through(reused()))).toString(), TEXT);
  assert.equal(passing.size, TEXT.length);
  assert.deepEqual(passing.finish(), whole);
});

/** The hash of the pieces, told that there will be `expected` bytes. */
function hashOf(expected: number | null, pieces: Buffer[]): string {
  const passing = new Measure(expected);
  for (const piece of pieces) passing.add(piece);
  return passing.finish().sha256;
}

test("a hash does not depend on the pieces the bytes come in, nor on whether their number is known", () => {
  const bytes = Buffer.from(TEXT);
  for (const expected of [bytes.length, bytes.length + 1, null]) {
    assert.equal(hashOf(expected, [bytes]), SHA256);
    assert.equal(hashOf(expected, [bytes.subarray(0, 4), bytes.subarray(4)]), SHA256);
  }
});

test("nothing at all has the hash of no bytes", () => {
  assert.equal(hashOf(0, []), sha256Of(""));
  assert.equal(hashOf(7, []), sha256Of(""));
});

test("a promise is waited for until the signal aborts, and forgotten then, even if it fails", async () => {
  const { signal } = new AbortController();
  assert.equal(await abortable(Promise.resolve(1), signal), 1);
  await assert.rejects(abortable(Promise.reject(new Error("itself")), signal), { message: "itself" });
  const stop = new AbortController();
  let fail = (_: Error) => {};
  const never = new Promise((_, reject) => {
    fail = reject;
  });
  const waiting = abortable(never, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
  await assert.rejects(abortable(never, stop.signal), { message: "enough" });
  await assert.rejects(abortable(Promise.reject(new Error("late")), stop.signal), { message: "enough" });
  fail(new Error("later"));
  // A rejection that nobody handles would fail this test.
  await nextTurn();
});
