import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { parseJson, parseShape } from "../src/json.ts";
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
