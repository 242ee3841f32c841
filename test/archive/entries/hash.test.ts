import assert from "node:assert/strict";
import { test } from "node:test";
import { ContentHash } from "../../../src/archive/entries/hash.ts";
import { sha256 } from "../../support/bytes.ts";

const bytes = Buffer.from("the quick brown fox");

/** The hash of the pieces, told that there will be `size` bytes. */
function hashOf(size: number | null, pieces: Buffer[]): string {
  const hash = new ContentHash(size);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

test("a content's hash does not depend on the pieces it comes in, nor on whether its size is known", () => {
  for (const size of [bytes.length, bytes.length + 1, null]) {
    assert.equal(hashOf(size, [bytes]), sha256(bytes));
    assert.equal(hashOf(size, [bytes.subarray(0, 4), bytes.subarray(4)]), sha256(bytes));
  }
});

test("nothing at all has the hash of no bytes", () => {
  assert.equal(hashOf(0, []), sha256(Buffer.alloc(0)));
  assert.equal(hashOf(7, []), sha256(Buffer.alloc(0)));
});
