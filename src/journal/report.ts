/**
 * One report, and what survives between the attempts to deliver it. A store begins where the attempts before left it:
 * an answer once kept is never asked for again, an archive once kept is sent byte for byte as it was.
 */

import type { Destination } from "../config/destination.ts";
import type { Terms } from "../config/terms.ts";
import type { Event } from "../event.ts";
import type { Answer, Attempt } from "./entry/documents.ts";
import type { ReportArchive } from "./entry/kept-archive.ts";

export type Report = {
  readonly event: Event;
  /** The exact bytes of the level 1 report. */
  readonly level1: Buffer;
  readonly destination: Destination;
  /** What its user agreed to. */
  readonly terms: Terms;
  /** It was made on another machine: nothing of this one belongs to it. */
  readonly imported: boolean;
  /** Where the bytes of the attached files lie, in the event's order. */
  readonly stored: readonly string[];
  /** For each of them, why those bytes are not to be sent: a clause; null when they may be. All may when left out. */
  readonly damaged?: readonly (string | null)[];
};

/** An archive in a temporary file, until it is disposed of. */
export type BuiltArchive = ReportArchive & {
  readonly manifest: Buffer;
  dispose(): Promise<void>;
};

/** How an attempt ended. */
export type AttemptResult = Pick<Attempt, "status" | "errorCode" | "peer">;

/** What survives between the attempts. When a promise resolves, what was given is as durable as the store is. */
export type ReportStore = {
  /** The level 1 reply, as it came. */
  readonly answer: Answer | null;
  readonly archive: ReportArchive | null;
  keepAnswer(answer: Answer): Promise<void>;
  /**
   * Takes the archive over, also when this fails: it is disposed of with the store. Afterwards `archive` has the same
   * bytes, for as long as the store.
   */
  keepArchive(archive: BuiltArchive): Promise<void>;
  /** To be called before the first byte leaves. */
  beginAttempt(level: 1 | 2): Promise<void>;
  /** How the attempt begun last has ended. */
  endAttempt(result: AttemptResult): Promise<void>;
};

/** A store that outlives nothing, for a report that no journal can keep. */
export class MemoryStore implements ReportStore {
  answer: Answer | null = null;
  archive: ReportArchive | null = null;
  readonly #built: BuiltArchive[] = [];

  async keepAnswer(answer: Answer): Promise<void> {
    this.answer = answer;
  }

  async keepArchive(archive: BuiltArchive): Promise<void> {
    this.#built.push(archive);
    this.archive = archive;
  }

  async beginAttempt(_level: 1 | 2): Promise<void> {}

  async endAttempt(_result: AttemptResult): Promise<void> {}

  /** Disposes of all archives that it took over. */
  async dispose(): Promise<void> {
    for (const archive of this.#built) await archive.dispose();
  }
}
