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
import { type Consent, FORMS, ITEM_KINDS, type ItemKind, type Patterns, type Policy } from "./policy.ts";
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

/** What is to become of one thing. */
export type Decision = {
  readonly decision: "collect" | "ask" | "decline";
  readonly rule: Rule;
  /** A clause without a final stop that names nothing of this machine, since it may be sent; null when all is said. */
  readonly reason: string | null;
};

type Group = {
  readonly what: string;
  readonly patterns: readonly Pattern[];
  readonly except: readonly Pattern[];
};

type PatternsByKind = Readonly<Record<ItemKind, readonly Pattern[]>>;

/** A policy made ready to decide on this machine. */
export type Judge = {
  readonly consent: Consent;
  readonly facts: PathFacts;
  readonly allow: PatternsByKind;
  readonly deny: PatternsByKind;
  /** Names that only differ in case are the same file. */
  readonly caseBlind: boolean;
  /** What is denied unless it is allowed by name. */
  readonly groups: Readonly<Record<"file" | "key" | "class", readonly Group[]>>;
  readonly noFiles: readonly Pattern[];
};

/** Directories that stand for others: what `realpath` said of each of `prefixesOf`. */
type RealPrefixes = ReadonlyMap<string, string>;

export function makeJudge(policy: Policy, facts: PathFacts, real: RealPrefixes = new Map()): Judge {
  const caseBlind = facts.platform === "win32" || facts.platform === "darwin";
  const compileCased: Compile = (source) => compilePath(source, facts, caseBlind, real);
  const compileBlind: Compile = (source) => compilePath(source, facts, true, real);
  const otherHomes = {
    what: "other users' homes",
    patterns: HOMES,
    except: [...SHARED_HOMES, ...ownHome(facts)],
  };
  return {
    consent: policy.consent,
    facts,
    allow: compilePatterns(policy.allow, compileCased),
    deny: compilePatterns(policy.deny, compileBlind),
    caseBlind,
    groups: {
      file: compileGroups([...DENIED_FILES, otherHomes], compileBlind),
      key: KEY_GROUPS,
      class: CLASS_GROUPS,
    },
    noFiles: NO_FILES.flatMap(compileBlind),
  };
}

/** The directories whose real paths `makeJudge` wants to know, so that a pattern also holds for what they stand for. */
export function prefixesOf(policy: Policy, facts: PathFacts): string[] {
  const kinds = ITEM_KINDS.filter((kind) => FORMS[kind] === "file");
  const patterns = [policy.allow, policy.deny].flatMap((byKind) =>
    kinds.flatMap((kind) => byKind[kind] ?? []),
  );
  return [...patterns, ...ownHome(facts)].flatMap((pattern) => fixedPrefix(pattern, facts)?.directory ?? []);
}

function ownHome({ home }: PathFacts): string[] {
  return home === null || home === "/" ? [] : [`${home}/**`];
}

/** The patterns that one of the policy's, or of the built-in ones, stands for on this machine. */
type Compile = (source: string) => Pattern[];

function compilePatterns(patterns: Patterns, compileFile: Compile): PatternsByKind {
  const compilers = { file: compileFile, key: compileKey, class: compileClass, flag: compileClass };
  const entries = ITEM_KINDS.map((kind) => [kind, (patterns[kind] ?? []).flatMap(compilers[FORMS[kind]])]);
  return Object.fromEntries(entries) as Record<ItemKind, Pattern[]>;
}

function compileGroups(groups: readonly DeniedGroup[], compile: Compile): Group[] {
  return groups.map(({ what, patterns, except = [] }) => ({
    what,
    patterns: patterns.flatMap(compile),
    except: except.flatMap(compile),
  }));
}

function compileKey(source: string): Pattern[] {
  return [compilePattern(source, keySegments(source).map(foldCase))];
}

function compileClass(source: string): Pattern[] {
  return [compilePattern(source, foldCase(source).split("."))];
}

const KEY_GROUPS = compileGroups(DENIED_KEYS, compileKey);
const CLASS_GROUPS = compileGroups(DENIED_WQL, compileClass);

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

const ALLOWED: Decision = { decision: "collect", rule: "allow", reason: null };
const DENIED = decline("deny", "the policy of this machine denies it");

export function decline(rule: Rule, reason: string): Decision & { readonly decision: "decline" } {
  return { decision: "decline", rule, reason };
}

function matchesAny(patterns: readonly Pattern[], name: readonly string[]): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

/**
 * What the policy and the built-in denials say of a name, in their order; null where that is left to consent.
 * @param allowed the patterns of `allow` that it matches
 */
function byRules(
  { deny, groups }: Judge,
  kind: Exclude<ItemKind, "MemoryDump" | "fDoc">,
  name: readonly string[],
  allowed: readonly Pattern[],
): Decision | null {
  if (matchesAny(deny[kind], name)) return DENIED;
  if (allowed.some(({ exact }) => exact)) return ALLOWED;
  const thing = FORMS[kind];
  const group = groups[thing].find(
    ({ patterns, except }) => matchesAny(patterns, name) && !matchesAny(except, name),
  );
  if (group !== undefined)
    return decline(
      "built-in",
      `${group.what} are not sent unless the policy allows this very ${thing} by name`,
    );
  return allowed.length > 0 ? ALLOWED : null;
}

/** What the level says of things that need that level, or that the user attached. */
function byConsent({ consent }: Judge, needs: "attached" | "safe" | "all"): Decision {
  if (consent === "ask") return { decision: "ask", rule: "consent", reason: null };
  if (consent === "all" || (consent === "safe" && needs !== "all"))
    return { decision: "collect", rule: needs === "attached" ? "attached" : "consent", reason: null };
  return decline("consent", `consent is "${consent}"`);
}

