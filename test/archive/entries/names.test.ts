import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MAX_SAFE_NAME_SIZE, safeName, UniqueNames, whyUnsafe } from "../../../src/archive/entries/names.ts";

test("a safe name comes back as it is", () => {
  for (const name of [
    "a",
    "report.xml",
    "memory.hdmp",
    "sub\\dir\\a b.txt",
    "größe.log",
    "日本.txt",
    ".profile",
    "a..b",
  ]) {
    assert.equal(safeName(name), name);
  }
});

test("what a name must not hold is replaced or dropped", () => {
  const names: [string, string][] = [
    ["", "file"],
    ["..", "file"],
    ["../../etc/passwd", "etc\\passwd"],
    ["..\\..\\evil.dll", "evil.dll"],
    ["/abs/x", "abs\\x"],
    ["C:\\Windows\\x.ini", "C_\\Windows\\x.ini"],
    ["\\\\srv\\share\\x", "srv\\share\\x"],
    ["a.txt:stream", "a.txt_stream"],
    ['a<b>c|d?e*f"g', "a_b_c_d_e_f_g"],
    ["a\u0000b\u001b[31m\u007f\u009b", "a_b_[31m__"],
    ["fdp\u202Exe.txt", "fdp_xe.txt"],
    ["con", "_con"],
    ["sub/NUL.txt", "sub\\_NUL.txt"],
    ["com1.log", "_com1.log"],
    ["console.log", "console.log"],
    ["trailing. . ", "trailing"],
    [" leading", "leading"],
    ["a\\.\\b\\ \\c", "a\\b\\c"],
    ["lone\ud800surrogate", "lone_surrogate"],
  ];
  assert.deepEqual(
    names.map(([wanted]) => [wanted, safeName(wanted)]),
    names,
  );
});

test("a long name loses the end of its stem and keeps its extension, in whole characters", () => {
  assert.equal(safeName(`${"a".repeat(300)}.mdmp`), `${"a".repeat(194)}.mdmp`);
  const wide = safeName(`${"ß".repeat(300)}.txt`);
  assert.equal(wide, `${"ß".repeat(97)}.txt`);
  assert.equal(safeName("x".repeat(200)), "x".repeat(200));
});

test("names that differ by case only, or not at all, get numbers", () => {
  const names = new UniqueNames();
  const given = [
    "a.txt",
    "A.TXT",
    "a.txt",
    "a (2).txt",
    "straße",
    "STRASSE",
    "x\\a.txt",
    "e\u0301",
    "\u00e9",
  ];
  assert.deepEqual(
    given.map((name) => names.take(name)),
    [
      "a.txt",
      "A (2).TXT",
      "a (3).txt",
      "a (2) (2).txt",
      "straße",
      "STRASSE (2)",
      "x\\a.txt",
      "e\u0301",
      "\u00e9 (2)",
    ],
  );
});

test("twenty thousand entries of one long name get twenty thousand names, soon", () => {
  const names = new UniqueNames();
  const taken = new Set(Array.from({ length: 20_000 }, () => names.take("m".repeat(250)).toLowerCase()));
  assert.equal(taken.size, 20_000);
});

test("a name of a million dots and blanks takes no time", { timeout: 5000 }, () => {
  assert.equal(safeName(`${" . ".repeat(333_333)}x`), "file");
  assert.equal(safeName(`${" . ".repeat(333_333)}x.txt`), ".txt");
});

test("whatever is wanted, the name is safe, short enough, not taken, and safe again", () => {
  const hostile = fc.string({
    unit: fc.constantFrom(..."aA.:/\\ \u0000\u202eé", "..", "con", "\ud83d\ude00", "\ud800", "x".repeat(90)),
    maxLength: 12,
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(hostile, fc.string({ unit: "binary" })), { maxLength: 8 }), (wanted) => {
      const names = new UniqueNames();
      const given = wanted.map((name) => names.take(name));
      for (const name of given) {
        assert.ok(Buffer.byteLength(name) >= 1 && Buffer.byteLength(name) <= MAX_SAFE_NAME_SIZE, name);
        assert.equal(whyUnsafe(name), null, name);
        assert.equal(safeName(name), name);
      }
      assert.equal(new Set(given.map((name) => name.toLowerCase())).size, given.length);
    }),
    { numRuns: 100 },
  );
});

test("a name that cannot be extracted is told why", () => {
  const reasons: [string, string | null][] = [
    ["a\\b/c.txt", null],
    ["./a/./b", null],
    [".", "it is no safe name for a file"],
    ["", "it is no safe name for a file"],
    ["x".repeat(255), null],
    ["..\\x", "it leads out of the folder"],
    ["a/../../x", "it leads out of the folder"],
    ["\\x", "it is an absolute path"],
    ["/x", "it is an absolute path"],
    ["C:x", "it is an absolute path"],
    ["a\\\\b", "it is no safe name for a file"],
    ["ab:c", "it is no safe name for a file"],
    ["nul", "it is no safe name for a file"],
    ["a.", "it is no safe name for a file"],
    ["a\u0007", "it is no safe name for a file"],
  ];
  assert.deepEqual(
    reasons.map(([name]) => [name, whyUnsafe(name)]),
    reasons,
  );
});
