/**
 * Decides by the policy whether one thing may be collected. Hides the order of the rules: what is no file at all, the
 * user's denials, what is allowed by its very name, the built-in denials, what is allowed by a pattern, consent.
 */

import { foldCase } from "../names.ts";
import { propertiesOf, type WqlQuery } from "../wql/parse.ts";
import {
  DENIED_FILES,
  DENIED_KEYS,
  DENIED_WQL,
  type DeniedGroup,
  HOMES,
  NO_FILES,
  SHARED_HOMES,
} from "./denied.ts";
import { expandVariables, normalizePath, type PathFacts } from "./local-path.ts";
import { compilePattern, matches, type Pattern } from "./pattern.ts";
import { type Consent, ITEM_KINDS, type ItemKind, type Policy, type Rules } from "./policy.ts";
import { keySegments } from "./registry-path.ts";
import { SAFE_WQL } from "./safe-wql.ts";

/**
 * Which rule decided: the user attached it, `allow` or `deny` of the policy, the built-in denials, the level of
 * consent, the user's own answer, what the server asked for, the form of the item, or what this system is.
 */
export type Rule =
  | "attached"
  | "allow"
  | "deny"
  | "built-in"
  | "consent"
  | "answer"
  | "request"
  | "syntax"
  | "system"
  | "limit";

export type Verdict = {
  readonly decision: "collect" | "ask" | "decline";
  readonly rule: Rule;
  /** A clause without a final stop that names nothing of this machine, since it may be sent; null when all is said. */
  readonly reason: string | null;
};

const PATH_KINDS = ["File", "GetFile", "GetFileVersion"] as const;
type PathKind = (typeof PATH_KINDS)[number];
type KeyKind = "RegKey" | "RegTree";
type Group = {
  readonly what: string;
  readonly patterns: readonly Pattern[];
  readonly except: readonly Pattern[];
};

/** A policy made ready to decide on this machine. */
export type Judge = {
  readonly consent: Consent;
  readonly allow: Readonly<Record<ItemKind, readonly Pattern[]>>;
  readonly deny: Readonly<Record<ItemKind, readonly Pattern[]>>;
  /** Names that only differ in case are the same file. */
  readonly caseBlind: boolean;
  readonly files: readonly Group[];
  readonly noFiles: readonly Pattern[];
};

/** Directories that stand for others: what `realpath` said of each of `prefixesOf`. */
export type RealPrefixes = ReadonlyMap<string, string>;

export function makeJudge(policy: Policy, facts: PathFacts, real: RealPrefixes = new Map()): Judge {
  const caseBlind = facts.platform === "win32" || facts.platform === "darwin";
  const files = (patterns: readonly string[], blind: boolean) =>
    patterns.flatMap((pattern) => compilePath(pattern, facts, blind, real));
  const except = [...SHARED_HOMES, ...ownHome(facts)];
  const otherHomes = { what: "other users' homes", patterns: HOMES, except };
  return {
    consent: policy.consent,
    allow: compileRules(policy.allow, (patterns) => files(patterns, caseBlind)),
    deny: compileRules(policy.deny, (patterns) => files(patterns, true)),
    caseBlind,
    files: compileGroups([...DENIED_FILES, otherHomes], (patterns) => files(patterns, true)),
    noFiles: files(NO_FILES, true),
  };
}

/** The directories whose real paths `makeJudge` wants to know, so that a pattern also holds for what they stand for. */
export function prefixesOf(policy: Policy, facts: PathFacts): string[] {
  const patterns = [policy.allow, policy.deny].flatMap((rules) =>
    PATH_KINDS.flatMap((kind) => rules[kind] ?? []),
  );
  return [...patterns, ...ownHome(facts)].flatMap((pattern) => fixedPrefix(pattern, facts)?.directory ?? []);
}

function ownHome({ home }: PathFacts): string[] {
  return home === null || home === "/" ? [] : [`${home}/**`];
}