/** Whether a file may be read. To be asked again with the real path once the file is open. */
export function judgePath(
  judge: Judge,
  kind: "File" | "GetFile" | "GetFileVersion",
  { segments, remote }: { readonly segments: readonly string[]; readonly remote: boolean },
): Decision {
  const name = segments.map(foldCase);
  if (matchesAny(judge.noFiles, name)) return decline("system", "it is no regular file");
  if (kind === "File" && !matchesAny(judge.deny.File, name)) return byConsent(judge, "attached");
  const written = judge.caseBlind ? name : segments;
  const allowed = judge.allow[kind].filter((pattern) => matches(pattern, written));
  if (remote && !allowed.some((pattern) => pattern.segments[0] === "\\\\"))
    return byRules(judge, kind, name, []) ?? decline("built-in", "it is on another computer");
  return byRules(judge, kind, name, allowed) ?? byConsent(judge, kind === "GetFileVersion" ? "safe" : "all");
}

/**
 * Whether a key may be read, by its parts. Of a tree, every key in it is to be asked for, too; a tree that is allowed by
 * name is allowed with all that is in it.
 */
export function judgeKey(judge: Judge, kind: "RegKey" | "RegTree", segments: readonly string[]): Decision {
  const name = segments.map(foldCase);
  const isAllowed = (pattern: Pattern) =>
    matches(pattern, kind === "RegTree" && pattern.exact ? name.slice(0, pattern.segments.length) : name);
  return byRules(judge, kind, name, judge.allow[kind].filter(isAllowed)) ?? byConsent(judge, "all");
}

/** What the rules say of a class, or of one of its properties. */
function byWqlRules(judge: Judge, ...names: readonly string[]): Decision | null {
  const name = names.map(foldCase);
  return byRules(
    judge,
    "WQL",
    name,
    judge.allow.WQL.filter((pattern) => matches(pattern, name)),
  );
}

/** What of a query may be answered; `query` is narrowed to it, and null when nothing is. */
type QueryDecision = Decision & { readonly query: WqlQuery | null };

/** Judges a query by its class, the properties it selects, and those that its condition would let one guess. */
export function judgeQuery(judge: Judge, query: WqlQuery): QueryDecision {
  const { className, properties } = query;
  const whole = byWqlRules(judge, className) ?? byConsent(judge, "all");
  const isWholeOpen = whole.decision !== "decline";
  if (!isWholeOpen && whole.rule !== "consent") return { ...whole, query: null };
  const isOpen = (property: string) => isPropertyOpen(judge, className, property, isWholeOpen);
  const refuse = (reason: string): QueryDecision => ({
    ...decline(judge.consent === "safe" ? "consent" : "deny", reason),
    query: null,
  });
  const hidden = propertiesOf(query.where).find((property) => !isOpen(property));
  if (hidden !== undefined) return refuse(`its condition tests ${hidden}, which is not sent`);
  // `SELECT *` is answered whole where no property of the class is held back, else with the ones known to be safe.
  const isAll = properties === "*";
  if (isAll && isWholeOpen && !holdsBack(judge, className)) return { ...whole, query };
  const asked = isAll ? [...safeProperties(className), ...namedProperties(judge, className)] : properties;
  const open = asked.filter(isOpen);
  if (open.length === 0 && !isAll) return refuse(`nothing that it selects of ${className} is sent`);
  if (open.length === 0 && isWholeOpen)
    return refuse(`some properties of ${className} are not sent; the others have to be named`);
  if (open.length === 0) return refuse(`${className} is not among the classes that are safe to send`);
  const withheld = asked.filter((property) => !open.includes(property));
  const without = withheld.length === 0 ? null : `without ${withheld.join(", ")}`;
  return {
    ...(isWholeOpen ? whole : openByProperties(judge, className)),
    reason: isAll ? "only the properties that are safe to send" : without,
    query: { ...query, properties: open },
  };
}

/** Whether one property may be sent, given whether the class as a whole may. */
function isPropertyOpen(judge: Judge, className: string, property: string, isWholeOpen: boolean): boolean {
  const ruled = byWqlRules(judge, className, property);
  if (ruled !== null) return ruled.decision === "collect";
  const isSafe = () => safeProperties(className).some((safe) => foldCase(safe) === foldCase(property));
  return isWholeOpen || (judge.consent === "safe" && isSafe());
}

const SAFE = new Map(Object.entries(SAFE_WQL).map(([name, properties]) => [foldCase(name), properties]));

function safeProperties(className: string): readonly string[] {
  return SAFE.get(foldCase(className)) ?? [];
}

/** The properties of the class that the policy allows by name. */
function namedProperties(judge: Judge, className: string): string[] {
  return judge.allow.WQL.flatMap(({ source, exact }) => {
    const [name = "", property] = source.split(".");
    return exact && property !== undefined && foldCase(name) === foldCase(className) ? [property] : [];
  });
}

/** Whether some rule denies single properties of the class. */
function holdsBack({ deny, groups }: Judge, className: string): boolean {
  return [...deny.WQL, ...groups.class.flatMap(({ patterns }) => patterns)].some(
    ({ segments }) =>
      segments.length === 2 && matches(compilePattern("", segments.slice(0, 1)), [foldCase(className)]),
  );
}

/** Why a class is answered that as a whole is not open. */
function openByProperties({ allow }: Judge, className: string): Decision {
  const isAllowed = allow.WQL.some(
    ({ segments }) => segments.length === 2 && segments[0] === foldCase(className),
  );
  return isAllowed ? ALLOWED : { decision: "collect", rule: "consent", reason: null };
}
