/**
 * Where a report goes and under which rules: flags over environment over the user's file over the machine's file over
 * defaults. Each value knows where it came from, so that a message can say whom to ask.
 */

import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { posix, win32 } from "node:path";
import * as v from "valibot";
import { MIN_SIZE } from "./collect/policy.ts";
import { CerError } from "./errors.ts";
import { parseJson, parseShape } from "./json.ts";
import { formatUrl, type Origin } from "./wire/exchange.ts";
import { decodeReportText } from "./wire/text.ts";

/** [MS-CER2] 3.1.3. */
export const DEFAULT_PORT = 1273;
/** The level 1 path, which only the examples give ([MS-CER2] 4.1-4.4). */
const DEFAULT_PATH = "/stage2.htm";

const ConfigSchema = v.strictObject({
  $schema: v.optional(v.string()),
  server: v.optional(v.string()),
  port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
  https: v.optional(v.boolean()),
  path: v.optional(v.string()),
  consent: v.optional(v.string()),
  level2: v.optional(v.boolean()),
  allow: v.optional(v.looseObject({})),
  deny: v.optional(v.looseObject({})),
  maxFileSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(MIN_SIZE))),
  maxTotalSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(MIN_SIZE))),
  redact: v.optional(v.boolean()),
  anonymize: v.optional(v.boolean()),
  journal: v.optional(v.string()),
  retries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(10))),
  duplicateHours: v.optional(v.pipe(v.number(), v.minValue(0))),
  reportsPerHour: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});

/** What one source says; absent is what it leaves to the next. */
export type Settings = {
  readonly server?: string;
  readonly port?: number;
  readonly https?: boolean;
  readonly path?: string;
  /** A level of consent, as it was written. */
  readonly consent?: string;
  readonly level2?: boolean;
  /** Patterns by kind, as they were written. */
  readonly allow?: object;
  readonly deny?: object;
  /** Bytes. */
  readonly maxFileSize?: number;
  readonly maxTotalSize?: number;
  readonly redact?: boolean;
  readonly anonymize?: boolean;
  /** The journal's directory. */
  readonly journal?: string;
  /** Quick tries after the first. */
  readonly retries?: number;
  /** Hours in which the same event is not sent again; 0 for never. */
  readonly duplicateHours?: number;
  /** Reports of one signature in an hour; 0 for any number. */
  readonly reportsPerHour?: number;
};

/** What the strongest source that has the setting says. */
export function strongestSetting<K extends keyof Settings>(
  sources: readonly Source[],
  key: K,
): Settings[K] | undefined {
  return sources.find(({ settings }) => settings[key] !== undefined)?.settings[key];
}

/** One source of settings, the strongest first in a list. `name` is how a message calls it. */
export type Source = { readonly name: string; readonly settings: Settings };

/** Where level 1 goes; level 2 goes to the same origin. */
export type Destination = {
  readonly origin: Origin;
  /** Percent-encoded, absolute. */
  readonly path: string;
  /** The source that named the server. */
  readonly from: string;
};

type Platform = {
  readonly platform: NodeJS.Platform;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
};

/** The user's and the machine's configuration files, in this order, where the platform's conventions put them. */
export function configFiles({ platform, env, home }: Platform): string[] {
  if (platform === "win32")
    return [
      env["APPDATA"] ?? win32.join(home, "AppData", "Roaming"),
      env["ProgramData"] ?? "C:\\ProgramData",
    ].map((folder) => win32.join(folder, "cer", "config.json"));
  if (platform === "darwin")
    return [home, "/"].map((root) => posix.join(root, "Library/Application Support/cer/config.json"));
  const given = env["XDG_CONFIG_HOME"];
  const user = given !== undefined && posix.isAbsolute(given) ? given : posix.join(home, ".config");
  return [posix.join(user, "cer/config.json"), "/etc/cer/config.json"];
}

/**
 * All sources of settings, the strongest first: the flags, the environment, the file named with --config, which must
 * exist, or else the user's own, and the machine's.
 * @throws CerError CER_CONFIG, CER_BAD_SERVER
 */
