/**
 * A file name as a server writes it, made into the one absolute path that will be opened, or refused with the reason.
 * Hides the notations of Windows and of the others: variables, separators, prefixes, and the names that are no files.
 */

import { DEVICE_NAMES } from "../names.ts";

/** What the machine says about itself, as far as paths need it. */
export type PathFacts = {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The home directory of the user who runs this; null when there is none. */
  readonly home: string | null;
};

export type ParsedPath =
  | {
      readonly ok: true;
      /** Absolute, without `.`, `..`, doubled separators or `\\?\`; opened exactly as it stands here. */
      readonly path: string;
      readonly segments: readonly string[];
      /** On another computer (`\\server\share`). */
      readonly remote: boolean;
    }
  | {
      readonly ok: false;
      readonly state: "declined" | "missing";
      /** Names nothing of this machine: it may be sent. */
      readonly reason: string;
    };

/** Variables a server may use: they name directories, so their values say nothing but where things are. */
const DIRECTORY_VARIABLES: readonly string[] = [
  "WINDIR",
  "SYSTEMROOT",
  "SYSTEMDRIVE",
  "PROGRAMFILES",
  "PROGRAMFILES(X86)",
  "PROGRAMW6432",
  "COMMONPROGRAMFILES",
  "COMMONPROGRAMFILES(X86)",
  "COMMONPROGRAMW6432",
  "PROGRAMDATA",
  "ALLUSERSPROFILE",
  "PUBLIC",
  "USERPROFILE",
  "HOMEDRIVE",
  "HOMEPATH",
  "APPDATA",
  "LOCALAPPDATA",
  "TEMP",
  "TMP",
  "HOME",
  "TMPDIR",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_CACHE_HOME",
  "XDG_STATE_HOME",
  "XDG_RUNTIME_DIR",
];

const VARIABLE = /%([A-Za-z_][A-Za-z0-9_]*(?:\([A-Za-z0-9_]+\))?)%/g;
const VARIABLE_OR_DOLLAR = /%([A-Za-z_][A-Za-z0-9_]*(?:\([A-Za-z0-9_]+\))?)%|\$([A-Za-z_][A-Za-z0-9_]*)/g;

/** The path a server's item names. Variables are expanded once; what they expand to is not looked at again. */
export function parseLocalPath(item: string, facts: PathFacts): ParsedPath {
  const expanded = expandVariables(item, facts);
  if (!expanded.ok) return expanded;
  return normalizePath(expanded.text, facts.platform);
}

/** Whether a variable may be used, by name and in any case. */
export function isDirectoryVariable(name: string): boolean {
  return DIRECTORY_VARIABLES.includes(name.toUpperCase());
}

type Refusal = Extract<ParsedPath, { ok: false }>;

function refuse(reason: string, state: Refusal["state"] = "declined"): Refusal {
  return { ok: false, state, reason };
}

/** `%NAME%` everywhere and, off Windows, `$NAME`, wherever it stands in the text. */
export function expandVariables(text: string, facts: PathFacts): { ok: true; text: string } | Refusal {
  let refusal: Refusal | null = null;
  const notation = facts.platform === "win32" ? VARIABLE : VARIABLE_OR_DOLLAR;
  const expanded = text.replace(notation, (written: string, percent?: string, dollar?: string) => {
    const name = percent ?? dollar ?? "";
    const value = isDirectoryVariable(name) ? directoryOf(name, facts) : undefined;
    if (!isDirectoryVariable(name))
      refusal ??= refuse(`the variable ${name} is not among those that name directories`);
    else if (!value) refusal ??= refuse(`the variable ${name} is not set on this system`, "missing");
    return value ?? written;
  });
  return refusal ?? { ok: true, text: expanded };
}

function directoryOf(name: string, { platform, env }: PathFacts): string | undefined {
  if (platform !== "win32") return env[name];
  const key = Object.keys(env).find((known) => known.toUpperCase() === name.toUpperCase());
  return key === undefined ? undefined : env[key];
}

/** An absolute path in its one form, or why it is none. Says nothing about whether the file exists. */
export function normalizePath(text: string, platform: NodeJS.Platform): ParsedPath {
  if (text.includes("\0")) return refuse("it holds a NUL character");
  return platform === "win32" ? normalizeWindows(text) : normalizePosix(text);
}

function normalizePosix(text: string): ParsedPath {
  if (!text.startsWith("/")) return refuse("it is not an absolute path");
  const segments = resolveDots(text.split("/"));
  return { ok: true, path: `/${segments.join("/")}`, segments, remote: false };
}

/** `.` and empty segments dropped, `..` taken back: by the text alone, since the result is what will be opened. */
function resolveDots(parts: readonly string[]): string[] {
  const segments: string[] = [];
  for (const part of parts) {
    if (part === "..") segments.pop();
    else if (part !== "" && part !== ".") segments.push(part);
  }
  return segments;
}

const RESERVED = new RegExp(`^${DEVICE_NAMES}(?:[ .:]|$)`, "i");

function normalizeWindows(text: string): ParsedPath {
  const slashed = text.replaceAll("/", "\\");
  const plain = slashed
    .replace(/^\\\\\?\\UNC\\/i, "\\\\")
    .replace(/^(?:\\\\\?\\|\\\?\?\\)(?=[A-Za-z]:\\)/, "");
  if (/^\\\\[?.](?:\\|$)|^\\\?\?\\/.test(plain)) return refuse("it names a device");
  const remote = plain.startsWith("\\\\");
  if (!remote && !/^[A-Za-z]:\\/.test(plain)) return refuse("it is not an absolute path");
  const parts = plain.split("\\").filter((part) => part !== "");
  const bad = parts
    .slice(remote ? 0 : 1)
    .map(complaintOf)
    .find(Boolean);
  if (bad) return refuse(bad);
  return remote ? remotePath(parts) : drivePath(parts);
}

function drivePath([drive = "", ...rest]: readonly string[]): ParsedPath {
  const segments = [drive.toUpperCase(), ...resolveDots(rest)];
  const path = segments.length === 1 ? `${segments[0]}\\` : segments.join("\\");
  return { ok: true, path, segments, remote: false };
}

function remotePath([server, share, ...rest]: readonly string[]): ParsedPath {
  if (server === undefined || share === undefined || [server, share].some((part) => /^\.+$/.test(part)))
    return refuse("it names no share of a server");
  const segments = ["\\\\", server, share, ...resolveDots(rest)];
  return { ok: true, path: `\\\\${segments.slice(1).join("\\")}`, segments, remote: true };
}

function complaintOf(part: string): string | null {
  if (part === "." || part === "..") return null;
  if (RESERVED.test(part)) return "it names a device";
  if (part.includes(":")) return "it names an alternate data stream";
  if (/[\u0000-\u001f"*<>?|]/.test(part)) return "it holds a character that no file name on Windows has";
  if (/[. ]$/.test(part)) return "a part of it ends in a dot or a blank, which Windows would drop";
  return null;
}
