import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Leniency } from "../../src/errors.ts";
import { eventJsonSchema, parseEvent, parseEventTime, parseReportType } from "../../src/event/json.ts";
import { type EventInput, fromFileTime, toFileTime } from "../../src/event.ts";
import { complaintOf } from "../support/thrown-error.ts";

const STRICT = { isStrict: true };

function parse(text: string | Buffer): Promise<EventInput> {
  return parseEvent(Buffer.from(text), "e.json", "/place", new Leniency(STRICT));
}

/** As it is read without --strict, and what is told. */
async function parseLeniently(event: unknown): Promise<[EventInput, ...string[]]> {
  const leniency = new Leniency({ isStrict: false });
  const input = await parseEvent(Buffer.from(JSON.stringify(event)), "e.json", "/place", leniency);
  return [input, ...leniency.warnings];
}

const WHOLE = {
  $schema: "./event.schema.json",
  reportType: "ApplicationCrash",
  eventType: "APPCRASH",
  friendlyEventName: "Stopped working",
  eventDescription: "d",
  eventTime: "128496925196486378",
  machine: { name: "m", os: "6.1.6561.2.0.0.256.1", lcid: 1033, oem: "o" },
  user: { name: "u" },
  application: { name: "a", path: "E:\\p", company: "c" },
  parameters: [
    { id: 1, value: "one" },
    { id: 0, name: "n", value: "" },
  ],
  secondaryParameters: [{ name: "s", value: "t" }],
  files: [
    { path: "logs/x.log" },
    { path: "/abs/y.dmp", name: "z.dmp", type: "Minidump" },
    { path: "../w", type: 4 },
  ],
};

const WHOLE_INPUT: EventInput = {
  reportType: 2,
  eventType: "APPCRASH",
  friendlyEventName: "Stopped working",
  eventDescription: "d",
  eventTime: 128496925196486378n,
  machine: WHOLE.machine,
  user: WHOLE.user,
  application: WHOLE.application,
  parameters: [
    { id: 1, name: null, value: "one" },
    { id: 0, name: "n", value: "" },
  ],
  secondaryParameters: WHOLE.secondaryParameters,
  files: [
    { path: "/place/logs/x.log", name: "x.log", type: 5 },
    { path: "/abs/y.dmp", name: "z.dmp", type: 2 },
    { path: "/w", name: "w", type: 4 },
  ],
};

test("every key of the JSON form is read; file paths are relative to the event file", async () => {
  assert.deepEqual(await parse(JSON.stringify(WHOLE)), WHOLE_INPUT);
  assert.deepEqual(await parse("{}"), {});
});

test("an event file may be UTF-8 or UTF-16, with or without a byte-order mark", async () => {
  const text = '{"eventType":"ü€😀"}';
  const le = Buffer.from(text, "utf16le");
  const be = Buffer.from(le).swap16();
  const files = [
    Buffer.from(text),
    Buffer.from(`\ufeff${text}`),
    le,
    Buffer.concat([Buffer.of(0xff, 0xfe), le]),
    be,
    Buffer.concat([Buffer.of(0xfe, 0xff), be]),
  ];
  for (const bytes of files) assert.deepEqual(await parse(bytes), { eventType: "ü€😀" });
});

test("what is no JSON is refused with line and column", async () => {
  const cases: [text: string, why: string][] = [
    ["", "it is empty"],
    [" \n ", "it is empty"],
    ["\ufeff", "it is empty"],
    ["{", "close brace expected at line 1, column 2"],
    ['{\n  "eventType": "a",\n}', "property name expected at line 3, column 1"],
    ['{\r\n  "eventType" "a"\r\n}', "colon expected at line 2, column 15"],
    ['{"a": 1 "b": 2}', "comma expected at line 1, column 9"],
    ['{"eventType": }', "value expected at line 1, column 15"],
    ["{'eventType': 1}", "invalid symbol at line 1, column 2"],
    ['{"eventType": "a"} // x', "invalid comment token at line 1, column 20"],
    ['{"eventType": "a', "unexpected end of string at line 1, column 15"],
    ['{"eventType": "\\x"}', "invalid escape character at line 1, column 15"],
    ['{"eventType": "a\tb"}', "invalid character at line 1, column 15"],
    ['{"eventType": 01}', "comma expected at line 1, column 16"],
    ['{"eventType": "a"} {}', "end of file expected at line 1, column 20"],
    ["NaN", "invalid symbol at line 1, column 1"],
    ["eventType=a", "invalid symbol at line 1, column 1"],
    ["[".repeat(100_000), "it nests too deeply"],
  ];
  for (const [text, why] of cases)
    assert.deepEqual(
      await complaintOf(() => parse(text)),
      { code: "CER_EVENT_JSON", message: `e.json is not JSON: ${why}.`, hint: undefined },
      text.slice(0, 40),
    );
});

