/**
 * Where a text holds secrets: by the form in which secrets are written, never by a word alone. Hides the rules. Every
 * rule takes time in proportion to the text, and none looks past the end of a line except the one for private keys.
 */

/** Structural rules, as counts name them; `home` and `user` only when asked to anonymize. */
export type RedactionRule = "assignment" | "url" | "header" | "private-key" | "key-id" | "home" | "user";

/** A stretch of text to be replaced: from `start` up to `end`. */
export type Finding = {
  readonly start: number;
  readonly end: number;
  readonly rule: RedactionRule;
  readonly replacement: string;
};

export const REDACTED = "[redacted]";

/** Whose traces to remove on request; empty and very short names are not looked for. */
export type Identity = { readonly user: string | null; readonly home: string | null };

/** What is found in a block of whole lines, in order and without overlap. */
export function findSecrets(text: string, identity: readonly IdentityPattern[]): Finding[] {
  const found = [
    ...RULES.flatMap((rule) => rule(text)),
    ...identity.flatMap((one) => findIdentity(text, one)),
  ];
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const kept: Finding[] = [];
  for (const finding of found) {
    const last = kept.at(-1);
    if (last === undefined || finding.start >= last.end) kept.push(finding);
    else if (finding.end > last.end) kept[kept.length - 1] = { ...last, end: finding.end };
  }
  return kept;
}

const RULES: readonly ((text: string) => Finding[])[] = [
  findAssignments,
  findOptions,
  findElements,
  findUrlPasswords,
  findHeaders,
  findKeyIds,
];

function redaction(rule: RedactionRule, start: number, end: number): Finding {
  return { start, end, rule, replacement: REDACTED };
}

/** How sure a name makes that its value is a secret. */
type Certainty = "certain" | "likely" | "unlikely";

const CERTAIN =
  /(?:password|passwd|passphrase|passcode|(?:^|[a-z]|_)pwd|secret|connection_?string|conn_?str)[0-9]?$/;
const LIKELY =
  /(?:(?:api|access|secret|private|encrypt(?:ion)?|signing|account|shared_?access|subscription|storage|master|licen[cs]e|product|pid|host|function|service)_?key|(?:auth|access|refresh|id|session|bearer|api|csrf|xsrf|bot|deploy|personal|oauth|security|job|hub|lab|npm|client|user|admin|device|registration)_?token|[a-z]_token)[0-9]?$/;
const UNLIKELY = /(?:^|_)(?:token|sig|auth)$/;

function certaintyOf(name: string): Certainty | null {
  const plain = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[.-]/g, "_");
  if (CERTAIN.test(plain)) return "certain";
  if (LIKELY.test(plain)) return "likely";
  return UNLIKELY.test(plain) ? "unlikely" : null;
}

