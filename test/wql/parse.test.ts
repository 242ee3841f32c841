import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Condition,
  formatWql,
  MAX_DEPTH,
  MAX_QUERY_LENGTH,
  parseWql,
  propertiesOf,
} from "../../src/wql/parse.ts";

function parsed(text: string) {
  const result = parseWql(text);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.query;
}

function reasonOf(text: string): string {
  const result = parseWql(text);
  return result.ok ? `accepted as ${formatWql(result.query)}` : result.reason;
}

test("the specification's queries are read", () => {
  assert.deepEqual(parsed("SELECT Family FROM Win32_Processor"), {
    className: "Win32_Processor",
    properties: ["Family"],
    where: null,
  });
  assert.deepEqual(parsed("select * from Win32_logicaldisk"), {
    className: "Win32_logicaldisk",
    properties: "*",
    where: null,
  });
});

test("WHERE binds NOT before AND before OR, and parentheses before all", () => {
  const a: Condition = { kind: "compare", property: "a", operator: "=", value: 1 };
  const b: Condition = { kind: "compare", property: "b", operator: "<>", value: "x" };
  const c: Condition = { kind: "compare", property: "c", operator: ">=", value: -1.5 };
  const where = (text: string) => parsed(`SELECT * FROM k WHERE ${text}`).where;
  assert.deepEqual(where("a=1 OR b != 'x' AND NOT c>=-1.5"), {
    kind: "or",
    operands: [a, { kind: "and", operands: [b, { kind: "not", operand: c }] }],
  });
  assert.deepEqual(where('( a = 1 or b <> "x" ) and c >= -1.5'), {
    kind: "and",
    operands: [{ kind: "or", operands: [a, b] }, c],
  });
  assert.deepEqual(where("((((a=1))))"), a);
  assert.deepEqual(where("NOT NOT a=1"), a);
});

test("constants of every kind, on either side of the comparison", () => {
  const compared = (text: string) => {
    const { where } = parsed(`SELECT * FROM k WHERE ${text}`);
    return where?.kind === "compare" ? [where.property, where.operator, where.value] : where;
  };
  assert.deepEqual(compared("a = 0x1F"), ["a", "=", 31]);
  assert.deepEqual(compared("a < 18446744073709551615"), ["a", "<", 18446744073709551615n]);
  assert.deepEqual(compared("a = 1e3"), ["a", "=", 1000]);
  assert.deepEqual(compared("a = TRUE"), ["a", "=", true]);
  assert.deepEqual(compared("a IS NULL"), ["a", "is", null]);
  assert.deepEqual(compared("a is not null"), ["a", "is not", null]);
  assert.deepEqual(compared("a LIKE '%x_'"), ["a", "like", "%x_"]);
  assert.deepEqual(compared("a = 'it\\'s \\\\ \"b\"'"), ["a", "=", 'it\'s \\ "b"']);
  assert.deepEqual(compared("a = 'C:\\Windows'"), ["a", "=", "C:\\Windows"]);
  assert.deepEqual(compared("3 < a"), ["a", ">", 3]);
  assert.deepEqual(compared("'x' = a"), ["a", "=", "x"]);
});

