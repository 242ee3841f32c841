/**
 * The grammar of a level 1 answer ([MS-CER2] 2.2.2), to the letter, for whoever tests a server. A client reads by
 * response.ts, which takes much more.
 *
 * Where the published grammar contradicts itself, its comments and the examples of section 4 decide: each key stands
 * once, as its decimal form spells it (GetFileVersion and fDoc have none, and are blind to case); a number may have one
 * digit; one blank may stand on each side of the equals sign of Response, Bucket and BucketTable, as in the examples;
 * the line of DumpFile may end in nothing. Every element may be absent, so an empty answer is one.
 */

import { count, quote } from "../printable.ts";
import { type ResponseKey, responseKeyOf } from "./response.ts";
import { decodeAnswerText } from "./text.ts";

/** Faults that are told one by one. */
const MAX_FAULTS = 20;

/** What breaks the grammar: a sentence each, which begins with the number of its line. */
export function findFaults(body: Buffer): string[] {
  const faults: string[] = [];
  let untold = 0;
  const tell = (line: number, what: string) => {
    if (faults.length < MAX_FAULTS) faults.push(`Line ${line} ${what}.`);
    else untold++;
  };
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) tell(1, "begins with a byte-order mark");
  const seen = new Set<ResponseKey>();
  let number = 0;
  for (const { line, end } of linesOf(decodeAnswerText(body))) {
    number++;
    for (const what of faultsOfLine(line, end, seen)) tell(number, what);
  }
  if (untold > 0) faults.push(`And ${count(untold, "more fault")}.`);
  return faults;
}

type Line = { readonly line: string; readonly end: string };

function* linesOf(text: string): Generator<Line> {
  for (const [whole, line = "", end = ""] of text.matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g))
    if (whole !== "") yield { line, end };
}

const ENDS: Readonly<Record<string, string>> = {
  "\n": "ends in LF alone, not in CRLF",
  "\r": "ends in CR alone, not in CRLF",
  "": "does not end in CRLF",
};

/** @param seen the keys of the lines before; this one's is added */
function* faultsOfLine(line: string, end: string, seen: Set<ResponseKey>): Generator<string> {
  const at = line.indexOf("=");
  const written = line.slice(0, Math.max(at, 0));
  const key = responseKeyOf(written.trim());
  const wrongEnd = ENDS[end];
  if (wrongEnd !== undefined && !(end === "" && key === "DumpFile")) yield wrongEnd;
  if (line.trim() === "") yield "is blank";
  else if (at < 0) yield `is no KEY=VALUE: ${quote(line)}`;
  else if (key === undefined) yield `has the key ${quote(written)}, which the protocol does not know`;
  else {
    if (seen.has(key)) yield `has ${key} again`;
    seen.add(key);
    yield* faultsOfField(key, written, line.slice(at + 1));
  }
}

type Form = {
  /** What is wrong with a value; null when nothing is. */
  wrong(value: string): string | null;
  /** As the examples of section 4 print it. */
  readonly mayHaveBlanks?: boolean;
  /** Its key is published as a quoted text alone, and such a text is blind to case ([RFC5234] 2.3). */
  readonly isBlindToCase?: boolean;
};

function* faultsOfField(key: ResponseKey, written: string, value: string): Generator<string> {
  const { mayHaveBlanks = false, isBlindToCase = false, wrong } = FORMS[key];
  const name = mayHaveBlanks ? written.replace(/ $/, "") : written;
  const spelling = name.trim();
  if (name !== spelling) yield `has blanks round the key ${key}`;
  if (spelling !== key && !isBlindToCase) yield `has ${quote(spelling)} for the key ${key}`;
  const bare = mayHaveBlanks ? value.replace(/^ /, "") : value;
  const what = wrong(bare);
  if (what !== null) yield `has ${key}=${quote(bare)}: ${what}`;
}

const flag: Form = { wrong: (value) => (/^[01]$/.test(value) ? null : "it is neither 0 nor 1") };

const number: Form = {
  wrong: (value) =>
    /^[1-9][0-9]*$/.test(value) ? null : "it is no positive whole number without leading zeros",
  mayHaveBlanks: true,
};

const list: Form = {
  wrong: (value) => {
    if (value.trim() === "") return "it names nothing";
    if (value.split(";").some((item) => item.trim() === "")) return "one of its items is empty";
    return wrongCharacter(value);
  },
};

const path: Form = {
  wrong: (value) => (value.trim() === "" ? "it names nothing" : wrongCharacter(value)),
};

/** The grammar's CHAR. */
function wrongCharacter(value: string): string | null {
  const [wrong] = /[^\u0001-\u007f]/.exec(value) ?? [];
  if (wrong === undefined) return null;
  const code = wrong.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `the character U+${code} is not among those of the grammar, U+0001 to U+007F`;
}

const PCHAR = "(?:[\\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})";
const HOST = "(?:\\[[0-9a-f:.]+\\]|(?:[\\w.~!$&'()*+,;=-]|%[0-9a-f]{2})+)";
/** An http or https URI ([RFC3986] 3, appendix A): there is no other to which people can be pointed. */
const WEB_URI = new RegExp(
  `^https?://(?:${PCHAR}*@)?${HOST}(?::[0-9]*)?(?:/${PCHAR}*)*(?:\\?(?:${PCHAR}|[/?])*)?(?:#(?:${PCHAR}|[/?])*)?$`,
  "i",
);

const response: Form = {
  wrong: (value) =>
    value === "" || value === "1" || WEB_URI.test(value) ? null : "it is neither 1 nor an http or https URI",
  mayHaveBlanks: true,
};

const FORMS: Readonly<Record<ResponseKey, Form>> = {
  Response: response,
  Bucket: number,
  BucketTable: number,
  iData: flag,
  MemoryDump: flag,
  RegKey: list,
  RegTree: list,
  fDoc: { ...flag, isBlindToCase: true },
  WQL: list,
  GetFile: list,
  GetFileVersion: { ...list, isBlindToCase: true },
  DumpFile: path,
};
