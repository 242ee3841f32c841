import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compilePattern, matches } from "../../src/consent/pattern.ts";

function isMatch(pattern: string, name: string): boolean {
  return matches(compilePattern(pattern, pattern.split("/")), name.split("/"));
}

test("* stands for characters of one segment, ** for any segments", () => {
  const cases: readonly (readonly [pattern: string, name: string, expected: boolean])[] = [
    ["a/b", "a/b", true],
    ["a/b", "a/b/c", false],
    ["a/*", "a/b", true],
    ["a/*", "a", false],
    ["a/*", "a/b/c", false],
    ["a/*.log", "a/x.log", true],
    ["a/*.log", "a/.log", true],
    ["a/*.log", "a/x.log.gz", false],
    ["a/x*y*z", "a/xyyzz", true],
    ["a/**", "a", true],
    ["a/**", "a/b/c/d", true],
    ["a/**", "ab/c", false],
    ["**/id_rsa", "id_rsa", true],
    ["**/id_rsa", "a/b/id_rsa", true],
    ["**/id_rsa", "a/b/id_rsa2", false],
    ["**/.ssh/**", "home/bob/.ssh/config", true],
    ["**/.ssh/**", "home/bob/.sshx/config", false],
    ["a/**/b/**/c", "a/b/b/x/c", true],
    ["a/**/b/**/c", "a/x/c", false],
    ["**", "", true],
    ["a/b**", "a/bcd", true],
    ["a/b**", "a/bc/d", false],
  ];
  for (const [pattern, name, expected] of cases)
    assert.equal(isMatch(pattern, name), expected, `${pattern} on ${name}`);
});

test("a pattern without wildcards is exact", () => {
  assert.equal(compilePattern("/a/b", ["a", "b"]).exact, true);
  assert.equal(compilePattern("/a/*", ["a", "*"]).exact, false);
});

test("a pattern agrees with the regular expression that says the same", () => {
  const piece = fc.constantFrom("a", "b", "*", "ab", "a*", "*b*", "**");
  const name = fc.array(fc.constantFrom("a", "b", "ab", "ba", "aab"), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), name, (pattern, segments) => {
      const source = pattern
        .map((segment) => (segment === "**" ? "(?:/[^/]*)*" : `/${segment.replaceAll("*", "[^/]*")}`))
        .join("");
      const text = segments.map((segment) => `/${segment}`).join("");
      assert.equal(
        matches(compilePattern("", pattern), segments),
        new RegExp(`^${source}$`).test(text),
        `${pattern.join("/")} on ${segments.join("/")}`,
      );
    }),
    { numRuns: 2000 },
  );
});

test("a hostile name takes time in proportion, not in powers", () => {
  const pattern = compilePattern("", ["**", `${"a*".repeat(40)}b`, "**", "x"]);
  const started = performance.now();
  assert.equal(
    matches(
      pattern,
      Array.from({ length: 50 }, () => "a".repeat(200)),
    ),
    false,
  );
  assert.ok(performance.now() - started < 20_000);
});
