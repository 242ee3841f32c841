/**
 * The names files have inside an archive: safe to extract on any system, short enough for all readers, and different
 * from each other without regard to case. Hides what Windows makes of a name.
 */
import { DEVICE_NAMES, foldCase } from "../../names.ts";

/** Readers count bytes, not characters, and put a folder in front: 200 leave room below Windows' 260. */
export const MAX_SAFE_NAME_SIZE = 200;

/** What a name becomes of which nothing is left. */
const NAMELESS = "file";

/** Windows opens a device for these, with any extension. */
const DEVICE = new RegExp(`^${DEVICE_NAMES}(?:\\.|$)`, "i");

/** Characters that Windows refuses in a name, or that make text run backwards or vanish where it is shown. */
const UNSAFE =
  /[\u0000-\u001f"*/:<>?|\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]/g;

/**
 * The name as an archive may hold it: parts separated by `\`, none of them empty, `.`, `..`, a drive or a device, no
 * part ending in a dot or a blank, at most 200 bytes of UTF-8. What is unsafe becomes `_`; what is left of nothing is
 * `file`. Safe names come back as they are.
 */
export function safeName(wanted: string): string {
  // A lone surrogate becomes U+FFFD, as it would in the archive.
  const parts = wanted
    .toWellFormed()
    .split(/[\\/]/)
    .map(safePart)
    .filter((part) => part !== "");
  return shorten(parts.length === 0 ? NAMELESS : parts.join("\\"), MAX_SAFE_NAME_SIZE);
}

/** The parts of a name, at least one; those that mean the folder they are in (`./a`) are left out. */
export function partsOf(name: string): string[] {
  const parts = name.split(/[\\/]/).filter((part) => part !== ".");
  return parts.length === 0 ? [""] : parts;
}

/** Why a name from an archive cannot be extracted just like that; null when it can. */
export function whyUnsafe(name: string): string | null {
  if (/^[\\/]|^[a-z]:/i.test(name)) return "it is an absolute path";
  const parts = partsOf(name);
  if (parts.includes("..")) return "it leads out of the folder";
  const isSafe = parts.every((part) => part !== "" && safePart(part) === part);
  return isSafe ? null : "it is no safe name for a file";
}

function safePart(part: string): string {
  const plain = trimTail(part.replace(UNSAFE, "_").trimStart(), ". ");
  return DEVICE.test(plain) ? `_${plain}` : plain;
}

/** Cuts whole characters off the stem until the name has at most `size` bytes, and mends the part that was cut. */
function shorten(name: string, size: number): string {
  if (Buffer.byteLength(name) <= size) return name;
  const { stem, extension } = splitExtension(name);
  const bytes = Buffer.from(stem);
  // One byte more than needed, should the cut leave a device's name.
  let end = Math.max(0, size - Buffer.byteLength(extension) - 1);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  const cut = trimTail(bytes.toString("utf8", 0, end), "\\. ");
  return (cut + extension || NAMELESS).split("\\").map(safePart).join("\\");
}

/** Without the characters of `tail` at its end. A loop: a pattern would take the square of the name's length. */
function trimTail(text: string, tail: string): string {
  let end = text.length;
  while (end > 0 && tail.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** The last extension of up to 16 characters; a name that is nothing but an extension has none. */
function splitExtension(name: string): { stem: string; extension: string } {
  const found = /^(.*[^\\])(\.[^.\\ ]{1,16})$/s.exec(name);
  return found === null ? { stem: name, extension: "" } : { stem: found[1] ?? "", extension: found[2] ?? "" };
}

/** The safe name with a number before its extension, and still short enough. */
export function numberedName(name: string, number: number): string {
  const { stem, extension } = splitExtension(name);
  const ending = ` (${number})${extension}`;
  return shorten(stem, MAX_SAFE_NAME_SIZE - Buffer.byteLength(ending)) + ending;
}

/** Gives out names that differ from all given out before by more than case: `a.txt`, `A (2).txt`, … */
export class UniqueNames {
  readonly #taken = new Set<string>();
  /** The number last tried for a name, so that ten thousand equal names do not take a hundred million steps. */
  readonly #numbers = new Map<string, number>();

  /** A safe name for `wanted`, taken from now on. */
  take(wanted: string): string {
    const name = safeName(wanted);
    if (this.#claim(name)) return name;
    const key = foldCase(name);
    for (let number = (this.#numbers.get(key) ?? 1) + 1; ; number++) {
      const numbered = numberedName(name, number);
      this.#numbers.set(key, number);
      if (this.#claim(numbered)) return numbered;
    }
  }

  #claim(name: string): boolean {
    const key = foldCase(name);
    if (this.#taken.has(key)) return false;
    this.#taken.add(key);
    return true;
  }
}
