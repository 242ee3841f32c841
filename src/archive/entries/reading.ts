/**
 * Entries as an archive's writer takes them in, one after another: opened when their turn comes, read, closed, and
 * what became of each. Hides that opening one may fail, decline, or never answer, and that reading it may break off.
 */
import { abortable, Measure } from "../../bytes.ts";
import { messageOf } from "../../printable.ts";
import { type Body, openBody } from "./body.ts";
import { absentEntry, type Entry, type EntryBody, type EntryResult } from "./entry.ts";

/** Reads the entries of one archive. */
export class EntryReader {
  /** What became of the entries so far. */
  readonly results: EntryResult[] = [];
  readonly #signal: AbortSignal | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /**
   * Opens an entry and has `store` put what it gives into the archive. One after another.
   * @throws the signal's reason when it aborts; a body that is opened after that is closed again.
   */
  async add(entry: Entry, store: (reading: Reading) => Promise<EntryResult>): Promise<void> {
    const body = await this.#open(entry);
    if ("wanted" in body) {
      this.results.push(body);
      return;
    }
    try {
      this.results.push(await store(new Reading(entry, body, this.#signal)));
    } finally {
      await body.close();
    }
  }

  /** The entry's body, or the result of an entry that has none. */
  async #open(entry: Entry): Promise<Body | EntryResult> {
    const signal = this.#signal;
    const opening = (async () => entry.open(this.results))();
    try {
      const body = await abortable(opening, signal);
      return body === null ? absentEntry(entry, "left-out", "not wanted") : openBody(body, signal);
    } catch (error) {
      if (signal?.aborted !== true) return absentEntry(entry, "failed", messageOf(error));
      opening.then(closeUnread, () => undefined);
      throw error;
    }
  }
}

function closeUnread(body: EntryBody | null): void {
  if (body !== null) void openBody(body, undefined).close();
}

/** An opened entry of which as much is read as there is. */
export class Reading {
  /** Bytes there will be, as far as that is known: a file may still turn out shorter. */
  readonly expected: number | null;
  readonly #entry: Entry;
  readonly #body: Body;
  readonly #signal: AbortSignal | undefined;
  readonly #read: Measure;
  /** Why the end is missing. */
  #missing: string | null = null;
  /** Whether it is missing because the archive has no more room. */
  #isCrowdedOut = false;

  constructor(entry: Entry, body: Body, signal: AbortSignal | undefined) {
    this.expected = body.size;
    this.#entry = entry;
    this.#body = body;
    this.#signal = signal;
    this.#read = new Measure(body.size);
  }

  /** Bytes read so far. */
  get size(): number {
    return this.#read.size;
  }

  /** The bytes read into the front of `target`; none when there are no more, for whatever reason. */
  async next(target: Buffer): Promise<Buffer> {
    const count = target.length === 0 ? 0 : await this.#attempt(() => this.#body.read(target), 0);
    const bytes = target.subarray(0, count);
    if (count > 0) this.#read.add(bytes);
    return bytes;
  }

  /** Whether nothing is left that could be read. */
  async ended(): Promise<boolean> {
    return this.#missing !== null || this.#attempt(() => this.#body.ended(), true);
  }

  /** Leaves the rest unread, because there is no room for it. */
  crowdOut(reason: string): void {
    this.#missing = reason;
    this.#isCrowdedOut = true;
  }

  /** What became of it, but for its name in the archive; with a hash only if it is in there at all. Once. */
  finish(): EntryResult {
    const { size, sha256 } = this.#read.finish();
    if (this.#missing === null && this.expected !== null && size < this.expected) {
      this.#missing = `it shrank while it was read, from ${this.expected} bytes to ${size}`;
    }
    const reason = this.#missing;
    if (size === 0 && reason !== null)
      return absentEntry(this.#entry, this.#isCrowdedOut ? "left-out" : "failed", reason);
    const state = reason === null ? "stored" : "cut";
    return { name: null, wanted: this.#entry.name, size, sha256, state, reason, parts: [] };
  }

  /** What `operation` gives, or `broken` when it fails: then the end is missing for that reason. */
  async #attempt<T>(operation: () => T | Promise<T>, broken: T): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      this.#signal?.throwIfAborted();
      this.#missing = messageOf(error);
      return broken;
    }
  }
}