test("a field that is not as the schema has it is refused with its path, what it is and what it must be", async () => {
  const types =
    "a number from 0 to 4 or one of NonCritical, Critical, ApplicationCrash, ApplicationHang, Kernel";
  const kinds = "a number from 1 to 5 or one of Microdump, Minidump, Heapdump, UserDocument, Other";
  const cases: [event: unknown, problem: string][] = [
    [[], "the whole must be a JSON object, { … }"],
    [null, "the whole must be a JSON object, { … }"],
    ["text", "the whole must be a JSON object, { … }"],
    [{ eventType: 12 }, "eventType is 12; it must be a string"],
    [{ eventType: null }, "eventType is null; it must be a string"],
    [{ eventType: ["a"] }, "eventType is a list; it must be a string"],
    [{ reportType: 5 }, "reportType is 5; it must be at most 4"],
    [{ reportType: -1 }, "reportType is -1; it must be at least 0"],
    [{ reportType: 1.5 }, "reportType is 1.5; it must be a whole number"],
    [{ reportType: "Crash" }, `reportType is "Crash"; it must be ${types}`],
    [{ reportType: true }, `reportType is true; it must be ${types}`],
    [
      { eventTime: {} },
      "eventTime is an object; it must be a FILETIME (a decimal string, or a number below 2^53) or an ISO 8601 time",
    ],
    [{ machine: "m" }, 'machine is "m"; it must be an object'],
    [{ machine: [] }, "machine is a list; it must be an object"],
    [{ machine: { name: 1 } }, "machine.name is 1; it must be a string"],
    [{ machine: { lcid: 0 } }, "machine.lcid is 0; it must be at least 1"],
    [{ machine: { lcid: 4294967296 } }, "machine.lcid is 4294967296; it must be at most 4294967295"],
    [{ machine: { lcid: "1033" } }, 'machine.lcid is "1033"; it must be a number'],
    [{ user: null }, "user is null; it must be an object"],
    [{ parameters: {} }, "parameters is an object; it must be a list"],
    [{ parameters: [[]] }, "parameters[0] is a list; it must be an object"],
    [{ parameters: ["a"] }, 'parameters[0] is "a"; it must be an object'],
    [{ parameters: [{ id: 0 }] }, "parameters[0].value is missing"],
    [{ parameters: [{ id: 1.5, value: "v" }] }, "parameters[0].id is 1.5; it must be a whole number"],
    [{ parameters: [{ id: 0, value: 1000 }] }, "parameters[0].value is 1000; it must be a string"],
    [{ secondaryParameters: [{ name: "n" }] }, "secondaryParameters[0].value is missing"],
    [{ files: [{ path: "a" }, {}] }, "files[1].path is missing"],
    [{ files: [{ path: "a", type: 0 }] }, "files[0].type is 0; it must be at least 1"],
    [{ files: [{ path: "a", type: "dump" }] }, `files[0].type is "dump"; it must be ${kinds}`],
  ];
  for (const [event, problem] of cases)
    assert.deepEqual(await complaintOf(() => parse(JSON.stringify(event))), {
      code: "CER_EVENT_INVALID",
      message: `e.json: ${problem}.`,
      hint: undefined,
    });
});

test("a duplicate id is refused with the place of the second", async () => {
  const parameters = [
    { id: 1, value: "a" },
    { id: 2, value: "b" },
    { id: 1, value: "c" },
  ];
  assert.deepEqual(await complaintOf(() => parse(JSON.stringify({ parameters }))), {
    code: "CER_EVENT_INVALID",
    message: "e.json: parameters[2].id is 1, which is taken already.",
    hint: "Each parameter has its own id from 0 to 9.",
  });
});

