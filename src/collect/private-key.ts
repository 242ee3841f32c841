/**
 * Private keys in PEM and PuTTY form, which run over many lines and so over the blocks in which a text is read. Hides
 * where such a key ends, above all when its end never comes.
 */

import { type Finding, REDACTED } from "./redact-rules.ts";

const BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|^Private-Lines: \d+/gm;
const END = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
/** A line of a key's body: base64, perhaps quoted, indented or with its line end spelled out; or a header; or nothing. */
const BODY =
  /^[ \t>|"'#*+,;.-]*(?:(?:[A-Za-z0-9+/=]{1,120}(?:\\[rn]|[ \t"',+\\;)])*|(?:Proc-Type|DEK-Info|Comment|Version|Hash|Private-MAC): .{0,120})?)$/;
/** One line that holds a whole key with spelled-out line ends is body as well. */
const FLAT_BODY = /^[A-Za-z0-9+/=\\\s"',:.-]*$/;

/**
 * The bodies of private keys in a block of whole lines.
 * @param isInside the block before ended within a key, or may have
 * @returns `isInside` for the next block
 */
export function findPrivateKeys(
  text: string,
  isInside: boolean,
): { findings: readonly Finding[]; isInside: boolean } {
  const findings: Finding[] = [];
  let at = 0;
  let inside = isInside;
  for (;;) {
    if (inside) {
      const { end, isOpen } = bodyEnd(text, at);
      if (text.slice(at, end).trim() !== "") findings.push(found(text, at, end));
      if (isOpen) return { findings, isInside: true };
      at = end;
    }
    BEGIN.lastIndex = at;
    const begin = BEGIN.exec(text);
    if (begin === null) return { findings, isInside: false };
    at = begin.index + begin[0].length;
    inside = true;
  }
}

/** Line ends round the body stay where they are. */
function found(text: string, start: number, end: number): Finding {
  const body = text.slice(start, end);
  const from = start + (body.length - body.trimStart().length);
  return { start: from, end: start + body.trimEnd().length, rule: "private-key", replacement: REDACTED };
}

/** Where a key's body that is read from `at` ends: at its last line, or at the first line that is none of it. */
function bodyEnd(text: string, at: number): { end: number; isOpen: boolean } {
  END.lastIndex = at;
  const marked = END.exec(text)?.index;
  if (marked !== undefined && FLAT_BODY.test(text.slice(at, marked))) return { end: marked, isOpen: false };
  let end = at;
  while (end < text.length) {
    const lineEnd = text.indexOf("\n", end);
    const next = lineEnd < 0 ? text.length : lineEnd + 1;
    const line = text.slice(end, next).trimEnd();
    if (!BODY.test(line)) return { end, isOpen: false };
    end = next;
  }
  return { end, isOpen: true };
}
