import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeName, quoteName, showName, whyOdd } from "../../../src/archive/entries/foreign-name.ts";

test("A12 b: bytes that are no UTF-8 are shown one by one, and text as it is", () => {
  const shown: [string, string][] = [
    ["6f6b", "ok"],
    ["6772c3b6c39f65", "größe"],
    ["f09f9880", "😀"],
    ["61ff62", '"a\\xFFb"'],
    ["c3", '"\\xC3"'],
    ["c3b6c3", '"ö\\xC3"'],
    ["e282", '"\\xE2\\x82"'],
    ["e28261", '"\\xE2\\x82a"'],
    ["c0af", '"\\xC0\\xAF"'],
    ["eda080", '"\\xED\\xA0\\x80"'],
    ["f4908080", '"\\xF4\\x90\\x80\\x80"'],
    ["fe", '"\\xFE"'],
  ];
  assert.deepEqual(
    shown.map(([hex]) => [hex, showName(decodeName(Buffer.from(hex, "hex")))]),
    shown,
  );
});

test("A12 a: what could mislead on a terminal is escaped, in quotes", () => {
  const shown: [string, string][] = [
    ["a b\\c/d.txt", "a b\\c/d.txt"],
    ["", '""'],
    [" a", '" a"'],
    ["a ", '"a "'],
    ['q"q\\', '"q\\"q\\\\"'],
    ["\\xFF", "\\xFF"],
    ["a\u001b[31m", '"a\\u{1B}[31m"'],
    ["a\u009b", '"a\\u{9B}"'],
    ["a\u00a0b", '"a\\u{A0}b"'],
    ["fdp\u202excod.exe", '"fdp\\u{202E}xcod.exe"'],
    ["a\u200bb", '"a\\u{200B}b"'],
    ["\u{e0041}", '"\\u{E0041}"'],
    ["a\nb", '"a\\u{A}b"'],
  ];
  assert.deepEqual(
    shown.map(([name]) => [name, showName(name)]),
    shown,
  );
  assert.equal(quoteName("plain"), '"plain"');
});

test("whatever bytes a name has, other bytes look different, and nothing reaches a terminal but what can be seen", () => {
  const bytes = fc.uint8Array({ maxLength: 6 }).map((array) => Buffer.from(array));
  const likely = fc
    .array(fc.constantFrom(0x22, 0x5c, 0x78, 0x46, 0x20, 0x80, 0xc3, 0xb6, 0xe2, 0xed, 0xa0, 0xff), {
      maxLength: 5,
    })
    .map((array) => Buffer.from(array));
  const either = fc.oneof(bytes, likely);
  fc.assert(
    fc.property(either, either, (one, other) => {
      const [shown, otherShown] = [showName(decodeName(one)), showName(decodeName(other))];
      assert.equal(shown === otherShown, one.equals(other), `${shown} ${otherShown}`);
      assert.ok(shown.isWellFormed());
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 2000 },
  );
});

test("a name of sixty thousand bytes that are no text takes no time", { timeout: 5000 }, () => {
  assert.equal(decodeName(Buffer.alloc(60_000, 0xe2)).length, 60_000);
});

test("why a name is odd", () => {
  const reasons: [string, string | null][] = [
    ["größe.txt", null],
    ["n".repeat(255), null],
    ["dir\\".repeat(80), "it is no safe name for a file"],
    [`${"dir\\".repeat(80)}x`, null],
    ["n".repeat(256), "it is longer than the 255 bytes that a file's name may have"],
    ["ß".repeat(128), "it is longer than the 255 bytes that a file's name may have"],
    [decodeName(Buffer.from([0x61, 0xff])), "it holds bytes that are no UTF-8"],
    ["..\\x", "it leads out of the folder"],
    ["nul", "it is no safe name for a file"],
  ];
  assert.deepEqual(
    reasons.map(([name]) => [name, whyOdd(name)]),
    reasons,
  );
});
