/** The order entries are written in. */
import { abortable } from "../../bytes.ts";
import type { Entry } from "./entry.ts";

/**
 * The entries in the order they are written: as given, but the first crash dump (`.dmp`, `.mdmp`) comes first, because
 * a debugger that is handed the archive opens the first one it finds.
 */
export async function orderEntries(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  signal: AbortSignal | undefined,
): Promise<Entry[]> {
  const ordered: Entry[] = [];
  const iterator = iterate(entries);
  for (;;) {
    const step = await abortable(Promise.resolve(iterator.next()), signal);
    if (step.done === true) break;
    ordered.push(step.value);
  }
  const first = ordered.findIndex((entry) => /\.m?dmp$/i.test(entry.name));
  if (first > 0) ordered.unshift(...ordered.splice(first, 1));
  return ordered;
}

function iterate(entries: Iterable<Entry> | AsyncIterable<Entry>): Iterator<Entry> | AsyncIterator<Entry> {
  return Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator]();
}