test("an id that is none of the ten is refused with its place", async () => {
  const eleven = Array.from({ length: 11 }, (_, id) => ({ id, value: "v" }));
  for (const [parameters, at, id] of [
    [eleven, 10, 10],
    [[{ id: -1, value: "v" }], 0, -1],
  ] as const)
    assert.deepEqual(await complaintOf(() => parse(JSON.stringify({ parameters }))), {
      code: "CER_EVENT_INVALID",
      message: `e.json: parameters[${at}].id is ${id}, which is not from 0 to 9.`,
      hint: "Each parameter has its own id from 0 to 9.",
    });
});

test("a parameter without an id is refused with its place", async () => {
  const complaint = await complaintOf(() => parse('{"parameters":[{"id":1,"value":"v"},{"value":"w"}]}'));
  assert.equal(complaint.message, "e.json: parameters[1].id is missing.");
});

test("without --strict ids and values that were written otherwise are taken first, and then have their places", async () => {
  const parameters = [
    { id: "0", value: 1 },
    { id: 0, value: "2" },
    { id: 10, value: true },
    { name: "Third", value: "3" },
  ];
  const [input, ...told] = await parseLeniently({ parameters });
  assert.deepEqual(input, {
    parameters: [
      { id: 0, name: null, value: "1" },
      { id: 3, name: "Third", value: "3" },
    ],
    secondaryParameters: [
      { name: "Parameter 0", value: "2" },
      { name: "Parameter 10", value: "true" },
    ],
  });
  assert.equal(told.length, 6);
});

test("lists where objects belong are left out, however many there are", async () => {
  const secondaryParameters = [...Array.from({ length: 20 }, () => ["a", "b"]), { name: "n", value: "v" }];
  const [input, ...told] = await parseLeniently({ eventType: "L", secondaryParameters });
  assert.deepEqual(input, { eventType: "L", secondaryParameters: [{ name: "n", value: "v" }] });
  assert.equal(told.length, 20);
});

test("without --strict a parameter that finds no place among the ten goes as a secondary one, first", async () => {
  const ten = Array.from({ length: 10 }, (_, id) => ({ id, name: `n${id}`, value: `v${id}` }));
  const parameters = [...ten, { id: 10, value: "ten" }, { id: 3, name: "again", value: "three" }];
  assert.deepEqual(await parseLeniently({ parameters, secondaryParameters: [{ name: "s", value: "t" }] }), [
    {
      parameters: ten,
      secondaryParameters: [
        { name: "Parameter 10", value: "ten" },
        { name: "again", value: "three" },
        { name: "s", value: "t" },
      ],
    },
    "e.json: parameters[10].id is 10, which is not from 0 to 9. It goes as a secondary parameter.",
    "e.json: parameters[11].id is 3, which is taken already. It goes as a secondary parameter.",
  ]);
});

test("without --strict a field that is not as the schema has it is left out and told, the rest is read", async () => {
  const cases: [event: object, read: EventInput, told: string][] = [
    [
      { eventTyp: "a" },
      {},
      'eventTyp is not a key that cer knows. It is left out. Did you mean "eventType"?',
    ],
    [{ eventType: null }, {}, "eventType is null; it must be a string. It is left out."],
    [
      { eventType: 1603 },
      { eventType: "1603" },
      'eventType is 1603; it must be a string. It is taken as "1603".',
    ],
    [{ machine: [] }, {}, "machine is a list; it must be an object. It is left out."],
    [
      { machine: { lcid: "1033", oem: "o" } },
      { machine: { lcid: 1033, oem: "o" } },
      'machine.lcid is "1033"; it must be a number. It is taken as 1033.',
    ],
    [
      { parameters: [{ id: 0 }, { id: 1, value: "v" }] },
      { parameters: [{ id: 1, name: null, value: "v" }] },
      "parameters[0].value is missing. It is left out.",
    ],
    [
      { parameters: [{ id: 0, value: 1603 }] },
      { parameters: [{ id: 0, name: null, value: "1603" }] },
      'parameters[0].value is 1603; it must be a string. It is taken as "1603".',
    ],
    [
      { files: ["a", { path: "b" }] },
      { files: [{ path: "/place/b", name: "b", type: 5 }] },
      'files[0] is "a"; it must be an object. It is left out.',
    ],
    [{ eventTime: "yesterday" }, {}, 'eventTime is "yesterday": it is neither. It is left out.'],
    [{ reportType: 9 }, {}, "reportType is 9; it must be at most 4. It is left out."],
  ];
  for (const [event, read, told] of cases)
    assert.deepEqual(await parseLeniently(event), [read, `e.json: ${told}`], JSON.stringify(event));
});

