/**
 * The items of RegKey and RegTree ([MS-CER2] 2.2.2), as .reg files that `reg import` takes. Hides reg.exe, which is
 * asked without a shell, within limits of time, size and depth, in both views of a 64-bit registry.
 */

import { randomUUID } from "node:crypto";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { formatRegistryPath, type RegistryPath, splitLastName } from "../../consent/registry-path.ts";
import { quote } from "../../printable.ts";
import { type Limits, runProgram, windowsProgram } from "../../system/run-program.ts";
import { wordOf } from "../files/open.ts";
import { encodeRegistryFile, parseRegistryText, type RegistrySection } from "./reg-file.ts";

/** The limits are for one item: the time for both views of it, the bytes for each .reg file. */
export type RegistryOptions = Limits & {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a private directory may be made for reg.exe's output. */
  readonly tmpDir: string;
  /** Keys below the item's own that RegTree goes down. */
  readonly maxDepth: number;
  /** Whether a key, by its full name, may be collected: of a tree the others are left out. */
  readonly isOpen: (key: string) => boolean;
};

export type CollectedRegistry =
  | {
      readonly ok: true;
      /** One file, or two where the 32-bit view of the registry holds something else. */
      readonly files: readonly Buffer[];
      /** Something is left out because of a limit; `note` says which. */
      readonly cut: boolean;
      readonly note: string | null;
    }
  | { readonly ok: false; readonly state: "missing" | "failed" | "declined"; readonly reason: string };

/**
 * Collects one item. RegKey takes the key's own values, or the one value that the item names; RegTree the key and all
 * below it. Never throws.
 */
export async function collectRegistry(
  path: RegistryPath,
  kind: "RegKey" | "RegTree",
  options: RegistryOptions,
): Promise<CollectedRegistry> {
  if (options.platform !== "win32")
    return { ok: false, state: "declined", reason: "There is no registry on this system." };
  try {
    return await collectPath(path, kind, options);
  } catch (thrown) {
    return failed(`The registry could not be asked (${wordOf(thrown)}).`);
  }
}

