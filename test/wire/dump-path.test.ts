import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseDumpPath } from "../../src/wire/dump-path.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { EXAMPLES } from "../support/spec-examples.ts";
import { type Complaint, complaintOf } from "../support/thrown-error.ts";

test("the examples' DumpFiles become the paths of their PUTs", () => {
  const paths = Object.values(EXAMPLES).map(({ section, answer }) => {
    const { dumpFile } = parseResponse(Buffer.from(answer)).response;
    return [section, dumpFile === null ? null : parseDumpPath(dumpFile)];
  });
  assert.deepEqual(paths, [
    [
      "4.1",
      "/PersistedCabs/Generic/APPCRASH/GPFMe.exe/6.0.4082.0/40ce670d/GPFMe.exe/6.0.4082.0/40ce670d/c0000005/000031de/8747c307-c461-42ba-abf5-7fd98d8bb0ec.cab",
    ],
    ["4.2", null],
    ["4.3", "/PersistedCabs/Blue/c2428d43-b50a-4622-9d55-cce4602834b3.cab"],
    ["4.4", "/PersistedCabs/Generic/MikeTest/1000/2000/3000/41ed848b-30fe-4db5-92e9-7745d2ceb2b8"],
  ]);
});

test("any path on the server is taken, each segment percent-encoded", () => {
  const cases: Record<string, string> = {
    "a.cab": "/a.cab",
    "/a.cab": "/a.cab",
    "\\a/b\\c.cab": "/a/b/c.cab",
    "a\\\\b//c": "/a/b/c",
    "a/": "/a",
    "My Cabs\\a b.cab": "/My%20Cabs/a%20b.cab",
    "100%.cab": "/100%25.cab",
    "a%5c..%5cb": "/a%255c..%255cb",
    "a?b#c": "/a%3Fb%23c",
    "~-._!$&'()*+,;=:@": "/~-._!$&'()*+,;=:@",
    "{GUID}.cab": "/%7BGUID%7D.cab",
    "fünf€.cab": "/f%C3%BCnf%E2%82%AC.cab",
    "\u{1f600}": "/%F0%9F%98%80",
    "\ud800x": "/%EF%BF%BDx",
    "..a/b..": "/..a/b..",
    "...x": "/...x",
    "a/C:": "/a/C:",
    "1:2": "/1:2",
  };
  for (const [dumpFile, path] of Object.entries(cases)) assert.equal(parseDumpPath(dumpFile), path, dumpFile);
});

const HINT = "Nothing was uploaded. The server's administrator has to correct the DumpFile it hands out.";
const refused = (shown: string, why: string): Complaint => ({
  code: "CER_DUMP_PATH",
  message: `The server sent DumpFile=${shown}: ${why}.`,
  hint: HINT,
});

test("what leads away from the server, or names no file, is refused with what the server sent", async () => {
  const HOST = "it names another host";
  const DRIVE = "it names a drive";
  const SCHEME = "it holds a scheme";
  const CLIMBS = 'it holds a segment like ".." or "."';
  const CONTROLS = "it holds control characters";
  const cases: [dumpFile: string, shown: string, why: string][] = [
    ["\\\\evil\\x", '"\\\\evil\\x"', HOST],
    ["//evil/x", '"//evil/x"', HOST],
    ["\\/evil/x", '"\\/evil/x"', HOST],
    ["///evil/x", '"///evil/x"', HOST],
    ["http://evil/x", '"http://evil/x"', SCHEME],
    ["HTTP:evil", '"HTTP:evil"', SCHEME],
    ["/http://evil/x", '"/http://evil/x"', SCHEME],
    ["file:/etc/passwd", '"file:/etc/passwd"', SCHEME],
    ["..\\..\\x", '"..\\..\\x"', CLIMBS],
    ["a/../../x", '"a/../../x"', CLIMBS],
    ["a/./x", '"a/./x"', CLIMBS],
    ["a/..", '"a/.."', CLIMBS],
    ["a/.. /x", '"a/.. /x"', CLIMBS],
    ["a/.../x", '"a/.../x"', CLIMBS],
    ["C:\\x", '"C:\\x"', DRIVE],
    ["/c:/x", '"/c:/x"', DRIVE],
    ["c:", '"c:"', DRIVE],
    ["", '""', "it names no file"],
    ["\\", '"\\"', "it names no file"],
    ["a\r\nHost: evil", '"aHost: evil"', CONTROLS],
    ["a\u0000.cab", '"a.cab"', CONTROLS],
    ["a\tb", '"ab"', CONTROLS],
    ["a\u001b[2J", '"a[2J"', CONTROLS],
    ["x".repeat(2049), `"${"x".repeat(80)}…"`, "it is 2049 characters long, the bound is 2048"],
  ];
  for (const [dumpFile, shown, why] of cases)
    assert.deepEqual(await complaintOf(() => parseDumpPath(dumpFile)), refused(shown, why));
});

test("whatever a server sends, the path stays on the server and in the request line", () => {
  const piece = fc.oneof(
    fc.constantFrom("\\", "/", "..", ".", ":", "%", "%2e", "?", "#", "@", "http", "C", " ", "\r\n", "\u0000"),
    fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  );
  const base = new URL("http://server:1273/");
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
      (dumpFile) => {
        let path: string;
        try {
          path = parseDumpPath(dumpFile);
        } catch (thrown) {
          assert.equal((thrown as { code: string }).code, "CER_DUMP_PATH");
          return;
        }
        assert.match(path, /^\/[A-Za-z0-9%._~!$&'()*+,;=:@-][A-Za-z0-9%._~!$&'()*+,;=:@/-]*$/);
        const url = new URL(path, base);
        assert.equal(url.href, `http://server:1273${path}`);
      },
    ),
    { numRuns: 1000 },
  );
});
