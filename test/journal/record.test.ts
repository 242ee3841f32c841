import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEvent, parseEvent } from "../../src/journal/event-record.ts";
import { encodeRecord, type Fields, parseRecord } from "../../src/journal/record.ts";
import { sampleEvent } from "../support/events.ts";

const damaged = (message: string) => ({ name: "CerError", code: "CER_DAMAGED", message });

test("each complaint names the document and the place", () => {
  const cases: [string, (fields: Fields) => unknown, string][] = [
    ["", () => 0, "x.json is not JSON, or only a part of it is there."],
    ['{"a": ', () => 0, "x.json is not JSON, or only a part of it is there."],
    ["[]", () => 0, "x.json: the document must be an object."],
    ["{}", (f) => f.text("a"), "x.json: a must be text."],
    ['{"toString": 1}', (f) => f.text("valueOf"), "x.json: valueOf must be text."],
    ['{"a": -1}', (f) => f.count("a"), "x.json: a must be a whole number, not negative."],
    ['{"a": 9007199254740992}', (f) => f.countOrNull("a"), "x.json: a must be a whole number, not negative."],
    ['{"a": "18446744073709551616"}', (f) => f.unsigned64("a"), "x.json: a must be less than 2^64."],
    ['{"a": 1}', (f) => f.unsigned64("a"), "x.json: a must be a decimal number as text."],
    ['{"a": "yesterday"}', (f) => f.time("a"), "x.json: a must be a time in ISO 8601, UTC."],
    ['{"a": "2026-13-01T00:00:00Z"}', (f) => f.time("a"), "x.json: a is a time that does not exist."],
    ['{"a": "AB"}', (f) => f.sha256("a"), "x.json: a must be a SHA-256 in hex."],
    ['{"a": 3}', (f) => f.one("a", [1, 2]), "x.json: a must be one of 1, 2."],
    [
      '{"a": {"b": {"c": 1}}}',
      (f) => f.object("a", (a) => a.object("b", (b) => b.text("c"))),
      "x.json: a.b.c must be text.",
    ],
    [
      '{"a": [{"b": 1}, {"b": "x"}]}',
      (f) => f.list("a", (a) => a.count("b")),
      "x.json: a[1].b must be a whole number, not negative.",
    ],
    ['{"a": {}}', (f) => f.list("a", () => 0), "x.json: a must be a list."],
    ["{}", (f) => f.json("a"), "x.json: a is missing."],
  ];
  for (const [text, read, message] of cases)
    assert.throws(() => parseRecord(text, "x.json", read), damaged(message), text);
});

test("null is read where it may be, and nothing else for it", () => {
  const text = '{"a": null}';
  const read = (f: Fields) => [
    f.textOrNull("a"),
    f.countOrNull("a"),
    f.timeOrNull("a"),
    f.objectOrNull("a", () => 1),
  ];
  assert.deepEqual(parseRecord(text, "x.json", read), [null, null, null, null]);
  assert.throws(
    () => parseRecord("{}", "x.json", (f) => f.textOrNull("a")),
    damaged("x.json: a must be text."),
  );
});

test("an event survives, its 64-bit time to the last tick", () => {
  const texts = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(
      texts,
      texts,
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.boolean(),
      (a, b, eventTime, isBare) => {
        const full = { ...sampleEvent(a, [{ path: `/${b}`, name: b, type: 3 }]), eventTime };
        const event = isBare ? { ...full, application: null, eventDescription: b } : full;
        const text = encodeRecord({ event: encodeEvent(event) }).toString();
        assert.deepEqual(
          parseRecord(text, "x.json", (fields) => fields.object("event", parseEvent)),
          event,
        );
      },
    ),
  );
});
