import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { countAlike, POLICY, type Rule, ruleFor } from "../../src/delivery/policy.ts";
import { type CerErrorCode, EXIT, exitCodeOf } from "../../src/errors.ts";

const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

/** The rows of the table whose head has these words, cell by cell, without the head. */
function rowsOf(head: string): string[][] {
  const lines = README.split("\n");
  const start = lines.indexOf(head);
  assert.ok(start >= 0, head);
  const end = lines.findIndex((line, at) => at > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split(" | ")
      .map((cell) => cell.trim()),
  );
}

/** How the README writes a rule. */
function rowOf({ what, codes, statuses = [], level, tries, isQuick }: Rule): string[] {
  const shown = statuses.map((status) => (typeof status === "string" ? `any other ${status}` : `${status}`));
  return [
    what,
    codes.map((code) => `\`${code}\``).join(", "),
    `${shown.join(", ")}${level === undefined ? "" : ` at level ${level}`}`,
    tries === 1 ? "1: given up at once" : `${tries}, then given up`,
    isQuick ? "yes" : "no",
    `${tries > 1 ? EXIT.deferred : exitCodeOf(codes[0] ?? "CER_INTERNAL")}`,
  ];
}

test("G13: the README's table is the policy, row by row", () => {
  assert.deepEqual(
    rowsOf("| what came instead | code | status | tries | quick tries | exit code |"),
    POLICY.map(rowOf),
  );
});

test("G13: the README's exit codes are those that exist, and say what the policy comes to", () => {
  const rows = new Map(rowsOf("| exit | outcome | meaning |").map(([code = "", ...rest]) => [code, rest]));
  const codes = [...rows.keys()].flatMap((cell) => cell.split(", ")).map(Number);
  assert.deepEqual(codes, [...Object.values(EXIT), 130, 143]);
  assert.match(rows.get("3")?.[1] ?? "", /given up/);
  assert.equal(rows.get("75")?.[0], "`deferred`");
  for (const { codes, tries } of POLICY)
    for (const code of codes)
      if (tries === 1) assert.equal(exitCodeOf(code), EXIT.refused, "what is given up at once was refused");
});

type Verdict = `${number} ${"quick" | "slow"}`;

function verdictOf(code: CerErrorCode, status: number | null, level: 1 | 2): Verdict {
  const { tries, isQuick } = ruleFor({ code, status, level });
  return `${tries} ${isQuick ? "quick" : "slow"}`;
}

test("every status has its number of tries, at either level", () => {
  const expected = (status: number, level: 1 | 2): Verdict => {
    if ([408, 425, 429].includes(status)) return "200 quick";
    if (status === 403) return "200 slow";
    if ([404, 405, 423, 501].includes(status) || (status === 409 && level === 2)) return "20 slow";
    return status >= 500 && status !== 505 ? "200 quick" : "1 slow";
  };
  for (const level of [1, 2] as const)
    for (let status = 400; status < 600; status++)
      assert.equal(verdictOf("CER_STATUS", status, level), expected(status, level), `${status} at ${level}`);
});

test("what the network or an administrator can put right waits; what nobody will is given up", () => {
  const verdicts: [CerErrorCode, number | null, Verdict][] = [
    ["CER_UNREACHABLE", null, "200 quick"],
    ["CER_CONNECTION_LOST", null, "200 quick"],
    ["CER_TIMEOUT", null, "200 quick"],
    ["CER_NOT_CER", 200, "200 quick"],
    ["CER_REDIRECT", 302, "200 quick"],
    ["CER_TLS", null, "200 slow"],
    ["CER_PROXY", null, "200 slow"],
    ["CER_AUTH", 401, "200 slow"],
    ["CER_AUTH", 407, "200 slow"],
    ["CER_NO_MEMORY", null, "200 quick"],
    ["CER_ARCHIVE", null, "200 quick"],
    ["CER_MISMATCH", null, "200 quick"],
    ["CER_INTERNAL", null, "200 quick"],
    ["CER_DUMP_PATH", 200, "1 slow"],
    ["CER_BAD_SERVER", null, "1 slow"],
    ["CER_DAMAGED", null, "1 slow"],
  ];
  for (const [code, status, verdict] of verdicts)
    assert.equal(verdictOf(code, status, 1), verdict, `${code} ${status}`);
});

test("tries are counted as far back as they ended alike: a long time without a network takes nothing from a 404", () => {
  const ended = (errorCode: string | null, status: number | null = null) =>
    ({ errorCode, status, level: 1 }) as const;
  const away = ended("CER_UNREACHABLE");
  const missing = ended("CER_STATUS", 404);
  const fault = { code: "CER_STATUS", status: 404, level: 1 } as const;
  assert.equal(countAlike([away, away, away, missing], fault), 1);
  assert.equal(countAlike([away, missing, ended("CER_STATUS", 423), missing], fault), 3);
  assert.equal(countAlike([missing, missing, ended(null, 200), missing], fault), 1);
  assert.equal(countAlike([missing, missing], fault), 2);
  assert.equal(countAlike([], fault), 1);
  assert.equal(countAlike([ended("CER_OF_ANOTHER_VERSION"), missing], fault), 1);
});
