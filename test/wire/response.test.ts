import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quote, stripControls } from "../../src/printable.ts";
import {
  encodeResponse,
  isCutShort,
  type Level1Response,
  MAX_ITEMS,
  type ParsedResponse,
  parseResponse,
  type ResponseLine,
  responseKeyOf,
} from "../../src/wire/response.ts";
import { encodeAnswerText } from "../../src/wire/text.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const NOTHING: Level1Response = {
  responseUrl: null,
  bucket: null,
  bucketTable: null,
  iData: false,
  memoryDump: false,
  fDoc: false,
  regKey: [],
  regTree: [],
  wql: [],
  getFile: [],
  getFileVersion: [],
  dumpFile: null,
};

/** The whole result of an answer's text. */
function parsed(
  found: Partial<Level1Response>,
  keysFound: number,
  warnings: readonly string[] = [],
): Omit<ParsedResponse, "isAnswer"> {
  return { response: { ...NOTHING, ...found }, keysFound, warnings };
}

/** But for whether it is an answer, which has tests of its own. */
function parse(text: string): Omit<ParsedResponse, "isAnswer"> {
  const { isAnswer: _, ...rest } = parseResponse(encodeAnswerText(text));
  return rest;
}

function isAnswer(text: string): boolean {
  return parseResponse(encodeAnswerText(text)).isAnswer;
}

const WQL = ["SELECT Family FROM Win32_Processor"];

test("the four example answers are understood, with blanks round the equals signs and with any line end", () => {
  const expected: Record<keyof typeof EXAMPLES, Omit<ParsedResponse, "isAnswer">> = {
    "4.1": parsed(
      {
        responseUrl: "http://oca.microsoft.com/resredir.aspx?SID=32",
        bucket: "500",
        bucketTable: "5",
        iData: true,
        wql: WQL,
        dumpFile:
          "\\PersistedCabs\\Generic\\APPCRASH\\GPFMe.exe\\6.0.4082.0\\40ce670d\\GPFMe.exe\\6.0.4082.0\\40ce670d\\c0000005\\000031de\\8747c307-c461-42ba-abf5-7fd98d8bb0ec.cab",
      },
      6,
    ),
    "4.2": parsed({ bucket: "500", bucketTable: "5" }, 3),
    "4.3": parsed(
      {
        bucket: "501",
        bucketTable: "5",
        iData: true,
        wql: WQL,
        dumpFile: "\\PersistedCabs\\Blue\\c2428d43-b50a-4622-9d55-cce4602834b3.cab",
      },
      5,
    ),
    "4.4": parsed(
      {
        bucket: "502",
        bucketTable: "5",
        iData: true,
        wql: WQL,
        dumpFile:
          "\\PersistedCabs\\Generic\\MikeTest\\1000\\2000\\3000\\41ed848b-30fe-4db5-92e9-7745d2ceb2b8",
      },
      5,
    ),
  };
  for (const { section, answer } of Object.values(EXAMPLES))
    for (const end of ["\n", "\r\n", "\r"])
      assert.deepEqual(parse(answer.replaceAll("\n", end)), expected[section], section);
});

test("all twelve keys are read", () => {
  const text =
    "Response=https://x/y\r\nBucket=1\r\nBucketTable=2\r\niData=1\r\nMemoryDump=1\r\nRegKey=HKLM\\a;HKLM\\b\r\n" +
    "RegTree=HKLM\\c\r\nfDoc=1\r\nWQL=SELECT a FROM b WHERE c='d=e'\r\nGetFile=%WINDIR%\\x.txt;y\r\n" +
    "GetFileVersion=z.dll\r\nDumpFile=\\a\\b.cab\r\n";
  assert.deepEqual(
    parse(text),
    parsed(
      {
        responseUrl: "https://x/y",
        bucket: "1",
        bucketTable: "2",
        iData: true,
        memoryDump: true,
        fDoc: true,
        regKey: ["HKLM\\a", "HKLM\\b"],
        regTree: ["HKLM\\c"],
        wql: ["SELECT a FROM b WHERE c='d=e'"],
        getFile: ["%WINDIR%\\x.txt", "y"],
        getFileVersion: ["z.dll"],
        dumpFile: "\\a\\b.cab",
      },
      12,
    ),
  );
});