async function collectPath(path: RegistryPath, kind: "RegKey" | "RegTree", options: RegistryOptions) {
  const until = performance.now() + options.timeoutMs;
  const directory = await mkdtemp(join(options.tmpDir, "cer-registry-"));
  try {
    return await collectViews(path, kind, { ...options, directory, until });
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

type Collecting = RegistryOptions & {
  readonly directory: string;
  /** When the item's time is over, on the clock of `performance.now`. */
  readonly until: number;
};

type Refusal = CollectedRegistry & { ok: false };

function failed(reason: string): Refusal {
  return { ok: false, state: "failed", reason };
}

/** The registry of a 64-bit Windows has two faces; a 32-bit Windows has one, which needs no name. */
type View = "64" | "32" | null;

async function collectViews(
  path: RegistryPath,
  kind: "RegKey" | "RegTree",
  options: Collecting,
): Promise<CollectedRegistry> {
  const first = await collectView(path, kind, is64Bit(options.env) ? "64" : null, options);
  if (!is64Bit(options.env) || !isRedirected(path)) return first.ok ? joined([first]) : first;
  const second = await collectView(path, kind, "32", options);
  if (!first.ok) return second.ok ? joined([second]) : first;
  return joined(second.ok && second.content !== first.content ? [first, second] : [first]);
}

function is64Bit(env: RegistryOptions["env"]): boolean {
  const architectures = [env.PROCESSOR_ARCHITECTURE, env.PROCESSOR_ARCHITEW6432];
  return architectures.some((architecture) => architecture?.endsWith("64") === true);
}

/** Whether 32-bit programs see something else there, as Windows documents it. */
function isRedirected({ root, key }: RegistryPath): boolean {
  if (root === "HKEY_CLASSES_ROOT" || root === "HKEY_USERS") return true;
  const isIn = (tree: string) => `${key}\\`.toUpperCase().startsWith(`${tree}\\`) || key === "";
  return isIn(root === "HKEY_CURRENT_USER" ? "SOFTWARE\\CLASSES" : "SOFTWARE");
}

type CollectedView = {
  readonly ok: true;
  readonly file: Buffer;
  /** What the sections hold, to compare the views by. */
  readonly content: string;
  readonly notes: readonly string[];
};

function joined(views: readonly CollectedView[]): CollectedRegistry {
  const notes = [...new Set(views.flatMap((view) => view.notes))];
  const note = notes.length === 0 ? null : notes.join(" ");
  return { ok: true, files: views.map((view) => view.file), cut: note !== null, note };
}

async function collectView(
  path: RegistryPath,
  kind: "RegKey" | "RegTree",
  view: View,
  options: Collecting,
): Promise<CollectedView | Refusal> {
  const exported = await exportKey(path, view, options);
  const found = kind === "RegTree" ? exported : await ownValues(exported, path, view, options);
  if (!found.ok) return found;
  const near = kind === "RegKey" ? found.sections : withinDepth(found.sections, options.maxDepth);
  const sections = near.filter(({ key }) => options.isOpen(key));
  const comment =
    view === "32" ? "The 32-bit view of the registry: to import it, say reg import FILE /reg:32" : "";
  const { body, isCut } = encodeRegistryFile(sections, comment, options);
  const isShort = kind === "RegTree" && near.length < found.sections.length;
  return {
    ok: true,
    file: body,
    content: JSON.stringify(sections),
    notes: [
      ...(isShort ? [`Keys more than ${options.maxDepth} below the item's own are left out.`] : []),
      ...(sections.length < near.length ? ["Keys that are denied on this machine are left out."] : []),
      ...(isCut || found.stopped === "size"
        ? [`What goes beyond ${options.maxBytes} bytes is left out.`]
        : []),
      ...(found.stopped === "time" ? [`reg.exe was stopped after ${options.timeoutMs} ms.`] : []),
    ],
  };
}

function withinDepth(sections: readonly RegistrySection[], maxDepth: number): RegistrySection[] {
  const depthOf = ({ key }: RegistrySection) => key.split("\\").length;
  const own = sections[0] === undefined ? 0 : depthOf(sections[0]);
  return sections.filter((section) => depthOf(section) - own <= maxDepth);
}

type Exported = {
  readonly ok: true;
  readonly sections: readonly RegistrySection[];
  /** Which limit ended reg.exe; null when it came to its own end. */
  readonly stopped: "size" | "time" | null;
};

/** The key's own values; where there is no such key, the value that the path ends in, as its key's only one. */
async function ownValues(
  asKey: Exported | Refusal,
  path: RegistryPath,
  view: View,
  options: Collecting,
): Promise<Exported | Refusal> {
  if (asKey.ok) return firstSection(asKey);
  const split = splitLastName(path);
  if (asKey.state !== "missing" || split === null) return asKey;
  const parent = await exportKey(split.parent, view, options);
  if (!parent.ok) return parent;
  const { sections, stopped } = firstSection(parent);
  const wanted = split.name.toLowerCase();
  const found = sections.map(({ key, values }) => ({
    key,
    values: values.filter(({ name }) => name.toLowerCase() === wanted),
  }));
  if (found.some(({ values }) => values.length > 0)) return { ok: true, sections: found, stopped: null };
  return stopped === null ? asKey : failed("The value was not found in as much of its key as could be read.");
}

/** The key's own section, which the export begins with: it is whole once another one follows. */
function firstSection({ sections, stopped }: Exported): Exported {
  return { ok: true, sections: sections.slice(0, 1), stopped: sections.length > 1 ? null : stopped };
}

/** How often the size of the growing export is looked at. */
const WATCH_MS = 50;

/** The key and all below it, up to the limits: `reg export` knows no smaller portion. */
async function exportKey(path: RegistryPath, view: View, options: Collecting): Promise<Exported | Refusal> {
  const file = join(options.directory, `${randomUUID()}.reg`);
  const tooLarge = new AbortController();
  const watch = setInterval(async () => {
    if ((await sizeOf(file)) > options.maxBytes) tooLarge.abort();
  }, WATCH_MS);
  const args = ["export", formatRegistryPath(path), file, "/y", ...(view === null ? [] : [`/reg:${view}`])];
  const signal = AbortSignal.any([options.signal, tooLarge.signal]);
  const { end, exitCode, stderr } = await runReg(args, options, signal).finally(() => clearInterval(watch));
  if (options.signal.aborted) return failed("The collection was interrupted.");
  if (end === "not started") return failed("reg.exe could not be started.");
  if (end === "exited" && exitCode !== 0) return refusalOf(stderr, options);
  const isLarge = (await sizeOf(file)) > options.maxBytes;
  const stopped = isLarge ? "size" : end === "exited" ? null : "time";
  const sections = parseRegistryText(await readStart(file, options.maxBytes), stopped === null);
  return sections.length === 0
    ? failed(`reg.exe gave nothing within ${options.timeoutMs} ms.`)
    : { ok: true, sections, stopped };
}

function runReg(args: readonly string[], { env, until }: Collecting, signal: AbortSignal) {
  const timeoutMs = Math.max(1, until - performance.now());
  return runProgram(windowsProgram(env, "reg.exe"), args, { timeoutMs, maxBytes: 65_536, signal });
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

async function readStart(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, "r").catch(() => null);
  if (file === null) return Buffer.alloc(0);
  try {
    const buffer = Buffer.alloc(Math.min((await file.stat()).size, maxBytes - (maxBytes % 2)));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/**
 * Why reg.exe said no. Its exit code is 1 for everything and its words are in the system's language, so they are
 * compared with what it says of a key that is certainly not there.
 */
async function refusalOf(words: Buffer, options: Collecting): Promise<Refusal> {
  const args = ["export", `HKCU\\Software\\${randomUUID()}`, join(options.directory, "none.reg"), "/y"];
  const { stderr } = await runReg(args, options, options.signal);
  if (words.equals(stderr)) return { ok: false, state: "missing", reason: "There is no such key or value." };
  return failed(`reg.exe refused: ${quote(words.toString("latin1").trim())}.`);
}
