/**
 * WQL, the query language of WMI, as far as an error report's server uses it: one SELECT over one class
 * ([MS-CER2] 2.2.2, key WQL). Hides the grammar. Pure; the text comes from a server and is bounded in length and depth.
 */

import { quote } from "../printable.ts";

export type WqlQuery = {
  /** As the query writes it. */
  readonly className: string;
  /** As the query writes them; "*" for all. */
  readonly properties: "*" | readonly string[];
  readonly where: Condition | null;
};

export type Condition =
  | { readonly kind: "and" | "or"; readonly operands: readonly Condition[] }
  | { readonly kind: "not"; readonly operand: Condition }
  | {
      readonly kind: "compare";
      readonly property: string;
      readonly operator: Operator;
      readonly value: Constant;
    };

/** `is` and `is not` are written with NULL only. */
export type Operator = "=" | "<>" | "<" | "<=" | ">" | ">=" | "like" | "is" | "is not";

/** Integers that a double cannot hold are bigint. */
export type Constant = string | number | bigint | boolean | null;

type ParsedWql =
  | { readonly ok: true; readonly query: WqlQuery }
  /** A sentence that names the word at fault. */
  | { readonly ok: false; readonly reason: string };

/** Characters of a query, and conditions inside conditions; WMI's own quotas are of this order. */
export const MAX_QUERY_LENGTH = 4096;
export const MAX_DEPTH = 50;

/** Reads a query. Never throws; takes time in proportion to the text. */
export function parseWql(text: string): ParsedWql {
  if (text.length > MAX_QUERY_LENGTH)
    return {
      ok: false,
      reason: `The query is ${text.length} characters long; ${MAX_QUERY_LENGTH} are read.`,
    };
  try {
    return { ok: true, query: parseSelect(new Words(text)) };
  } catch (thrown) {
    if (thrown instanceof WqlFault) return { ok: false, reason: thrown.message };
    throw thrown;
  }
}

/** The properties that a condition looks at, each once, as it writes them. */
export function propertiesOf(condition: Condition | null): string[] {
  const visit = (part: Condition): string[] => {
    if (part.kind === "compare") return [part.property];
    return part.kind === "not" ? visit(part.operand) : part.operands.flatMap(visit);
  };
  return condition === null ? [] : distinct(visit(condition));
}

/** Each name once, in its first spelling: case does not count. */
function distinct(names: readonly string[]): string[] {
  const found = new Map<string, string>();
  for (const name of names) if (!found.has(name.toLowerCase())) found.set(name.toLowerCase(), name);
  return [...found.values()];
}

/** The query as text again: only what was understood, in one spelling. */
export function formatWql({ className, properties, where }: WqlQuery): string {
  const selected = properties === "*" ? "*" : properties.join(", ");
  return `SELECT ${selected} FROM ${className}${where === null ? "" : ` WHERE ${formatCondition(where)}`}`;
}

class WqlFault extends Error {}

type Word = { readonly kind: "name" | "string" | "number" | "sign" | "end"; readonly text: string };

