/**
 * This machine's own facts, as a level 1 report states them ([MS-CER2] 2.2.1.3.2, 2.2.1.3.3). Hides where each system
 * keeps its name, version, language and user. The only importer of lcid, which is loaded when a locale is looked up.
 */

import { readFile } from "node:fs/promises";
import * as nodeOs from "node:os";

export type MachineFacts = {
  /** Fully qualified where this machine knows its domain, else its bare host name. */
  readonly name: string;
  /** major.minor.build.platformId.spMajor.spMinor.suiteMask.productSku, with this machine's numbers. */
  readonly os: string;
  /** The language of the user, as Windows numbers it. */
  readonly lcid: number;
  readonly user: string;
};

/** What the facts are read from; a test hands in another machine. */
export type MachineSource = {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The name without a domain, most often. */
  hostName(): string;
  /** The kernel's version: `10.0.19045` on Windows, `6.8.0-41-generic` on Linux, `23.5.0` on macOS. */
  release(): string;
  /** On Windows the product's name and service pack, as `Windows 10 Pro`. */
  version(): string;
  /** Throws where the user has no entry in the system's user database, as in many containers. */
  userName(): string;
  /** The locale that Intl takes from the system, as a language tag. */
  locale(): string;
  /** A system file's text; null when there is none. */
  readText(path: string): Promise<string | null>;
  /** Whether DNS has an address for this name; false at the latest after `timeoutMs`. */
  isInDns(name: string, timeoutMs: number): Promise<boolean>;
  /** Windows: the domain this machine belongs to (its primary DNS suffix); null when it belongs to none. */
  primaryDnsSuffix(): Promise<string | null>;
};

/** en-US: the language of a machine that names none. */
const DEFAULT_LCID = 1033;
/** Domains of resolv.conf that are asked for, and how long each may take: the search for a name never holds up a report. */
const MAX_DOMAINS = 2;
const DNS_TIMEOUT_MS = 300;
const REGISTRY_TIMEOUT_MS = 1000;

/**
 * The facts of this machine. Never fails and never hangs: what cannot be found has a default.
 * @param given facts that somebody has stated already: they are taken as they are and not looked for
 */
export async function readMachine(
  source: MachineSource,
  given: { readonly [Fact in keyof MachineFacts]?: MachineFacts[Fact] | undefined } = {},
): Promise<MachineFacts> {
  const [name, lcid] = await Promise.all([given.name ?? readName(source), given.lcid ?? readLcid(source)]);
  return { name, os: given.os ?? readOs(source), lcid, user: given.user ?? readUser(source) };
}

/** The machine this program runs on. */
export function thisMachine(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
): MachineSource {
  return {
    platform,
    env,
    hostName: nodeOs.hostname,
    release: nodeOs.release,
    version: nodeOs.version,
    userName: () => nodeOs.userInfo().username,
    locale: () => new Intl.NumberFormat().resolvedOptions().locale,
    readText: (path) => readFile(path, "utf8").catch(() => null),
    isInDns,
    primaryDnsSuffix: () => primaryDnsSuffix(env),
  };
}

async function readName(source: MachineSource): Promise<string> {
  const host = source.hostName().trim().replace(/\.$/, "");
  if (host === "" || host.includes(".")) return host || "localhost";
  if (source.platform === "win32") {
    const suffix = await source.primaryDnsSuffix();
    return suffix === null ? host : `${host}.${suffix}`;
  }
  return (
    nameInHosts(host, (await source.readText("/etc/hosts")) ?? "") ?? (await nameInDns(host, source)) ?? host
  );
}

