/**
 * Private keys in PEM and PuTTY form, which run over many lines and so over the blocks in which a text is read. Hides
 * where such a key ends, above all when its end never comes.
 */

import { type Finding, redaction } from "./finding.ts";

/** `inside`: within a key, or perhaps so, of which nothing has been replaced yet; `replaced`: the rest of one. */
export type KeyState = "outside" | "inside" | "replaced";

const BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|^Private-Lines: \d+/gm;
/** Characters of the longest first line. */
const BEGIN_LENGTH = 80;
/** A line of a key's body: base64, perhaps quoted or indented, perhaps with its line end spelled out; or a header. */
const BODY =
  /^[ \t>|"'#*+,;.-]*(?:[A-Za-z0-9+/=]{1,120}(?:\\[rn]|[ \t"',+\\;)])*|(?:Proc-Type|DEK-Info|Comment|Version|Hash): .{0,120})$/;
/** One line that holds a whole key, line ends spelled out. */
const FLAT_BODY = /^([A-Za-z0-9+/=\\ "',:.]+)-----END [A-Z0-9 ]{0,40}PRIVATE KEY/;
/** The start of such a line, where its end is cut off. */
const FLAT_START = /^((?:\\{1,3}[rn])+[A-Za-z0-9+/=\\]{16,})/;
/** Characters in which the end of such a key is looked for: twice the longest key in use. */
const MAX_FLAT = 32 * 1024;

/**
 * The bodies of private keys in a block of whole lines: of each the first line is replaced, the others are removed.
 * @param before how the block before ended
 */
export function findPrivateKeys(text: string, before: KeyState): { findings: Finding[]; state: KeyState } {
  const findings: Finding[] = [];
  let state = before;
  for (let at = 0; ; ) {
    if (state !== "outside") {
      const body = readBody(text, at, state);
      findings.push(...body.findings);
      if (body.state !== "outside") return { findings, state: body.state };
      at = body.end;
    }
    BEGIN.lastIndex = at;
    const begin = BEGIN.exec(text);
    if (begin === null) return { findings, state: "outside" };
    at = begin.index + begin[0].length;
    state = "inside";
  }
}

type Body = { readonly findings: Finding[]; readonly end: number; readonly state: KeyState };

/** From a place within a key up to the first line that is none of it; `state` is `outside` when there is one. */
function readBody(text: string, from: number, before: KeyState): Body {
  const ahead = text.slice(from, from + MAX_FLAT);
  const flat = (FLAT_BODY.exec(ahead) ?? FLAT_START.exec(ahead))?.[1];
  if (flat !== undefined) {
    const end = from + flat.length;
    return { findings: [redaction("private-key", from - BEGIN_LENGTH, from, end)], end, state: "outside" };
  }
  const findings: Finding[] = [];
  let state = before;
  for (let at = from; at < text.length; ) {
    const lineEnd = text.indexOf("\n", at);
    const next = lineEnd < 0 ? text.length : lineEnd + 1;
    const line = text.slice(at, next).trimEnd();
    const isBlank = line === "";
    if (!isBlank && !BODY.test(line)) return { findings, end: at, state: "outside" };
    if (state === "replaced") findings.push({ ...redaction("private-key", at, at, next), replacement: "" });
    else if (!isBlank) {
      const start = at + line.length - line.trimStart().length;
      findings.push(redaction("private-key", at, start, at + line.length));
      state = "replaced";
    }
    at = next;
  }
  return { findings, end: text.length, state };
}