function compileRules(
  rules: Rules,
  compileFiles: (patterns: readonly string[]) => Pattern[],
): Record<ItemKind, readonly Pattern[]> {
  const compile = (kind: ItemKind): readonly Pattern[] => {
    const patterns = rules[kind] ?? [];
    if (PATH_KINDS.some((known) => known === kind)) return compileFiles(patterns);
    if (kind === "RegKey" || kind === "RegTree") return patterns.map(compileKey);
    return patterns.map(compileName);
  };
  return Object.fromEntries(ITEM_KINDS.map((kind) => [kind, compile(kind)])) as Record<ItemKind, Pattern[]>;
}

function compileKey(pattern: string): Pattern {
  return compilePattern(pattern, keySegments(pattern).map(foldCase));
}

/** Of a class, or of a property of one. */
function compileName(pattern: string): Pattern {
  return compilePattern(pattern, foldCase(pattern).split("."));
}

/** As it stands and, where a directory of it stands for another, so, too. Nothing where a variable is not set. */
function compilePath(source: string, facts: PathFacts, blind: boolean, real: RealPrefixes): Pattern[] {
  const cased = (segments: readonly string[]) =>
    compilePattern(source, blind ? segments.map(foldCase) : segments);
  const split = splitPattern(source, facts);
  if (split === null) return [];
  const prefix = fixedPrefix(source, facts);
  const target = prefix === null ? undefined : real.get(prefix.directory);
  const other = target === undefined ? null : splitPattern(target, { ...facts, env: {} });
  if (prefix === null || other === null) return [cased(split)];
  return [cased(split), cased([...other, ...split.slice(prefix.length)])];
}

function splitPattern(source: string, facts: PathFacts): string[] | null {
  const expanded = expandVariables(source, facts);
  if (!expanded.ok) return null;
  const isWindows = facts.platform === "win32";
  const parts = expanded.text.split(isWindows ? /[\\/]/ : "/").filter((part) => part !== "" && part !== ".");
  return isWindows && /^[\\/]{2}/.test(expanded.text) ? ["\\\\", ...parts] : parts;
}

/** The directories before the first wildcard, or before the last part of a pattern without one. */
function fixedPrefix(source: string, facts: PathFacts): { directory: string; length: number } | null {
  const split = splitPattern(source, facts);
  if (split === null) return null;
  const wild = split.findIndex((segment) => segment.includes("*"));
  const length = wild < 0 ? split.length - 1 : wild;
  if (length < 1 || split[0] === "\\\\") return null;
  const text = split.slice(0, length).join("/");
  const parsed = normalizePath(facts.platform === "win32" ? `${text}/` : `/${text}`, facts.platform);
  return parsed.ok ? { directory: parsed.path, length } : null;
}

const ALLOWED: Verdict = { decision: "collect", rule: "allow", reason: null };
const DENIED: Verdict = { decision: "decline", rule: "deny", reason: "the policy of this machine denies it" };

/** Whether a file may be read. To be asked again with the real path once the file is open. */
export function judgePath(
  judge: Judge,
  kind: PathKind,
  { segments, remote }: { readonly segments: readonly string[]; readonly remote: boolean },
): Verdict {
  const folded = segments.map(foldCase);
  const written = judge.caseBlind ? folded : segments;
  const allows = judge.allow[kind].filter((pattern) => matches(pattern, written));
  if (judge.noFiles.some((pattern) => matches(pattern, folded)))
    return { decision: "decline", rule: "system", reason: "it is no regular file" };
  if (judge.deny[kind].some((pattern) => matches(pattern, folded))) return DENIED;
  if (kind === "File") return byConsent(judge, "attached");
  if (allows.some((pattern) => pattern.exact)) return ALLOWED;
  const group = judge.files.find((candidate) => isInGroup(candidate, folded));
  if (group !== undefined) return builtIn(group.what, "file");
  if (remote && !allows.some((pattern) => pattern.segments[0] === "\\\\"))
    return { decision: "decline", rule: "built-in", reason: "it is on another computer" };
  if (allows.length > 0) return ALLOWED;
  return byConsent(judge, kind === "GetFileVersion" ? "safe" : "all");
}

