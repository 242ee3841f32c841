/**
 * Where a text holds secrets: by the form in which secrets are written, never by a word alone. Hides the rules. Every
 * rule takes time in proportion to the text, and none looks past the end of a line except the one for private keys.
 */

import { findAssignments, findCurlUsers, findElements, findOptions, isCredential } from "./assignment.ts";
import { type Finding, findValues, REDACTED } from "./finding.ts";

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
  findCurlUsers,
  findElements,
  findUrlPasswords,
  findHeaders,
  findKeyIds,
];

const URL_PASSWORD =
  /:\/\/(?<user>[^ \t\r\n/?#@:"'<>]{0,256}):(?<value>[^ \t\r\n/?#"'<>]{1,1024})(?=@[\w.[%-])/g;
const URL_TOKEN = /:\/\/(?<value>[A-Za-z0-9_-]{16,256})(?=@[\w.[%-])/g;

/** The password in `scheme://user:password@host`, and a token in the user's place. */
function findUrlPasswords(text: string): Finding[] {
  if (!text.includes("://")) return [];
  return [
    ...findValues(text, "url", URL_PASSWORD, (value) => !value.startsWith(REDACTED)),
    ...findValues(text, "url", URL_TOKEN, (value) => isCredential(value, 16, true)),
  ];
}

const AUTHORIZATION =
  /\b(?:proxy-)?authorization["']?[ \t]*[:=][ \t]*["']?(?<scheme>(?:Basic|Bearer|Digest|Negotiate|NTLM|Token|ApiKey|AWS4-HMAC-SHA256|SharedKey(?:Lite)?|SharedAccessSignature|Hawk|GSSAPI|Kerberos)[ \t]+)?(?<value>[^\r\n"'\\]{1,16384})/gi;
const COOKIE =
  /\b(?:set-)?cookie2?["']?[ \t]*:[ \t]*["']?(?<value>[\w!#$%&*+.^`|~-]{1,256}=[^\r\n"'\\]{0,16384})/gi;
const BEARER = /\bBearer[ \t]+(?<value>[A-Za-z0-9._~+/-]{16,8192}=*)/g;

/** Authorization, Proxy-Authorization, Cookie and Set-Cookie, in a request as well as in a command or in JSON. */
function findHeaders(text: string): Finding[] {
  if (!/authorization|cookie|bearer/i.test(text)) return [];
  const isToken = (value: string) => isCredential(value, 16, true);
  return [
    ...findValues(
      text,
      "header",
      AUTHORIZATION,
      (value, { scheme }) => (scheme !== undefined && !value.startsWith(REDACTED)) || isToken(value),
    ),
    ...findValues(text, "header", COOKIE, () => true),
    ...findValues(text, "header", BEARER, isToken),
  ];
}

/** Values whose own form says what they are: AWS, GitHub, GitLab, npm, Slack, Google, Stripe, and signed JWTs. */
const KEY_ID =
  /(?<![\w/+-])(?<value>(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{60,255}|glpat-[\w-]{20,64}|npm_[A-Za-z0-9]{36}|xox[abeoprs]-[A-Za-z0-9-]{20,255}|AIza[\w-]{35}|[rs]k_live_[A-Za-z0-9]{20,255}|eyJ[\w-]{10,4096}\.eyJ[\w-]{10,8192}\.[\w-]{20,2048})(?![\w/+-])/g;

function findKeyIds(text: string): Finding[] {
  return findValues(text, "key-id", KEY_ID, () => true);
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
    from: match.index,
    start: match.index,
    end: match.index + match[0].length,
    rule,
    replacement,
  }));
}
