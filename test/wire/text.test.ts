import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeAnswerText, decodeReportText, encodeAnswerText, encodeUtf16 } from "../../src/wire/text.ts";

test("a report is written as FF FE and UTF-16LE", () => {
  assert.deepEqual(encodeUtf16("<\u20ac\u{1f600}"), Buffer.from("fffe3c00ac203dd800de", "hex"));
});

test("a report is read in UTF-16 of either order and UTF-8, each with and without a mark", () => {
  const text = "<a b='ü€'/>";
  const le = Buffer.from(text, "utf16le");
  const be = Buffer.from(le).swap16();
  const cases: [Buffer, string][] = [
    [Buffer.concat([Buffer.of(0xff, 0xfe), le]), "utf-16le"],
    [le, "utf-16le"],
    [Buffer.concat([Buffer.of(0xfe, 0xff), be]), "utf-16be"],
    [be, "utf-16be"],
    [Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), Buffer.from(text)]), "utf-8"],
    [Buffer.from(text), "utf-8"],
  ];
  for (const [bytes, encoding] of cases) assert.deepEqual(decodeReportText(bytes), { text, encoding });
  assert.deepEqual(decodeReportText(Buffer.alloc(0)), { text: "", encoding: "utf-8" });
});

test("an answer's bytes are code page 1252: the thirty-two that differ from ISO 8859-1 too", () => {
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, at) => 0x80 + at));
  assert.equal(decodeAnswerText(bytes), "€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ");
  assert.equal(decodeAnswerText(Buffer.from("e4f6fc", "hex")), "äöü");
});

test("one UTF-8 mark before an answer is skipped, a second one is text", () => {
  assert.equal(decodeAnswerText(Buffer.from("\ufeffBucket=5")), "Bucket=5");
  assert.equal(decodeAnswerText(Buffer.from("\ufeff\ufeffB")), "ï»¿B");
});

test("what code page 1252 lacks is written as a question mark", () => {
  assert.deepEqual(encodeAnswerText("€→ü"), Buffer.from("803ffc", "hex"));
});

test("every well-formed text survives UTF-16, every text of code page 1252 survives an answer", () => {
  const unit = fc.integer({ min: 1, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
  const wellFormed = fc.string({ unit }).map((text) => text.replace(/\p{Surrogate}|^\ufeff/gu, "."));
  fc.assert(
    fc.property(wellFormed, (text) => {
      assert.equal(decodeReportText(encodeUtf16(text)).text, text);
    }),
  );
  const defined = Array.from({ length: 256 }, (_, at) => at).filter(
    (byte) => ![0x81, 0x8d, 0x8f, 0x90, 0x9d].includes(byte),
  );
  const bytes = Buffer.from(defined);
  assert.deepEqual(encodeAnswerText(decodeAnswerText(bytes)), bytes);
});
