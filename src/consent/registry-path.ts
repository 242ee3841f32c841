/**
 * What an item of RegKey or RegTree names ([MS-CER2] 2.2.2): a root and a key below it, perhaps with a value at its
 * end; and such a path as the parts that patterns are made for. Pure.
 */

import { quote } from "../printable.ts";

export type RegistryPath = {
  /** The root's long name. */
  readonly root: string;
  /** The rest, without back-slashes at either end; "" for the root itself. */
  readonly key: string;
};

type ParsedRegistryPath =
  | { readonly ok: true; readonly path: RegistryPath }
  | { readonly ok: false; readonly reason: string };

/** Long names by their short ones. */
const ROOTS: Readonly<Record<string, string>> = {
  HKLM: "HKEY_LOCAL_MACHINE",
  HKCU: "HKEY_CURRENT_USER",
  HKCR: "HKEY_CLASSES_ROOT",
  HKU: "HKEY_USERS",
  HKCC: "HKEY_CURRENT_CONFIG",
};

/** Windows' limits: characters of one key's name, and keys inside keys. */
const MAX_NAME_LENGTH = 255;
const MAX_KEY_DEPTH = 512;
const MAX_PATH_LENGTH = 2048;

/** Reads `HKLM\Key`, `HKEY_LOCAL_MACHINE\Key\Value` and the like. Never throws. */
export function parseRegistryPath(item: string): ParsedRegistryPath {
  const refuse = (why: string): ParsedRegistryPath => ({ ok: false, reason: `${quote(item)} ${why}.` });
  if (item.length > MAX_PATH_LENGTH)
    return refuse(`is ${item.length} characters long; ${MAX_PATH_LENGTH} are read`);
  if (/[\u0000-\u001f\u007f]/.test(item)) return refuse("holds a control character");
  if (item.startsWith("\\\\")) return refuse("names another machine");
  const [first = "", ...names] = item.replace(/\\+$/, "").split("\\");
  const root = rootNamed(first);
  if (root === null) return refuse(`begins with ${quote(first)}, which is no root of the registry`);
  if (names.includes("")) return refuse("has an empty name between two back-slashes");
  if (names.length > MAX_KEY_DEPTH)
    return refuse(`is ${names.length} keys deep; Windows allows ${MAX_KEY_DEPTH}`);
  const long = names.find((name) => name.length > MAX_NAME_LENGTH);
  if (long !== undefined)
    return refuse(`has a name of ${long.length} characters; Windows allows ${MAX_NAME_LENGTH}`);
  return { ok: true, path: { root, key: names.join("\\") } };
}

function rootNamed(name: string): string | null {
  const upper = name.toUpperCase();
  const isLong = Object.values(ROOTS).includes(upper);
  return isLong ? upper : (ROOTS[upper] ?? null);
}

/** `HKEY_LOCAL_MACHINE\SOFTWARE\X`. */
export function formatRegistryPath({ root, key }: RegistryPath): string {
  return key === "" ? root : `${root}\\${key}`;
}

const SHORT_NAMES = new Map(Object.entries(ROOTS).map(([short, long]) => [long, short]));

/** The parts of a path or of a pattern for paths, with the root's name written short. */
export function keySegments(path: string): string[] {
  const [root = "", ...rest] = path.split("\\").filter((part) => part !== "");
  return [SHORT_NAMES.get(root.toUpperCase()) ?? root.toUpperCase(), ...rest];
}

/** The key above and the last name; null for a root. */
export function splitLastName({ root, key }: RegistryPath): { parent: RegistryPath; name: string } | null {
  if (key === "") return null;
  const at = key.lastIndexOf("\\");
  return { parent: { root, key: key.slice(0, Math.max(at, 0)) }, name: key.slice(at + 1) };
}
