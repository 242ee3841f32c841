import assert from "node:assert/strict";
import { test } from "node:test";
import { Leniency } from "../../src/errors.ts";
import { attachedBy, type EventFlags, inputOf } from "../../src/event/flags.ts";
import type { EventInput } from "../../src/event.ts";
import { NO_FLAGS } from "../support/events.ts";
import { complaintOf } from "../support/thrown-error.ts";

const NOTHING: EventInput = { machine: {}, user: {}, application: {}, secondaryParameters: [] };

/** What the flags say, and what is told of them. */
function read(flags: Partial<EventFlags>, isStrict = false): [EventInput, ...string[]] {
  const leniency = new Leniency({ isStrict });
  return [inputOf({ ...NO_FLAGS, ...flags }, leniency), ...leniency.warnings];
}

test("what is typed is read, and what is not typed is left to others", () => {
  assert.deepEqual(read({}), [NOTHING]);
  const whole: Partial<EventFlags> = {
    reportType: "applicationhang",
    eventTime: "2008-03-11T07:01:59Z",
    lcid: "1033",
    eventType: "E",
    friendlyEventName: "F",
    eventDescription: "D",
    appName: "a",
    appPath: "b",
    appCompany: "c",
    machineName: "m",
    os: "o",
    oem: "x",
    user: "u",
    parameters: ["a=1", "b", "=c=d", "d=", "e=f=g"],
    secondary: ["a=1", "b==2", "c="],
  };
  const input: EventInput = {
    reportType: 3,
    eventTime: 128496925190000000n,
    eventType: "E",
    friendlyEventName: "F",
    eventDescription: "D",
    application: { name: "a", path: "b", company: "c" },
    machine: { name: "m", os: "o", lcid: 1033, oem: "x" },
    user: { name: "u" },
    parameters: [
      { id: 0, name: "a", value: "1" },
      { id: 1, name: null, value: "b" },
      { id: 2, name: null, value: "c=d" },
      { id: 3, name: "d", value: "" },
      { id: 4, name: "e", value: "f=g" },
    ],
    secondaryParameters: [
      { name: "a", value: "1" },
      { name: "b", value: "=2" },
      { name: "c", value: "" },
    ],
  };
  assert.deepEqual(read(whole), [input]);
});

test("attached files stand in the order of their worth: dumps first", () => {
  const flags = { ...NO_FLAGS, files: ["a", "b"], minidumps: ["c"], heapdumps: ["d"], documents: ["e"] };
  assert.deepEqual(attachedBy(flags), [
    { path: "c", type: 2 },
    { path: "d", type: 3 },
    { path: "e", type: 4 },
    { path: "a", type: 5 },
    { path: "b", type: 5 },
  ]);
});

test("a word that means nothing is left out and told; under --strict it is refused", async () => {
  const cases: [flags: Partial<EventFlags>, message: string, hint: string][] = [
    ...["de", "0", "4294967296", "-1", ""].map((lcid): [Partial<EventFlags>, string, string] => [
      { lcid },
      `--lcid is "${lcid}".`,
      "It takes a number, 1033 for example.",
    ]),
    [
      { eventTime: "now" },
      '--event-time is "now": it is neither.',
      'It takes a FILETIME as a decimal string ("128497001160460289") or an ISO 8601 time ("2008-03-11T07:01:59Z").',
    ],
    [
      { reportType: "9" },
      '--report-type is "9".',
      "It takes a number from 0 to 4 or one of NonCritical, Critical, ApplicationCrash, ApplicationHang, Kernel.",
    ],
    [{ secondary: ["a"] }, '--secondary is "a".', "It takes NAME=VALUE."],
    [{ secondary: ["=a"] }, '--secondary is "=a".', "It takes NAME=VALUE."],
  ];
  for (const [flags, message, hint] of cases) {
    assert.deepEqual(read(flags), [NOTHING, `${message} It is left out.`]);
    assert.deepEqual(await complaintOf(() => read(flags, true)), {
      code: "CER_EVENT_INVALID",
      message,
      hint,
    });
  }
});

test("an eleventh parameter and those after it go as secondary ones; under --strict they are refused", async () => {
  const words = [...Array.from({ length: 10 }, (_, at) => `v${at}`), "Code=1603", "bare"];
  const [input, ...told] = read({ parameters: words, secondary: ["s=t"] });
  assert.equal(input.parameters?.length, 10);
  assert.deepEqual(input.secondaryParameters, [
    { name: "Code", value: "1603" },
    { name: "Parameter 11", value: "bare" },
    { name: "s", value: "t" },
  ]);
  const message = "There are 12 parameters, the bound is 10.";
  assert.deepEqual(told, [`${message} The others go as secondary parameters.`]);
  assert.deepEqual(await complaintOf(() => read({ parameters: words }, true)), {
    code: "CER_EVENT_INVALID",
    message,
    hint: "Further values go into --secondary NAME=VALUE.",
  });
});
