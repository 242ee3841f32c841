/**
 * The level 1 server response ([MS-CER2] 2.2.2): lines of `key=value` in code page 1252. Written strictly by the
 * grammar its comments mean, read as tolerantly as the specification's own examples need.
 */

import { quote, stripControls } from "../printable.ts";
import { decodeAnswerText, encodeAnswerText } from "./text.ts";

/** What a server answered. Lists are empty, flags false and texts null where the answer has no such key. */
export type Level1Response = {
  /** The URL to show to the user; null when there is none ("1", empty, absent, not http or https). */
  readonly responseUrl: string | null;
  /** Positive decimal integers of any size, kept as text. */
  readonly bucket: string | null;
  readonly bucketTable: string | null;
  /** The server asks for a level 2 report. */
  readonly iData: boolean;
  readonly memoryDump: boolean;
  readonly fDoc: boolean;
  readonly regKey: readonly string[];
  readonly regTree: readonly string[];
  readonly wql: readonly string[];
  readonly getFile: readonly string[];
  readonly getFileVersion: readonly string[];
  /** The level 2 destination, as the server wrote it. */
  readonly dumpFile: string | null;
};

export type ParsedResponse = {
  readonly response: Level1Response;
  /** Keys of the protocol that were found, whether or not their value was usable. */
  readonly keysFound: number;
  /**
   * It is an answer: nothing but blanks, which asks for nothing; or with a usable value for a key of the protocol, and
   * with no more lines that are no `key=value` than it has keys.
   */
  readonly isAnswer: boolean;
  /** What was ignored, and why: one sentence each. */
  readonly warnings: readonly string[];
};

const KEYS = [
  "Response",
  "Bucket",
  "BucketTable",
  "iData",
  "MemoryDump",
  "RegKey",
  "RegTree",
  "fDoc",
  "WQL",
  "GetFile",
  "GetFileVersion",
  "DumpFile",
] as const;

export type ResponseKey = (typeof KEYS)[number];

/** Items of one list key that are looked at; a server that asks for more is not asking in earnest. */
export const MAX_ITEMS = 1000;
/** Warnings kept of one answer. */
const MAX_WARNINGS = 20;

/**
 * Reads an answer. Lines end in CRLF, LF or CR, the last one perhaps in nothing; blanks round key and value are
 * dropped; unknown keys and blank lines are skipped; a malformed field is ignored alone; the first of a repeated key
 * counts. A key in the wrong case is accepted with a warning unless the right one is there too.
 */
export function parseResponse(body: Buffer): ParsedResponse {
  const warnings: string[] = [];
  const warn = (warning: string) => {
    if (warnings.length < MAX_WARNINGS) warnings.push(warning);
  };
  const lines = linesOf(body);
  const fields = collectFields(lines, warn);
  const response: Level1Response = {
    responseUrl: parseResponseUrl(fields.get("Response"), warn),
    bucket: parsePositive("Bucket", fields, warn),
    bucketTable: parsePositive("BucketTable", fields, warn),
    iData: parseFlag("iData", fields, warn),
    memoryDump: parseFlag("MemoryDump", fields, warn),
    fDoc: parseFlag("fDoc", fields, warn),
    regKey: parseItems("RegKey", fields, warn),
    regTree: parseItems("RegTree", fields, warn),
    wql: parseItems("WQL", fields, warn),
    getFile: parseItems("GetFile", fields, warn),
    getFileVersion: parseItems("GetFileVersion", fields, warn),
    dumpFile: fields.get("DumpFile") || null,
  };
  return {
    response,
    keysFound: fields.size,
    isAnswer: lines.every((line) => line.trim() === "") || isAnswer(response, fields, lines),
    warnings,
  };
}

function isAnswer(response: Level1Response, fields: Fields, lines: readonly string[]): boolean {
  const { responseUrl, bucket, bucketTable, dumpFile } = response;
  const isUsable =
    (["iData", "MemoryDump", "fDoc"] as const).some((key) => /^[01]$/.test(fields.get(key) ?? "")) ||
    (["regKey", "regTree", "wql", "getFile", "getFileVersion"] as const).some(
      (key) => response[key].length > 0,
    ) ||
    [responseUrl, bucket, bucketTable, dumpFile].some((value) => value !== null) ||
    fields.get("Response") === "1";
  const strays = lines.filter((line) => line !== "" && line.indexOf("=") < 1).length;
  return isUsable && strays <= fields.size;
}

