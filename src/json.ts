/**
 * JSON and its schemas. A document that this program wrote (`documentReader`) may be torn, edited by hand, or come from
 * another machine: the first field that is wrong is named. Of JSON from people (`parseJson`, `parseShape`) what is wrong
 * is said with line and column, or with the path of the field and the nearest known key.
 */

import * as v from "valibot";
import { CerError, type CerErrorCode } from "./errors.ts";
import { quote } from "./printable.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A document as this program writes it: JSON that people can read, a line end at the end. */
export function encodeDocument(value: Json): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

/** The last millisecond of the year 9999. */
const LAST_TIME = 253_402_300_799_999;

/** The nearest time that a document can hold: whole milliseconds of the years 1970 to 9999. Clocks may say anything. */
export function clampTime(time: number): number {
  return Math.min(Math.max(Math.floor(time), 0), LAST_TIME);
}

/** Milliseconds since 1970 as `time` reads them; the nearest that it can read. */
export function formatIso(time: number): string {
  return new Date(clampTime(time)).toISOString();
}

/**
 * The error for a document that is not of its schema.
 * @param at the path of the field, "" for the whole, null for what is no JSON
 * @param fault what is wrong with it: "must be text"
 */
type Refuse = (at: string | null, fault: string, cause?: unknown) => CerError;

/**
 * The reader of one kind of document of this program's own. Its schema is made when the first one is read: every run of
 * this program starts, and few read a document. The reader throws what `refuse` makes of the first fault.
 * @param refuse or the document, as the message of a CER_DAMAGED names it
 * @param makeSchema of pieces that say what is wrong in words that follow the field's path
 */
export function documentReader<S extends v.GenericSchema>(
  refuse: string | Refuse,
  makeSchema: () => S,
): (text: string, refuse?: string | Refuse) => v.InferOutput<S> {
  let schema: S | null = null;
  return (text, refuseThis = refuse) => {
    const refusal = typeof refuseThis === "string" ? damaged(refuseThis) : refuseThis;
    schema ??= makeSchema();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw refusal(null, "is not JSON, or only a part of it is there", cause);
    }
    const parsed = v.safeParse(schema, value, { abortEarly: true });
    if (parsed.success) return parsed.output;
    const [{ path = [], message }] = parsed.issues;
    const keys = path.map(({ key }) => (typeof key === "number" ? key : quote(String(key)).slice(1, -1)));
    throw refusal(formatPath(keys), message);
  };
}

function damaged(what: string): Refuse {
  return (at, fault, cause) =>
    new CerError(
      "CER_DAMAGED",
      at === null ? `${what} ${fault}.` : `${what}: ${at === "" ? "the document" : at} ${fault}.`,
      { cause },
    );
}

const MUST_BE_DECIMAL = "must be a decimal number as text";
const MUST_BE_TIME = "must be a time in ISO 8601, UTC";
const MUST_BE_SHA256 = "must be a SHA-256 in hex";

export const text = v.string("must be text");
export const flag = v.boolean("must be true or false");
export const count = wholeNumber("must be a whole number, not negative");
/** A decimal number of up to 100 digits, as text. */
export const digits = v.pipe(v.string(MUST_BE_DECIMAL), v.regex(/^[0-9]{1,100}$/, MUST_BE_DECIMAL));
/** An unsigned 64-bit number, written as decimal text. */
export const unsigned64 = v.pipe(
  v.string(MUST_BE_DECIMAL),
  v.regex(/^[0-9]{1,20}$/, MUST_BE_DECIMAL),
  v.transform((text) => BigInt(text)),
  v.maxValue(2n ** 64n - 1n, "must be less than 2^64"),
);
/** A time written as ISO 8601, in milliseconds since 1970. */
export const time = v.pipe(
  v.string(MUST_BE_TIME),
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, MUST_BE_TIME),
  v.transform((iso) => Date.parse(iso)),
  v.number("is a time that does not exist"),
);
/** Lower-case hex of 32 bytes. */
export const sha256 = v.pipe(v.string(MUST_BE_SHA256), v.regex(/^[0-9a-f]{64}$/, MUST_BE_SHA256));
/** Any JSON at all. */
export const json = v.custom<Json>((value) => value !== undefined, "is missing");

/** From 0 to 2^53-1. */
export function wholeNumber(message: string) {
  return v.pipe(v.number(message), v.safeInteger(message), v.minValue(0, message));
}