function isInGroup({ patterns, except }: Group, name: readonly string[]): boolean {
  return (
    patterns.some((pattern) => matches(pattern, name)) && !except.some((pattern) => matches(pattern, name))
  );
}

function builtIn(what: string, thing: string): Verdict {
  const reason = `${what} are not sent unless the policy allows this very ${thing} by name`;
  return { decision: "decline", rule: "built-in", reason };
}

/** What the level says of things that need that level, or that the user attached. */
function byConsent({ consent }: Judge, needs: "attached" | "safe" | "all"): Verdict {
  if (consent === "ask") return { decision: "ask", rule: "consent", reason: null };
  if (consent === "all" || (consent === "safe" && needs !== "all"))
    return { decision: "collect", rule: needs === "attached" ? "attached" : "consent", reason: null };
  return { decision: "decline", rule: "consent", reason: `consent is "${consent}"` };
}

const KEY_GROUPS = compileGroups(DENIED_KEYS, (patterns) => patterns.map(compileKey));

function compileGroups(
  groups: readonly DeniedGroup[],
  compile: (patterns: readonly string[]) => readonly Pattern[],
): Group[] {
  return groups.map(({ what, patterns, except = [] }) => {
    return { what, patterns: compile(patterns), except: compile(except) };
  });
}

/** Whether a key may be read, by its parts. Of a tree, every key in it is to be asked for, too. */
export function judgeKey(judge: Judge, kind: KeyKind, segments: readonly string[]): Verdict {
  const name = segments.map(foldCase);
  const allows = judge.allow[kind].filter((pattern) => matches(pattern, name));
  if (judge.deny[kind].some((pattern) => matches(pattern, name))) return DENIED;
  if (isAllowedByName(judge.allow[kind], kind, name)) return ALLOWED;
  const group = KEY_GROUPS.find((candidate) => isInGroup(candidate, name));
  if (group !== undefined) return builtIn(group.what, "key");
  return allows.length > 0 ? ALLOWED : byConsent(judge, "all");
}

/** A tree that is allowed by name is allowed with all that is in it. */
function isAllowedByName(allow: readonly Pattern[], kind: KeyKind, name: readonly string[]): boolean {
  return allow.some(
    ({ exact, segments }) =>
      exact &&
      (segments.length === name.length || (kind === "RegTree" && segments.length < name.length)) &&
      segments.every((segment, index) => segment === name[index]),
  );
}

const WQL_GROUPS = compileGroups(DENIED_WQL, (patterns) => patterns.map(compileName));

const SAFE = new Map(Object.entries(SAFE_WQL).map(([name, properties]) => [foldCase(name), properties]));

/** What of a query may be answered; `query` is narrowed to it. Null only when the verdict declines. */
export type QueryVerdict = { readonly verdict: Verdict; readonly query: WqlQuery | null };

/** Judges a query by its class, the properties it selects, and those that its condition would let one guess. */
export function judgeQuery(judge: Judge, query: WqlQuery): QueryVerdict {
  const whole = judgeClass(judge, query.className);
  if (whole.decision === "decline" && whole.rule !== "consent") return { verdict: whole, query: null };
  const open = (property: string) => isOpen(judge, query.className, property, whole.decision !== "decline");
  const hidden = propertiesOf(query.where).find((property) => !open(property));
  if (hidden !== undefined) return declined(judge, `its condition tests ${hidden}, which is not sent`);
  return query.properties === "*"
    ? narrowAll(judge, query, whole, open)
    : narrowList(judge, query, query.properties, whole, open);
}

function declined(judge: Judge, reason: string): QueryVerdict {
  const rule = judge.consent === "safe" ? "consent" : "deny";
  return { verdict: { decision: "decline", rule, reason }, query: null };
}

