/**
 * Assignments of secrets, in the forms that configurations, logs, command lines, JSON, XML and registry files have.
 * Hides how sure a name makes, and which values are code, placeholders or prose and no secrets at all. Every function
 * takes time in proportion to the text.
 */

import { type Finding, REDACTED, redaction } from "./finding.ts";

/** How sure a name makes that its value is a secret. */
type Certainty = "certain" | "likely" | "unlikely";

const CERTAIN =
  /(?:password|passwd|passwort|passphrase|passcode|(?:^|[a-z]|_)pwd|secret|connection_?string|conn_?str)[0-9]?$/;
const LIKELY =
  /(?:(?:api|access|secret|private|(?:en|de)crypt(?:ion)?|validation|signing|account|shared_?access|subscription|storage|master|licen[cs]e|product|pid|host|function|service)_?key|(?:auth|access|refresh|id|session|bearer|api|csrf|xsrf|bot|deploy|personal|oauth|security|job|hub|lab|npm|client|user|admin|device|registration)_?token|[a-z]_token)[0-9]?$/;
const PUBLIC = /public_?key_?token$/;
const UNLIKELY = /(?:^|_)(?:token|sig|auth|amz_signature)$/;

function certaintyOf(name: string): Certainty | null {
  const plain = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[.-]/g, "_");
  if (PUBLIC.test(plain)) return null;
  if (CERTAIN.test(plain)) return "certain";
  if (LIKELY.test(plain)) return "likely";
  return UNLIKELY.test(plain) ? "unlikely" : null;
}