export function oneOf<const T extends readonly (string | number)[]>(known: T) {
  return v.picklist(known, `must be one of ${known.join(", ")}`);
}

/** An object of these fields; of others nothing remains. */
export function object<E extends v.ObjectEntries>(entries: E, message = "must be an object") {
  return v.pipe(objectOfAny(message), v.object(entries, complainOfMissing(entries)), v.readonly());
}

/** An object of whatever fields. valibot takes a list for one, too. */
export function objectOfAny(message: string) {
  return v.custom<Readonly<Record<string, unknown>>>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    message,
  );
}

/** A missing field is complained of as one of the wrong kind is. */
function complainOfMissing(entries: v.ObjectEntries): (issue: v.BaseIssue<unknown>) => string {
  return (issue) => {
    const field = entries[String(issue.path?.[0].key)] as SchemaNode;
    const { message = "is missing" } = field.wrapped ?? field;
    return typeof message === "string" ? message : message(issue);
  };
}

/** Items of one list that are read at most. */
const MAX_LIST = 100_000;

export function list<S extends v.GenericSchema>(item: S) {
  return v.pipe(
    v.custom<unknown[]>(Array.isArray, "must be a list"),
    v.maxLength(MAX_LIST, ({ received }) => `has ${received} items, the bound is ${MAX_LIST}`),
    v.array(item),
    v.readonly(),
  );
}

/** The way to a field, from the whole inwards. */
type Keys = readonly (string | number)[];

/** The value of a JSON text. `where` is the file's name as messages call it. @throws CerError of the given code */
export async function parseJson(text: string, where: string, code: CerErrorCode): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CerError(code, `${where} is not JSON: ${await locateSyntaxError(text)}.`, { cause });
  }
}

/** Characters in which the place of a syntax error is looked for, which takes memory many times as large. */
const MAX_SEARCHED = 1024 * 1024;

/** The first syntax error with its place, as jsonc-parser finds it; the engine's own words name no line. */
async function locateSyntaxError(text: string): Promise<string> {
  if (text.trim() === "") return "it is empty";
  if (text.length > MAX_SEARCHED) return "it breaks off, or holds what JSON forbids";
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
 * What is done about a fault. Given none, it is thrown.
 * @param instead what becomes of the field, as a sentence
 */
export type Tolerate = (fault: CerError, instead: string) => void;

/** Faults of one look for which the nearest known key is looked for. */
const MAX_EXPLAINED = 50;
/** Times that a value is looked at again after its faults were left out. */
const MAX_LOOKS = 10;

/**
 * A value as a schema has it. The schemas are strict: an unknown key is a fault.
 * @param value changed where faults are tolerated
 * @param where the file's name as messages call it
 * @param tolerate told of each fault; the field is then left out, or taken as the schema means it
 * @throws CerError of the given code, with the field's JSON path
 */
export async function parseShape<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  where: string,
  code: CerErrorCode,
  tolerate: Tolerate = (fault) => {
    throw fault;
  },
): Promise<v.InferOutput<S>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CerError(code, `${where}: the whole must be a JSON object, { … }.`);
  for (let look = 1; ; look++) {
    const faults = findFaults(schema, value);
    if (!Array.isArray(faults)) return faults.output;
    for (const [at, { keys, issue }] of faults.entries()) {
      // Nobody reads all of them, and the nearest known key takes its time to find.
      const known = at < MAX_EXPLAINED ? schema : null;
      const fault = await explain(known, keys, issue, where, code);
      if (look === MAX_LOOKS) throw fault;
      const meant = issue === null ? undefined : meaningOf(issue);
      const [guess] = /^Did you mean "[^"]*"\?/.exec(fault.hint ?? "") ?? [];
      const leftOut = guess === undefined ? "It is left out." : `It is left out. ${guess}`;
      tolerate(fault, meant === undefined ? leftOut : `It is taken as ${JSON.stringify(meant)}.`);
      if (meant === undefined) leaveOut(value, keys);
      else put(value, keys, meant);
    }
    closeGaps(value);
  }
}

/** Null for a list that stands where an object belongs. */
type Fault = { readonly keys: Keys; readonly issue: v.BaseIssue<unknown> | null };

function findFaults<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
): Fault[] | { output: v.InferOutput<S> } {
  const lists = findListsForObjects(schema as SchemaNode, value);
  if (lists.length > 0) return lists.map((keys) => ({ keys, issue: null }));
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return { output: parsed.output };
  return parsed.issues.flatMap((issue) => {
    const keys = (issue.path ?? []).map((item) => item.key as string | number);
    return issue.expected === "never" ? allUnknown(schema, value, keys, issue) : [{ keys, issue }];
  });
}

