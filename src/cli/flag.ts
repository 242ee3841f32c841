/** A flag as a value: how it is typed, what the help says of it, and what it is read as. */

import type { Command as Parser } from "commander";
import { CerError } from "../errors.ts";

/** What a word behind a flag means. `where` is how a message calls the flag. */
type Parse<T> = (word: string, where: string) => T;

type Flag<T> = {
  /** `-q, --quiet`, `--port <number>` or `--no-color`. */
  readonly typed: string;
  readonly about: string;
  /** Undefined: the word itself, or whether the flag was typed. */
  readonly parse?: Parse<unknown> | undefined;
  readonly isRepeatable?: boolean;
  /** What it is when it is not typed; the help names it where it is a text. */
  readonly otherwise: T;
};

type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What flags read as. */
type Values<F extends Flags> = { readonly [K in keyof F]: F[K]["otherwise"] };

/** A flag with a word behind it, which without `parse` is its value. */
export function word(typed: string, about: string): Flag<string | null>;
export function word<T>(typed: string, about: string, parse: Parse<T>): Flag<T | null>;
export function word<T>(typed: string, about: string, parse: Parse<T>, otherwise: T): Flag<T>;
export function word<T>(typed: string, about: string, parse?: Parse<T>, otherwise: T | null = null) {
  return { typed, about, parse, otherwise };
}

/** A flag with a word behind it that may be typed again and again. */
export function words<T = string>(typed: string, about: string, parse?: Parse<T>): Flag<readonly T[]> {
  return { typed, about, parse, isRepeatable: true, otherwise: [] };
}

/** A flag alone: true when it is typed, and false for `--no-…`. */
export function toggle(typed: string, about: string): Flag<boolean>;
export function toggle(typed: string, about: string, otherwise: null): Flag<boolean | null>;
export function toggle(typed: string, about: string, otherwise: boolean | null = typed.startsWith("--no-")) {
  return { typed, about, otherwise };
}

/**
 * Adds flags to a command. The result reads them once the command line is parsed.
 * @param heading theirs in the help; null goes on under the one before, the general one at first
 */
export function addFlags<F extends Flags>(
  command: Parser,
  heading: string | null,
  flags: F,
): () => Values<F> {
  if (heading !== null) command.optionsGroup(heading);
  const readers = Object.entries(flags).map(([key, { typed, about, parse, isRepeatable, otherwise }]) => {
    const option = command.createOption(typed, about);
    const name = option.attributeName();
    const read = (word: string) => (parse === undefined ? word : parse(word, option.long ?? typed));
    if (isRepeatable) option.argParser((word, before?: unknown[]) => [...(before ?? []), read(word)]);
    else if (parse !== undefined) option.argParser(read);
    if (typeof otherwise === "string") option.default(otherwise);
    command.addOption(option);
    const isTyped = () => command.getOptionValueSource(name) === "cli";
    return () => [key, isTyped() ? command.getOptionValue(name) : otherwise] as const;
  });
  return () => Object.fromEntries(readers.map((read) => read())) as Values<F>;
}

/** One of the words, exactly as written. */
export function choice<const T extends string>(known: readonly T[]): Parse<T> {
  return (word, where) =>
    known.find((one) => one === word) ?? refuse(where, word, `one of ${known.join(", ")}`);
}

/** @throws CerError CER_USAGE naming the flag, what was typed, and what it takes */
export function refuse(where: string, word: string, takes: string): never {
  throw new CerError("CER_USAGE", `${where} is "${word}".`, { hint: `It takes ${takes}.` });
}