export async function readSources(
  flags: Settings,
  configFile: string | null,
  platform: Platform,
): Promise<Source[]> {
  const [user, machine] = configFiles(platform) as [string, string];
  const files = [
    await readConfigFile(configFile ?? user, configFile !== null),
    await readConfigFile(machine, false),
  ];
  return [
    { name: "the command line", settings: flags },
    readEnvironment(platform.env),
    ...files.filter((source) => source !== null),
  ];
}

async function readConfigFile(path: string, mustExist: boolean): Promise<Source | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (!mustExist && (code === "ENOENT" || code === "ENOTDIR")) return null;
    throw new CerError("CER_CONFIG", `The configuration file ${path} cannot be read (${code}).`, {
      hint: mustExist ? "Check the path given with --config." : "Correct its rights, or remove it.",
      cause,
    });
  }
  const json = await parseJson(decodeReportText(bytes).text, path, "CER_CONFIG");
  const { $schema, ...settings } = await parseShape(ConfigSchema, json, path, "CER_CONFIG");
  return { name: path, settings: settings as Settings };
}

/** What CER_SERVER, CER_PORT, CER_HTTPS, CER_CONSENT and CER_JOURNAL say. An empty variable says nothing. */
function readEnvironment(env: NodeJS.ProcessEnv): Source {
  const {
    CER_SERVER: server,
    CER_PORT: port,
    CER_HTTPS: https,
    CER_CONSENT: consent,
    CER_JOURNAL: journal,
  } = env;
  return {
    name: "the environment",
    settings: {
      ...(server ? { server } : {}),
      ...(port ? { port: parsePort(port, "CER_PORT") } : {}),
      ...(https ? { https: parseSwitch(https, "CER_HTTPS") } : {}),
      ...(consent ? { consent } : {}),
      ...(journal ? { journal } : {}),
    },
  };
}

function parseSwitch(word: string, where: string): boolean {
  if (/^(1|true|yes|on)$/i.test(word)) return true;
  if (/^(0|false|no|off)$/i.test(word)) return false;
  throw new CerError("CER_CONFIG", `${where} is "${word}".`, { hint: "It takes 1 or 0." });
}

/** A port from text. `where` is how a message calls the place. @throws CerError CER_BAD_SERVER */
export function parsePort(word: string, where: string): number {
  const port = /^[0-9]{1,5}$/.test(word) ? Number(word) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new CerError("CER_BAD_SERVER", `${where} is "${word}".`, {
    hint: "A port is a number from 1 to 65535.",
  });
}

/**
 * The destination that the sources name, the strongest first. A port or scheme inside a server's address counts only
 * when that server is the one chosen.
 * @throws CerError CER_NO_SERVER, CER_BAD_SERVER
 */
export function resolveDestination(sources: readonly Source[]): Destination {
  const chosen = sources.find(({ settings }) => settings.server !== undefined);
  if (chosen?.settings.server === undefined)
    throw new CerError("CER_NO_SERVER", "No CER server is set; nothing was sent.", {
      hint: 'Set one with --server HOST, with the environment variable CER_SERVER=HOST, or with {"server": "HOST"} in a configuration file (--config FILE).',
    });
  const address = parseServer(chosen.settings.server, chosen.name);
  const strongest = <K extends keyof Settings>(key: K, inAddress: Settings[K] | undefined) => {
    for (const source of sources) {
      const set = source.settings[key];
      const embedded = source === chosen ? inAddress : undefined;
      if (set !== undefined && embedded !== undefined && set !== embedded)
        throw new CerError(
          "CER_BAD_SERVER",
          `There are two values for ${key} from ${source.name}: ${embedded} and ${set}.`,
          {
            hint: `Leave the ${key} out of the server's address or out of the other setting.`,
          },
        );
      if (set !== undefined || embedded !== undefined) return set ?? embedded;
    }
    return undefined;
  };
  const https = strongest("https", address.https) === true;
  const path = strongest("path", undefined) ?? DEFAULT_PATH;
  return {
    origin: {
      scheme: https ? "https" : "http",
      host: address.host,
      port: strongest("port", address.port) ?? DEFAULT_PORT,
    },
    path: joinPath(address.prefix, path),
    from: chosen.name,
  };
}

type ServerAddress = { host: string; port: number | undefined; https: boolean | undefined; prefix: string };

