import assert from "node:assert/strict";
import { test } from "node:test";
import { Leniency } from "../src/errors.ts";
import {
  baseName,
  completeEvent,
  type Event,
  type EventInput,
  fromFileTime,
  mergeInputs,
  toFileTime,
} from "../src/event.ts";
import { complaintOf } from "./support/thrown-error.ts";

const FACTS = { name: "host.corp", os: "5.4.0.4.0.0.0.0", lcid: 1031, user: "me" };
const NOW = Date.UTC(2008, 2, 11, 7, 1, 59);

/** Strict unless it is said otherwise. */
function complete(input: EventInput, options: { isStrict?: boolean; facts?: Partial<typeof FACTS> } = {}) {
  const { isStrict = true, facts = {} } = options;
  const leniency = new Leniency({ isStrict });
  const event = completeEvent(input, { ...FACTS, ...facts }, { now: NOW, leniency });
  return { event, warnings: leniency.warnings };
}

const MINIMAL: Event = {
  reportType: 1,
  eventType: "Test",
  friendlyEventName: null,
  eventDescription: null,
  eventTime: 128496925190000000n,
  machine: { name: "host.corp", os: "5.4.0.4.0.0.0.0", lcid: 1031, oem: null },
  user: { name: "me" },
  application: null,
  parameters: [],
  secondaryParameters: [],
  files: [],
};

test("what is left out is filled from the machine and the clock", () => {
  assert.deepEqual(complete({ eventType: "Test" }), { event: MINIMAL, warnings: [] });
});

test("what is given stays, parameters in the order of their ids", () => {
  const given: EventInput = {
    reportType: 4,
    eventType: "E",
    friendlyEventName: "",
    eventDescription: "line\nline",
    eventTime: 0n,
    machine: { name: "m", os: "o", lcid: 1, oem: "x".repeat(32) },
    user: { name: "" },
    application: { name: "a", path: "p", company: "c" },
    parameters: [
      { id: 9, name: null, value: "nine" },
      { id: 0, name: "zero", value: "" },
    ],
    secondaryParameters: [{ name: "s", value: "t" }],
    files: [{ path: "/x/y", name: "y", type: 2 }],
  };
  assert.deepEqual(complete(given), {
    event: { ...given, parameters: [...(given.parameters ?? [])].reverse() },
    warnings: [],
  });
});

test("an event without an eventType is refused", async () => {
  const complaint = {
    code: "CER_EVENT_INVALID",
    message: "The event has no eventType.",
    hint: 'Give one with --event-type NAME, or as "eventType" in the event file.',
  };
  assert.deepEqual(await complaintOf(() => complete({})), complaint);
  assert.deepEqual(await complaintOf(() => complete({ eventType: "" })), complaint);
});

test("an application is whole as soon as one part of it is given", () => {
  const cases: [EventInput["application"], Event["application"]][] = [
    [{}, null],
    [{ name: "a" }, { name: "a", path: "a", company: null }],
    [{ path: "E:\\tools\\x.exe" }, { name: "x.exe", path: "E:\\tools\\x.exe", company: null }],
    [{ path: "/usr/bin/x" }, { name: "x", path: "/usr/bin/x", company: null }],
    [{ company: "c" }, { name: "", path: "", company: "c" }],
  ];
  for (const [application, expected] of cases)
    assert.deepEqual(
      complete({ eventType: "E", ...(application === undefined ? {} : { application }) }).event.application,
      expected,
    );
});

const LONG = "x".repeat(257);
const BOUNDED: [field: string, bound: number, input: (value: string) => EventInput][] = [
  ["machine.name", 256, (name) => ({ machine: { name } })],
  ["machine.oem", 32, (oem) => ({ machine: { oem } })],
  ["application.name", 256, (name) => ({ application: { name, path: "p" } })],
  ["application.path", 256, (path) => ({ application: { name: "n", path } })],
  ["application.company", 256, (company) => ({ application: { company } })],
  ["files[0].name", 256, (name) => ({ files: [{ path: "/x", name, type: 5 }] })],
];

test("under --strict a value one character over its bound is refused with field, length and bound", async () => {
  for (const [field, bound, input] of BOUNDED) {
    complete({ eventType: "E", ...input("y".repeat(bound)) });
    assert.deepEqual(await complaintOf(() => complete({ eventType: "E", ...input("y".repeat(bound + 1)) })), {
      code: "CER_TOO_LONG",
      message: `${field} has ${bound + 1} characters, the bound is ${bound}.`,
      hint: "Shorten it, or leave --strict out: then it is cut.",
    });
  }
});

test("G2: otherwise such a value is cut, and told", () => {
  for (const [field, bound, input] of BOUNDED) {
    const long = complete({ eventType: "E", ...input(LONG) }, { isStrict: false });
    assert.deepEqual(long.warnings, [`${field} has 257 characters, the bound is ${bound}. It was cut.`]);
    assert.deepEqual(long.event, complete({ eventType: "E", ...input(LONG.slice(0, bound)) }).event);
  }
});