/** Without blanks at either end; the last one has no line end, and is often empty. */
function linesOf(body: Buffer): string[] {
  return decodeAnswerText(body)
    .split(/\r\n|\r|\n/)
    .map(trimBlanks);
}

/**
 * Whether an answer whose body ended with the connection was cut short, as far as can be seen: its last line has no end,
 * and is no `key=value`, or lacks its value, or the answer asks for data and has not come to say where to put it.
 */
export function isCutShort(body: Buffer): boolean {
  const lines = linesOf(body);
  const last = lines.at(-1) ?? "";
  const fields = collectFields(lines, () => {});
  if (last === "" || fields.size === 0) return false;
  const asksInVain = fields.get("iData") === "1" && !fields.has("DumpFile");
  const at = last.indexOf("=");
  return asksInVain || at < 1 || at === last.length - 1;
}

function collectFields(lines: readonly string[], warn: (warning: string) => void): Map<ResponseKey, string> {
  const exact = new Map<ResponseKey, string>();
  const lenient = new Map<ResponseKey, string>();
  for (const line of lines) {
    const at = line.indexOf("=");
    if (at < 0) continue;
    const written = trimBlanks(line.slice(0, at));
    const key = responseKeyOf(written);
    if (key === undefined) continue;
    const fields = key === written ? exact : lenient;
    if (fields.has(key)) warn(`The server sent ${key} more than once; the first one counts.`);
    else fields.set(key, trimBlanks(line.slice(at + 1)));
  }
  for (const [key, value] of lenient) {
    if (exact.has(key)) continue;
    warn(`The server wrote the key ${key} in another case.`);
    exact.set(key, value);
  }
  return exact;
}

function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+/, "").replace(/(?<![ \t])[ \t]+$/, "");
}

type Fields = ReadonlyMap<ResponseKey, string>;
type Warn = (warning: string) => void;

function parseFlag(key: ResponseKey, fields: Fields, warn: Warn): boolean {
  const value = fields.get(key);
  if (value !== undefined && value !== "0" && value !== "1")
    warn(`The server sent ${key}=${quote(value)}, which is neither 0 nor 1; ignored.`);
  return value === "1";
}

function parsePositive(key: ResponseKey, fields: Fields, warn: Warn): string | null {
  const value = fields.get(key);
  if (value === undefined) return null;
  if (/^[1-9][0-9]{0,99}$/.test(value)) return value;
  warn(`The server sent ${key}=${quote(value)}, which is not a positive decimal number; ignored.`);
  return null;
}

function parseItems(key: ResponseKey, fields: Fields, warn: Warn): string[] {
  const items = (fields.get(key) ?? "").split(";").map(trimBlanks).filter(Boolean);
  if (items.length > MAX_ITEMS)
    warn(`The server sent ${items.length} items in ${key}; only the first ${MAX_ITEMS} are looked at.`);
  return items.slice(0, MAX_ITEMS);
}

function parseResponseUrl(value: string | undefined, warn: Warn): string | null {
  if (value === undefined || value === "" || value === "1") return null;
  const shown = stripControls(value);
  if (/^https?:\/\/[^\s/]/i.test(shown)) return shown;
  warn(`The server sent Response=${quote(value)}, which is not an http or https address; not shown.`);
  return null;
}

/** One line of an answer, in the order it is to be written. */
export type ResponseLine = readonly [key: ResponseKey, value: string];

/** An answer as the grammar has it: `key=value` and CRLF, nothing else. The caller's values hold no line ends. */
export function encodeResponse(lines: readonly ResponseLine[]): Buffer {
  return encodeAnswerText(lines.map(([key, value]) => `${key}=${value}\r\n`).join(""));
}

/** The key a word names, in any case; undefined for a word that is no key of the protocol. */
export function responseKeyOf(word: string): ResponseKey | undefined {
  return KEYS.find((key) => key.toLowerCase() === word.toLowerCase());
}
