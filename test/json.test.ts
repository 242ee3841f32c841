import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import {
  count,
  digits,
  documentReader,
  encodeDocument,
  flag,
  formatIso,
  json,
  list,
  object,
  oneOf,
  parseJson,
  parseShape,
  sha256,
  text,
  time,
  unsigned64,
} from "../src/json.ts";
import { complaintOf } from "./support/thrown-error.ts";

const Schema = v.strictObject({
  $schema: v.optional(v.string()),
  server: v.optional(v.string()),
  port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
  list: v.optional(v.pipe(v.array(v.strictObject({ id: v.number() })), v.maxLength(2))),
  any: v.optional(v.looseObject({})),
});

const shape = (value: unknown) => parseShape(Schema, value, "c.json", "CER_CONFIG");

test("a JSON text becomes its value", async () => {
  assert.deepEqual(await parseJson(' {"a": [1, null, "\\u20ac"]} ', "c.json", "CER_CONFIG"), {
    a: [1, null, "€"],
  });
});

test("a syntax error has the caller's code, the file's name, and a place in any kind of line", async () => {
  for (const end of ["\n", "\r\n", "\r"])
    assert.deepEqual(
      await complaintOf(() => parseJson(`{${end}  "a": 1,${end}  b}`, "c.json", "CER_CONFIG")),
      {
        code: "CER_CONFIG",
        message: "c.json is not JSON: invalid symbol at line 3, column 3.",
        hint: undefined,
      },
    );
});

test("a value of the schema is returned as it is", async () => {
  const value = { $schema: "x", server: "h", port: 65_535, list: [{ id: 1 }], any: { x: [] } };
  assert.deepEqual(await shape(value), value);
});

test("what the schema does not have is refused with its place", async () => {
  const cases: [value: unknown, message: string, hint?: string][] = [
    [[], "c.json: the whole must be a JSON object, { … }."],
    [{ port: 0 }, "c.json: port is 0; it must be at least 1."],
    [{ port: 65_536 }, "c.json: port is 65536; it must be at most 65535."],
    [{ port: 1.5 }, "c.json: port is 1.5; it must be a whole number."],
    [{ port: "80" }, 'c.json: port is "80"; it must be a number.'],
    [{ server: false }, "c.json: server is false; it must be a string."],
    [{ list: {} }, "c.json: list is an object; it must be a list."],
    [{ list: [[]] }, "c.json: list[0] is a list; it must be an object."],
    [{ list: [{ id: 1 }, {}] }, "c.json: list[1].id is missing."],
    [{ list: [{ id: 1 }, { id: 1 }, { id: 1 }] }, "c.json: list has 3 items, the bound is 2."],
    [
      { sever: "h" },
      "c.json: sever is not a key that cer knows.",
      'Did you mean "server"? Known here: server, port, list, any.',
    ],
    [
      { list: [{ id: 1, ip: 2 }] },
      "c.json: list[0].ip is not a key that cer knows.",
      'Did you mean "id"? Known here: id.',
    ],
  ];
  for (const [value, message, hint] of cases)
    assert.deepEqual(await complaintOf(() => shape(value)), { code: "CER_CONFIG", message, hint });
});

const damaged = (message: string) => ({ name: "CerError", code: "CER_DAMAGED", message });

test("each complaint about a document names it and the place", () => {
  const nothing = object({});
  const cases: [text: string, schema: v.GenericSchema, message: string][] = [
    ["", nothing, "x.json is not JSON, or only a part of it is there."],
    ['{"a": ', nothing, "x.json is not JSON, or only a part of it is there."],
    ["[]", nothing, "x.json: the document must be an object."],
    ["{}", object({ a: text }), "x.json: a must be text."],
    ['{"toString": 1}', object({ valueOf: text }), "x.json: valueOf must be text."],
    ['{"a": -1}', object({ a: count }), "x.json: a must be a whole number, not negative."],
    [
      '{"a": 9007199254740992}',
      object({ a: v.nullable(count) }),
      "x.json: a must be a whole number, not negative.",
    ],
    ['{"a": "18446744073709551616"}', object({ a: unsigned64 }), "x.json: a must be less than 2^64."],
    ['{"a": 1}', object({ a: unsigned64 }), "x.json: a must be a decimal number as text."],
    ["{}", object({ a: v.nullable(digits) }), "x.json: a must be a decimal number as text."],
    ['{"a": "yesterday"}', object({ a: time }), "x.json: a must be a time in ISO 8601, UTC."],
    ['{"a": "2026-13-01T00:00:00Z"}', object({ a: time }), "x.json: a is a time that does not exist."],
    ['{"a": 0}', object({ a: flag }), "x.json: a must be true or false."],
    ['{"a": "AB"}', object({ a: sha256 }), "x.json: a must be a SHA-256 in hex."],
    ['{"a": 3}', object({ a: oneOf([1, 2]) }), "x.json: a must be one of 1, 2."],
    ["{}", object({ a: object({ b: text }) }), "x.json: a must be an object."],
    ['{"a": []}', object({ a: v.nullable(object({})) }), "x.json: a must be an object."],
    [
      '{"a": {"b": {"c": 1}}}',
      object({ a: object({ b: object({ c: text }) }) }),
      "x.json: a.b.c must be text.",
    ],
    ['{"a": {"b": {}}}', object({ a: object({ b: object({ c: text }) }) }), "x.json: a.b.c must be text."],
    [
      '{"a": [{"b": 1}, {"b": "x"}]}',
      object({ a: list(object({ b: count })) }),
      "x.json: a[1].b must be a whole number, not negative.",
    ],
    ['{"a": {}}', object({ a: list(nothing) }), "x.json: a must be a list."],
    [
      `{"a": [0${",0".repeat(100_000)}]}`,
      object({ a: list(nothing) }),
      "x.json: a has 100001 items, the bound is 100000.",
    ],
    ["{}", object({ a: json }), "x.json: a is missing."],
  ];
  for (const [text, schema, message] of cases)
    assert.throws(() => documentReader("x.json", () => schema)(text), damaged(message), text.slice(0, 80));
});

test("null is read where it may be, and nothing else for it", () => {
  for (const piece of [text, count, time, object({})])
    assert.deepEqual(documentReader("x.json", () => object({ a: v.nullable(piece) }))('{"a": null}'), {
      a: null,
    });
  assert.throws(
    () => documentReader("x.json", () => object({ a: v.nullable(text) }))("{}"),
    damaged("x.json: a must be text."),
  );
});

test("a document is read back without what its schema does not have; any JSON in it stays as it is", () => {
  const any = JSON.parse('{"b": [null, {"c": 0.5}], "__proto__": "y"}');
  const written = encodeDocument({ later: 1, a: any, n: "18446744073709551615", t: "2026-11-24T12:00:00Z" });
  assert.equal(written.subarray(-2).toString(), "}\n");
  assert.deepEqual(
    documentReader("x.json", () => object({ a: json, n: unsigned64, t: time }))(written.toString()),
    {
      a: any,
      n: 2n ** 64n - 1n,
      t: Date.UTC(2026, 10, 24, 12),
    },
  );
});

test("hostile 4: every time is written as one that can be read: of the years 1970 to 9999", () => {
  const read = documentReader("It", () => object({ time }));
  const written = (ms: number) => read(JSON.stringify({ time: formatIso(ms) })).time;
  const last = Date.parse("9999-12-31T23:59:59.999Z");
  assert.deepEqual([-8.64e15, -1, 0, 1.5, last, last + 1, 8.64e15].map(written), [
    0,
    0,
    0,
    1,
    last,
    last,
    last,
  ]);
});
