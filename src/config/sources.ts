/** Who sets what: flags over environment over the user's file over the machine's file over defaults. */

import { constants } from "node:fs";
import { lstat, open, readFile } from "node:fs/promises";
import { posix, win32 } from "node:path";
import * as v from "valibot";
import { parseConsent, parsePatterns, parseSize } from "../consent/policy.ts";
import type { Context } from "../context.ts";
import { asCerError, CerError, type Leniency } from "../errors.ts";
import { parseJson, parseShape } from "../json.ts";
import { decodeWrittenText } from "../wire/text.ts";
import { ConfigSchema, parsePort, type Settings, type Source, TARGET_KEYS } from "./settings.ts";

type Platform = Pick<Context, "platform" | "env" | "home" | "process">;

/** The user's and the machine's configuration files, where the platform's conventions put them; null for no place. */
export function configFiles({
  platform,
  env,
  home,
}: Omit<Platform, "process">): [user: string | null, machine: string] {
  if (platform === "win32") {
    const below = (folder: string) => win32.join(folder, "cer", "config.json");
    const user = env["APPDATA"] ?? (home === null ? null : win32.join(home, "AppData", "Roaming"));
    return [user === null ? null : below(user), below(env["ProgramData"] ?? "C:\\ProgramData")];
  }
  if (platform === "darwin") {
    const below = (root: string) => posix.join(root, "Library/Application Support/cer/config.json");
    return [home === null ? null : below(home), below("/")];
  }
  const given = env["XDG_CONFIG_HOME"];
  const user = given !== undefined && posix.isAbsolute(given) ? given : home && posix.join(home, ".config");
  return [user && posix.join(user, "cer/config.json"), "/etc/cer/config.json"];
}

/**
 * All sources of settings, the strongest first: the flags, the environment, the file named with --config, which must be
 * as it should, or else the user's own, and the machine's. A file that nobody named and a variable are used as far as
 * they make sense.
 * @throws CerError CER_CONFIG of the named file; when strict also of the others, and CER_BAD_SERVER
 */
export async function readSources(
  { settings, config }: { readonly settings: Settings; readonly config: string | null },
  platform: Platform,
  leniency: Leniency,
): Promise<Source[]> {
  const [user, machine] = configFiles(platform);
  const named = config === null ? null : await readConfigFile(config);
  const { process } = platform;
  const files = [
    named ?? (await readUnnamed(user, process, leniency)),
    await readUnnamed(machine, process, leniency),
  ];
  return [
    { name: "the command line", settings },
    readEnvironment(platform.env, leniency),
    ...files.filter((source) => source !== null),
  ];
}

/** Null where there is none, or where it is somebody else's: a change of user may leave HOME as it was. */
async function readUnnamed(
  path: string | null,
  { uid }: Context["process"],
  leniency: Leniency,
): Promise<Source | null> {
  if (path === null) return null;
  let bytes: Buffer;
  try {
    bytes = await readRegular(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return null;
    const isTheirs = await isOthers(path, uid);
    const fault = cannotRead(path, cause, "Correct its rights, or remove it.");
    leniency.tolerate(fault, isTheirs ? "It is another user's and passed over." : NOTHING_AGREED);
    return isTheirs ? null : { name: path, settings: {}, forbidsUnknown: true };
  }
  try {
    return await parseConfig(bytes, path);
  } catch (thrown) {
    leniency.tolerate(asCerError(thrown), NOTHING_AGREED);
    return salvage(bytes, path);
  }
}

/** Whether a file that cannot be read lies where this user cannot even look, in a directory of another user. */
async function isOthers(path: string, uid: number | null): Promise<boolean> {
  if (uid === null) return false;
  const isSeen = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isSeen) return false;
  for (let above = posix.dirname(path); above !== posix.dirname(above); above = posix.dirname(above)) {
    const stat = await lstat(above).catch(() => null);
    if (stat !== null) return stat.uid !== uid;
  }
  return false;
}

/** Bytes of a configuration file. */
const MAX_CONFIG = 1024 * 1024;

/** A whole regular file. Of a pipe, which nobody may write to, and of a device, which may never end, nothing is read. */
async function readRegular(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error("a directory"), { code: "EISDIR" });
    if (!stat.isFile()) throw Object.assign(new Error("no regular file"), { code: "EINVAL" });
    if (stat.size > MAX_CONFIG) throw Object.assign(new Error("too large"), { code: "EFBIG" });
    return await file.readFile();
  } finally {
    await file.close();
  }
}

