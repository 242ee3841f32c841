import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Event, FileType, ReportType } from "../../src/event.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { parseReport } from "../../src/wire/report-reader.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const GENERIC = EXAMPLES["4.4"];

function warningsOf(text: string): readonly string[] {
  return parseReport(Buffer.from(text)).warnings;
}

/** What is said of the example of 4.4 with this in the place of that. */
function changed(from: string | RegExp, to: string): readonly string[] {
  const text = GENERIC.report.replace(from, to);
  assert.notEqual(text, GENERIC.report);
  return warningsOf(text);
}

const os = "the schema takes seven or eight numbers with dots between them.";
const lcid = "the schema takes four digits, not 0000.";
const path = "the schema takes at most 256 characters on one line.";
const tooLong = "x".repeat(257);
const shown = `"${"x".repeat(80)}…"`;

describe("G11: what keeps the schema", () => {
  for (const { section, event, report } of Object.values(EXAMPLES))
    test(`the example of ${section}, as printed and as this client sends it`, () => {
      assert.deepEqual(warningsOf(report), []);
      assert.deepEqual(parseReport(encodeReport(event).bytes).warnings, []);
    });

  const line = fc.string({ unit: "grapheme", maxLength: 20 });
  const version = fc.array(fc.nat(99_999), { minLength: 8, maxLength: 8 }).map((parts) => parts.join("."));
  const anyEvent: fc.Arbitrary<Event> = fc.record({
    reportType: fc.constantFrom<ReportType>(0, 1, 2, 3, 4),
    eventType: line,
    friendlyEventName: fc.option(line),
    eventDescription: fc.option(line),
    eventTime: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    machine: fc.record({
      name: line,
      os: version,
      lcid: fc.integer({ min: 1, max: 9999 }),
      oem: fc.option(fc.string({ maxLength: 32 })),
    }),
    user: fc.record({ name: line }),
    application: fc.option(fc.record({ name: line, path: line, company: fc.option(line) })),
    parameters: fc.uniqueArray(fc.record({ id: fc.nat(9), name: fc.option(line), value: line }), {
      selector: ({ id }) => id,
      maxLength: 10,
    }),
    secondaryParameters: fc.array(fc.record({ name: line, value: line }), { maxLength: 12 }),
    files: fc.array(fc.record({ path: line, name: line, type: fc.constantFrom<FileType>(1, 2, 3, 4, 5) }), {
      maxLength: 4,
    }),
  });

  test("every report that this client makes of values within the bounds", () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        assert.deepEqual(parseReport(encodeReport(event).bytes).warnings, []);
      }),
      { numRuns: 300 },
    );
  });

  test("values at their bounds, counted in characters", () => {
    const name = "\u{1f600}".repeat(256);
    assert.deepEqual(changed("client-machine.corp.cliendomain.com", name), []);
    assert.deepEqual(changed('lcid="1033"', `lcid=" 0001 " oem="${"\u{1f600}".repeat(32)}"`), []);
    assert.deepEqual(changed("6.1.6561.2.0.0.256.1", "1.2.3456.7.89012345.6.7"), []);
  });

  test("comments and instructions anywhere, blanks between elements, references to a schema", () => {
    assert.deepEqual(changed("<SIGNATURE>", "<!-- c --> <?x y?>\r\n\t<SIGNATURE><!-- d -->"), []);
    assert.deepEqual(changed(/<USERINFO(.*)\/>/, "<USERINFO$1><!-- c --></USERINFO>"), []);
    assert.deepEqual(
      changed("<WERREPORT", '<WERREPORT xmlns:a="urn:a" xsi:schemaLocation="urn:a a.xsd"'),
      [],
    );
    const other = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:noNamespaceSchemaLocation="cer.xsd"';
    assert.deepEqual(changed("<SIGNATURE>", `<SIGNATURE ${other}>`), []);
  });
});