/** valibot names the first unknown key of an object only. */
function allUnknown(
  schema: v.GenericSchema,
  value: unknown,
  keys: Keys,
  issue: v.BaseIssue<unknown>,
): Fault[] {
  const around = keys.slice(0, -1);
  const node = around.reduce(descend, schema as SchemaNode);
  const { entries = {} } = node.wrapped ?? node;
  const found = Object.keys(containerOf(value, keys) ?? {}).filter((key) => !Object.hasOwn(entries, key));
  return found.map((key) => ({ keys: [...around, key], issue }));
}

/** @param schema null: an unknown key is named without the nearest known one */
async function explain(
  schema: v.GenericSchema | null,
  keys: Keys,
  issue: Fault["issue"],
  where: string,
  code: CerErrorCode,
): Promise<CerError> {
  if (issue === null)
    return new CerError(code, `${where}: ${formatPath(keys)} is a list; it must be an object.`);
  if (issue.expected === "never" && schema !== null) return explainUnknownKey(schema, keys, where, code);
  if (issue.expected === "never")
    return new CerError(code, `${where}: ${formatPath(keys)} is not a key that cer knows.`);
  return new CerError(code, `${where}: ${formatPath(keys)} ${describe(issue)}.`);
}

/** A number written as text, or a text that was written as a number: what it can only mean. */
function meaningOf({ expected, input }: v.BaseIssue<unknown>): string | number | undefined {
  if (expected === "string" && (typeof input === "number" || typeof input === "boolean"))
    return String(input);
  if (expected === "number" && typeof input === "string" && /^[0-9]{1,15}$/.test(input)) return Number(input);
  return undefined;
}

type Container = Record<string | number, unknown> | undefined;

/** What holds the field; none when a fault further out has it left out already. */
function containerOf(root: unknown, keys: Keys): Container {
  const container = keys.slice(0, -1).reduce((node, key) => node?.[key] as Container, root as Container);
  return typeof container === "object" ? container : undefined;
}

function put(root: unknown, keys: Keys, value: unknown): void {
  const container = containerOf(root, keys);
  if (container !== undefined) container[keys.at(-1) as string] = value;
}

/** Stands for an item that is left out, until all faults of a list are known. */
const GAP = Symbol("gap");

/** Without a field that is missing in it, an object is of no use. */
function leaveOut(root: unknown, keys: Keys): void {
  const container = containerOf(root, keys);
  const key = keys.at(-1) as string;
  if (container === undefined) return;
  if (Array.isArray(container)) container[Number(key)] = GAP;
  else if (Object.hasOwn(container, key)) delete container[key];
  else if (keys.length > 1) leaveOut(root, keys.slice(0, -1));
}

function closeGaps(node: unknown): void {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    const kept = node.filter((item) => item !== GAP);
    for (const [at, item] of kept.entries()) node[at] = item;
    node.length = kept.length;
  }
  for (const inner of Object.values(node)) closeGaps(inner);
}

function describe(issue: v.BaseIssue<unknown>): string {
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
  schema: v.GenericSchema,
  keys: Keys,
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

/** The parts of a valibot schema that lead from an object to its fields, and what it says of a value not of its kind. */
type SchemaNode = {
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly item?: SchemaNode;
  readonly wrapped?: SchemaNode;
  readonly message?: string | ((issue: v.BaseIssue<unknown>) => string);
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

/** The paths of the lists that stand where the schema has an object: valibot takes the one for the other. */
function findListsForObjects(node: SchemaNode, value: unknown, keys: Keys = []): Keys[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value) && (node.wrapped ?? node).entries !== undefined) return [keys];
  const fields = Array.isArray(value) ? value.entries() : Object.entries(value);
  return [...fields].flatMap(([key, item]) =>
    isKnown(node, key) ? findListsForObjects(descend(node, key), item, [...keys, key]) : [],
  );
}

/** `parameters[3].id` */
function formatPath(keys: Keys): string {
  return keys.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)).join("");
}

type Present<T> = { [K in keyof T]?: NonNullable<T[K]> };

/** The object without the keys whose value is null. */
export function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null)) as Present<T>;
}

/** For JSON.stringify: 64-bit integers as decimal strings, since JSON's readers make doubles of numbers. */
export function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
