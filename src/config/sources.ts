/**
 * What is set, and by whom: flags over environment over the user's file over the machine's file over defaults. Each
 * value knows where it came from, so that a message can say whom to ask.
 */

import { readFile } from "node:fs/promises";
import { posix, win32 } from "node:path";
import * as v from "valibot";
import { parseSize } from "../consent/policy.ts";
import { CerError } from "../errors.ts";
import { parseJson, parseShape } from "../json.ts";
import { decodeReportText } from "../wire/text.ts";
import { parsePort } from "./destination.ts";

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
  maxFileSize: v.optional(v.union([v.number(), v.string()])),
  maxTotalSize: v.optional(v.union([v.number(), v.string()])),
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
  const { $schema, maxFileSize, maxTotalSize, ...settings } = await parseShape(
    ConfigSchema,
    json,
    path,
    "CER_CONFIG",
  );
  const sizes = Object.entries({ maxFileSize, maxTotalSize })
    .filter(([, size]) => size !== undefined)
    .map(([key, size]) => [key, parseSize(size, `${path}: ${key}`)]);
  return { name: path, settings: { ...settings, ...Object.fromEntries(sizes) } as Settings };
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
