/**
 * JSON from people: what is wrong with it is said with line and column, or with the path of the field and the nearest
 * known key. And what JSON for programs makes of integers it cannot hold.
 */

import { type BaseIssue, type GenericSchema, type InferOutput, safeParse } from "valibot";
import { CerError, type CerErrorCode } from "./errors.ts";

/** The value of a JSON text. `where` is the file's name as messages call it. @throws CerError of the given code */
export async function parseJson(text: string, where: string, code: CerErrorCode): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CerError(code, `${where} is not JSON: ${await locateSyntaxError(text)}.`, { cause });
  }
}

/** The first syntax error with its place, as jsonc-parser finds it; the engine's own words name no line. */
async function locateSyntaxError(text: string): Promise<string> {
  if (text.trim() === "") return "it is empty";
  const { parse, printParseErrorCode } = await import("jsonc-parser");
  const errors: { error: number; offset: number; length: number }[] = [];
  try {
    parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  } catch {
    return "it nests too deeply";
  }
  const first = errors[0];
  if (first === undefined) return "it holds characters that JSON forbids";
  const before = text.slice(0, first.offset).split(/\r\n|\r|\n/);
  const words = printParseErrorCode(first.error)
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .toLowerCase();
  return `${words} at line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

/**
 * A value as a schema has it. The schemas are strict: an unknown key is an error.
 * @param where the file's name as messages call it
 * @throws CerError of the given code, with the field's JSON path
 */
export async function parseShape<S extends GenericSchema>(
  schema: S,
  value: unknown,
  where: string,
  code: CerErrorCode,
): Promise<InferOutput<S>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CerError(code, `${where}: the whole must be a JSON object, { … }.`);
  const list = findListForObject(schema as SchemaNode, value);
  if (list !== null)
    throw new CerError(code, `${where}: ${formatPath(list)} is a list; it must be an object.`);
  const parsed = safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const keys = (issue.path ?? []).map((item) => item.key as string | number);
  if (issue.expected === "never") throw await explainUnknownKey(schema, keys, where, code);
  throw new CerError(code, `${where}: ${formatPath(keys)} ${describe(issue)}.`);
}

function describe(issue: BaseIssue<unknown>): string {
  const received = KINDS[issue.received] ?? issue.received;
  if (issue.type === "union") return `is ${received}; it ${issue.message}`;
  if (issue.type === "max_length")
    return `has ${issue.received} items, the bound is ${String(issue.requirement)}`;
  if (issue.type === "min_value") return `is ${issue.received}; it must be at least ${issue.requirement}`;
  if (issue.type === "max_value") return `is ${issue.received}; it must be at most ${issue.requirement}`;
  if (issue.type === "integer") return `is ${issue.received}; it must be a whole number`;
  if (issue.received === "undefined") return "is missing";
  return `is ${received}; it must be ${KINDS[issue.expected ?? ""] ?? "something else"}`;
}

/** The kinds of JSON values as valibot calls them, and as people do. */
const KINDS: Readonly<Record<string, string>> = {
  Object: "an object",
  Array: "a list",
  string: "a string",
  number: "a number",
  boolean: "true or false",
};

/** An unknown key, the nearest known one beside it. */
async function explainUnknownKey(
  schema: GenericSchema,
  keys: readonly (string | number)[],
  where: string,
  code: CerErrorCode,
): Promise<CerError> {
  const { default: leven } = await import("leven");
  const known = keysOf(keys.slice(0, -1).reduce(descend, schema as SchemaNode));
  const key = String(keys.at(-1));
  const nearest = known
    .map((name) => ({ name, distance: leven(name.toLowerCase(), key.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return new CerError(code, `${where}: ${formatPath(keys)} is not a key that cer knows.`, {
    hint: `Did you mean "${nearest?.name}"? Known here: ${known.join(", ")}.`,
  });
}

/** The parts of a valibot schema that lead from an object to its fields. */
type SchemaNode = {
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly item?: SchemaNode;
  readonly wrapped?: SchemaNode;
};

function descend(node: SchemaNode, key: string | number): SchemaNode {
  const inner = node.wrapped ?? node;
  return inner.entries?.[key] ?? inner.item ?? {};
}

function isKnown(node: SchemaNode, key: string | number): boolean {
  const { entries, item } = node.wrapped ?? node;
  return typeof key === "number" ? item !== undefined : entries !== undefined && Object.hasOwn(entries, key);
}

function keysOf(node: SchemaNode): string[] {
  return Object.keys((node.wrapped ?? node).entries ?? {}).filter((key) => !key.startsWith("$"));
}

/** The path of the first list that stands where the schema has an object: valibot takes the one for the other. */
function findListForObject(
  node: SchemaNode,
  value: unknown,
  keys: readonly (string | number)[] = [],
): readonly (string | number)[] | null {
  if (typeof value !== "object" || value === null) return null;
  if (Array.isArray(value) && (node.wrapped ?? node).entries !== undefined) return keys;
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const found = isKnown(node, key) ? findListForObject(descend(node, key), item, [...keys, key]) : null;
    if (found !== null) return found;
  }
  return null;
}

/** `parameters[3].id` */
function formatPath(keys: readonly (string | number)[]): string {
  return keys.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)).join("");
}

/** For JSON.stringify: 64-bit integers as decimal strings, since JSON's readers make doubles of numbers. */
export function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
