/** How the answer to a WQL query is written: as wmic's `/format:list` does for people, and as JSON for programs. */

import { bigintAsText } from "../../../json.ts";
import type { CimObject, CimValue } from "../../../wql/match.ts";

/** `Name=value` lines, each object after an empty line; CRLF, as on Windows. */
export function formatObject(object: CimObject): string {
  const lines = Object.entries(object).map(([name, value]) => `${name}=${formatValue(value)}\r\n`);
  return `\r\n${lines.join("")}`;
}

function formatValue(value: CimValue): string {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "TRUE" : "FALSE";
  if (typeof value === "object") return `{${value.map(formatItem).join(",")}}`;
  return oneLine(String(value));
}

function formatItem(item: string | number | bigint | boolean): string {
  return typeof item === "string" ? `"${oneLine(item)}"` : String(item).toUpperCase();
}

/** A line end inside a value would look like the next property. */
function oneLine(text: string): string {
  return text.replace(/[\r\n\0]+/g, " ");
}

/** One object as JSON on one line. */
export function encodeObject(object: CimObject): string {
  return JSON.stringify(object, bigintAsText);
}
