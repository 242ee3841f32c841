/** Words of a command line: the checks that options share. */

import { CerError } from "../errors.ts";

/** @throws CerError CER_USAGE naming the option, what was typed, and what it takes */
export function refuse(option: string, word: string, takes: string): never {
  throw new CerError("CER_USAGE", `${option} is "${word}".`, { hint: `It takes ${takes}.` });
}

/** One of the words, exactly as written. */
export function choiceOf<T extends string>(option: string, words: readonly T[]): (word: string) => T {
  return (word) =>
    words.find((known) => known === word) ?? refuse(option, word, `one of ${words.join(", ")}`);
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The object without the keys whose value is undefined. */
export function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Present<T>;
}
