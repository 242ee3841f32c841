import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CerError } from "../../src/errors.ts";
import type { Event, FileType, ReportType } from "../../src/event.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { type Level1Report, MAX_REPORT_SIZE, parseReport } from "../../src/wire/report-reader.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const GENERIC = EXAMPLES["4.4"];

function utf16le(text: string): Buffer {
  return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, "utf16le")]);
}

/** What arrives of an event: no paths of attached files, and U+FFFD for each character that XML cannot carry. */
function reportOf(event: Event): Level1Report {
  const files = event.files.map(({ name, type }) => ({ name, type }));
  return cleaned({ ...event, files }) as Level1Report;
}

function cleaned(value: unknown): unknown {
  if (typeof value === "string")
    return [...value].map((char) => (isXml(char.codePointAt(0) ?? 0) ? char : "\ufffd")).join("");
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, cleaned(field)]));
}

/** The production Char of XML 1.0. */
function isXml(code: number): boolean {
  return (
    [0x9, 0xa, 0xd].includes(code) ||
    (code >= 0x20 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd) ||
    code >= 0x10000
  );
}

function textOf(event: Event): string {
  return encodeReport(event).bytes.toString("utf16le").slice(1);
}

/** The message of the CER_NOT_A_REPORT that parsing throws. */
function refusalOf(bytes: Buffer | string): string {
  try {
    parseReport(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes));
  } catch (thrown) {
    assert.ok(thrown instanceof CerError, String(thrown));
    assert.equal(thrown.code, "CER_NOT_A_REPORT");
    return thrown.message.replace("This is not a level 1 report: ", "");
  }
  return assert.fail("it was taken for a report");
}

describe("encoding", () => {
  for (const { section, event, report } of Object.values(EXAMPLES)) {
    test(`the event of ${section} becomes the bytes of the specification's example`, () => {
      assert.deepEqual(encodeReport(event), { bytes: utf16le(report), replacedCharacters: 0 });
    });
  }

  test("what is absent leaves no attribute and no element, and SIGNATURE is always there", () => {
    const bare: Event = { ...GENERIC.event, friendlyEventName: null, application: null, parameters: [] };
    assert.equal(
      textOf(bare),
      [
        '<?xml version="1.0" encoding="UTF-16"?>',
        '<WERREPORT xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
        '<MACHINEINFO machinename="client-machine.corp.cliendomain.com" os="6.1.6561.2.0.0.256.1" lcid="1033"/>',
        '<USERINFO username="Username"/>',
        '<EVENTINFO reporttype="1" eventtime="128497001160460289" eventtype="MikeTest"/>',
        "<SIGNATURE/>",
        "</WERREPORT>",
        "",
      ].join("\n"),
    );
  });

  test("oem and eventdescription come last in their elements; an empty text is an empty attribute", () => {
    const text = textOf({
      ...GENERIC.event,
      machine: { ...GENERIC.event.machine, lcid: 127, oem: "Contoso" },
      friendlyEventName: "",
      eventDescription: "It broke",
    });
    assert.match(text, / lcid="0127" oem="Contoso"\/>\n/);
    assert.match(text, / eventtype="MikeTest" friendlyeventname="" eventdescription="It broke"\/>\n/);
  });

  test("markup, entity-like text, tabs and line ends are escaped", () => {
    const user = { name: `<a b="c">&lt;&#10;'\t\r\n` };
    assert.match(
      textOf({ ...GENERIC.event, user }),
      /<USERINFO username="&lt;a b=&quot;c&quot;&gt;&amp;lt;&amp;#10;'&#9;&#13;&#10;"\/>\n/,
    );
  });

  test("characters that XML cannot carry become U+FFFD and are counted, all others stay", () => {
    const { bytes, replacedCharacters } = encodeReport({
      ...GENERIC.event,
      user: { name: "\0a\u001b[0m\ud800b\udc00\ud83d\ude00\ufffe\uffff\u007f\u0085\u2028\t\n\r" },
      parameters: [{ id: 3, name: "\u0001", value: "\u000b" }],
      files: [{ path: "/x", name: "a\u0007.txt", type: 5 }],
    });
    assert.equal(replacedCharacters, 9);
    const { report } = parseReport(bytes);
    assert.deepEqual(report.user, {
      name: "\ufffda\ufffd[0m\ufffdb\ufffd\ud83d\ude00\ufffd\ufffd\u007f\u0085\u2028\t\n\r",
    });
    assert.deepEqual(report.parameters, [{ id: 3, name: "\ufffd", value: "\ufffd" }]);
    assert.deepEqual(report.files, [{ name: "a\ufffd.txt", type: 5 }]);
  });
});