test("without --strict many faults are read past, and the first fifty told", async () => {
  const faults = Object.fromEntries(Array.from({ length: 80 }, (_, at) => [`unknown${at}`, [at]]));
  const [input, ...warnings] = await parseLeniently({ ...faults, eventType: "E" });
  assert.deepEqual(input, { eventType: "E" });
  assert.equal(warnings.length, 51);
  assert.equal(warnings.at(-1), "There are 30 more warnings like these.");
});

test("an unknown key is named with the nearest known one", async () => {
  const top =
    "reportType, eventType, friendlyEventName, eventDescription, eventTime, machine, user, application, parameters, secondaryParameters, files";
  const cases: [event: string, path: string, nearest: string, known: string][] = [
    ['{"eventTyp":"a"}', "eventTyp", "eventType", top],
    ['{"EVENTTYPE":"a"}', "EVENTTYPE", "eventType", top],
    ['{"paramters":[]}', "paramters", "parameters", top],
    ['{"machine":{"hostname":"a"}}', "machine.hostname", "name", "name, os, lcid, oem"],
    ['{"user":{"nam":"a"}}', "user.nam", "name", "name"],
    ['{"application":{"Path":"a"}}', "application.Path", "path", "name, path, company"],
    ['{"parameters":[{"id":0,"value":"a","nmae":"b"}]}', "parameters[0].nmae", "name", "id, name, value"],
    ['{"files":[{"path":"a","typ":5}]}', "files[0].typ", "type", "path, name, type"],
    ['{"constructor":1}', "constructor", "user", top],
    ['{"__proto__":{"eventType":"x"}}', "__proto__", "reportType", top],
    ['{"toString":1}', "toString", "machine", top],
  ];
  for (const [event, path, nearest, known] of cases)
    assert.deepEqual(await complaintOf(() => parse(event)), {
      code: "CER_EVENT_INVALID",
      message: `e.json: ${path} is not a key that cer knows.`,
      hint: `Did you mean "${nearest}"? Known here: ${known}.`,
    });
});

test("a report type is a number or a name, on the command line in any case", async () => {
  const names = ["NonCritical", "Critical", "ApplicationCrash", "ApplicationHang", "Kernel"];
  for (const [number, name] of names.entries())
    for (const given of [number, String(number), name, name.toUpperCase()])
      assert.equal(parseReportType(given, "--report-type"), number);
  for (const given of ["5", "-1", "", "Crash", "2.0", "02"])
    assert.deepEqual(await complaintOf(() => parseReportType(given, "--report-type")), {
      code: "CER_EVENT_INVALID",
      message: `--report-type is "${given}".`,
      hint: `It takes a number from 0 to 4 or one of ${names.join(", ")}.`,
    });
});

test("an event time is a FILETIME or an ISO 8601 time, to the tick", () => {
  const cases: [given: string | number, ticks: bigint][] = [
    ["0", 0n],
    [0, 0n],
    [9007199254740991, 9007199254740991n],
    ["18446744073709551615", 18446744073709551615n],
    [" 128496925196486378 ", 128496925196486378n],
    ["1601-01-01", 0n],
    ["2008-03-11", 128496672000000000n],
    ["2008-02-29", 128487168000000000n],
    ["2008-03-11T07:01Z", 128496924600000000n],
    ["2008-03-11T07:01:59Z", 128496925190000000n],
    ["2008-03-11t07:01:59z", 128496925190000000n],
    ["2008-03-11T07:01:59.6486378Z", 128496925196486378n],
    ["2008-03-11T07:01:59,6486378Z", 128496925196486378n],
    ["2008-03-11T07:01:59.648637899Z", 128496925196486378n],
    ["2008-03-11T07:01:59.5Z", 128496925195000000n],
    ["2008-03-11T09:01:59+02:00", 128496925190000000n],
    ["2008-03-11T09:01:59+0200", 128496925190000000n],
    ["2008-03-10T23:31:59.1-07:30", 128496925191000000n],
    ["9999-12-31T23:59:59.9999999Z", 2650467743999999999n],
  ];
  for (const [given, ticks] of cases) assert.equal(parseEventTime(given, "eventTime"), ticks, String(given));
});

