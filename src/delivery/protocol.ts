/**
 * The conversation: level 1 POST, answer, archive, level 2 PUT ([MS-CER2] 3.1.5, 4.4). The only module that knows the
 * order. It goes on from wherever its dossier stands: an answer once kept is never asked for again, an archive once kept
 * is sent byte for byte as it was.
 */

import type { Destination } from "../config/destination.ts";
import { asCerError, CerError, type CerErrorCode } from "../errors.ts";
import type { Event } from "../event.ts";
import { parseDumpPath } from "../wire/dump-path.ts";
import {
  type Body,
  formatUrl,
  type Peer,
  type Reply,
  type Request,
  type Send,
  type SendOptions,
} from "../wire/exchange.ts";
import type { Level1Response } from "../wire/response.ts";
import {
  type ArchivedFile,
  type Declined,
  describeError,
  NOTHING_EXCHANGED,
  type Outcome,
} from "./outcome.ts";
import { judgeLevel1, judgeLevel2, parseAnswer } from "./reply.ts";

/** The level 1 reply, as it came. */
export type Answer = { readonly status: number; readonly body: Buffer; readonly receivedAt: number };

export type PackedArchive = Body & {
  readonly sha256: string;
  readonly files: readonly ArchivedFile[];
  /** What was asked for or attached and is not in it. */
  readonly declined: readonly Declined[];
  readonly warnings: readonly string[];
  readonly mediaType: string;
  /** Secrets cut out of what is in it. */
  readonly redacted: number;
};

/** One report and what survives between tries. */
export type Dossier = {
  readonly id: string;
  readonly event: Event;
  /** The exact bytes of the level 1 report. */
  readonly level1: Body;
  readonly answer: Answer | null;
  readonly archive: PackedArchive | null;
  /** Durable before it resolves. */
  keepAnswer(answer: Answer): Promise<void>;
  /** Durable before it resolves, to an archive with the same bytes that can be opened for as long as the dossier. */
  keepArchive(archive: PackedArchive): Promise<PackedArchive>;
};

/** What became of a pack: the archive, or nothing to send and why. */
export type Packed =
  | { readonly archive: PackedArchive; readonly manifest: Buffer; dispose(): Promise<void> }
  | { readonly archive: null; readonly declined: readonly Declined[]; readonly warnings: readonly string[] };

export type Conversation = {
  readonly destination: Destination;
  readonly send: Send;
  readonly now: () => number;
  readonly userAgent: string;
  readonly signal: AbortSignal;
  /** Collects what the answer asks for, as far as the policy goes, and makes the archive; stops with the signal. */
  pack(response: Level1Response, signal: AbortSignal): Promise<Packed>;
  /** A step begins; for people who watch. */
  onStep?(step: string): void;
  onUpload?(sent: number, size: number): void;
  /** An exchange begins, and how it ended; each resolves before the conversation goes on. */
  beginExchange?(level: 1 | 2): Promise<void>;
  endExchange?(exchange: Exchange): Promise<void>;
};

/** How an exchange ended: with a reply, or without. */
export type Exchange = {
  readonly status: number | null;
  /** Why it failed: there was no reply, or one that says no. */
  readonly errorCode: string | null;
  readonly peer: Peer | null;
  /** The reply's Retry-After and Date, as they came. */
  readonly retryAfter: string | null;
  readonly date: string | null;
};

/** Carries the conversation as far as it goes. Never throws for what a server or the network did. */
export async function converse(dossier: Dossier, conversation: Conversation): Promise<Outcome> {
  const talk = new Talk(dossier, conversation);
  try {
    await talk.run();
  } catch (thrown) {
    talk.fail(asCerError(thrown));
  }
  return talk.outcome;
}

const REFUSALS: ReadonlySet<CerErrorCode> = new Set([
  "CER_REDIRECT",
  "CER_AUTH",
  "CER_STATUS",
  "CER_NOT_CER",
  "CER_DUMP_PATH",
]);

/** One conversation's state: the outcome as far as it is known. */
class Talk {
  outcome: Outcome = {
    outcome: "failed",
    ...NOTHING_EXCHANGED,
  };
  readonly #dossier: Dossier;
  readonly #conversation: Conversation;
  readonly #level1Url: string;

  constructor(dossier: Dossier, conversation: Conversation) {
    this.#dossier = dossier;
    this.#conversation = conversation;
    const { origin, path } = conversation.destination;
    this.#level1Url = formatUrl(origin, path);
  }