/** The fully qualified name that /etc/hosts gives this host: `hostname -f` asks there first, too. */
function nameInHosts(host: string, hosts: string): string | null {
  const start = `${host.toLowerCase()}.`;
  return (
    hosts
      .split("\n")
      .flatMap((line) => line.replace(/#.*/, "").trim().split(/\s+/).slice(1))
      .find((name) => name.toLowerCase().startsWith(start))
      ?.replace(/\.$/, "") ?? null
  );
}

/** The first of resolv.conf's domains in which DNS knows this host. Without such a domain, nobody is asked. */
async function nameInDns(host: string, source: MachineSource): Promise<string | null> {
  for (const domain of domainsOf((await source.readText("/etc/resolv.conf")) ?? "").slice(0, MAX_DOMAINS)) {
    const name = `${host}.${domain}`;
    if (await source.isInDns(name, DNS_TIMEOUT_MS)) return name;
  }
  return null;
}

/** The last `domain` or `search` line counts, as resolv.conf(5) says. */
function domainsOf(resolvConf: string): string[] {
  const lines = resolvConf.split("\n").map((line) => line.trim().split(/\s+/));
  const words = lines.findLast(([keyword]) => keyword === "domain" || keyword === "search") ?? [];
  return words
    .slice(1)
    .map((domain) => domain.replace(/\.$/, ""))
    .filter(Boolean);
}

/** Asked through a resolver of its own: getaddrinfo cannot be called off, and would keep the process from ending. */
async function isInDns(name: string, timeoutMs: number): Promise<boolean> {
  const { Resolver } = await import("node:dns/promises");
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  const timer = setTimeout(() => resolver.cancel(), timeoutMs);
  const families = [resolver.resolve4(name), resolver.resolve6(name)];
  try {
    return (await Promise.any(families)).length > 0;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    resolver.cancel();
  }
}

/** What GetComputerNameEx appends to the host name. Node's own calls do not tell it; reg.exe does. */
async function primaryDnsSuffix(env: MachineSource["env"]): Promise<string | null> {
  const { runProgram, windowsProgram } = await import("./run-program.ts");
  const key = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters";
  const { stdout } = await runProgram(windowsProgram(env, "reg.exe"), ["query", key, "/v", "Domain"], {
    timeoutMs: REGISTRY_TIMEOUT_MS,
    maxBytes: 4096,
  });
  return /^\s+Domain\s+REG_SZ\s+([\w.-]+)\s*$/im.exec(stdout.toString("latin1"))?.[1] ?? null;
}

/** PlatformId: VER_PLATFORM_WIN32_NT on Windows; elsewhere the numbers .NET continues that list with. */
const PLATFORM_IDS: { readonly [platform in NodeJS.Platform]?: number } = { win32: 2, darwin: 6 };
const UNIX_PLATFORM_ID = 4;

/**
 * The eight parts ([MS-CER2] 2.2.1.3.3, whose own pattern refuses its own example). Elsewhere than on Windows they are
 * the kernel's version, and 0 where Windows alone has a number: 0 is also Windows' "unknown product".
 */
function readOs(source: MachineSource): string {
  const [major = 0, minor = 0, build = 0] = (source.release().match(/\d+/g) ?? []).map(Number);
  const platformId = PLATFORM_IDS[source.platform] ?? UNIX_PLATFORM_ID;
  const isWindows = source.platform === "win32";
  const { servicePack, suiteMask, productSku } = isWindows ? parseProduct(source.version()) : NO_PRODUCT;
  return [major, minor, build, platformId, servicePack, 0, suiteMask, productSku].join(".");
}

const NO_PRODUCT = { servicePack: 0, suiteMask: 0, productSku: 0 };

/** OSVERSIONINFOEX.wSuiteMask: what remote desktop every Windows has, what servers add, and the two editions' marks. */
const SUITE_SINGLE_USER = 0x100;
const SUITE_TERMINAL = 0x10;
const SUITE_PERSONAL = 0x200;
const SUITE_DATACENTER = 0x80;

/** GetProductInfo's numbers by edition, the most particular name first. */
const EDITIONS: readonly (readonly [edition: RegExp, productSku: number, suite: number])[] = [
  [/Server.*Datacenter.*Core/, 12, SUITE_DATACENTER | SUITE_TERMINAL],
  [/Server.*Datacenter.*Azure/, 407, SUITE_DATACENTER | SUITE_TERMINAL],
  [/Server.*Datacenter.*Evaluation/, 80, SUITE_DATACENTER | SUITE_TERMINAL],
  [/Server.*Datacenter/, 8, SUITE_DATACENTER | SUITE_TERMINAL],
  [/Server.*Standard.*Core/, 13, SUITE_TERMINAL],
  [/Server.*Standard.*Evaluation/, 79, SUITE_TERMINAL],
  [/Server.*Standard/, 7, SUITE_TERMINAL],
  [/Server.*Essentials/, 50, SUITE_TERMINAL],
  [/Enterprise multi-session|Enterprise for Virtual Desktops/, 175, SUITE_TERMINAL],
  [/IoT Enterprise LTSC/, 191, 0],
  [/IoT Enterprise/, 188, 0],
  [/Enterprise N (LTSC|LTSB|\d{4})/, 126, 0],
  [/Enterprise (LTSC|LTSB|\d{4})/, 125, 0],
  [/Enterprise Evaluation/, 72, 0],
  [/Enterprise N/, 27, 0],
  [/Enterprise/, 4, 0],
  [/Education N/, 122, 0],
  [/Pro Education/, 164, 0],
  [/Education/, 121, 0],
  [/Pro(fessional)? for Workstations/, 161, 0],
  [/Pro(fessional)? N/, 49, 0],
  [/Pro(fessional)?\b/, 48, 0],
  [/Home Single Language/, 100, SUITE_PERSONAL],
  [/Home China|Home Country Specific/, 99, SUITE_PERSONAL],
  [/Home N/, 98, SUITE_PERSONAL],
  [/Home/, 101, SUITE_PERSONAL],
];

function parseProduct(version: string): typeof NO_PRODUCT {
  const found = EDITIONS.find(([edition]) => edition.test(version));
  return {
    servicePack: Number(/Service Pack (\d+)/.exec(version)?.[1] ?? 0),
    suiteMask: SUITE_SINGLE_USER | (found?.[2] ?? 0),
    productSku: found?.[1] ?? 0,
  };
}

async function readLcid(source: MachineSource): Promise<number> {
  const locale = source.platform === "win32" ? source.locale() : localeOf(source.env);
  return (locale === null ? null : await lcidOf(locale)) ?? DEFAULT_LCID;
}

/** The language of messages, as POSIX orders the variables; null for none and for the plain C locale. */
function localeOf(env: MachineSource["env"]): string | null {
  const locale = env.LC_ALL || env.LC_MESSAGES || env.LANG || "";
  return locale === "" || /^(C|POSIX)(\.|$)/.test(locale) ? null : locale;
}

const SCRIPT_OF_MODIFIER: Readonly<Record<string, string>> = {
  latin: "Latn",
  cyrillic: "Cyrl",
  devanagari: "Deva",
};

/**
 * `de_AT.UTF-8@euro`, `de-AT`, `sr_RS@latin` or `de`. Where the country has no number with this language (`de_IT`),
 * the language's own does.
 */
async function lcidOf(locale: string): Promise<number | null> {
  const [, name = "", modifier = ""] = /^([A-Za-z0-9_-]+)(?:\.[^@]*)?(?:@(.*))?$/.exec(locale) ?? [];
  const tag = name.replaceAll("_", "-");
  const { default: table } = await import("lcid");
  const script = SCRIPT_OF_MODIFIER[modifier];
  // Most locales are found as they are written; ICU, which fills in the rest, costs milliseconds.
  const plain = script === undefined && !WRITTEN_TWO_WAYS.test(tag) ? table.to(tag) : undefined;
  if (plain !== undefined && isSpecific(plain)) return plain;
  const found = candidates(tag, script).map((wanted) => table.to(wanted) ?? 0);
  const neutral = table.to(tag.replace(/-.*/, "")) ?? 0;
  return (
    found.find(isSpecific) ?? (neutral > 0 && neutral < SUBLANG_DEFAULT ? neutral + SUBLANG_DEFAULT : null)
  );
}

/** The table gives their bare names to the script that their country no longer uses first. */
const WRITTEN_TWO_WAYS = /^(az|bs|sr|uz)\b/i;

/** MAKELANGID(language, SUBLANG_DEFAULT): the language as its main country writes it. */
const SUBLANG_DEFAULT = 0x400;

/** Whether the number names a language in a country: below and above are the languages alone, 0x1000 means "none". */
function isSpecific(lcid: number): boolean {
  return lcid > SUBLANG_DEFAULT && lcid < 0x6000 && lcid !== 0x1000;
}

function candidates(tag: string, script: string | undefined): string[] {
  try {
    const full = new Intl.Locale(tag, script === undefined ? {} : { script }).maximize();
    const main = new Intl.Locale(full.language).maximize();
    return [full, main].flatMap(({ language, script, region }) => [
      `${language}-${script}-${region}`,
      `${language}-${region}`,
    ]);
  } catch {
    return [];
  }
}

function readUser({ userName, env }: MachineSource): string {
  try {
    return userName();
  } catch {
    return env.USER || env.LOGNAME || env.USERNAME || "unknown";
  }
}