/** HOST, HOST:PORT or http(s)://HOST[:PORT][/PREFIX]. Not with the URL class, which hides :80 and :443. */
function parseServer(text: string, from: string): ServerAddress {
  const refuse = (why: string): never => {
    throw new CerError("CER_BAD_SERVER", `The server "${text}" (${from}) ${why}.`, {
      hint: "Write HOST, HOST:PORT, or http(s)://HOST[:PORT][/PREFIX].",
    });
  };
  const parts = /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?<authority>[^/?#\\]*)(?<prefix>.*)$/is.exec(
    text.trim(),
  );
  const { scheme, authority = "", prefix = "" } = parts?.groups ?? {};
  if (scheme !== undefined && !/^https?$/i.test(scheme))
    refuse(`has the scheme ${scheme}, not http or https`);
  if (authority.includes("@")) refuse("holds a user name or password");
  if (/[?#\\]/.test(prefix)) refuse("holds more than a path after the host");
  if (scheme === undefined && prefix !== "" && prefix !== "/")
    refuse("has a path but no http:// or https://");
  if (isBareIPv6(authority))
    refuse("has an IPv6 address without brackets; write [ADDRESS] or [ADDRESS]:PORT");
  const place = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<name>[\p{L}\p{M}\p{N}_.-]+))(?::(?<port>.*))?$/iu.exec(
    authority,
  );
  const { v6, name, port } = place?.groups ?? {};
  const host = v6 ?? name ?? refuse("names no host");
  if (
    (v6 !== undefined && !isIPv6(v6)) ||
    !URL.canParse(formatUrl({ scheme: "http", host, port: DEFAULT_PORT }, ""))
  )
    refuse("has a host that is neither a name nor an address");
  return {
    host,
    port: port === undefined ? undefined : parsePort(port, `The port of the server "${text}"`),
    https: scheme === undefined ? undefined : /^https$/i.test(scheme),
    prefix: prefix.replace(/\/+$/, ""),
  };
}

/** Asked of everything, it looks for the colons first: Node takes 10 ms to make its pattern of an address. */
function isBareIPv6(text: string): boolean {
  return /:.*:/.test(text) && isIPv6(text);
}

function joinPath(prefix: string, path: string): string {
  const whole = `${prefix}/${path.replace(/^\/+/, "")}`;
  if (/[\u0000-\u0020\u007f?#\\\p{Surrogate}]/u.test(whole))
    throw new CerError(
      "CER_BAD_SERVER",
      `The path ${JSON.stringify(whole)} holds a character that a path cannot.`,
      {
        hint: "Percent-encode it.",
      },
    );
  return encodeURI(whole).replaceAll(/%25(?=[0-9a-f]{2})/gi, "%");
}

/**
 * The proxy for an origin, as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say in either case; null for none. The
 * rules are curl's: the package that offers them takes a proxy without a scheme for one that speaks TLS, and a NO_PROXY
 * entry for that one host only.
 * @throws CerError CER_CONFIG for a proxy address that is none
 */
export function proxyFor(origin: Origin, env: NodeJS.ProcessEnv): string | null {
  const names = [`${origin.scheme}_proxy`, "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  const proxy = names.map((name) => env[name]).find((value) => value);
  if (proxy === undefined || isExempt(origin, env["no_proxy"] ?? env["NO_PROXY"] ?? "")) return null;
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw new CerError(
    "CER_CONFIG",
    "The proxy's address in the environment is not an http or https address.",
    {
      hint: `Look at ${names.join(", ")}.`,
    },
  );
}

/** NO_PROXY: host names and their subdomains, with or without a leading dot or `*.`, each perhaps with a port; `*`. */
function isExempt({ host, port }: Origin, noProxy: string): boolean {
  const name = host.toLowerCase();
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === "*") return true;
      if (isBareIPv6(entry)) return name === entry;
      const [, pattern = "", only] = /^(?:\*?\.)?(.*?)(?::([0-9]+))?$/.exec(entry) ?? [];
      const bare = pattern.replace(/^\[|\]$/g, "");
      return (only === undefined || Number(only) === port) && (name === bare || name.endsWith(`.${bare}`));
    });
}