describe("reading", () => {
  for (const { section, event, report } of Object.values(EXAMPLES)) {
    test(`the example of ${section} gives its event back, in every encoding, with LF and CRLF`, () => {
      const expected = reportOf(event);
      for (const text of [report, report.replaceAll("\n", "\r\n"), report.trimEnd()]) {
        const little = Buffer.from(text, "utf16le");
        const forms: [string, Buffer][] = [
          ["utf-16le", utf16le(text)],
          ["utf-16le", little],
          ["utf-16be", Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(little).swap16()])],
          ["utf-16be", Buffer.from(little).swap16()],
          ["utf-8", Buffer.from(text)],
          ["utf-8", Buffer.from(`\ufeff${text}`)],
        ];
        for (const [encoding, bytes] of forms)
          assert.deepEqual(parseReport(bytes), { report: expected, encoding, warnings: [] });
      }
    });
  }

  const text = fc.string({ unit: "binary", maxLength: 20 });
  const optional = fc.option(text);
  const anyEvent: fc.Arbitrary<Event> = fc.record({
    reportType: fc.constantFrom<ReportType>(0, 1, 2, 3, 4),
    eventType: text,
    friendlyEventName: optional,
    eventDescription: optional,
    eventTime: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    machine: fc.record({ name: text, os: text, lcid: fc.integer({ min: 1, max: 99999 }), oem: optional }),
    user: fc.record({ name: text }),
    application: fc.option(fc.record({ name: text, path: text, company: optional })),
    parameters: fc
      .uniqueArray(fc.record({ id: fc.nat(9), name: optional, value: text }), {
        selector: ({ id }) => id,
        maxLength: 10,
      })
      .map((parameters) => parameters.sort((one, other) => one.id - other.id)),
    secondaryParameters: fc.array(fc.record({ name: text, value: text }), { maxLength: 12 }),
    files: fc.array(fc.record({ path: text, name: text, type: fc.constantFrom<FileType>(1, 2, 3, 4, 5) }), {
      maxLength: 4,
    }),
  });

  test("any event, encoded and read, gives its report back", () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const { report, encoding } = parseReport(encodeReport(event).bytes);
        assert.deepEqual({ report, encoding }, { report: reportOf(event), encoding: "utf-16le" });
      }),
      { numRuns: 200 },
    );
  });

  test("any bytes at all are a report or CER_NOT_A_REPORT", () => {
    const good = encodeReport(GENERIC.event).bytes;
    const broken = fc
      .tuple(fc.nat(good.length - 1), fc.uint8Array({ maxLength: 12 }))
      .map(([at, bytes]) => Buffer.concat([good.subarray(0, at), bytes, good.subarray(at + bytes.length)]));
    fc.assert(
      fc.property(
        fc.oneof(
          broken,
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          try {
            parseReport(bytes);
          } catch (thrown) {
            assert.ok(thrown instanceof CerError && thrown.code === "CER_NOT_A_REPORT", String(thrown));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("elements in any order, unknown elements and attributes, comments and text are read over, those that the schema forbids with a warning", () => {
    const { report, warnings } = parseReport(
      Buffer.from(`<?xml version='1.0' encoding='utf-8' standalone="yes"?><!-- c --><?pi x?>
        <WERREPORT new="1"><FILES><FILE filename='a' filetype=' 9 ' hash="x"/></FILES>text
        <SIGNATURE><SECONDARYPARAMETER value="v" name="n"/><PARAMETER id="7" value="b"/>
        <PARAMETER value="&#x61;&amp;&lt;" id="2" name=""/><EXTRA><PARAMETER id="1" value="not here"/></EXTRA></SIGNATURE>
        <EVENTINFO eventtype="E" eventtime="0" reporttype="0"><MACHINEINFO machinename="not here"/></EVENTINFO>
        <NEW xmlns:a="urn:a" a:b="c"><![CDATA[<]]></NEW>
        <USERINFO username=""/><MACHINEINFO lcid="21514" os="Linux" machinename="Two
words"></MACHINEINFO></WERREPORT>`),
    );
    assert.deepEqual(warnings, [
      'WERREPORT has the attribute "new", which the schema does not know.',
      'FILE has filetype=" 9 "; the schema takes 1 to 5.',
      'FILE has the attribute "hash", which the schema does not know.',
      'WERREPORT holds the text "text", where the schema has elements only.',
      'SIGNATURE holds the element "EXTRA", which the schema does not know there.',
      'EVENTINFO holds the element "MACHINEINFO", which the schema does not know there.',
      'WERREPORT holds the element "NEW", which the schema does not know there.',
      'MACHINEINFO has lcid="21514"; the schema takes four digits, not 0000.',
      'MACHINEINFO has os="Linux"; the schema takes seven or eight numbers with dots between them.',
    ]);
    assert.deepEqual(report, {
      machine: { name: "Two words", os: "Linux", lcid: 21514, oem: null },
      user: { name: "" },
      application: null,
      reportType: 0,
      eventTime: 0n,
      eventType: "E",
      friendlyEventName: null,
      eventDescription: null,
      parameters: [
        { id: 2, name: "", value: "a&<" },
        { id: 7, name: null, value: "b" },
      ],
      secondaryParameters: [{ name: "n", value: "v" }],
      files: [{ name: "a", type: 9 }],
    });
  });

  test("what comes twice counts once, with a warning", () => {
    const twice = GENERIC.report
      .replace('<PARAMETER id="1"', '<PARAMETER id="0"')
      .replace("<SIGNATURE>", '<USERINFO username="Other"/><SIGNATURE>');
    const { report, warnings } = parseReport(Buffer.from(twice));
    assert.equal(report.user.name, "Username");
    assert.deepEqual(
      report.parameters.map(({ id, value }) => [id, value]),
      [
        [0, "1000"],
        [2, "3000"],
      ],
    );
    assert.deepEqual(warnings, [
      "The report has USERINFO more than once; the first one counts.",
      "The report has PARAMETER 0 more than once; the first one counts.",
    ]);
  });

  test("bytes that are not the encoding's are warned of", () => {
    const named = (name: Buffer) =>
      Buffer.concat(
        GENERIC.report
          .split("Username")
          .flatMap((part, at) => (at === 0 ? [Buffer.from(part)] : [name, Buffer.from(part)])),
      );
    const latin = parseReport(named(Buffer.from([0x4d, 0xfc])));
    assert.equal(latin.report.user.name, "M\ufffd");
    assert.deepEqual(latin.warnings, ["The report holds bytes that are not UTF-8."]);

    const odd = parseReport(Buffer.concat([utf16le(GENERIC.report), Buffer.of(0x0a)]));
    assert.deepEqual(odd.report, reportOf(GENERIC.event));
    assert.deepEqual(odd.warnings, ["The report holds bytes that are not UTF-16LE."]);

    const lone = parseReport(utf16le(GENERIC.report.replace("Username", "\ud800")));
    assert.equal(lone.report.user.name, "\ufffd");
    assert.deepEqual(lone.warnings, ["The report holds lone surrogates; each was read as U+FFFD."]);
  });
});

describe("what is no report", () => {
  test("is refused with its line and column when it is not well-formed XML", () => {
    const cases: [Buffer | string, string][] = [
      ["", "it is empty."],
      ["hello", "line 1, column 5: text data outside of root node."],
      ["<WERREPORT>\n<A>\n</B>", "line 3, column 4: unexpected close tag."],
      [GENERIC.report.slice(0, 300), "line 5, column 59: unclosed tag: WERREPORT."],
      [utf16le(GENERIC.report).subarray(0, 601), "line 5, column 58: unclosed tag: WERREPORT."],
      [
        Buffer.from(GENERIC.report, "utf16le").subarray(1),
        "line 2, column 1: text data outside of root node.",
      ],
      [GENERIC.report.replace("Username", "&nbsp;"), "line 4, column 26: undefined entity."],
      [GENERIC.report.replace("Username", "\u0001"), "line 4, column 21: disallowed character."],
      [
        GENERIC.report.replace('"1.0"', '"1.1"').replace("Username", "&#1;"),
        "line 4, column 24: malformed character entity.",
      ],
    ];
    for (const [bytes, message] of cases) assert.equal(refusalOf(bytes), message);
  });

  test("is refused for what is missing or is no number", () => {
    const without = (text: string | RegExp, put = "") => GENERIC.report.replace(text, put);
    const cases: [string, string][] = [
      ["<html/>", 'its root element is "html", not WERREPORT.'],
      ['<x:WERREPORT xmlns:x="u"/>', 'its root element is "x:WERREPORT", not WERREPORT.'],
      ["<WERREPORT/>", "it has no MACHINEINFO."],
      [without(/<USERINFO.*/), "it has no USERINFO."],
      [without(/<EVENTINFO.*/), "it has no EVENTINFO."],
      [without(' eventtype="MikeTest"'), "EVENTINFO has no eventtype."],
      [without(' appname="Test"'), "APPLICATIONINFO has no appname."],
      [without(' value="2000"'), "PARAMETER has no value."],
      [without('lcid="1033"', 'lcid="en-US"'), 'MACHINEINFO has lcid="en-US".'],
      [without('reporttype="1"', 'reporttype="5"'), 'EVENTINFO has reporttype="5".'],
      [without('id="2"', 'id="10"'), 'PARAMETER has id="10".'],
      [without("128497001160460289", "-1"), 'EVENTINFO has eventtime="-1".'],
      [
        without("128497001160460289", "18446744073709551616"),
        'EVENTINFO has eventtime="18446744073709551616", which is above 2^64-1.',
      ],
    ];
    for (const [text, message] of cases) assert.equal(refusalOf(text), message);
  });

  test("is refused when it defines entities, and none is ever expanded", () => {
    const entities = Array.from({ length: 10 }, (_, n) => `<!ENTITY e${n + 1} "${`&e${n};`.repeat(10)}">`);
    const laughs = `<!DOCTYPE WERREPORT [<!ENTITY e0 "ha">${entities.join("")}]>`;
    assert.equal(
      refusalOf(GENERIC.report.replace("<WERREPORT", `${laughs}<WERREPORT`)),
      "it has a document type declaration.",
    );
    assert.equal(
      refusalOf('<!DOCTYPE WERREPORT SYSTEM "file:///etc/passwd"><WERREPORT/>'),
      "it has a document type declaration.",
    );
  });

  test("is refused when it is larger, deeper or wider than the bounds, within seconds", () => {
    const start = performance.now();
    assert.equal(
      refusalOf(Buffer.alloc(MAX_REPORT_SIZE + 1, 0x20)),
      `it is ${MAX_REPORT_SIZE + 1} bytes long, the bound is ${MAX_REPORT_SIZE}.`,
    );
    assert.equal(refusalOf("<WERREPORT>".repeat(300_000)), "its elements nest deeper than 16.");
    assert.equal(refusalOf(`<WERREPORT>${"<a/>".repeat(1_000_000)}`), "it has more than 10000 elements.");
    const wide = Array.from({ length: 300_000 }, (_, n) => `a${n}=""`).join(" ");
    assert.equal(refusalOf(`<WERREPORT ${wide}/>`), "an element has more than 64 attributes.");
    assert.match(refusalOf(`<${"a".repeat(4_000_000)}/>`), /^its root element is "a{80}…", not WERREPORT\.$/);
    assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
  });

  test("cannot put control characters into the message", () => {
    assert.equal(refusalOf("<WERREPORT a\u009b='1'/>").includes("\u009b"), false);
    assert.equal(refusalOf("<\u202eWER/>").includes("\u202e"), false);
  });
});
