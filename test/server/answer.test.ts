import assert from "node:assert/strict";
import { test } from "node:test";
import { CerError } from "../../src/errors.ts";
import { answerLines, parseRequests } from "../../src/server/answer.ts";
import { encodeResponse } from "../../src/wire/response.ts";

function answerTo(requests: string[]): string {
  const requested = parseRequests(requests);
  const dumpFile = requested.iData ? "\\PersistedCabs\\Blue\\x.cab" : null;
  return encodeResponse(answerLines(requested, { bucket: 500, bucketTable: 5, dumpFile })).toString("latin1");
}

const BUCKET = "Bucket=500\r\nBucketTable=5\r\n";
const DUMP = "DumpFile=\\PersistedCabs\\Blue\\x.cab\r\n";
const DEFAULT = "iData=1\r\nWQL=SELECT Family FROM Win32_Processor\r\n";

test("an answer asks for what --request says, and else for what section 4.4 asks for", () => {
  const cases: [string[], string][] = [
    [[], BUCKET + DEFAULT + DUMP],
    [["Response=http://x/?a=1"], `Response=http://x/?a=1\r\n${BUCKET}${DEFAULT}${DUMP}`],
    [["Response="], `Response=\r\n${BUCKET}${DEFAULT}${DUMP}`],
    [["iData=0"], `${BUCKET}iData=0\r\n`],
    [["iData=1"], `${BUCKET}iData=1\r\n${DUMP}`],
    [
      ["wql=SELECT a FROM b WHERE c='d=e'"],
      `${BUCKET}iData=1\r\nWQL=SELECT a FROM b WHERE c='d=e'\r\n${DUMP}`,
    ],
    [["iData=0", "GetFile=a"], `${BUCKET}iData=0\r\nGetFile=a\r\n`],
    [
      ["GetFile=a", "RegKey=HKLM\\x", "GetFile=b;c", "MemoryDump=1", "fDoc=0", "GetFileVersion=\u20ac"],
      `${BUCKET}iData=1\r\nMemoryDump=1\r\nfDoc=0\r\nRegKey=HKLM\\x\r\nGetFile=a;b;c\r\nGetFileVersion=\u0080\r\n${DUMP}`,
    ],
  ];
  for (const [requests, answer] of cases) assert.equal(answerTo(requests), answer);
});

test("a request that the protocol does not know is refused with its reason", () => {
  const keys = "Response, iData, MemoryDump, fDoc, RegKey, RegTree, WQL, GetFile, GetFileVersion";
  const cases: [string, string, string | undefined][] = [
    [
      "Wql2=x",
      '--request "Wql2=x" asks for nothing the protocol knows.',
      `Write KEY=VALUE with one of the keys ${keys}.`,
    ],
    [
      "WQL",
      '--request "WQL" asks for nothing the protocol knows.',
      `Write KEY=VALUE with one of the keys ${keys}.`,
    ],
    [
      "DumpFile=\\x",
      '--request "DumpFile=\\x" asks for nothing the protocol knows.',
      `Write KEY=VALUE with one of the keys ${keys}.`,
    ],
    ["iData=yes", '--request iData="yes": it is 0 or 1.', undefined],
    ["WQL= ", '--request WQL="": it names nothing.', undefined],
    ["GetFile=a\r\nb", '--request GetFile="ab": a value ends at its line\'s end.', undefined],
    [
      "GetFile=\u4e2d",
      '--request GetFile="\u4e2d": an answer is written in code page 1252, which lacks one of these characters.',
      undefined,
    ],
  ];
  for (const [request, message, hint] of cases)
    assert.throws(
      () => parseRequests([request]),
      (thrown) =>
        thrown instanceof CerError &&
        assert.deepEqual([thrown.code, thrown.message, thrown.hint], ["CER_USAGE", message, hint]) ===
          undefined,
    );
});
