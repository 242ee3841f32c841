/**
 * The files in which a Linux system describes itself: /proc, /sys, /etc. Reading them never fails; what is not there,
 * or not for us to read, is empty.
 */

import { access, readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Limits } from "../../../system/run-program.ts";

/** What the readers are given: the tree, and what Node knows of the system without it. */
export type LinuxSource = Pick<Limits, "timeoutMs" | "signal"> & {
  readonly tree: SystemTree;
  readonly hostName: string;
  /** Node's name for it. */
  readonly arch: string;
  /** `uname -r`. */
  readonly release: string;
  readonly now: Date;
};

export type SystemTree = {
  /** Where the tree is: "/", or a copy of one. */
  readonly root: string;
  /** A file's text without the blanks round it; "" when there is none. */
  text(path: string): Promise<string>;
  /** The texts of files in one directory. */
  texts(directory: string, names: readonly string[]): Promise<string[]>;
  bytes(path: string): Promise<Buffer | null>;
  has(path: string): Promise<boolean>;
  /** The names in a directory, shorter ones first, so that numbered ones are in order. */
  names(path: string): Promise<string[]>;
  /** The last part of what a link points to; null when it is none. */
  link(path: string): Promise<string | null>;
};

/** The tree below `root`. Paths are given without a leading slash. */
export function systemTree(root: string): SystemTree {
  const bytes = (path: string) => readFile(join(root, path)).catch(() => null);
  const text = async (path: string) => ((await bytes(path)) ?? "").toString("utf8").trim();
  return {
    root,
    bytes,
    text,
    texts: (directory, names) => Promise.all(names.map((name) => text(`${directory}/${name}`))),
    has: (path) =>
      access(join(root, path)).then(
        () => true,
        () => false,
      ),
    names: async (path) => (await readdir(join(root, path)).catch(() => [])).sort(byNumber),
    link: async (path) => {
      const target = await readlink(join(root, path)).catch(() => null);
      return target === null ? null : basename(target);
    },
  };
}

/** Without Intl, whose collators cost more than all the rest: numbers of equal stems come in their order. */
function byNumber(left: string, right: string): number {
  return left.length - right.length || (left < right ? -1 : 1);
}

/** `key: value` and `key=value` lines, the first of each key; quotes round a value are dropped. */
export function parseFields(text: string, separator: ":" | "="): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf(separator);
    if (at < 0) continue;
    const key = line.slice(0, at).trim();
    const value = line.slice(at + 1).trim();
    if (!fields.has(key)) fields.set(key, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return fields;
}

/** The whole number that a text begins with; null when it begins with none. */
export function parseWhole(text: string | undefined): number | null {
  const digits = /^\s*(\d{1,15})/.exec(text ?? "")?.[1];
  return digits === undefined ? null : Number(digits);
}
