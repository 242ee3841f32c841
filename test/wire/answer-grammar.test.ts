import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { findFaults } from "../../src/wire/answer-grammar.ts";
import { encodeResponse, type ResponseKey } from "../../src/wire/response.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

function faultsOf(text: string): string[] {
  return findFaults(Buffer.from(text, "latin1"));
}

describe("G7: an answer by the letter of 2.2.2", () => {
  for (const { section, answer } of Object.values(EXAMPLES))
    test(`the example of ${section}, mixed blanks and all, has no fault in lines that end as the grammar has them`, () => {
      assert.deepEqual(faultsOf(answer.replaceAll("\n", "\r\n")), []);
    });

  test("and neither has an empty one, nor any that is written by the grammar, in any order of its lines", () => {
    assert.deepEqual(faultsOf(""), []);
    const positive = fc.bigInt({ min: 1n, max: 10n ** 30n }).map(String);
    const flag = fc.constantFrom("0", "1");
    const item = fc.string({ minLength: 1 }).filter((text) => text.trim() !== "" && !text.includes(";"));
    const list = fc.array(item, { minLength: 1, maxLength: 4 }).map((items) => items.join(";"));
    const values: Record<ResponseKey, fc.Arbitrary<string>> = {
      Response: fc.oneof(
        fc.constantFrom("", "1"),
        fc.webUrl({ withQueryParameters: true, withFragments: true }),
      ),
      Bucket: positive,
      BucketTable: positive,
      iData: flag,
      MemoryDump: flag,
      fDoc: flag,
      RegKey: list,
      RegTree: list,
      WQL: list,
      GetFile: list,
      GetFileVersion: list,
      DumpFile: item,
    };
    const lines = fc
      .record(values, { requiredKeys: [] })
      .chain((fields) => fc.shuffledSubarray(Object.entries(fields) as [ResponseKey, string][]));
    fc.assert(
      fc.property(lines, (fields) => {
        assert.deepEqual(findFaults(encodeResponse(fields)), []);
      }),
      { numRuns: 500 },
    );
  });

  test("may have no line end after DumpFile, and GetFileVersion and fDoc in any case", () => {
    assert.deepEqual(faultsOf("Bucket=1\r\nDumpFile=\\x"), []);
    assert.deepEqual(faultsOf("FDOC=1\r\ngetfileversion=/a;/b\r\n"), []);
  });

  test("may point to any http or https URI", () => {
    for (const url of [
      "http://oca.microsoft.com/resredir.aspx?SID=32",
      "HTTPS://u:p@[::1]:8443/a;b/c%20d?e=/f?g#h/i?j",
      "http://h",
      "http://h?q",
      "http://h/",
    ])
      assert.deepEqual(faultsOf(`Response=${url}\r\n`), []);
  });
});

describe("G7: each fault is told with its line", () => {
  const notPositive = "it is no positive whole number without leading zeros.";
  const noUri = "it is neither 1 nor an http or https URI.";
  const cases: [answer: string, ...faults: string[]][] = [
    [
      "Bucket=1\nBucketTable=5\r\niData=0\r",
      "Line 1 ends in LF alone, not in CRLF.",
      "Line 3 ends in CR alone, not in CRLF.",
    ],
    ["Bucket=1\r\nBucketTable=5", "Line 2 does not end in CRLF."],
    ["DumpFile=\\x\nBucket=1\r\n", "Line 1 ends in LF alone, not in CRLF."],
    ["\u00ef\u00bb\u00bfBucket=1\r\n", "Line 1 begins with a byte-order mark."],
    ["Bucket=1\r\n\r\niData=0\r\n", "Line 2 is blank."],
    ["Bucket=1\r\nhello\r\n", 'Line 2 is no KEY=VALUE: "hello".'],
    ["=1\r\n", 'Line 1 has the key "", which the protocol does not know.'],
    ["DumpServer=x\r\n", 'Line 1 has the key "DumpServer", which the protocol does not know.'],
    ["bucket=1\r\nBucket=1\r\n", 'Line 1 has "bucket" for the key Bucket.', "Line 2 has Bucket again."],
    ["iData=1\r\niData=1\r\n", "Line 2 has iData again."],
    ["IDATA=1\r\nwql=x\r\n", 'Line 1 has "IDATA" for the key iData.', 'Line 2 has "wql" for the key WQL.'],
    ["iData =1\r\n", "Line 1 has blanks round the key iData."],
    ["iData= 1\r\n", 'Line 1 has iData=" 1": it is neither 0 nor 1.'],
    [" Bucket=1\r\n", "Line 1 has blanks round the key Bucket."],
    ["Bucket  = 1\r\n", "Line 1 has blanks round the key Bucket."],
    ["Bucket =  1\r\n", `Line 1 has Bucket=" 1": ${notPositive}`],
    ...["0", "-1", "+1", "007", "abc", "1.5", "", "1 "].map((value): [string, string] => [
      `BucketTable=${value}\r\n`,
      `Line 1 has BucketTable="${value}": ${notPositive}`,
    ]),
    ...["2", "yes", "", "01", "1 "].map((value): [string, string] => [
      `MemoryDump=${value}\r\n`,
      `Line 1 has MemoryDump="${value}": it is neither 0 nor 1.`,
    ]),
    ...[
      "ftp://x",
      "0",
      "not a url",
      "http://",
      "http:///x",
      "http://x/a b",
      "http://x/%zz",
      "http://x/<",
      "http://x#a#b",
      "http://x/\u00fc",
      "www.x.example",
    ].map((value): [string, string] => [`Response=${value}\r\n`, `Line 1 has Response="${value}": ${noUri}`]),
    ["WQL=\r\n", 'Line 1 has WQL="": it names nothing.'],
    ["GetFile=/a;;/b\r\n", 'Line 1 has GetFile="/a;;/b": one of its items is empty.'],
    [
      "RegKey=a;\r\nRegTree=;a\r\n",
      'Line 1 has RegKey="a;": one of its items is empty.',
      'Line 2 has RegTree=";a": one of its items is empty.',
    ],
    [
      "GetFileVersion=\u0080\r\n",
      'Line 1 has GetFileVersion="\u20ac": the character U+20AC is not among those of the grammar, U+0001 to U+007F.',
    ],
    ["DumpFile=\r\n", 'Line 1 has DumpFile="": it names nothing.'],
    [
      "DumpFile=\\\u00fc",
      'Line 1 has DumpFile="\\\u00fc": the character U+00FC is not among those of the grammar, U+0001 to U+007F.',
    ],
  ];
  for (const [answer, ...faults] of cases)
    test(JSON.stringify(answer), () => assert.deepEqual(faultsOf(answer), faults));

  test("twenty of them, and how many more there are", () => {
    const faults = faultsOf("hello\r\n".repeat(100_000));
    assert.deepEqual(
      [faults.length, faults[19], faults[20]],
      [21, 'Line 20 is no KEY=VALUE: "hello".', "And 99980 more faults."],
    );
  });

  test("without control characters of the server's", () => {
    assert.deepEqual(faultsOf("\u001b[31mBucket=\u009b1\r\n"), [
      'Line 1 has the key "[31mBucket", which the protocol does not know.',
    ]);
  });
});