const NOTHING_AGREED = "What it allows and forbids cannot be known: nothing but the report itself is sent.";

/** @throws CerError CER_CONFIG */
async function readConfigFile(path: string): Promise<Source> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw cannotRead(path, cause, "Check the path given with --config.");
  });
  return parseConfig(bytes, path);
}

function cannotRead(path: string, cause: unknown, hint: string): CerError {
  const { code } = cause as NodeJS.ErrnoException;
  return new CerError("CER_CONFIG", `The configuration file ${path} cannot be read (${code}).`, {
    hint,
    cause,
  });
}

async function parseConfig(bytes: Buffer, path: string): Promise<Source> {
  const json = await parseJson(decodeWrittenText(bytes).text, path, "CER_CONFIG");
  const { $schema, maxFileSize, maxTotalSize, ...settings } = await parseShape(
    ConfigSchema,
    json,
    path,
    "CER_CONFIG",
  );
  const sizes = Object.entries({ maxFileSize, maxTotalSize })
    .filter(([, size]) => size !== undefined)
    .map(([key, size]) => [key, parseSize(size, `${path}: ${key}`)]);
  const { consent, allow, deny } = settings;
  if (consent !== undefined) parseConsent(consent, `consent (${path})`);
  if (allow !== undefined) parsePatterns(allow, `allow (${path})`);
  if (deny !== undefined) parsePatterns(deny, `deny (${path})`);
  return { name: path, settings: { ...settings, ...Object.fromEntries(sizes) } as Settings };
}

/** What a file may still say that is wrong elsewhere: where reports go, and how they are kept. */
const SALVAGED = [...TARGET_KEYS, "journal", "retries", "duplicateHours", "reportsPerHour"] as const;

/** The settings that stand whole in a file that is not as it should be. */
async function salvage(bytes: Buffer, path: string): Promise<Source> {
  const forbidsUnknown = true;
  const json = await parseJson(decodeWrittenText(bytes).text, path, "CER_CONFIG").catch(() => null);
  if (typeof json !== "object" || json === null) return { name: path, settings: {}, forbidsUnknown };
  const said = json as Readonly<Record<string, unknown>>;
  const isWhole = (key: (typeof SALVAGED)[number]) => v.is(ConfigSchema.entries[key], said[key]);
  const settings = Object.fromEntries(
    SALVAGED.filter((key) => key in said && isWhole(key)).map((key) => [key, said[key]]),
  ) as Settings;
  const bad = Object.fromEntries(
    TARGET_KEYS.filter((key) => key in said && !isWhole(key)).map((key) => [
      key,
      new CerError("CER_BAD_SERVER", `The ${key} in ${path} cannot be used.`),
    ]),
  );
  return { name: path, settings, bad, forbidsUnknown };
}

const asWritten = (word: string) => word;

/** The variable of a setting, and what its word means. */
const VARIABLES = {
  server: ["CER_SERVER", asWritten],
  port: ["CER_PORT", parsePort],
  https: ["CER_HTTPS", parseSwitch],
  consent: ["CER_CONSENT", parseConsent],
  journal: ["CER_JOURNAL", asWritten],
} as const satisfies {
  [K in keyof Settings]?: readonly [string, (word: string, where: string) => Settings[K]];
};

/** An empty variable says nothing. */
function readEnvironment(env: NodeJS.ProcessEnv, leniency: Leniency): Source {
  let source: Source = { name: "the environment", settings: {} };
  for (const [key, [variable, parse]] of Object.entries(VARIABLES)) {
    const word = env[variable]?.trim();
    if (!word) continue;
    try {
      source = { ...source, settings: { ...source.settings, [key]: parse(word, variable) } };
    } catch (thrown) {
      const fault = asCerError(thrown);
      const isConsent = key === "consent";
      leniency.tolerate(fault, isConsent ? NOTHING_AGREED : "No server can be told by it.");
      source = isConsent
        ? { ...source, forbidsUnknown: true }
        : { ...source, bad: { ...source.bad, [key]: fault } };
    }
  }
  return source;
}

function parseSwitch(word: string, where: string): boolean {
  if (/^(1|true|yes|on)$/i.test(word)) return true;
  if (/^(0|false|no|off)$/i.test(word)) return false;
  throw new CerError("CER_CONFIG", `${where} is "${word}".`, { hint: "It takes 1 or 0." });
}