/** A name that might be one of those, its closing quote, and the sign of assignment. */
const ASSIGNMENT =
  /(?<![\w.-])(?=[\w.-]{0,80}?(?:pass|pwd|secret|token|key|conn|sig|auth))(?<name>[\w.-]{2,80})(?<close>\\{0,3}["'`]|)(?<blank>[ \t]{0,40})(?<sign>=>|:=|=|:)(?![=:~>])(?<after>[ \t]{0,40})/gi;

/** `NAME=value`, `name: value`, `"name": "value"`, and a registry file's `"name"="value"`. */
export function findAssignments(text: string): Finding[] {
  const found: Finding[] = [];
  const lines = new LineEnds(text);
  ASSIGNMENT.lastIndex = 0;
  for (let match = ASSIGNMENT.exec(text); match !== null; match = ASSIGNMENT.exec(text)) {
    const { name = "" } = match.groups ?? {};
    const certainty = certaintyOf(name);
    if (certainty === null) continue;
    const value = readValue(text, match.index + match[0].length, lines, settingOf(text, match));
    if (value === null || !isSecret(name, value, certainty)) continue;
    const end = value.isQuoted || value.text.length < 512 ? value.end : wordEnd(text, value.end);
    found.push(redaction("assignment", match.index, value.start, end));
    ASSIGNMENT.lastIndex = end;
  }
  return found;
}

/** Where lines end, each looked for once however many names stand in it. */
class LineEnds {
  readonly #text: string;
  #end = -1;

  constructor(text: string) {
    this.#text = text;
  }

  /** The end of the line that holds the place; places are asked for in ascending order. */
  after(at: number): number {
    if (at > this.#end) {
      LINE.lastIndex = at;
      LINE.test(this.#text);
      this.#end = LINE.lastIndex;
    }
    return this.#end;
  }
}

const LINE = /[^\r\n]*/y;

/** How a value is set: what stands round its name decides where it ends and what else it might be. */
type Setting = {
  /** The name is the first thing of its line. */
  readonly leadsLine: boolean;
  readonly isSpaced: boolean;
  readonly isColon: boolean;
  /** `"name": value`, where a value that is not quoted ends at a comma or a bracket. */
  readonly isJson: boolean;
  /** `NAME=value` without blanks, as environments and installers' properties are written: no code. */
  readonly isEnvironment: boolean;
};

function settingOf(text: string, match: RegExpExecArray): Setting {
  const { name = "", close = "", blank = "", after = "", sign = "" } = match.groups ?? {};
  const isColon = sign === ":";
  return {
    isEnvironment: sign === "=" && blank + after === "" && /^[A-Z][A-Z0-9_]*$/.test(name),
    leadsLine: leadsLine(text, match.index),
    isSpaced: blank !== "" || after !== "" || isColon,
    isColon,
    isJson: close !== "" && isColon,
  };
}

type Value = {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly isQuoted: boolean;
};

/** Whether only blanks, list marks, quotes or a setting word stand before it in its line. */
function leadsLine(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 60), at);
  return /(?:^|[\r\n])[ \t]*(?:-[ \t]+|export[ \t]+|set[ \t]+|Property\([A-Z]\):[ \t]*)?["']?$/i.test(before);
}

const OPENING = /(\\{0,3})(["'`])/y;
/** As much of a word as is looked at to tell whether it is a secret; of a secret all is taken. */
const WORD = /[^ \t\r\n"'`<>&;]{0,512}/y;
const JSON_WORD = /[^ \t\r\n,}\]]{0,512}/y;
const WHOLE_WORD = /[^ \t\r\n"'`<>&;]*/y;
/** Bytes of a registry file, with the lines that go on with them. */
const HEX = /hex(?:\([0-9a-f]{1,8}\))?:(?:[^\r\n]*\\\r?\n)*[^\r\n]*/iy;

/** Not `trimEnd`: where bytes are shown as characters, what looks like a no-break space is half of a letter. */
export function trimBlanks(text: string): string {
  let end = text.length;
  while (text[end - 1] === " " || text[end - 1] === "\t") end--;
  return text.slice(0, end);
}

function wordEnd(text: string, at: number): number {
  WHOLE_WORD.lastIndex = at;
  WHOLE_WORD.test(text);
  return WHOLE_WORD.lastIndex;
}

function readValue(text: string, at: number, lines: LineEnds, setting: Setting): Value | null {
  OPENING.lastIndex = at;
  const opening = OPENING.exec(text);
  if (opening !== null && closesString(text, at, opening[2] ?? "")) return null;
  if (opening !== null) return readQuoted(text, at, opening[1] ?? "", opening[2] ?? "");
  HEX.lastIndex = at;
  const takesLine = !setting.isJson && (setting.leadsLine || (setting.isSpaced && !setting.isColon));
  const form = setting.isJson ? JSON_WORD : WORD;
  form.lastIndex = at;
  if (HEX.test(text)) form.lastIndex = HEX.lastIndex;
  else if (takesLine) form.lastIndex = lines.after(at);
  else form.test(text);
  const value = trimBlanks(text.slice(at, form.lastIndex));
  if (value === "" || isCode(value, setting)) return null;
  return { start: at, end: at + value.length, text: value, isQuoted: false };
}

/** Whether the quote ends a string that holds the name, as in `ask("Password: ")`, instead of opening a value. */
function closesString(text: string, at: number, quote: string): boolean {
  if (!/^[)\],;:\s]?$/.test(text.slice(at + 1, at + 2))) return false;
  const line = text.slice(Math.max(0, at - 400), at).replace(/^.*[\r\n]/s, "");
  return line.split(quote).length % 2 === 0;
}

/** Up to the same quote, escaped as the first one was, or to the end of the line. */
function readQuoted(text: string, at: number, slashes: string, quote: string): Value {
  const start = at + slashes.length + 1;
  const close = slashes + quote;
  for (let end = start; ; end++) {
    const character = text[end];
    if (character === undefined || character === "\n" || character === "\r" || text.startsWith(close, end))
      return { start, end, text: text.slice(start, end), isQuoted: true };
    if (character === "\\" && slashes === "") end++;
  }
}

const CHAIN = String.raw`[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)`;
const CALL = new RegExp(`^${CHAIN}*[([]`);
const ARGUMENT = new RegExp(`^(?:[A-Za-z_$]+|${CHAIN}+)[),\\]}]+$`);
const MEMBER = new RegExp(`^${CHAIN}+;?$`);
const STATEMENT = /^[A-Za-z_$.]+[ \t]?[;{]$/;
const EXPRESSION = /^[A-Za-z_$][\w$]*(?:\[\])?[ \t]*(?:=|\||\?\?|\bor\b|\bif\b)/;
const PROSE = /^[a-z_]{1,40}\)? [a-z]/;

/** Values that are an expression of a programming language, or the rest of a sentence. */
function isCode(value: string, { leadsLine, isSpaced, isEnvironment }: Setting): boolean {
  if (isEnvironment) return false;
  if (CALL.test(value) || ARGUMENT.test(value)) return true;
  if (!isSpaced) return false;
  if (/^[{[(]/.test(value) || MEMBER.test(value) || STATEMENT.test(value) || EXPRESSION.test(value))
    return true;
  return leadsLine && PROSE.test(value) && (value.endsWith(".") || value.endsWith(":"));
}

const PLACEHOLDER =
  /^(?:null|none|nil|undefined|true|false|yes|no|on|off|string|str|bytes|bytearray|int|integer|bool|boolean|any|object|char|void|optional\b.*|required|redacted|hidden|removed|empty|unset|not set|default|ident|eof|[*x.•-]+)[,;)]*$/i;
const LITERAL = /^(?:null|none|nil|undefined|true|false)[,;)]/i;
const REFERENCE =
  /^(?:<[^<>]*>|\$\{[^{}]*\}|\$\([^()]*\)|\{\{[^{}]*\}\}|\$[A-Z_][A-Z0-9_]*|%[A-Za-z_][\w()]*%|%\(\w+\)s)[,;)]*$/;
const ADDRESS = /^0x[0-9a-f]+\b/i;

function isSecret(
  name: string,
  { text, isQuoted }: Pick<Value, "text" | "isQuoted">,
  certainty: Certainty,
): boolean {
  if (text.trim() === "" || text.startsWith(REDACTED)) return false;
  if ([PLACEHOLDER, LITERAL, REFERENCE, ADDRESS].some((form) => form.test(text))) return false;
  if (/^(?:old)?pwd$/i.test(name) && /^(?:\/|[A-Za-z]:[\\/])/.test(text)) return false;
  if (certainty === "certain") return true;
  return isCredential(text, certainty === "likely" ? 8 : 16, isQuoted);
}

/** One word of letters and digits mixed, as generated values are and names are not. */
export function isCredential(text: string, least: number, isQuoted: boolean): boolean {
  const word = /^(?:(?:Bearer|Basic|Token)\s+)?([A-Za-z0-9+/=_.~:!@#$%^*-]+)/i.exec(text)?.[1] ?? "";
  if (word.length < least || (isQuoted && /\s/.test(text.trim()))) return false;
  return /[0-9]/.test(word) && /[A-Za-z]/.test(word) && !/^[A-Za-z]+_?[0-9]{1,3}$/.test(word);
}

const OPTION =
  /(?<![\w-])--?(?<name>[a-z][\w-]{0,60}?)[ \t]+(?=["']|[^ \t\r\n"'-])(?:"(?<double>[^"\r\n]+)|'(?<single>[^'\r\n]+)|(?<bare>[^ \t\r\n]+))/gi;

/** `--password value` on a command line. */
export function findOptions(text: string): Finding[] {
  if (!/-[\w-]{0,60}(?:pass|pwd|secret|token|key)/i.test(text)) return [];
  return [...text.matchAll(OPTION)].flatMap((match) => {
    const { name = "", double, single, bare } = match.groups ?? {};
    const certainty = certaintyOf(name);
    const value = double ?? single ?? bare ?? "";
    const isQuoted = bare === undefined;
    const end = match.index + match[0].length;
    if (certainty === null || !isSecret(name, { text: value, isQuoted }, certainty)) return [];
    if (!isQuoted && !/[0-9]|[^\w.,:;()-]/.test(value)) return [];
    return [redaction("assignment", match.index, end - value.length, end)];
  });
}

const CURL_USER =
  /\bcurl(?:\.exe)?\b[^\r\n]{0,400}?[ \t](?:-u|-U|--user|--proxy-user)[ \t=]*["']?[^ \t\r\n:"']{0,128}:(?<password>[^ \t\r\n"']+)/g;

/** `curl -u name:password`. */
export function findCurlUsers(text: string): Finding[] {
  if (!text.includes("curl")) return [];
  return [...text.matchAll(CURL_USER)].flatMap((match) => {
    const password = match.groups?.password ?? "";
    const end = match.index + match[0].length;
    if (password.startsWith(REDACTED) || REFERENCE.test(password)) return [];
    return [redaction("assignment", match.index, end - password.length, end)];
  });
}

const ELEMENT = /<(?<name>[A-Za-z][\w:.-]{1,80})(?:\s[^<>]{0,200})?>(?<value>[^<>\r\n]{1,8192})<\/\k<name>>/g;
const ATTRIBUTES =
  /\b(?:key|name)[ \t]*=[ \t]*"(?<name>[^"\r\n]{2,80})"[ \t]+value[ \t]*=[ \t]*"(?<value>[^"\r\n]+)"/gi;

/** `<password>value</password>` and `key="password" value="value"`. */
export function findElements(text: string): Finding[] {
  if (!text.includes("</") && !/\bvalue[ \t]*=/i.test(text)) return [];
  return [ELEMENT, ATTRIBUTES].flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap((match) => {
      const { name = "", value = "" } = match.groups ?? {};
      const certainty = certaintyOf(name.replace(/^.*:/, ""));
      if (certainty === null || !isSecret(name, { text: value, isQuoted: true }, certainty)) return [];
      const start = match.index + match[0].lastIndexOf(value);
      return [redaction("assignment", match.index, start, start + value.length)];
    }),
  );
}