function judgeClass(judge: Judge, className: string): Verdict {
  const name = [foldCase(className)];
  const allows = judge.allow.WQL.filter((pattern) => matches(pattern, name));
  if (judge.deny.WQL.some((pattern) => matches(pattern, name))) return DENIED;
  if (allows.some((pattern) => pattern.exact)) return ALLOWED;
  const group = WQL_GROUPS.find((candidate) => isInGroup(candidate, name));
  if (group !== undefined) return builtIn(group.what, "class");
  return allows.length > 0 ? ALLOWED : byConsent(judge, "all");
}

/** Whether one property may be sent, given whether the class as a whole may. */
function isOpen(judge: Judge, className: string, property: string, classIsOpen: boolean): boolean {
  const name = [foldCase(className), foldCase(property)];
  const hits = (pattern: Pattern) => matches(pattern, name);
  if (judge.deny.WQL.some(hits)) return false;
  if (judge.allow.WQL.some((pattern) => pattern.exact && hits(pattern))) return true;
  if (WQL_GROUPS.some((group) => isInGroup(group, name))) return false;
  if (classIsOpen || judge.allow.WQL.some(hits)) return true;
  return judge.consent === "safe" && safeProperties(className).some((safe) => foldCase(safe) === name[1]);
}

function safeProperties(className: string): readonly string[] {
  return SAFE.get(foldCase(className)) ?? [];
}

type IsOpen = (property: string) => boolean;

function narrowList(
  judge: Judge,
  query: WqlQuery,
  asked: readonly string[],
  whole: Verdict,
  isPropertyOpen: IsOpen,
): QueryVerdict {
  const open = asked.filter(isPropertyOpen);
  const withheld = asked.filter((property) => !isPropertyOpen(property));
  if (withheld.length === 0) return { verdict: granted(judge, query, whole, null), query };
  if (open.length === 0) return declined(judge, `nothing that it selects of ${query.className} is sent`);
  const reason = `without ${withheld.join(", ")}`;
  return { verdict: granted(judge, query, whole, reason), query: { ...query, properties: open } };
}

/** `SELECT *` is answered whole where no property of the class is held back, else with the ones known to be safe. */
function narrowAll(judge: Judge, query: WqlQuery, whole: Verdict, isPropertyOpen: IsOpen): QueryVerdict {
  if (whole.decision !== "decline" && !holdsBack(judge, query.className)) return { verdict: whole, query };
  const named = judge.allow.WQL.flatMap(({ source, exact }) => {
    const [className = "", property] = source.split(".");
    return exact && property !== undefined && foldCase(className) === foldCase(query.className)
      ? [property]
      : [];
  });
  const open = [...safeProperties(query.className), ...named].filter(isPropertyOpen);
  if (open.length === 0 && whole.decision !== "decline")
    return declined(judge, `some properties of ${query.className} are not sent; the others have to be named`);
  if (open.length === 0)
    return declined(judge, `${query.className} is not among the classes that are safe to send`);
  const reason = "only the properties that are safe to send";
  return { verdict: granted(judge, query, whole, reason), query: { ...query, properties: open } };
}

/** Whether some rule denies single properties of the class. */
function holdsBack(judge: Judge, className: string): boolean {
  const groups = WQL_GROUPS.flatMap(({ patterns }) => patterns);
  return [...judge.deny.WQL, ...groups].some(
    ({ segments }) =>
      segments.length === 2 && matches(compilePattern("", segments.slice(0, 1)), [foldCase(className)]),
  );
}

/** The class's own verdict, or that of the safe properties where the class as a whole is not open. */
function granted(judge: Judge, query: WqlQuery, whole: Verdict, reason: string | null): Verdict {
  if (whole.decision !== "decline") return { ...whole, reason };
  const isAllowed = judge.allow.WQL.some(
    ({ segments }) => segments.length === 2 && segments[0] === foldCase(query.className),
  );
  return { decision: "collect", rule: isAllowed ? "allow" : "consent", reason };
}
