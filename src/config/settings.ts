/**
 * The settings: what a configuration file may hold, what flags and the environment may set, and which source wins.
 * Each value knows where it came from, so that a message can say whom to ask.
 */

import * as v from "valibot";
import { CerError } from "../errors.ts";

/** A configuration file. Sizes are bytes, or text such as "64 MiB"; hours and reports per hour take 0 for no bound. */
export const ConfigSchema = v.strictObject({
  $schema: v.exactOptional(v.string()),
  server: v.exactOptional(v.string()),
  port: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
  https: v.exactOptional(v.boolean()),
  path: v.exactOptional(v.string()),
  /** A level of consent, as it was written. */
  consent: v.exactOptional(v.string()),
  level2: v.exactOptional(v.boolean()),
  /** Patterns by kind, as they were written. */
  allow: v.exactOptional(v.looseObject({})),
  deny: v.exactOptional(v.looseObject({})),
  maxFileSize: v.exactOptional(v.union([v.number(), v.string()])),
  maxTotalSize: v.exactOptional(v.union([v.number(), v.string()])),
  redact: v.exactOptional(v.boolean()),
  anonymize: v.exactOptional(v.boolean()),
  /** The journal's directory. */
  journal: v.exactOptional(v.string()),
  /** Quick attempts after the first. */
  retries: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(10))),
  /** Hours in which the same event is not sent again. */
  duplicateHours: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
  /** Reports of one signature in an hour. */
  reportsPerHour: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});

/** What one source says, sizes in bytes; absent is what it leaves to the next. */
export type Settings = Readonly<
  Omit<v.InferOutput<typeof ConfigSchema>, "$schema" | "maxFileSize" | "maxTotalSize">
> & { readonly maxFileSize?: number; readonly maxTotalSize?: number };

/** The settings that say where reports go. */
export const TARGET_KEYS = ["server", "port", "https", "path"] as const;
export type TargetKey = (typeof TARGET_KEYS)[number];

/** One source of settings, the strongest first in a list. */
export type Source = {
  /** How a message calls it. */
  readonly name: string;
  readonly settings: Settings;
  /** What it says of the server that makes no sense: no weaker source is to decide in its place. */
  readonly bad?: Readonly<Partial<Record<TargetKey, CerError>>>;
  /** It may forbid what cannot be known: nothing but the report itself is agreed to. */
  readonly forbidsUnknown?: true;
};

/** What the strongest source that has the setting says. */
export function strongestSetting<K extends keyof Settings>(sources: readonly Source[], key: K) {
  return sources.find(({ settings }) => settings[key] !== undefined)?.settings[key];
}

/** A port from text. `where` is how a message calls the place. @throws CerError CER_BAD_SERVER */
export function parsePort(word: string, where: string): number {
  const port = /^[0-9]{1,5}$/.test(word) ? Number(word) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new CerError("CER_BAD_SERVER", `${where} is "${word}".`, {
    hint: "A port is a number from 1 to 65535.",
  });
}