test("tolerant reading: what is left out, unfinished, unknown, repeated or in the wrong case", () => {
  const cases: [text: string, expected: Omit<ParsedResponse, "isAnswer">][] = [
    ["", parsed({}, 0)],
    ["\r\n\r\n", parsed({}, 0)],
    ["no key here", parsed({}, 0)],
    ["Unknown=1\r\nBucket=7", parsed({ bucket: "7" }, 1)],
    ["DumpFile=\\a", parsed({ dumpFile: "\\a" }, 1)],
    ["\tBucket \t=\t 7 \t\r\n", parsed({ bucket: "7" }, 1)],
    ["\ufeffBucket=7", parsed({}, 0)],
    ["Bucket=5\nBucketTable=6\riData=1", parsed({ bucket: "5", bucketTable: "6", iData: true }, 3)],
    ["iData=0", parsed({}, 1)],
    ["DumpFile=", parsed({}, 1)],
    ["WQL=;;a; ;b ; c;", parsed({ wql: ["a", "b", "c"] }, 1)],
    ["WQL=", parsed({}, 1)],
    ["=5", parsed({}, 0)],
    [
      "Bucket=5\r\nBucket=6",
      parsed({ bucket: "5" }, 1, ["The server sent Bucket more than once; the first one counts."]),
    ],
    ["BUCKET=5", parsed({ bucket: "5" }, 1, ["The server wrote the key Bucket in another case."])],
    ["bucket=6\r\nBucket=5", parsed({ bucket: "5" }, 1)],
    [
      "idata=1\r\nIDATA=0",
      parsed({ iData: true }, 1, [
        "The server sent iData more than once; the first one counts.",
        "The server wrote the key iData in another case.",
      ]),
    ],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parse(text), expected, JSON.stringify(text));
});

test("hostile 26: an answer has a value of use for a key of the protocol, and no more stray lines than keys", () => {
  const answers = [
    ...Object.values(EXAMPLES).map(({ answer }) => answer),
    "",
    " \r\n\t\r\n",
    "Response=1",
    "Response = http://a/",
    "bucket=7",
    "BUCKET = 7\r\nNew=1\r\nOther = 2\r\nThird=3",
    "iData=0",
    "MemoryDump=0\r\nfDoc=maybe",
    "RegKey=HKLM\\a",
    "DumpFile=\\a",
    "Bucket=none\r\niData=1",
    "OK\r\nBucket=7",
    "a line\r\nBucket=7\r\nanother\r\niData=0",
  ];
  const others = [
    "response=x",
    "Response=",
    "Bucket=",
    "Bucket=0\r\niData=yes\r\nWQL=;;\r\nDumpFile=",
    "no key here",
    "=5",
    "Unknown=1",
    "\u00a0x",
    "Welcome!\r\nPlease log in.\r\nBucket=7",
    "Welcome to the portal\r\nresponse=x\r\n",
    "Status of the queue:\r\niData=1\r\n= 5\r\nBucket\r\nBucket=5",
  ];
  assert.deepEqual(
    answers.filter((text) => !isAnswer(text)),
    [],
  );
  assert.deepEqual(others.filter(isAnswer), []);
});

test("hostile 27: where a body without a stated end was cut is seen by its last line", () => {
  const short = [
    "Bucket=1\r\niData=1\r\nDumpFi",
    "Bucket=1\r\niDat",
    "Bucket=1\r\nBucketTable=",
    "Bucket = ",
    "iData=1",
    "Bucket=1\r\nidata = 1\r\nWQL=SELECT a FROM b",
    "iData=1\r\nDumpFile=",
    "Bucket=1\r\n=",
  ];
  const whole = [
    "",
    "\r\n",
    "It works!",
    "Bucket=1",
    "Bucket=1\r\n  ",
    "Bucket=1\r\niData=0",
    "Bucket=1\r\niData=1\r\n",
    "iData=1\r\nDumpFile=\\a\r\nBucket=1",
    "iData=1\r\nDumpFile=\\a",
    "Bucket=1\r\nToken=abc==",
    "Bucket=1\riDat\r",
  ];
  const isShort = (text: string) => isCutShort(encodeAnswerText(text));
  assert.deepEqual(
    short.filter((text) => !isShort(text)),
    [],
  );
  assert.deepEqual(whole.filter(isShort), []);
});

