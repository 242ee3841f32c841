/**
 * A JSON document read with suspicion: the file may be torn, edited by hand, or come from another machine. Every
 * complaint is a CER_DAMAGED that names the document and the place in it.
 */

import { CerError } from "../errors.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The fields of one JSON object, each read as what it must be. Unknown fields are left alone. */
export type Fields = {
  text(key: string): string;
  textOrNull(key: string): string | null;
  /** A whole number from 0 to 2^53-1. */
  count(key: string): number;
  countOrNull(key: string): number | null;
  /** A decimal number of up to 100 digits, as text. */
  digitsOrNull(key: string): string | null;
  /** An unsigned 64-bit number, written as decimal text. */
  unsigned64(key: string): bigint;
  /** A time written as ISO 8601, in milliseconds since 1970. */
  time(key: string): number;
  timeOrNull(key: string): number | null;
  flag(key: string): boolean;
  /** Lower-case hex of 32 bytes. */
  sha256(key: string): string;
  one<T extends string | number>(key: string, of: readonly T[]): T;
  object<T>(key: string, read: (fields: Fields) => T): T;
  objectOrNull<T>(key: string, read: (fields: Fields) => T): T | null;
  list<T>(key: string, read: (fields: Fields) => T): T[];
  /** Any JSON at all. */
  json(key: string): Json;
};

/** Items of one list that are read at most. */
const MAX_LIST = 100_000;

/**
 * @param what the document, as a message names it
 * @throws CerError CER_DAMAGED
 */
export function parseRecord<T>(text: string, what: string, read: (fields: Fields) => T): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CerError("CER_DAMAGED", `${what} is not JSON, or only a part of it is there.`, { cause });
  }
  return read(fieldsOf(value, what, ""));
}

function fieldsOf(value: unknown, what: string, path: string): Fields {
  const refuse = (at: string, must: string): never => {
    throw new CerError("CER_DAMAGED", `${what}: ${at === "" ? "the document" : at} ${must}.`);
  };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(path, "must be an object");
  const object = value as Record<string, unknown>;
  const at = (key: string) => (path === "" ? key : `${path}.${key}`);
  const get = (key: string) => (Object.hasOwn(object, key) ? object[key] : undefined);
  const orNull = <T>(key: string, read: (key: string) => T): T | null =>
    get(key) === null ? null : read(key);
  const matching = (key: string, pattern: RegExp, must: string): string => {
    const text = get(key);
    return typeof text === "string" && pattern.test(text) ? text : refuse(at(key), must);
  };
  const count = (key: string): number => {
    const number = get(key);
    const isCount = typeof number === "number" && Number.isSafeInteger(number) && number >= 0;
    return isCount ? number : refuse(at(key), "must be a whole number, not negative");
  };
  const text = (key: string) => matching(key, /(?:)/, "must be text");
  const time = (key: string) => {
    const iso = matching(key, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, "must be a time in ISO 8601, UTC");
    const ms = Date.parse(iso);
    return Number.isNaN(ms) ? refuse(at(key), "is a time that does not exist") : ms;
  };
  return {
    text,
    textOrNull: (key) => orNull(key, text),
    count,
    countOrNull: (key) => orNull(key, count),
    digitsOrNull: (key) =>
      orNull(key, () => matching(key, /^[0-9]{1,100}$/, "must be a decimal number as text")),
    unsigned64: (key) => {
      const number = BigInt(matching(key, /^[0-9]{1,20}$/, "must be a decimal number as text"));
      return number < 2n ** 64n ? number : refuse(at(key), "must be less than 2^64");
    },
    time,
    timeOrNull: (key) => orNull(key, time),
    flag: (key) => {
      const flag = get(key);
      return typeof flag === "boolean" ? flag : refuse(at(key), "must be true or false");
    },
    sha256: (key) => matching(key, /^[0-9a-f]{64}$/, "must be a SHA-256 in hex"),
    one: (key, of) =>
      of.find((one) => one === get(key)) ?? refuse(at(key), `must be one of ${of.join(", ")}`),
    object: (key, read) => read(fieldsOf(get(key), what, at(key))),
    objectOrNull: (key, read) => orNull(key, () => read(fieldsOf(get(key), what, at(key)))),
    list: (key, read) => {
      const list = get(key);
      if (!Array.isArray(list)) return refuse(at(key), "must be a list");
      if (list.length > MAX_LIST)
        return refuse(at(key), `has ${list.length} items, the bound is ${MAX_LIST}`);
      return list.map((item, index) => read(fieldsOf(item, what, `${at(key)}[${index}]`)));
    },
    json: (key) => (get(key) === undefined ? refuse(at(key), "is missing") : (get(key) as Json)),
  };
}

/** A document as the journal writes it: JSON that people can read, a line end at the end. */
export function encodeRecord(value: Json): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

export function formatIso(time: number): string {
  return new Date(time).toISOString();
}
