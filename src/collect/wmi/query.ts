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
import { encodeObject, formatObject } from "./format.ts";
import { LINUX_READERS } from "./linux/readers.ts";
import { systemTree } from "./linux/tree.ts";

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

export type WmiHost = {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostName: string;
  /** The kernel's version, as `uname -r` says it. */
  readonly release: string;
  readonly now: Date;
  /** Where a Linux system's tree is, "/" in earnest. */
  readonly root: string;
};

/**
 * Answers a query. Never throws; at the latest after `timeoutMs`, or when the signal fires, it gives a reason.
 * @param limits of the whole query, and of the bytes of its text
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
  const options = { ...limits, env: host.env, maxBytes: limits.maxBytes * OUTPUT_ALLOWANCE };
  const answer = await askWindows(query, options);
  if (!answer.ok) return answer;
  const known = new Map(Object.keys(answer.objects[0] ?? {}).map((name) => [name.toLowerCase(), name]));
  const asked = query.properties === "*" ? [...known.keys()] : query.properties;
  const unknownProperties = known.size === 0 ? [] : asked.filter((name) => !known.has(name.toLowerCase()));
  const selected = asked.flatMap((name) => known.get(name.toLowerCase()) ?? []);
  const formatted = formatAnswer(
    answer.objects.map((object) => pick(object, selected)),
    limits.maxBytes,
  );
  return { ...formatted, cut: formatted.cut || answer.cut, unknownProperties };
}

async function answerFrom<Source>(
  readers: ClassReaders<Source>,
  source: Source,
  className: ClassName,
  query: WqlQuery,
  limits: Limits,
): Promise<WmiAnswer> {
  const known = new Map(CLASSES[className].map((name) => [name.toLowerCase(), name as string]));
  const strange = propertiesOf(query.where).filter((name) => !known.has(name.toLowerCase()));
  if (strange.length > 0)
    return failed(`${className} has no property ${quote(strange[0] ?? "")} here, and WHERE asks for it.`);
  const asked = query.properties === "*" ? [...known.keys()] : query.properties;
  const unknownProperties = asked.filter((name) => !known.has(name.toLowerCase()));
  const selected = asked.flatMap((name) => known.get(name.toLowerCase()) ?? []);
  if (selected.length === 0)
    return failed(`${className} has no property ${quote(unknownProperties[0] ?? "")} here.`);
  const objects: readonly CimObject[] = (await readers[className]?.(source)) ?? [];
  if (objects.length === 0) return failed(`This system tells nothing of ${className}.`);
  const found = objects.filter(predicateOf(query.where)).map((object) => pick(object, selected));
  return { ...formatAnswer(found, limits.maxBytes), unknownProperties };
}

function pick(object: CimObject, names: readonly string[]): CimObject {
  return Object.fromEntries(names.map((name) => [name, object[name] ?? null]));
}

/** As many objects as the limit allows, each whole. */
function formatAnswer(objects: readonly CimObject[], maxBytes: number) {
  const texts: string[] = [];
  let bytes = 0;
  for (const object of objects) {
    const text = formatObject(object);
    bytes += Buffer.byteLength(text);
    if (bytes > maxBytes) break;
    texts.push(text);
  }
  const kept = objects.slice(0, texts.length);
  return {
    ok: true as const,
    text: texts.join(""),
    json: kept.length === 0 ? "[]\n" : `[\n${kept.map(encodeObject).join(",\n")}\n]\n`,
    cut: kept.length < objects.length,
  };
}