  async run(): Promise<void> {
    const response = await this.#askLevel1();
    if (!response.iData) return this.#set({ outcome: "reported" });
    const { origin } = this.#conversation.destination;
    if (response.dumpFile === null)
      throw new CerError(
        "CER_DUMP_PATH",
        "The server asks for data (iData=1) but names no DumpFile to put it to.",
        {
          hint: "Nothing was uploaded. The server's administrator has to correct its answer.",
        },
      );
    const path = parseDumpPath(response.dumpFile);
    const packed = await this.#pack(response);
    if (packed === null) return this.#set({ outcome: "reported" });
    const { archive } = packed;
    try {
      this.#set({
        level2: {
          url: formatUrl(origin, path),
          status: null,
          archive: {
            name: path.slice(path.lastIndexOf("/") + 1),
            bytes: archive.size,
            sha256: archive.sha256,
            files: archive.files,
          },
        },
      });
      await this.#upload(archive, path);
    } finally {
      await packed.dispose();
    }
  }

  fail(error: CerError): void {
    this.#set({ outcome: REFUSALS.has(error.code) ? "refused" : "failed", error: describeError(error) });
  }

  #set(part: Partial<Outcome>): void {
    this.outcome = { ...this.outcome, ...part };
  }

  async #askLevel1(): Promise<Level1Response> {
    const { answer, level1 } = this.#dossier;
    const url = this.#level1Url;
    const parsed = answer === null ? await this.#postLevel1(url) : parseAnswer(answer.body, url, false);
    if (answer !== null) this.#set({ level1: { url, status: answer.status, bytes: level1.size } });
    const { response, warnings } = parsed;
    const { bucket, bucketTable, responseUrl } = response;
    this.#set({ bucket, bucketTable, responseUrl, warnings: [...this.outcome.warnings, ...warnings] });
    return response;
  }

  async #postLevel1(url: string) {
    const { level1 } = this.#dossier;
    const { destination, now } = this.#conversation;
    this.#conversation.onStep?.(`POST ${url}`);
    const request: Request = {
      method: "POST",
      origin: destination.origin,
      path: destination.path,
      headers: this.#headers("text/xml; charset=utf-16"),
      body: level1,
    };
    return this.#exchange(1, request, {}, async (reply) => {
      this.#set({ level1: { url, status: reply.status, bytes: level1.size } });
      const parsed = judgeLevel1(reply, url);
      await this.#dossier.keepAnswer({ status: reply.status, body: reply.body, receivedAt: now() });
      return parsed;
    });
  }

  /** The archive to send: the one kept from an earlier try, or a fresh one; null when there is nothing to send. */
  async #pack(
    response: Level1Response,
  ): Promise<{ archive: PackedArchive; dispose(): Promise<void> } | null> {
    const kept = this.#dossier.archive;
    if (kept !== null) {
      this.#note(kept);
      return { archive: kept, dispose: async () => {} };
    }
    this.#conversation.onStep?.("collecting");
    const packed = await this.#conversation.pack(response, this.#conversation.signal);
    if (packed.archive === null) {
      this.#note(packed);
      return null;
    }
    this.#note(packed.archive);
    try {
      return { archive: await this.#dossier.keepArchive(packed.archive), dispose: () => packed.dispose() };
    } catch (thrown) {
      await packed.dispose();
      throw thrown;
    }
  }

  #note(about: { declined: readonly Declined[]; warnings: readonly string[] }): void {
    this.#set({ declined: about.declined, warnings: [...this.outcome.warnings, ...about.warnings] });
  }

  async #upload(archive: PackedArchive, path: string): Promise<void> {
    const { destination, onUpload, onStep } = this.#conversation;
    const url = formatUrl(destination.origin, path);
    onStep?.(`PUT ${url}`);
    const request: Request = {
      method: "PUT",
      origin: destination.origin,
      path,
      headers: this.#headers(archive.mediaType),
      body: archive,
    };
    const onProgress = (sent: number) => onUpload?.(sent, archive.size);
    await this.#exchange(2, request, { onProgress }, async (reply) => {
      const { level2 } = this.outcome;
      if (level2 !== null) this.#set({ level2: { ...level2, status: reply.status } });
      judgeLevel2(reply, url);
    });
    this.#set({ outcome: "uploaded" });
  }

  #headers(mediaType: string): Record<string, string> {
    return { "user-agent": this.#conversation.userAgent, "content-type": mediaType };
  }

  /** `take` has the reply, and what has to outlive this process is kept, before anything else is written down. */
  async #exchange<T>(
    level: 1 | 2,
    request: Request,
    options: SendOptions,
    take: (reply: Reply) => Promise<T>,
  ): Promise<T> {
    const { send, signal, beginExchange, endExchange } = this.#conversation;
    await beginExchange?.(level);
    let seen: Omit<Exchange, "errorCode"> = { status: null, peer: null, retryAfter: null, date: null };
    let taken: T;
    try {
      const reply = await send(request, { ...options, signal });
      const { status, peer, headers } = reply;
      seen = { status, peer, retryAfter: headers["retry-after"] ?? null, date: headers["date"] ?? null };
      taken = await take(reply);
    } catch (thrown) {
      await endExchange?.({ ...seen, errorCode: asCerError(thrown).code });
      throw thrown;
    }
    await endExchange?.({ ...seen, errorCode: null });
    return taken;
  }
}

/** A dossier that outlives nothing: for a report that is kept nowhere. */
export function passingDossier(event: Event, level1: Buffer): Dossier {
  async function* open(): AsyncGenerator<Buffer> {
    yield level1;
  }
  return rememberingDossier({
    id: "",
    event,
    level1: { size: level1.length, open },
    answer: null,
    archive: null,
    keepAnswer: async () => {},
    keepArchive: async (archive) => archive,
  });
}

/** The dossier, that knows what it was given to keep: a try goes on where the one before it in this run ended. */
export function rememberingDossier(dossier: Dossier): Dossier {
  let { answer, archive } = dossier;
  return {
    ...dossier,
    get answer() {
      return answer;
    },
    get archive() {
      return archive;
    },
    keepAnswer: async (given) => {
      answer = given;
      await dossier.keepAnswer(given);
    },
    keepArchive: async (given) => {
      archive = await dossier.keepArchive(given);
      return archive;
    },
  };
}