test("a malformed field is ignored alone, with a warning", () => {
  const positive = (key: string, value: string) =>
    `The server sent ${key}="${value}", which is not a positive decimal number; ignored.`;
  const flag = (key: string, value: string) =>
    `The server sent ${key}="${value}", which is neither 0 nor 1; ignored.`;
  const url = (value: string) =>
    `The server sent Response="${value}", which is not an http or https address; not shown.`;
  const cases: [line: string, warning: string][] = [
    ["Bucket=0", positive("Bucket", "0")],
    ["Bucket=", positive("Bucket", "")],
    ["Bucket=-1", positive("Bucket", "-1")],
    ["Bucket=007", positive("Bucket", "007")],
    ["Bucket=1e3", positive("Bucket", "1e3")],
    ["Bucket=5 6", positive("Bucket", "5 6")],
    [
      `Bucket=${"9".repeat(101)}`,
      `The server sent Bucket="${"9".repeat(80)}…", which is not a positive decimal number; ignored.`,
    ],
    ["iData=2", flag("iData", "2")],
    ["iData=yes", flag("iData", "yes")],
    ["iData=", flag("iData", "")],
    ["fDoc=TRUE", flag("fDoc", "TRUE")],
    ["MemoryDump=01", flag("MemoryDump", "01")],
    ["Response=javascript:alert(1)", url("javascript:alert(1)")],
    ["Response=0", url("0")],
    ["Response=http://", url("http://")],
    ["Response=http:///x", url("http:///x")],
    ["Response=file:///etc/passwd", url("file:///etc/passwd")],
  ];
  for (const [line, warning] of cases)
    assert.deepEqual(parse(`${line}\r\nBucketTable=3\r\n`), parsed({ bucketTable: "3" }, 2, [warning]), line);
});

test("a bucket keeps every digit it came with", () => {
  const digits = `1${"0".repeat(99)}`;
  assert.equal(parse(`Bucket=${digits}`).response.bucket, digits);
});

test("Response is shown when it is an address, without control characters; 1 and nothing mean none", () => {
  const cases: [string, string | null][] = [
    ["1", null],
    ["", null],
    ["http://a/?b=c=d;e", "http://a/?b=c=d;e"],
    ["HTTPS://A", "HTTPS://A"],
    ["http://a/\u001b]8;;http://evil\u0007", "http://a/]8;;http://evil"],
    ["\u0000http://a", "http://a"],
  ];
  for (const [value, shown] of cases)
    assert.deepEqual(parse(`Response=${value}`), parsed({ responseUrl: shown }, 1), JSON.stringify(value));
});

test("byte 0x80 is the euro sign, a UTF-8 mark is skipped", () => {
  assert.deepEqual(parseResponse(Buffer.from("GetFile=\x80.txt", "latin1")).response.getFile, ["€.txt"]);
  assert.equal(parseResponse(Buffer.from("\ufeffBucket=7")).response.bucket, "7");
});

test("a thousand items of a list are looked at, the rest is warned of", () => {
  const { response, warnings } = parse(`WQL=${"a;".repeat(MAX_ITEMS + 5)}`);
  assert.equal(response.wql.length, 1000);
  assert.deepEqual(warnings, ["The server sent 1005 items in WQL; only the first 1000 are looked at."]);
});

test("at most twenty warnings are kept", () => {
  assert.equal(parse("Bucket=1\n".repeat(50)).warnings.length, 20);
});

test("controls and direction marks are stripped from shown text, and a long quote is cut", () => {
  assert.equal(stripControls("a\u001b[31mb\r\n\u202ec\u2066d\u009be\u200ff"), "a[31mbcdef");
  assert.equal(quote("x".repeat(80)), `"${"x".repeat(80)}"`);
  assert.equal(quote("x".repeat(81)), `"${"x".repeat(80)}…"`);
  assert.equal(quote("\u0007"), '""');
});

test("a key is known in any case", () => {
  assert.equal(responseKeyOf("bucketTABLE"), "BucketTable");
  assert.equal(responseKeyOf("Buckets"), undefined);
  assert.equal(responseKeyOf("constructor"), undefined);
});

/** An answer with ` = ` after Response, Bucket and BucketTable, as the specification's examples print them. */
function spaceOut(answer: Buffer): Buffer {
  return Buffer.from(answer.toString("latin1").replace(/^(Response|Bucket(?:Table)?)=/gm, "$1 = "), "latin1");
}

test("an answer is written as key=value and CRLF", () => {
  const lines: ResponseLine[] = [
    ["Response", ""],
    ["Bucket", "5"],
    ["BucketTable", "6"],
    ["GetFile", "€"],
  ];
  assert.equal(
    encodeResponse(lines).toString("latin1"),
    "Response=\r\nBucket=5\r\nBucketTable=6\r\nGetFile=\x80\r\n",
  );
  assert.equal(
    spaceOut(encodeResponse(lines)).toString("latin1"),
    "Response = \r\nBucket = 5\r\nBucketTable = 6\r\nGetFile=\x80\r\n",
  );
});