const WORDS = [
  /(?<name>[A-Za-z_][A-Za-z0-9_]*)/,
  /(?<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")/,
  /(?<number>[+-]?(?:0[xX][0-9A-Fa-f]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))/,
  /(?<sign><>|<=|>=|!=|[=<>*,()])/,
  /(?<end>$)/,
];
const WORD = new RegExp(`\\s*(?:${WORDS.map((word) => word.source).join("|")})`, "ys");

type Groups = { readonly [kind in Word["kind"]]?: string | undefined };

/** The words of a query, one ahead. */
class Words {
  readonly #text: string;
  #at = 0;
  next: Word;

  constructor(text: string) {
    this.#text = text.trim();
    this.next = this.#read();
  }

  take(): Word {
    const word = this.next;
    if (word.kind !== "end") this.next = this.#read();
    return word;
  }

  /** Takes the next word if it is this keyword or sign. */
  takeIf(wanted: string): boolean {
    const isIt = this.#isPlain(wanted);
    if (isIt) this.take();
    return isIt;
  }

  expect(wanted: string): void {
    if (!this.takeIf(wanted)) throw this.fault(wanted);
  }

  fault(wanted: string): WqlFault {
    const found = this.next.kind === "end" ? "the query ends" : `it says ${quote(this.next.text)}`;
    return new WqlFault(`The query should have ${wanted} where ${found}.`);
  }

  #isPlain(wanted: string): boolean {
    const { kind, text } = this.next;
    return (kind === "name" || kind === "sign") && text.toUpperCase() === wanted;
  }

  #read(): Word {
    WORD.lastIndex = this.#at;
    const groups: Groups | undefined = WORD.exec(this.#text)?.groups;
    if (groups === undefined) throw strangeAt(this.#text.slice(this.#at).trimStart());
    this.#at = WORD.lastIndex;
    const kind = KINDS.find((candidate) => groups[candidate] !== undefined) ?? "end";
    return { kind, text: groups[kind] ?? "" };
  }
}

const KINDS = ["name", "string", "number", "sign", "end"] as const;

function strangeAt(rest: string): WqlFault {
  if (/^['"]/.test(rest))
    return new WqlFault(`The query opens a string and never closes it: ${quote(rest)}.`);
  const [character = ""] = rest;
  return new WqlFault(`The query has a character that is no part of WQL: ${quote(character)}.`);
}

function parseSelect(words: Words): WqlQuery {
  words.expect("SELECT");
  const properties = words.takeIf("*") ? "*" : parseNames(words);
  words.expect("FROM");
  const className = parseName(words, "a class");
  const where = words.takeIf("WHERE") ? parseOr(words, 0) : null;
  if (words.next.kind !== "end")
    throw words.fault(where === null ? "WHERE or its end" : "AND, OR or its end");
  return { className, properties, where };
}

function parseNames(words: Words): string[] {
  const names: string[] = [];
  do names.push(parseName(words, "a property"));
  while (words.takeIf(","));
  return distinct(names);
}

const KEYWORDS = new Set("SELECT FROM WHERE AND OR NOT LIKE IS ISA NULL TRUE FALSE".split(" "));

function parseName(words: Words, what: string): string {
  const { kind, text } = words.next;
  if (kind !== "name" || KEYWORDS.has(text.toUpperCase())) throw words.fault(what);
  words.take();
  return text;
}

function parseOr(words: Words, depth: number): Condition {
  if (depth > MAX_DEPTH) throw new WqlFault(`The query nests conditions more than ${MAX_DEPTH} deep.`);
  const parseAnd = () => parseJoined(words, "and", () => parseNot(words, depth));
  return parseJoined(words, "or", parseAnd);
}

function parseJoined(words: Words, kind: "and" | "or", parse: () => Condition): Condition {
  const first = parse();
  const operands = [first];
  while (words.takeIf(kind.toUpperCase())) operands.push(parse());
  return operands.length === 1 ? first : { kind, operands };
}

function parseNot(words: Words, depth: number): Condition {
  let isNegated = false;
  while (words.takeIf("NOT")) isNegated = !isNegated;
  const operand = parsePrimary(words, depth);
  return isNegated ? { kind: "not", operand } : operand;
}

function parsePrimary(words: Words, depth: number): Condition {
  if (words.takeIf("(")) {
    const inner = parseOr(words, depth + 1);
    words.expect(")");
    return inner;
  }
  return isConstant(words.next) ? parseMirrored(words) : parseComparison(words);
}

/** `constant operator property`, which WQL allows, too. */
function parseMirrored(words: Words): Condition {
  const value = parseConstant(words);
  const operator = parseOperator(words);
  if (operator === "like" || operator === "is" || operator === "is not")
    throw new WqlFault(`The query should have a property before ${operator.toUpperCase()}.`);
  return { kind: "compare", property: parseName(words, "a property"), operator: MIRRORED[operator], value };
}

const MIRRORED = { "=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<=" } as const;

function parseComparison(words: Words): Condition {
  const property = parseName(words, "a property, NOT or (");
  const operator = parseOperator(words);
  const found = words.next;
  if ((operator === "is" || operator === "is not") && found.text.toUpperCase() !== "NULL")
    throw words.fault("NULL");
  if (operator === "like" && found.kind !== "string") throw words.fault("a string");
  return { kind: "compare", property, operator, value: parseConstant(words) };
}

const SIGNS: Readonly<Record<string, Operator>> = {
  "=": "=",
  "<>": "<>",
  "!=": "<>",
  "<": "<",
  "<=": "<=",
  ">": ">",
  ">=": ">=",
};

function parseOperator(words: Words): Operator {
  if (words.takeIf("LIKE")) return "like";
  if (words.takeIf("IS")) return words.takeIf("NOT") ? "is not" : "is";
  const operator = words.next.kind === "sign" ? SIGNS[words.next.text] : undefined;
  if (operator === undefined) throw words.fault("a comparison (=, <>, <, <=, >, >=, LIKE or IS)");
  words.take();
  return operator;
}

function isConstant({ kind, text }: Word): boolean {
  return kind === "string" || kind === "number" || (kind === "name" && /^(TRUE|FALSE|NULL)$/i.test(text));
}

function parseConstant(words: Words): Constant {
  if (!isConstant(words.next)) throw words.fault("a string, a number, TRUE, FALSE or NULL");
  const { kind, text } = words.take();
  if (kind === "string") return text.slice(1, -1).replace(/\\(['"\\])/g, "$1");
  if (kind === "number") return parseNumber(text);
  const word = text.toUpperCase();
  return word === "NULL" ? null : word === "TRUE";
}

/** An integer too large for a double is a bigint. */
export function parseNumber(text: string): number | bigint {
  const [, sign = "", digits = ""] = /^([+-]?)(.*)$/.exec(text) ?? [];
  const isInteger = /^(\d+|0[xX][0-9A-Fa-f]+)$/.test(digits);
  if (!isInteger) return Number(text);
  const value = BigInt(digits) * (sign === "-" ? -1n : 1n);
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : value;
}

function formatCondition(condition: Condition): string {
  switch (condition.kind) {
    case "compare":
      return `${condition.property} ${condition.operator.toUpperCase()} ${formatConstant(condition.value)}`;
    case "not":
      return `NOT (${formatCondition(condition.operand)})`;
    default: {
      const word = ` ${condition.kind.toUpperCase()} `;
      return condition.operands.map((operand) => formatOperand(operand)).join(word);
    }
  }
}

function formatOperand(operand: Condition): string {
  const text = formatCondition(operand);
  return operand.kind === "and" || operand.kind === "or" ? `(${text})` : text;
}

function formatConstant(value: Constant): string {
  if (typeof value === "string") return `'${value.replace(/['\\]/g, "\\$&")}'`;
  return value === null ? "NULL" : String(value).toUpperCase();
}