/** A name that might be one of those, its closing quote, and the sign of assignment. */
const ASSIGNMENT =
  /(?<![\w.$-])(?=[\w.-]{0,80}?(?:pass|pwd|secret|token|key|conn|sig|auth))(?<name>[\w.-]{2,80})(?<close>\\{0,3}["'`]|)(?<blank>[ \t]{0,40})(?<sign>=>|:=|=|:)(?![=:~>])(?<after>[ \t]{0,40})/gi;

/** `NAME=value`, `name: value`, `"name": "value"`, and a registry file's `"name"="value"`. */
function findAssignments(text: string): Finding[] {
  const found: Finding[] = [];
  for (const match of text.matchAll(ASSIGNMENT)) {
    const { name = "", blank = "", after = "", sign = "" } = match.groups ?? {};
    const certainty = certaintyOf(name);
    if (certainty === null) continue;
    const at = match.index + match[0].length;
    const value = readValue(text, at, {
      leadsLine: leadsLine(text, match.index),
      isSpaced: blank !== "" || after !== "" || sign === ":",
      isColon: sign === ":",
    });
    if (value === null || !isSecret(name, value, certainty)) continue;
    found.push(redaction("assignment", value.start, value.end));
  }
  return found;
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

type Setting = { readonly leadsLine: boolean; readonly isSpaced: boolean; readonly isColon: boolean };

const OPENING = /(\\{0,3})(["'`])/y;

function readValue(text: string, at: number, setting: Setting): Value | null {
  OPENING.lastIndex = at;
  const opening = OPENING.exec(text);
  if (opening !== null) return readQuoted(text, at, opening[1] ?? "", opening[2] ?? "");
  const line = /[^\r\n]*/y;
  line.lastIndex = at;
  const rest = line.exec(text)?.[0].trimEnd() ?? "";
  const word = /^[^\s"'`<>&;]+/.exec(rest)?.[0] ?? "";
  const takesLine = setting.leadsLine || (setting.isSpaced && !setting.isColon);
  const value = takesLine ? rest : word;
  if (value === "" || isCode(value, setting)) return null;
  return { start: at, end: at + value.length, text: value, isQuoted: false };
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

/** Values that are expressions of a programming language, a type, or the rest of a sentence. */
function isCode(value: string, { leadsLine, isSpaced }: Setting): boolean {
  if (/^[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*[([]/.test(value)) return true;
  if (/^[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*[),\]}]+$/.test(value)) return true;
  if (isSpaced && /^[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+;?$/.test(value)) return true;
  if (isSpaced && /^[A-Za-z_$][\w$]*(?:\[\])?[ \t]*(?:=|\||\?\?|\|\||\bor\b|\bif\b)/.test(value)) return true;
  return (
    isSpaced &&
    (/[;{]$/.test(value) || (leadsLine && /^[a-z_]\w*\)? [a-z]/.test(value) && /[.:]$/.test(value)))
  );
}

const PLACEHOLDER =
  /^(?:null|none|nil|undefined|true|false|yes|no|on|off|string|str|bytes|bytearray|int|integer|bool|boolean|any|object|char|void|optional\b.*|required|redacted|hidden|removed|empty|unset|not set|default|ident|eof|[*x.•-]+)[,;)]*$/i;

function isSecret(name: string, { text, isQuoted }: Value, certainty: Certainty): boolean {
  if (text.trim() === "" || PLACEHOLDER.test(text) || text.startsWith(REDACTED)) return false;
  if (/^(?:[<{[(]|\$[{(A-Z_]|%[A-Za-z_(])/.test(text)) return false;
  if (/^0x[0-9a-f]+\b/i.test(text)) return false;
  if (/^(?:old)?pwd$/i.test(name) && /^(?:\/|[A-Za-z]:[\\/])/.test(text)) return false;
  if (certainty === "certain") return true;
  return isCredential(text, certainty === "likely" ? 8 : 16, isQuoted);
}

/** One word of letters and digits mixed, as generated values are and names are not. */
function isCredential(text: string, least: number, isQuoted: boolean): boolean {
  const word = /^(?:(?:Bearer|Basic|Token)\s+)?([A-Za-z0-9+/=_.~:!@#$%^*-]+)/i.exec(text)?.[1] ?? "";
  if (word.length < least || (isQuoted && /\s/.test(text.trim()))) return false;
  return /[0-9]/.test(word) && /[A-Za-z]/.test(word) && !/^[A-Za-z]+_?[0-9]{1,3}$/.test(word);
}

const OPTION =
  /(?<![\w-])--?(?<name>[a-z][\w-]{0,60}?)[ \t]+(?=["']|[^\s"'-])(?:"(?<double>[^"\r\n]+)|'(?<single>[^'\r\n]+)|(?<bare>\S+))/gi;

/** `--password value` on a command line. */
function findOptions(text: string): Finding[] {
  if (!/--?[\w-]*(?:pass|pwd|secret|token|key)/i.test(text)) return [];
  return [...text.matchAll(OPTION)].flatMap((match) => {
    const { name = "", double, single, bare } = match.groups ?? {};
    const certainty = certaintyOf(name);
    const value = double ?? single ?? bare ?? "";
    const isQuoted = bare === undefined;
    const end = match.index + match[0].length;
    if (certainty === null || !isSecret(name, { start: 0, end: 0, text: value, isQuoted }, certainty))
      return [];
    if (!isQuoted && !/[0-9]|[^\w.,:;()-]/.test(value)) return [];
    return [redaction("assignment", end - value.length, end)];
  });
}

const ELEMENT = /<(?<name>[A-Za-z][\w:.-]{1,80})(?:\s[^<>]{0,200})?>(?<value>[^<>\r\n]{1,8192})<\/\k<name>>/g;
const ATTRIBUTES =
  /\b(?:key|name)[ \t]*=[ \t]*"(?<name>[^"\r\n]{2,80})"[ \t]+value[ \t]*=[ \t]*"(?<value>[^"\r\n]+)"/gi;

/** `<password>value</password>` and `key="password" value="value"`. */
function findElements(text: string): Finding[] {
  if (!text.includes("</") && !/\bvalue[ \t]*=/i.test(text)) return [];
  return [ELEMENT, ATTRIBUTES].flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap((match) => {
      const { name = "", value = "" } = match.groups ?? {};
      const certainty = certaintyOf(name.replace(/^.*:/, ""));
      if (certainty === null) return [];
      const start = match.index + match[0].lastIndexOf(value);
      const candidate = { start, end: start + value.length, text: value, isQuoted: true };
      return isSecret(name, candidate, certainty) ? [redaction("assignment", start, candidate.end)] : [];
    }),
  );
}

const URL_PASSWORD = /:\/\/(?<user>[^\s/?#@:"'<>]{0,256}):(?<password>[^\s/?#"'<>]{1,1024})@(?=[\w.[%-])/g;
const URL_TOKEN = /:\/\/(?<token>[A-Za-z0-9_-]{16,256})@(?=[\w.[%-])/g;

/** The password in `scheme://user:password@host`, and a token in the user's place. */
function findUrlPasswords(text: string): Finding[] {
  if (!text.includes("://")) return [];
  const passwords = [...text.matchAll(URL_PASSWORD)].flatMap((match) => {
    const password = match.groups?.password ?? "";
    const end = match.index + match[0].length - 1;
    return password.startsWith(REDACTED) ? [] : [redaction("url", end - password.length, end)];
  });
  const tokens = [...text.matchAll(URL_TOKEN)].flatMap((match) => {
    const token = match.groups?.token ?? "";
    const start = match.index + "://".length;
    return isCredential(token, 16, true) ? [redaction("url", start, start + token.length)] : [];
  });
  return [...passwords, ...tokens];
}

const AUTHORIZATION =
  /\b(?:proxy-)?authorization["']?[ \t]*[:=][ \t]*["']?(?<scheme>(?:Basic|Bearer|Digest|Negotiate|NTLM|Token|ApiKey|AWS4-HMAC-SHA256|SharedKey(?:Lite)?|SharedAccessSignature|Hawk|GSSAPI|Kerberos)[ \t]+)?(?<value>[^\r\n"'\\]{1,16384})/gi;
const COOKIE =
  /\b(?:set-)?cookie2?["']?[ \t]*:[ \t]*["']?(?<value>[\w!#$%&*+.^`|~-]{1,256}=[^\r\n"'\\]{0,16384})/gi;
const BEARER = /\bBearer[ \t]+(?<value>[A-Za-z0-9._~+/-]{16,8192}=*)/g;

/** Authorization, Proxy-Authorization, Cookie and Set-Cookie, in a request as well as in a command or in JSON. */
function findHeaders(text: string): Finding[] {
  if (!/authorization|cookie|bearer/i.test(text)) return [];
  const ends = (match: RegExpExecArray) => {
    const value = (match.groups?.value ?? "").trimEnd();
    const start = match.index + match[0].length - (match.groups?.value ?? "").length;
    return { value, finding: redaction("header", start, start + value.length) };
  };
  const authorizations = [...text.matchAll(AUTHORIZATION)].flatMap((match) => {
    const { value, finding } = ends(match);
    const isKnown = match.groups?.scheme !== undefined && !value.startsWith(REDACTED);
    return isKnown || isCredential(value, 16, true) ? [finding] : [];
  });
  const cookies = [...text.matchAll(COOKIE)].map((match) => ends(match).finding);
  const bearers = [...text.matchAll(BEARER)].map(ends).filter(({ value }) => isCredential(value, 16, true));
  return [...authorizations, ...cookies, ...bearers.map(({ finding }) => finding)];
}

/** Values whose own form says what they are: AWS, GitHub, GitLab, npm, Slack, Google, Stripe, and signed JWTs. */
const KEY_ID =
  /(?<![\w/+-])(?:(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{60,255}|glpat-[\w-]{20,64}|npm_[A-Za-z0-9]{36}|xox[abeoprs]-[A-Za-z0-9-]{20,255}|AIza[\w-]{35}|[rs]k_live_[A-Za-z0-9]{20,255}|eyJ[\w-]{10,4096}\.eyJ[\w-]{10,8192}\.[\w-]{20,2048})(?![\w/+-])/g;

function findKeyIds(text: string): Finding[] {
  return [...text.matchAll(KEY_ID)].map((match) =>
    redaction("key-id", match.index, match.index + match[0].length),
  );
}

/** One spelling of a home path or a user name, in the characters of the text's encoding. */
export type IdentityPattern = {
  readonly rule: "home" | "user";
  readonly pattern: RegExp;
  readonly replacement: string;
};

/**
 * The spellings to look for: the home path with either slash, doubled as JSON and registry files have it, and the user
 * name as a whole word; in any case.
 * @param inBytes the text shows bytes as characters (Latin-1), so names are looked for in their UTF-8 form
 */
export function identityPatterns({ user, home }: Identity, inBytes: boolean): IdentityPattern[] {
  const spell = (name: string) => (inBytes ? Buffer.from(name).toString("latin1") : name);
  const homes = home !== null && home.length > 2 ? [home] : [];
  const users = user !== null && user.length > 1 ? [user] : [];
  const word = "[\\w\\u0080-\\uffff]";
  return [
    ...homes.map((path): IdentityPattern => {
      const parts = path.split(/[\\/]+/).map((part) => escapeRegExp(spell(part)));
      const pattern = new RegExp(`${parts.join("(?:\\\\{1,4}|/{1,2})")}(?!${word})`, "gi");
      return { rule: "home", pattern, replacement: "<home>" };
    }),
    ...users.map((name): IdentityPattern => {
      const pattern = new RegExp(`(?<!${word})${escapeRegExp(spell(name))}(?!${word})`, "gi");
      return { rule: "user", pattern, replacement: "<user>" };
    }),
  ];
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

function findIdentity(text: string, { rule, pattern, replacement }: IdentityPattern): Finding[] {
  return [...text.matchAll(pattern)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
    rule,
    replacement,
  }));
}
