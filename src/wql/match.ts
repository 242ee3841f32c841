/**
 * Which WMI objects a WQL condition selects. Hides how values of different kinds compare and what LIKE matches. Pure.
 */

import { matchSequence } from "../names.ts";
import { type Condition, type Constant, type Operator, parseNumber } from "./parse.ts";

/** What a property of a WMI object holds; null is what the system cannot tell. 64-bit integers are bigint. */
export type CimValue = Constant | readonly (string | number | bigint | boolean)[];
export type CimObject = Readonly<Record<string, CimValue>>;

type Values = ReadonlyMap<string, CimValue>;
type Test = (values: Values) => boolean;

/** The condition as a test of objects. Their keys are looked up in any case; one that an object lacks is null. */
export function predicateOf(condition: Condition | null): (object: CimObject) => boolean {
  if (condition === null) return () => true;
  const test = testOf(condition);
  return (object) =>
    test(new Map(Object.entries(object).map(([name, value]) => [name.toLowerCase(), value])));
}

function testOf(condition: Condition): Test {
  if (condition.kind === "compare") return comparisonOf(condition);
  if (condition.kind === "not") {
    const test = testOf(condition.operand);
    return (values) => !test(values);
  }
  const tests = condition.operands.map(testOf);
  return condition.kind === "and"
    ? (values) => tests.every((test) => test(values))
    : (values) => tests.some((test) => test(values));
}

/** NULL equals NULL alone; every other comparison with it is false. Lists compare with nothing else. */
function comparisonOf({ property, operator, value: wanted }: Condition & { kind: "compare" }): Test {
  const name = property.toLowerCase();
  const test = valueTestOf(operator, wanted);
  return (values) => test(values.get(name) ?? null);
}

function valueTestOf(operator: Operator, wanted: Constant): (actual: CimValue) => boolean {
  if (wanted === null) {
    if (operator === "is" || operator === "=") return (actual) => actual === null;
    if (operator === "is not" || operator === "<>") return (actual) => actual !== null;
    return () => false;
  }
  if (operator === "like") {
    const isLike = likeOf(String(wanted));
    return (actual) => actual !== null && !isList(actual) && isLike(String(actual));
  }
  const accepts = ORDERS[operator];
  return (actual) => actual !== null && !isList(actual) && accepts(compare(actual, wanted));
}

/** By the sign of left minus right; NaN for what has no order: it is unequal, and nothing more. */
const ORDERS: Readonly<Record<Exclude<Operator, "like">, (sign: number) => boolean>> = {
  "=": (sign) => sign === 0,
  "<>": (sign) => sign !== 0,
  "<": (sign) => sign < 0,
  "<=": (sign) => sign <= 0,
  ">": (sign) => sign > 0,
  ">=": (sign) => sign >= 0,
  is: () => false,
  "is not": () => false,
};

function isList(value: CimValue): value is readonly (string | number | bigint | boolean)[] {
  return Array.isArray(value);
}

/** Texts compare without regard to case; a text that is a number, or TRUE or FALSE, with numbers as one. */
function compare(actual: Exclude<Constant, null>, wanted: Exclude<Constant, null>): number {
  if (typeof actual === "string" && typeof wanted === "string")
    return order(actual.toLowerCase(), wanted.toLowerCase());
  const [left, right] = [asNumber(actual), asNumber(wanted)];
  return left === null || right === null ? Number.NaN : order(left, right);
}

function order<T extends string | number | bigint>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function asNumber(value: Exclude<Constant, null>): number | bigint | null {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value !== "string") return value;
  if (/^(true|false)$/i.test(value)) return value.length === 4 ? 1 : 0;
  return /^-?\d{1,30}$/.test(value) ? parseNumber(value) : null;
}

/** One position of a LIKE pattern: any run, any one character, or one out of a set. */
type Atom =
  | "run"
  | "any"
  | { readonly ranges: readonly (readonly [string, string])[]; readonly isIn: boolean };

/** LIKE, in time bounded by pattern times text: it goes back to the last % only, never further. */
function likeOf(pattern: string): (text: string) => boolean {
  const atoms = parseLike(pattern.toLowerCase());
  const shortest = atoms.filter((atom) => !isRun(atom)).length;
  return (text) => {
    const characters = [...text.toLowerCase()];
    return characters.length >= shortest && matchSequence(atoms, characters, isRun, fits);
  };
}

function isRun(atom: Atom): boolean {
  return atom === "run";
}

function fits(atom: Atom, character: string): boolean {
  if (typeof atom === "string") return true;
  return atom.ranges.some(([first, last]) => first <= character && character <= last) === atom.isIn;
}

/** A bracket that never closes is an ordinary character. */
function parseLike(pattern: string): Atom[] {
  const parts = pattern.match(/\[\^?[^\]]+\]|./gsu) ?? [];
  const atoms = parts.map((part): Atom => {
    if (part === "%") return "run";
    if (part === "_") return "any";
    if (part.length < 3 || !part.startsWith("[")) return { ranges: [[part, part]], isIn: true };
    const isIn = !part.startsWith("[^");
    return { ranges: parseRanges(part.slice(isIn ? 1 : 2, -1)), isIn };
  });
  return atoms.filter((atom, index) => atom !== "run" || atoms[index - 1] !== "run");
}

function parseRanges(set: string): [string, string][] {
  const parts = set.match(/.-.|./gsu) ?? [];
  return parts.map((part) => {
    const characters = [...part];
    return [characters[0] ?? "", characters.at(-1) ?? ""];
  });
}
