/**
 * The answer to a WQL query ([MS-CER2] 2.2.2, key WQL) on whatever system this is. Hides where the objects come from:
 * WMI on Windows, the system's own files and programs elsewhere. Everything is bounded in time and size, and what a
 * system cannot tell is left out and said to be.
 */

import { abortable } from "../../bytes.ts";
import { quote } from "../../printable.ts";
import type { Limits } from "../../system/run-program.ts";
import { type CimObject, predicateOf } from "../../wql/match.ts";
import { propertiesOf, type WqlQuery } from "../../wql/parse.ts";
import { wordOf } from "../files/open.ts";
import { CLASSES, type ClassName, type ClassReaders, classNamed, classNames } from "./cim/classes.ts";
import { encodeObject, formatObject } from "./cim/format.ts";
import { LINUX_READERS } from "./linux/readers.ts";
import { type LinuxSource, systemTree } from "./linux/tree.ts";

export type WmiAnswer =
  | {
      readonly ok: true;
      /** Like Windows' `key=value` list: an empty line before each object, CRLF. */
      readonly text: string;
      /** The same objects as a JSON array, one to a line; 64-bit integers are decimal strings. */
      readonly json: string;
      /** Further objects are left out, because the text would be over `maxBytes`. */
      readonly cut: boolean;
      /** Properties that the query selects and that are not known for the class on this system. */
      readonly unknownProperties: readonly string[];
    }
  | { readonly ok: false; readonly reason: string };

export type WmiHost = Pick<LinuxSource, "hostName" | "arch" | "release" | "now"> & {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a Linux system's tree is, "/" in earnest. */
  readonly root: string;
};

/**
 * Answers a query. Never throws; at the latest after `timeoutMs`, or when the signal fires, it gives a reason. `maxBytes`
 * bound the text.
 */
export async function queryWmi(query: WqlQuery, host: WmiHost, limits: Limits): Promise<WmiAnswer> {
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), limits.timeoutMs);
  const signal = AbortSignal.any([limits.signal, clock.signal]);
  try {
    // Not every source can be called off.
    return await abortable(answerOn(host, query, { ...limits, signal }), signal);
  } catch (thrown) {
    if (limits.signal.aborted) return failed("The query was interrupted.");
    if (clock.signal.aborted) return failed(`The query took more than ${limits.timeoutMs} ms.`);
    return failed(`The system could not be asked (${wordOf(thrown)}).`);
  } finally {
    clearTimeout(timer);
  }
}

function failed(reason: string): WmiAnswer {
  return { ok: false, reason };
}

async function answerOn(host: WmiHost, query: WqlQuery, limits: Limits): Promise<WmiAnswer> {
  if (host.platform === "win32") return answerOnWindows(host, query, limits);
  const className = classNamed(query.className);
  if (className === null)
    return failed(
      `The class ${quote(query.className)} is not known here; known are ${classNames().join(", ")}.`,
    );
  if (host.platform === "linux") {
    const source = { ...host, ...limits, tree: systemTree(host.root) };
    return answerFrom(LINUX_READERS, source, className, query, limits);
  }
  const { LIBRARY_READERS, loadLibrary } = await import("./library.ts");
  return answerFrom(LIBRARY_READERS, { ...host, library: await loadLibrary() }, className, query, limits);
}

/** How much longer a program's own output is than the text that is made of it. */
const OUTPUT_ALLOWANCE = 4;

async function answerOnWindows(host: WmiHost, query: WqlQuery, limits: Limits): Promise<WmiAnswer> {
  const { askWindows } = await import("./windows.ts");
  const maxBytes = limits.maxBytes * OUTPUT_ALLOWANCE;
  const answer = await askWindows(query, host.env, { ...limits, maxBytes });
  if (!answer.ok) return answer;
  const { selected, unknownProperties } = select(query, Object.keys(answer.objects[0] ?? {}));
  const formatted = formatAnswer(answer.objects, selected, limits);
  return { ...formatted, cut: formatted.cut || answer.cut, unknownProperties };
}

/** Of the properties a query asks for, those among `names`, as these are spelled, and the others; none if none is known. */
function select({ properties }: WqlQuery, names: readonly string[]) {
  const known = new Map(names.map((name) => [name.toLowerCase(), name]));
  const asked = properties === "*" ? names : properties;
  return {
    selected: asked.flatMap((name) => known.get(name.toLowerCase()) ?? []),
    unknownProperties: known.size === 0 ? [] : asked.filter((name) => !known.has(name.toLowerCase())),
  };
}

async function answerFrom<Source>(
  readers: ClassReaders<Source>,
  source: Source,
  className: ClassName,
  query: WqlQuery,
  limits: Limits,
): Promise<WmiAnswer> {
  const known = CLASSES[className];
  const [strange] = select({ ...query, properties: propertiesOf(query.where) }, known).unknownProperties;
  if (strange !== undefined)
    return failed(`${className} has no property ${quote(strange)} here, and WHERE asks for it.`);
  const { selected, unknownProperties } = select(query, known);
  if (selected.length === 0)
    return failed(`${className} has no property ${quote(unknownProperties[0] ?? "")} here.`);
  const objects: readonly CimObject[] = (await readers[className]?.(source)) ?? [];
  if (objects.length === 0) return failed(`This system tells nothing of ${className}.`);
  const found = objects.filter(predicateOf(query.where));
  return { ...formatAnswer(found, selected, limits), unknownProperties };
}

/** As many objects as the limit allows, each whole. */
function formatAnswer(objects: readonly CimObject[], names: readonly string[], { maxBytes }: Limits) {
  const kept: CimObject[] = [];
  let text = "";
  let bytes = 0;
  for (const object of objects) {
    const picked = Object.fromEntries(names.map((name) => [name, object[name] ?? null]));
    const formatted = formatObject(picked);
    bytes += Buffer.byteLength(formatted);
    if (bytes > maxBytes) break;
    text += formatted;
    kept.push(picked);
  }
  const json = kept.length === 0 ? "[]\n" : `[\n${kept.map(encodeObject).join(",\n")}\n]\n`;
  return { ok: true as const, text, json, cut: kept.length < objects.length };
}