describe("G11: what breaks the schema is taken, and told", () => {
  const cases: [what: string, from: string | RegExp, to: string, warning: string][] = [
    ["a system that is no version", "6.1.6561.2.0.0.256.1", "banana", `MACHINEINFO has os="banana"; ${os}`],
    ["a version that is cut", "6.1.6561.2.0.0.256.1", "6.1.6561", `MACHINEINFO has os="6.1.6561"; ${os}`],
    [
      "a machine name that is too long",
      "client-machine.corp.cliendomain.com",
      tooLong,
      `MACHINEINFO has machinename=${shown}; ${path}`,
    ],
    [
      "a machine name on two lines",
      "client-machine.corp",
      "a&#10;b",
      `MACHINEINFO has machinename="ab.cliendomain.com"; ${path}`,
    ],
    [
      "an application name that is too long",
      'appname="Test"',
      `appname="${tooLong}"`,
      `APPLICATIONINFO has appname=${shown}; ${path}`,
    ],
    [
      "a path that is too long",
      "E:\\tools\\wersample.exe",
      tooLong,
      `APPLICATIONINFO has apppath=${shown}; ${path}`,
    ],
    [
      "a company that is too long",
      "Test Corporation",
      tooLong,
      `APPLICATIONINFO has appcompany=${shown}; ${path}`,
    ],
    [
      "a maker that is too long",
      'lcid="1033"',
      `lcid="1033" oem="${"x".repeat(33)}"`,
      `MACHINEINFO has oem="${"x".repeat(33)}"; the schema takes at most 32 characters on one line.`,
    ],
    ["a locale of five digits", "1033", "16393", `MACHINEINFO has lcid="16393"; ${lcid}`],
    ["a locale of one digit", "1033", "0", `MACHINEINFO has lcid="0"; ${lcid}`],
    ["the locale zero", "1033", "0000", `MACHINEINFO has lcid="0000"; ${lcid}`],
    [
      "a number with a blank that is none in XML",
      'reporttype="1"',
      'reporttype="1\u00a0"',
      'EVENTINFO has reporttype="1\u00a0"; the schema takes 0 to 4.',
    ],
    [
      "a file of a newer type",
      "</WERREPORT>",
      '<FILES><FILE filename="a" filetype="6"/></FILES></WERREPORT>',
      'FILE has filetype="6"; the schema takes 1 to 5.',
    ],
    [
      "a file name that is too long",
      "</WERREPORT>",
      `<FILES><FILE filename="${tooLong}" filetype="5"/></FILES></WERREPORT>`,
      `FILE has filename=${shown}; ${path}`,
    ],
    ["no signature", /<SIGNATURE>[\s\S]*<\/SIGNATURE>/, "", "WERREPORT has no SIGNATURE."],
    [
      "two signatures",
      "<SIGNATURE>",
      "<SIGNATURE/><SIGNATURE>",
      "WERREPORT has 2 SIGNATURE elements; the most is 1.",
    ],
    [
      "two lists of files",
      "</WERREPORT>",
      "<FILES/><FILES/></WERREPORT>",
      "WERREPORT has 2 FILES elements; the most is 1.",
    ],
    [
      "a second machine",
      "<SIGNATURE>",
      '<MACHINEINFO machinename="a" os="1.2.3.4.5.6.7.8" lcid="1033"/><SIGNATURE>',
      "The report has MACHINEINFO more than once; the first one counts.",
    ],
    [
      "a second application",
      "<SIGNATURE>",
      '<APPLICATIONINFO appname="a" apppath="b"/><SIGNATURE>',
      "The report has APPLICATIONINFO more than once; the first one counts.",
    ],
    [
      "a second event",
      "<SIGNATURE>",
      '<EVENTINFO reporttype="1" eventtype="a" eventtime="1"/><SIGNATURE>',
      "The report has EVENTINFO more than once; the first one counts.",
    ],
    [
      "an id that is taken",
      'id="1"',
      'id="0"',
      "The report has PARAMETER 0 more than once; the first one counts.",
    ],
    [
      "text among the elements",
      "<SIGNATURE>",
      "<SIGNATURE>some text",
      'SIGNATURE holds the text "some text", where the schema has elements only.',
    ],
    [
      "text in CDATA",
      "</WERREPORT>",
      "<![CDATA[<]]></WERREPORT>",
      'WERREPORT holds the text "<", where the schema has elements only.',
    ],
    [
      "text in an element that has attributes only",
      /<USERINFO(.*)\/>/,
      "<USERINFO$1>me</USERINFO>",
      "USERINFO has text or blanks between its tags, where the schema has nothing.",
    ],
    [
      "a line end in an element that has attributes only",
      /<USERINFO(.*)\/>/,
      "<USERINFO$1>\n</USERINFO>",
      "USERINFO has text or blanks between its tags, where the schema has nothing.",
    ],
    [
      "a default namespace",
      "<WERREPORT",
      '<WERREPORT xmlns="urn:cer"',
      'WERREPORT is in the namespace "urn:cer"; the schema\'s elements are in none.',
    ],
    [
      "an element with a prefix",
      "<SIGNATURE>",
      '<a:USERINFO xmlns:a="urn:a"/><SIGNATURE>',
      'WERREPORT holds the element "a:USERINFO", which the schema does not know there.',
    ],
    [
      "an element in another case",
      "<SIGNATURE>",
      "<Files/><SIGNATURE>",
      'WERREPORT holds the element "Files", which the schema does not know there.',
    ],
    [
      "an element in another's place",
      "<SIGNATURE>",
      '<PARAMETER id="3" value="a"/><SIGNATURE>',
      'WERREPORT holds the element "PARAMETER", which the schema does not know there.',
    ],
    [
      "an element called as a property of every object",
      "<SIGNATURE>",
      "<constructor/><SIGNATURE>",
      'WERREPORT holds the element "constructor", which the schema does not know there.',
    ],
    [
      "an attribute that nobody knows",
      'id="0"',
      'id="0" type="x"',
      'PARAMETER has the attribute "type", which the schema does not know.',
    ],
    [
      "an attribute of the schema's instance that says something of the element",
      'id="0"',
      'id="0" xsi:nil="true"',
      'PARAMETER has the attribute "xsi:nil", which the schema does not know.',
    ],
    [
      "an attribute under the usual prefix of the instance, bound to something else",
      /xmlns:xsi="[^"]*"/,
      'xmlns:xsi="urn:x" xsi:schemaLocation="a b"',
      'WERREPORT has the attribute "xsi:schemaLocation", which the schema does not know.',
    ],
  ];
  for (const [what, from, to, warning] of cases)
    test(what, () => assert.deepEqual(changed(from, to), [warning]));

  test("eleven parameters, however many of them share an id", () => {
    const eleven = Array.from({ length: 11 }, (_, n) => `<PARAMETER id="${n % 10}" value="v"/>`).join("");
    assert.deepEqual(changed(/<SIGNATURE>[\s\S]*<\/SIGNATURE>/, `<SIGNATURE>${eleven}</SIGNATURE>`), [
      "SIGNATURE has 11 PARAMETER elements; the most is 10.",
      "The report has PARAMETER 0 more than once; the first one counts.",
    ]);
  });

  test("what is in an unknown element is not judged; twenty are told, the rest are counted", () => {
    assert.deepEqual(
      changed("<SIGNATURE>", '<NEW><USERINFO a="b">x</USERINFO><SIGNATURE/></NEW><SIGNATURE>'),
      ['WERREPORT holds the element "NEW", which the schema does not know there.'],
    );
    const many = changed("<SIGNATURE>", `${"<NEW/>".repeat(2000)}<SIGNATURE>`);
    assert.deepEqual([many.length, many.at(-1)], [21, "And 1980 more warnings."]);
  });
});