test("any other event time is refused with the reason", async () => {
  const NEITHER = "it is neither";
  const cases: [given: string | number, why: string][] = [
    ["", NEITHER],
    ["yesterday", NEITHER],
    ["-5", NEITHER],
    [-5, NEITHER],
    [1.5, NEITHER],
    ["0x10", NEITHER],
    ["1e9", NEITHER],
    ["2008-3-11", NEITHER],
    ["2008-13-01", NEITHER],
    ["2008-03-11 07:01:59", NEITHER],
    ["2008-03-11T25:00:00Z", NEITHER],
    ["2008-03-11T07:61:00Z", NEITHER],
    ["2008-03-11T07:01:59+25:00", NEITHER],
    ["2008-03-11T07:01:59", "it lacks a zone, Z for UTC or +02:00 for example"],
    ["2008-02-30", "there is no such day"],
    ["2007-02-29T12:00:00Z", "there is no such day"],
    ["1600-12-31", "a FILETIME begins in 1601"],
    ["1600-12-31T23:59:59.9999999Z", "a FILETIME begins in 1601"],
    ["18446744073709551616", "a FILETIME has 64 bits"],
    [9007199254740992, "as a JSON number it has lost digits; write it as a string"],
  ];
  for (const [given, why] of cases)
    assert.deepEqual(await complaintOf(() => parseEventTime(given, "--event-time")), {
      code: "CER_EVENT_INVALID",
      message: `--event-time is ${JSON.stringify(given)}: ${why}.`,
      hint: 'It takes a FILETIME as a decimal string ("128497001160460289") or an ISO 8601 time ("2008-03-11T07:01:59Z").',
    });
});

test("a FILETIME written as ISO 8601 is read back to the tick", () => {
  const lastOfYear9999 = 2650467743999999999n;
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: lastOfYear9999 }), (ticks) => {
      const seconds = fromFileTime(ticks).toISOString().slice(0, 19);
      const iso = `${seconds}.${String(ticks % 10_000_000n).padStart(7, "0")}Z`;
      assert.equal(parseEventTime(iso, "t"), ticks);
      assert.equal(parseEventTime(String(ticks), "t"), ticks);
      assert.equal(toFileTime(fromFileTime(ticks).getTime()), ticks - (ticks % 10_000n));
    }),
  );
});

test("no JSON at all and no bytes at all make the reader fail in another way", async () => {
  const keys = fc.constantFrom(
    ...Object.keys(WHOLE),
    "id",
    "name",
    "value",
    "path",
    "type",
    "lcid",
    "__proto__",
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, fc.jsonValue({ maxDepth: 1 }), fc.array(tie("tree")), tie("object")),
    object: fc.dictionary(keys, tie("tree"), { maxKeys: 4 }),
  }));
  const bytes = fc.oneof(
    tree.map((value) => Buffer.from(JSON.stringify(value))),
    fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (file) => {
      for (const isStrict of [true, false])
        try {
          await parseEvent(file, "e.json", "/place", new Leniency({ isStrict }));
        } catch (thrown) {
          assert.match(String((thrown as { code: string }).code), /^CER_EVENT_(JSON|INVALID)$/);
        }
    }),
  );
});

test("without --strict any JSON object is read", async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom(...Object.keys(WHOLE)), fc.jsonValue()), async (event) => {
      await parseLeniently(event);
    }),
  );
});

test("the JSON Schema is draft 7, names the keys, and has no required one: flags may give the rest", async () => {
  const schema = (await eventJsonSchema()) as Record<string, unknown> & { properties: object };
  assert.equal(schema.$schema, "http://json-schema.org/draft-07/schema#");
  assert.equal(schema.additionalProperties, false);
  assert.deepEqual(Object.keys(schema.properties), Object.keys(WHOLE));
  assert.deepEqual(schema.required, []);
});