const number = fc.bigInt({ min: 1n, max: 10n ** 99n }).map(String);
const item = fc.stringMatching(/^[!-:<-~€ü](?:[ -:<-~€ü]{0,20}[!-:<-~€ü])?$/);
const items = fc.array(item, { maxLength: 5 });
const anyResponse: fc.Arbitrary<Level1Response> = fc.record(
  {
    responseUrl: fc.option(fc.webUrl(), { nil: null }),
    bucket: fc.option(number, { nil: null }),
    bucketTable: fc.option(number, { nil: null }),
    iData: fc.boolean(),
    memoryDump: fc.boolean(),
    fDoc: fc.boolean(),
    regKey: items,
    regTree: items,
    wql: items,
    getFile: items,
    getFileVersion: items,
    dumpFile: fc.option(item, { nil: null }),
  },
  { noNullPrototype: true },
);

function linesOf(response: Level1Response): ResponseLine[] {
  const text = (key: ResponseLine[0], value: string | null): ResponseLine[] =>
    value === null ? [] : [[key, value]];
  const flag = (key: ResponseLine[0], value: boolean): ResponseLine[] => [[key, value ? "1" : "0"]];
  const list = (key: ResponseLine[0], value: readonly string[]): ResponseLine[] =>
    value.length === 0 ? [] : [[key, value.join(";")]];
  return [
    ...text("Response", response.responseUrl),
    ...text("Bucket", response.bucket),
    ...text("BucketTable", response.bucketTable),
    ...flag("iData", response.iData),
    ...flag("MemoryDump", response.memoryDump),
    ...flag("fDoc", response.fDoc),
    ...list("RegKey", response.regKey),
    ...list("RegTree", response.regTree),
    ...list("WQL", response.wql),
    ...list("GetFile", response.getFile),
    ...list("GetFileVersion", response.getFileVersion),
    ...text("DumpFile", response.dumpFile),
  ];
}

test("every answer that is written is read back, in any order of its lines, spaced or not", () => {
  const written = anyResponse.chain((response) => {
    const lines = linesOf(response);
    const order = fc.shuffledSubarray(lines, { minLength: lines.length });
    return fc.record({ response: fc.constant(response), order, spaced: fc.boolean() });
  });
  fc.assert(
    fc.property(written, ({ response, order, spaced }) => {
      const answer = encodeResponse(order);
      assert.deepEqual(parseResponse(spaced ? spaceOut(answer) : answer), {
        response,
        keysFound: order.length,
        isAnswer: true,
        warnings: [],
      });
    }),
  );
});

test("no bytes make the reader fail, and what it returns is harmless", () => {
  const piece = fc.oneof(
    fc.constantFrom("Bucket", "iData", "Response", "DumpFile", "WQL", "=", "\r\n", " ", ";", "http://a", "1"),
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const body = Buffer.from(pieces.join(""), "latin1");
      const { response, keysFound, isAnswer, warnings } = parseResponse(body);
      assert.ok(
        isCutShort(body) !== undefined &&
          (keysFound > 0 || !isAnswer || body.toString("latin1").trim() === ""),
      );
      assert.ok(keysFound <= 12 && warnings.length <= 20);
      assert.ok(response.bucket === null || /^[1-9][0-9]*$/.test(response.bucket));
      assert.ok(response.responseUrl === null || /^https?:\/\/[^\s/]/i.test(response.responseUrl));
      const shown = `${response.responseUrl}${warnings.join("")}`;
      assert.equal(shown, stripControls(shown));
    }),
    { numRuns: 500 },
  );
});

test("a mebibyte of any one thing is read in no time", () => {
  const size = 1024 * 1024;
  const bodies = [
    "=",
    ";",
    " ",
    "\t=",
    "\r",
    "Bucket=",
    "WQL= ;",
    "a",
    "Response=http://a ",
    "Bucket=1\n",
  ].map((word) => word.repeat(size / word.length));
  bodies.push(`Bucket=${" ".repeat(size)}x`, `${" ".repeat(size)}Bucket=1`, `WQL=${" ;".repeat(size / 2)}`);
  for (const body of bodies) {
    const start = performance.now();
    parseResponse(Buffer.from(body));
    isCutShort(Buffer.from(body));
    const took = performance.now() - start;
    assert.ok(took < 20_000, `${JSON.stringify(body.slice(0, 12))} took ${Math.round(took)} ms`);
  }
});
