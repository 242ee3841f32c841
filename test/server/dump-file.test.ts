import assert from "node:assert/strict";
import { win32 } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { formatDumpFile, parseDumpTarget } from "../../src/server/dump-file.ts";
import { parseDumpPath } from "../../src/wire/dump-path.ts";
import type { Level1Report } from "../../src/wire/report-reader.ts";
import { decodeAnswerText, encodeAnswerText } from "../../src/wire/text.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const GUID = "8747c307-c461-42ba-abf5-7fd98d8bb0ec";
const GENERIC: Level1Report = EXAMPLES["4.4"].event;

function reportWith(eventType: string, ...values: string[]): Level1Report {
  return { ...GENERIC, eventType, parameters: values.map((value, id) => ({ id, name: null, value })) };
}

test("the examples of 4.1 and 4.3 are reproduced, 4.4 but for its missing .cab", () => {
  const dumpFileOf = ({ answer }: { answer: string }) => /DumpFile=(.*)\n/.exec(answer)?.[1];
  const made = (section: "4.1" | "4.3" | "4.4", guid: string) =>
    formatDumpFile(EXAMPLES[section].event, guid);
  assert.equal(made("4.1", GUID), dumpFileOf(EXAMPLES["4.1"]));
  assert.equal(made("4.3", "c2428d43-b50a-4622-9d55-cce4602834b3"), dumpFileOf(EXAMPLES["4.3"]));
  assert.equal(made("4.4", "41ed848b-30fe-4db5-92e9-7745d2ceb2b8"), `${dumpFileOf(EXAMPLES["4.4"])}.cab`);
});

test("what a report contributes becomes harmless segments", () => {
  const cases: [string, string][] = [
    ["..", "_"],
    ["", "_"],
    [" . ", "_"],
    ["..\\..\\etc", "_.._etc"],
    ['a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"],
    ["CON", "_CON"],
    ["aux.txt", "_aux.txt"],
    ["Com1", "_Com1"],
    ["COM1x", "COM1x"],
    ["name. ", "name"],
    ["50%5c", "50_5c"],
    ["a\u0000\r\nb", "a___b"],
    ["\u00fc\u20ac\ud83d\ude00", "____"],
    ["x".repeat(100), "x".repeat(64)],
    [`${"x".repeat(63)} y`, "x".repeat(63)],
  ];
  for (const [value, segment] of cases)
    assert.equal(
      formatDumpFile(reportWith("E", value), GUID),
      `\\PersistedCabs\\Generic\\E\\${segment}\\${GUID}.cab`,
    );
});

test("any report's DumpFile is short, survives the answer, and comes back from the client's path", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });
  fc.assert(
    fc.property(text, fc.array(text, { maxLength: 10 }), (eventType, values) => {
      const dumpFile = formatDumpFile(reportWith(eventType, ...values), GUID);
      assert.ok(dumpFile.length <= 260, dumpFile);
      assert.equal(dumpFile, win32.normalize(dumpFile));
      assert.equal(decodeAnswerText(encodeAnswerText(dumpFile)), dumpFile);
      assert.equal(parseDumpTarget(parseDumpPath(dumpFile)), dumpFile);
    }),
    { numRuns: 100 },
  );
});

test("slashes of every kind mean the same, nothing else is made of a target", () => {
  const dumpFile = "\\PersistedCabs\\Generic\\a b\\x.cab";
  for (const target of [
    "/PersistedCabs/Generic/a%20b/x.cab",
    "\\PersistedCabs\\Generic\\a%20b\\x.cab",
    "/\\PersistedCabs\\Generic\\a%20b\\x.cab",
    "/%5CPersistedCabs%5CGeneric%5Ca%20b%5Cx.cab",
    "/PersistedCabs%5cGeneric%2fa%20b/x.cab?query#fragment",
    "http://host:1273/PersistedCabs/Generic/a%20b/x.cab",
  ])
    assert.equal(parseDumpTarget(target), dumpFile);
  assert.equal(parseDumpTarget("/a/../b"), "\\a\\..\\b");
  assert.equal(parseDumpTarget("/%255C"), "\\%5C");
  assert.equal(parseDumpTarget("/%zz"), null);
  assert.equal(parseDumpTarget("/%ff"), null);
});
