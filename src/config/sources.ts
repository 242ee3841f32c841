/** Who sets what: flags over environment over the user's file over the machine's file over defaults. */

import { readFile } from "node:fs/promises";
import { posix, win32 } from "node:path";
import { parseSize } from "../consent/policy.ts";
import type { Context } from "../context.ts";
import { CerError } from "../errors.ts";
import { parseJson, parseShape } from "../json.ts";
import { decodeReportText } from "../wire/text.ts";
import { ConfigSchema, parsePort, type Settings, type Source } from "./settings.ts";

type Platform = Pick<Context, "platform" | "env" | "home">;

/** The user's and the machine's configuration files, where the platform's conventions put them. */
export function configFiles({ platform, env, home }: Platform): [user: string, machine: string] {
  if (platform === "win32") {
    const below = (folder: string) => win32.join(folder, "cer", "config.json");
    const user = env["APPDATA"] ?? win32.join(home, "AppData", "Roaming");
    return [below(user), below(env["ProgramData"] ?? "C:\\ProgramData")];
  }
  if (platform === "darwin") {
    const below = (root: string) => posix.join(root, "Library/Application Support/cer/config.json");
    return [below(home), below("/")];
  }
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
  { settings, config }: { readonly settings: Settings; readonly config: string | null },
  platform: Platform,
): Promise<Source[]> {
  const [user, machine] = configFiles(platform);
  const files = [await readConfigFile(config ?? user, config !== null), await readConfigFile(machine, false)];
  return [
    { name: "the command line", settings },
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

const asWritten = (word: string) => word;

/** The variable of a setting, and what its word means. */
const VARIABLES = {
  server: ["CER_SERVER", asWritten],
  port: ["CER_PORT", parsePort],
  https: ["CER_HTTPS", parseSwitch],
  consent: ["CER_CONSENT", asWritten],
  journal: ["CER_JOURNAL", asWritten],
} as const satisfies {
  [K in keyof Settings]?: readonly [string, (word: string, where: string) => Settings[K]];
};

/** An empty variable says nothing. */
function readEnvironment(env: NodeJS.ProcessEnv): Source {
  const said = Object.entries(VARIABLES).flatMap(([key, [name, parse]]) => {
    const word = env[name];
    return word ? [[key, parse(word, name)]] : [];
  });
  return { name: "the environment", settings: Object.fromEntries(said) };
}

function parseSwitch(word: string, where: string): boolean {
  if (/^(1|true|yes|on)$/i.test(word)) return true;
  if (/^(0|false|no|off)$/i.test(word)) return false;
  throw new CerError("CER_CONFIG", `${where} is "${word}".`, { hint: "It takes 1 or 0." });
}
