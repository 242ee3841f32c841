import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blockChecksum, xorWords } from "../../../src/archive/cab/checksum.ts";
import { slowChecksum } from "../../support/archives/crafted-cabinet.ts";

test("an incomplete last word counts with its bytes in reverse", () => {
  assert.equal(xorWords(Uint8Array.of()), 0);
  assert.equal(xorWords(Uint8Array.of(0x01)), 0x01);
  assert.equal(xorWords(Uint8Array.of(0x01, 0x02)), 0x0102);
  assert.equal(xorWords(Uint8Array.of(0x01, 0x02, 0x03)), 0x010203);
  assert.equal(xorWords(Uint8Array.of(0x01, 0x02, 0x03, 0x04)), 0x04030201);
  assert.equal(xorWords(Uint8Array.of(0xff, 0, 0, 0x80, 0x7f)), 0x80000080);
});

test("sizes are part of a block's checksum, and it is never negative", () => {
  assert.equal(blockChecksum(Buffer.alloc(32_768), 32_768), 0x80008000);
  assert.equal(blockChecksum(Uint8Array.of(0, 0, 0, 0x80), 1), 0x80010004);
});

test("the vectors of other programs come out", () => {
  assert.equal(blockChecksum(Buffer.from("Hello, world!\n"), 14), 0x7f2e1a4c);
  assert.equal(blockChecksum(Buffer.from("Hello, world!\nSee you later!\n"), 29), 0x3509541a);
});

test("it is the specification's sum for any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(xorWords(bytes), slowChecksum(Buffer.from(bytes)));
    }),
  );
});
