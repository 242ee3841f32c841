/**
 * The order entries are written in, and how they are opened when their turn comes. Hides that opening one may fail,
 * decline, or never answer.
 */
import { abortable } from "../../bytes.ts";
import { type Body, openBody } from "./body.ts";
import { absentEntry, type Entry, type EntryBody, type EntryResult } from "./entry.ts";

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

/**
 * The entry's body, or the result of an entry that has none.
 * @throws the signal's reason when it aborts; a body that is opened after that is closed again.
 */
export async function openEntry(
  entry: Entry,
  before: readonly EntryResult[],
  signal: AbortSignal | undefined,
): Promise<Body | EntryResult> {
  const opening = (async () => entry.open(before))();
  try {
    const body = await abortable(opening, signal);
    return body === null ? absentEntry(entry, "left-out", "not wanted") : openBody(body, signal);
  } catch (error) {
    if (signal?.aborted !== true) return absentEntry(entry, "failed", messageOf(error));
    opening.then(closeUnread, () => undefined);
    throw error;
  }
}

function closeUnread(body: EntryBody | null): void {
  if (body !== null) void openBody(body, undefined).close();
}

/** What an error of any kind says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
