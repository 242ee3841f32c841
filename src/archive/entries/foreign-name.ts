/**
 * Names as other people's archives hold them: bytes that may be no text, and text that a terminal must not see as it is.
 * Hides how a byte that is no text is kept in a string: as the lone surrogate U+DC00 plus the byte, which no text holds.
 */
import { isUtf8 } from "node:buffer";
import { whyUnsafe } from "./names.ts";

/** Bytes that common file systems take for one part of a path. */
const MAX_PART_SIZE = 255;

const NO_TEXT = /[\udc80-\udcff]/u;

/** What is not shown as it is: quotes, blanks of other kinds than the usual one, and what cannot be seen at all. */
const NOT_SHOWN = /["\p{Cc}\p{Cf}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

/** The bytes as UTF-8; those that are none are kept, one by one. Other bytes give another string. */
export function decodeName(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString();
  let name = "";
  for (let at = 0; at < bytes.length; ) {
    const character = bytes.subarray(at, at + characterSize(bytes[at] ?? 0));
    if (isUtf8(character)) {
      name += character.toString();
      at += character.length;
    } else name += String.fromCharCode(0xdc00 + (bytes[at++] ?? 0));
  }
  return name;
}

/** Bytes of the character that begins with this one, if any does. */
function characterSize(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

/** Why a name is not one to be had just like that on any system; null when it is. */
export function whyOdd(name: string): string | null {
  if (NO_TEXT.test(name)) return "it holds bytes that are no UTF-8";
  if (name.split(/[\\/]/).some((part) => Buffer.byteLength(part) > MAX_PART_SIZE))
    return `it is longer than the ${MAX_PART_SIZE} bytes that a file's name may have`;
  return whyUnsafe(name);
}

/** The name for people: as it is, or, where that could mislead, as `quoteName` has it. Different names are shown differently. */
export function showName(name: string): string {
  const isPlain = name !== "" && name === name.trim() && !NOT_SHOWN.test(name);
  return isPlain ? name : quoteName(name);
}

/**
 * The name in quotes, with \\ for a backslash, \" for a quote, \xFF for a byte that is no text and \u{9B} for a
 * character that cannot be seen.
 */
export function quoteName(name: string): string {
  return `"${Array.from(name, showCharacter).join("")}"`;
}

function showCharacter(character: string): string {
  if (character === "\\" || character === '"') return `\\${character}`;
  if (!NOT_SHOWN.test(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  const hex = (NO_TEXT.test(character) ? code - 0xdc00 : code).toString(16).toUpperCase();
  return NO_TEXT.test(character) ? `\\x${hex}` : `\\u{${hex}}`;
}
