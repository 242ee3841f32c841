/**
 * What the user agreed to, as a plain value: the level of consent, what is allowed and denied by name, and how much.
 * Hides how a configuration spells it. Deciding by it is `judge.ts`.
 */

import { CerError } from "../errors.ts";
import { quote } from "../printable.ts";
import { isDirectoryVariable } from "./local-path.ts";

/** WER's own levels ([MS-CER2] sheet section 10: DefaultConsent 2, 3, 1, 4). */
export const CONSENTS = ["parameters", "safe", "ask", "all"] as const;
export type Consent = (typeof CONSENTS)[number];

/**
 * What can be asked for, the keys of an answer ([MS-CER2] 2.2.2), and `File` for what the user attached; of each kind
 * what its items are, and so what its patterns name. A flag is only asked for or not.
 */
export const FORMS = {
  File: "file",
  GetFile: "file",
  GetFileVersion: "file",
  RegKey: "key",
  RegTree: "key",
  WQL: "class",
  MemoryDump: "flag",
  fDoc: "flag",
} as const;
export type ItemKind = keyof typeof FORMS;
export const ITEM_KINDS = Object.keys(FORMS) as readonly ItemKind[];

/**
 * Patterns by kind. Files: absolute, or beginning with `**`, `%NAME%` or `$NAME`. Registry: keys. WQL: `Class` or
 * `Class.Property`. MemoryDump and fDoc: `*`.
 */
export type Patterns = Readonly<Partial<Record<ItemKind, readonly string[]>>>;

export type Policy = {
  readonly consent: Consent;
  /** False: level 2 never runs (`--no-level2`, WER's DontSendAdditionalData). */
  readonly level2: boolean;
  readonly allow: Patterns;
  /** Wins over everything. */
  readonly deny: Patterns;
  /** Bytes of one file, key or answer that a server asked for; what the user attached is not bounded by it. */
  readonly maxFileSize: number;
  /** Bytes of all that a server asked for together, before compression. */
  readonly maxTotalSize: number;
};

const MIB = 1024 * 1024;

export const DEFAULT_POLICY: Policy = {
  consent: "safe",
  level2: true,
  allow: {},
  deny: {},
  maxFileSize: 32 * MIB,
  maxTotalSize: 128 * MIB,
};

/** The least that `maxFileSize` and `maxTotalSize` may be: a head, a tail and the mark between them. */
export const MIN_SIZE = 4096;

/**
 * A level of consent as a flag, a variable or a configuration has it.
 * @param where names the place in messages: `--consent`, `CER_CONSENT`, `consent in cer.json`
 * @throws CerError CER_CONFIG
 */
export function parseConsent(value: unknown, where: string): Consent {
  const known = CONSENTS.find((consent) => consent === value);
  if (known !== undefined) return known;
  throw new CerError("CER_CONFIG", `${where} is ${shown(value)}, which is no level of consent.`, {
    hint: `Use one of ${CONSENTS.join(", ")}.`,
  });
}

/**
 * Patterns by kind, from `{"GetFile": ["/var/log/app/**"], "WQL": ["Win32_Product"]}`.
 * @throws CerError CER_CONFIG naming the pattern and what is wrong with it
 */
export function parsePatterns(value: unknown, where: string): Patterns {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CerError("CER_CONFIG", `${where} is ${shown(value)}; it should be an object.`, {
      hint: `Write a list of patterns per kind: ${ITEM_KINDS.join(", ")}.`,
    });
  const entries = Object.entries(value).map(([key, patterns]) => {
    const kind = ITEM_KINDS.find((known) => known === key);
    if (kind === undefined)
      throw new CerError("CER_CONFIG", `${where} has the key ${quote(key)}, which is no kind of item.`, {
        hint: `Use ${ITEM_KINDS.join(", ")}.`,
      });
    return [kind, parseList(kind, patterns, `${where}.${kind}`)] as const;
  });
  return Object.fromEntries(entries);
}

function parseList(kind: ItemKind, value: unknown, where: string): string[] {
  if (!Array.isArray(value))
    throw new CerError("CER_CONFIG", `${where} is ${shown(value)}; it should be a list of patterns.`);
  return value.map((pattern, index) => {
    const complaint = typeof pattern === "string" ? complaintOf(kind, pattern) : "it is not text";
    if (complaint === null) return String(pattern);
    throw new CerError("CER_CONFIG", `${where}[${index}] is ${shown(pattern)}: ${complaint}.`, {
      hint: HINTS[FORMS[kind]],
    });
  });
}

const HINTS = {
  file: "Write an absolute path, with * for a part of a name and ** for any directories; a variable such as %WINDIR% or $HOME may begin it.",
  key: "Write a key such as HKLM\\SOFTWARE\\Contoso\\**.",
  class: "Write a class, or a class and a property: Win32_Product, Win32_ComputerSystem.UserName.",
  flag: "Write *.",
};

function complaintOf(kind: ItemKind, pattern: string): string | null {
  if (pattern.trim() === "") return "it is empty";
  switch (FORMS[kind]) {
    case "file":
      return pathComplaint(pattern);
    case "key":
      return /^(?:\*\*|HK[A-Z_]+)(?:\\|$)/i.test(pattern) ? null : "it does not begin with a hive";
    case "class":
      return /^[\w*]+(?:\.[\w*]+)?$/.test(pattern) ? null : "it is no class and no property of one";
    case "flag":
      return pattern === "*" ? null : "the only pattern of this kind is *";
  }
}

function pathComplaint(pattern: string): string | null {
  const variable = /^(?:%([^%]*)%|\$([A-Za-z_]\w*))/.exec(pattern);
  const name = variable?.[1] ?? variable?.[2];
  if (name !== undefined)
    return isDirectoryVariable(name) ? null : `the variable ${name} is not among those that name directories`;
  return /^(?:\/|[A-Za-z*]:[\\/]|\\\\|\*\*(?:[\\/]|$))/.test(pattern) ? null : "it is not an absolute path";
}

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KIB: 1024, MIB, GIB: 1024 * MIB };

/**
 * A size in bytes, from a number or from text such as `64 MiB`.
 * @throws CerError CER_CONFIG
 */
export function parseSize(value: unknown, where: string): number {
  const [, digits, unit = ""] = /^\s*(\d{1,15})\s*([A-Za-z]*)\s*$/.exec(String(value)) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toUpperCase()] ?? Number.NaN);
  if ((typeof value !== "string" && typeof value !== "number") || !Number.isSafeInteger(bytes))
    throw new CerError("CER_CONFIG", `${where} is ${shown(value)}, which is no size.`, {
      hint: "Write bytes, or a number with KiB, MiB or GiB.",
    });
  if (bytes < MIN_SIZE)
    throw new CerError("CER_CONFIG", `${where} is ${bytes} bytes; the least is ${MIN_SIZE}.`, {
      hint: "To send nothing at all use --no-level2.",
    });
  return bytes;
}

function shown(value: unknown): string {
  return typeof value === "string"
    ? quote(value)
    : quote(JSON.stringify(value) ?? String(value)).slice(1, -1);
}