test("a value the machine gave is cut with a warning, under --strict as well", () => {
  const { event, warnings } = complete({ eventType: "E" }, { facts: { name: LONG } });
  assert.equal(event.machine.name, "x".repeat(256));
  assert.deepEqual(warnings, ["machine.name has 257 characters, the bound is 256. It was cut."]);
});

test("a character outside the basic plane counts once and is not cut in half", () => {
  const name = "\u{1f600}".repeat(256);
  assert.equal(complete({ eventType: "E", machine: { name } }).event.machine.name, name);
  const cut = complete({ eventType: "E", machine: { name: `${name}x` } }, { isStrict: false });
  assert.equal(cut.event.machine.name, name);
});

test("texts without a bound in the schema have none", () => {
  const text = "x".repeat(100_000);
  const input: EventInput = {
    eventType: text,
    friendlyEventName: text,
    eventDescription: text,
    user: { name: text },
    parameters: [{ id: 0, name: text, value: text }],
    secondaryParameters: [{ name: text, value: text }],
  };
  assert.deepEqual(complete(input).warnings, []);
});

test("a line break in a bounded value becomes a blank, and is refused under --strict", async () => {
  for (const [field, , input] of BOUNDED)
    assert.deepEqual(await complaintOf(() => complete({ eventType: "E", ...input("a\r\nb") })), {
      code: "CER_EVENT_INVALID",
      message: `${field} holds a line break, which the report's schema forbids.`,
      hint: "Write it on one line, or leave --strict out: then a space stands there.",
    });
  const broken = complete({ eventType: "E", machine: { name: "a\r\n\nb" } }, { isStrict: false });
  assert.equal(broken.event.machine.name, "a b");
  assert.deepEqual(broken.warnings, [
    "machine.name holds a line break, which the report's schema forbids. A space stands there.",
  ]);
});

test("where a file and flags both speak, flags win; lists are joined, but parameters replaced", () => {
  const file: EventInput = {
    eventType: "file",
    friendlyEventName: "file",
    machine: { name: "file", lcid: 1 },
    application: { name: "file", path: "file" },
    parameters: [{ id: 3, name: null, value: "file" }],
    secondaryParameters: [{ name: "a", value: "file" }],
    files: [{ path: "/file", name: "file", type: 2 }],
  };
  const flags: EventInput = {
    eventType: "flag",
    machine: { name: "flag" },
    user: { name: "flag" },
    application: { path: "flag" },
    secondaryParameters: [{ name: "b", value: "flag" }],
    files: [{ path: "/flag", name: "flag", type: 5 }],
  };
  const merged: EventInput = {
    eventType: "flag",
    friendlyEventName: "file",
    machine: { name: "flag", lcid: 1 },
    user: { name: "flag" },
    application: { name: "file", path: "flag" },
    parameters: [{ id: 3, name: null, value: "file" }],
    secondaryParameters: [
      { name: "a", value: "file" },
      { name: "b", value: "flag" },
    ],
    files: [
      { path: "/file", name: "file", type: 2 },
      { path: "/flag", name: "flag", type: 5 },
    ],
  };
  assert.deepEqual(mergeInputs(file, flags), merged);
  const parameters = [{ id: 0, name: null, value: "flag" }];
  assert.deepEqual(mergeInputs(file, { ...flags, parameters }), { ...merged, parameters });
});

test("the last part of a path of either kind", () => {
  const cases: Record<string, string> = {
    "a/b.txt": "b.txt",
    "E:\\tools\\x.exe": "x.exe",
    "a\\b/c": "c",
    "/a/b/": "b",
    x: "x",
    "/": "/",
    "": "",
  };
  for (const [path, name] of Object.entries(cases)) assert.equal(baseName(path), name);
});

test("a FILETIME counts 100 nanoseconds from 1601, whole milliseconds both ways, clamped to what a Date holds", () => {
  assert.equal(toFileTime(0), 116444736000000000n);
  assert.equal(toFileTime(-11644473600000), 0n);
  assert.equal(fromFileTime(128496925196486378n).toISOString(), "2008-03-11T07:01:59.648Z");
  assert.equal(fromFileTime(0n).toISOString(), "1601-01-01T00:00:00.000Z");
  assert.equal(fromFileTime(2n ** 64n - 1n).toISOString(), "+060056-05-28T05:36:10.955Z");
  assert.equal(fromFileTime(2n ** 70n).getTime(), 8_640_000_000_000_000);
});

test("hostile 4: a clock before 1601, or beyond all years, gives the event the nearest time there is", () => {
  const at = (now: number) =>
    completeEvent({ eventType: "Test" }, FACTS, { now, leniency: new Leniency({ isStrict: true }) })
      .eventTime;
  assert.deepEqual([-8.64e15, -11644473600001, -11644473599999, 8.64e15].map(at), [
    0n,
    0n,
    10_000n,
    2n ** 64n - 1n,
  ]);
});