test("a query that cannot be read says which word it failed on", () => {
  const reasons: Record<string, string> = {
    "": "The query should have SELECT where the query ends.",
    DROP: 'The query should have SELECT where it says "DROP".',
    "SELECT * FROM Win32_Product; DROP": 'The query has a character that is no part of WQL: ";".',
    "SELECT * FORM x": 'The query should have FROM where it says "FORM".',
    "SELECT a b FROM x": 'The query should have FROM where it says "b".',
    "SELECT a, FROM x": 'The query should have a property where it says "FROM".',
    "SELECT * FROM": "The query should have a class where the query ends.",
    "SELECT * FROM 'x'": `The query should have a class where it says "'x'".`,
    "SELECT * FROM x y": 'The query should have WHERE or its end where it says "y".',
    "SELECT * FROM x WHERE": "The query should have a property, NOT or ( where the query ends.",
    "SELECT * FROM x WHERE a":
      "The query should have a comparison (=, <>, <, <=, >, >=, LIKE or IS) where the query ends.",
    "SELECT * FROM x WHERE a ISA 'b'":
      'The query should have a comparison (=, <>, <, <=, >, >=, LIKE or IS) where it says "ISA".',
    "SELECT * FROM x WHERE a = b":
      'The query should have a string, a number, TRUE, FALSE or NULL where it says "b".',
    "SELECT * FROM x WHERE a IS 5": 'The query should have NULL where it says "5".',
    "SELECT * FROM x WHERE a LIKE 5": 'The query should have a string where it says "5".',
    "SELECT * FROM x WHERE (a = 5": "The query should have ) where the query ends.",
    "SELECT * FROM x WHERE a = 5)": 'The query should have AND, OR or its end where it says ")".',
    "SELECT * FROM x WHERE a = 'b": `The query opens a string and never closes it: "'b".`,
    "SELECT * FROM x WHERE 5 LIKE a": "The query should have a property before LIKE.",
    "SELECT \u{1f600} FROM x": 'The query has a character that is no part of WQL: "\u{1f600}".',
    "SELECT \u001b FROM x": 'The query has a character that is no part of WQL: "".',
    "ASSOCIATORS OF {Win32_X}": 'The query should have SELECT where it says "ASSOCIATORS".',
  };
  for (const [text, reason] of Object.entries(reasons)) assert.equal(reasonOf(text), reason, text);
});

test("a query that is too long or too deep is refused at once", () => {
  const started = performance.now();
  assert.equal(
    reasonOf(`SELECT * FROM x WHERE a = '${"b".repeat(1_048_576)}'`),
    `The query is 1048604 characters long; ${MAX_QUERY_LENGTH} are read.`,
  );
  const nested = (depth: number) => `SELECT * FROM x WHERE ${"(".repeat(depth)}a=1${")".repeat(depth)}`;
  assert.equal(reasonOf(nested(MAX_DEPTH + 1)), `The query nests conditions more than ${MAX_DEPTH} deep.`);
  assert.equal(reasonOf(nested(MAX_DEPTH)), "accepted as SELECT * FROM x WHERE a = 1");
  assert.equal(
    reasonOf(`SELECT * FROM x WHERE ${"NOT ".repeat(1000)}a=1`),
    "accepted as SELECT * FROM x WHERE a = 1",
  );
  assert.ok(performance.now() - started < 20_000);
});

test("the properties of a condition are listed once each, in the order they come", () => {
  assert.deepEqual(
    propertiesOf(parsed("SELECT x FROM k WHERE b=1 AND (a=2 OR NOT B=3) AND c IS NULL").where),
    ["b", "a", "c"],
  );
  assert.deepEqual(propertiesOf(null), []);
});

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/).filter((word) => {
  return !/^(SELECT|FROM|WHERE|AND|OR|NOT|LIKE|IS|ISA|NULL|TRUE|FALSE)$/i.test(word);
});
const constant = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.integer(),
  fc.bigInt(),
  fc.boolean(),
);
const comparison: fc.Arbitrary<Condition> = fc.record({
  kind: fc.constant("compare" as const),
  property: name,
  operator: fc.constantFrom("=" as const, "<>" as const, "<" as const, ">=" as const),
  value: constant,
});
const condition = fc.letrec<{ any: Condition }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    comparison,
    fc.record({
      kind: fc.constantFrom("and" as const, "or" as const),
      operands: fc.array(tie("any"), { minLength: 2, maxLength: 3 }),
    }),
  ),
})).any;

test("a query written out is read back the same, whatever its strings hold", () => {
  fc.assert(
    fc.property(
      name,
      fc.uniqueArray(name, { minLength: 1, selector: (word) => word.toLowerCase() }),
      condition,
      (className, properties, where) => {
        const text = formatWql({ className, properties, where });
        fc.pre(text.length <= MAX_QUERY_LENGTH);
        assert.equal(formatWql(parsed(text)), text);
        assert.deepEqual(propertiesOf(parsed(text).where), propertiesOf(where));
      },
    ),
  );
});

test("no text at all makes the parser throw", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "SELECT ",
      "* ",
      "FROM ",
      "WHERE ",
      "a",
      "=",
      "'",
      '"',
      "(",
      ")",
      "NOT ",
      "LIKE ",
      "\\",
      "\0",
      ",",
      "5",
    ),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      assert.equal(typeof parseWql(pieces.join("")).ok, "boolean");
    }),
    { numRuns: 1000 },
  );
});
