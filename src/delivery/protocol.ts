/**
 * The protocol: level 1 POST, answer, archive, level 2 PUT ([MS-CER2] 3.1.5, 4.4). The only module that knows the order.
 * It goes on from wherever the report's store stands.
 */

import { asCerError, CerError, type CerErrorCode } from "../errors.ts";
import type { Declined } from "../journal/entry/documents.ts";
import type { ReportArchive } from "../journal/entry/kept-archive.ts";
import type { BuiltArchive, Report, ReportStore } from "../journal/report.ts";
import { parseDumpPath } from "../wire/dump-path.ts";
import { formatUrl, type Reply, type Request, type Send, type SendOptions } from "../wire/exchange.ts";
import { type Level1Response, type ParsedResponse, parseResponse } from "../wire/response.ts";
import { describeError, NOTHING_EXCHANGED, type Outcome } from "./outcome.ts";
import { judgeLevel1, judgeLevel2 } from "./reply.ts";
import type { Failure } from "./retry.ts";

/** What became of level 2's data: an archive, or nothing to send and why. */
export type Built =
  | { readonly archive: BuiltArchive }
  | { readonly archive: null; readonly declined: readonly Declined[]; readonly warnings: readonly string[] };

export type ProtocolOptions = {
  readonly send: Send;
  /** Collects what the answer asks for, as far as the terms go, and makes the archive; stops with the signal, too. */
  buildArchive(response: Level1Response): Promise<Built>;
  now(): number;
  readonly userAgent: string;
  readonly signal: AbortSignal;
  /** A step begins; for people who watch. */
  onStep?(step: string): void;
  onUpload?(sent: number, size: number): void;
};

/** `failure` is null when nothing is left to do. */
export type ProtocolResult = { readonly outcome: Outcome; readonly failure: Failure | null };

/** Carries the protocol as far as it goes. Never throws for what a server or the network did. */
export async function runProtocol(
  report: Report,
  store: ReportStore,
  options: ProtocolOptions,
): Promise<ProtocolResult> {
  const run = new ProtocolRun(report, store, options);
  try {
    await run.deliver();
    return { outcome: run.outcome, failure: null };
  } catch (thrown) {
    return run.fail(asCerError(thrown));
  }
}

const REFUSALS: ReadonlySet<CerErrorCode> = new Set([
  "CER_REDIRECT",
  "CER_AUTH",
  "CER_STATUS",
  "CER_NOT_CER",
  "CER_DUMP_PATH",
]);

/** One run's state: the outcome as far as it is known. */
class ProtocolRun {
  outcome: Outcome = { outcome: "failed", ...NOTHING_EXCHANGED };
  readonly #report: Report;
  readonly #store: ReportStore;
  readonly #options: ProtocolOptions;
  /** What a later attempt needs to know of the last reply. */
  #lastReply: Omit<Failure, "code"> = { status: null, retryAfter: null, date: null };

  constructor(report: Report, store: ReportStore, options: ProtocolOptions) {
    this.#report = report;
    this.#store = store;
    this.#options = options;
  }

  async deliver(): Promise<void> {
    const response = await this.#deliverLevel1();
    if (!response.iData) return this.#set({ outcome: "reported" });
    if (response.dumpFile === null)
      throw new CerError(
        "CER_DUMP_PATH",
        "The server asks for data (iData=1) but names no DumpFile to put it to.",
        { hint: "Nothing was uploaded. The server's administrator has to correct its answer." },
      );
    const path = parseDumpPath(response.dumpFile);
    const archive = await this.#archiveFor(response);
    if (archive === null) return this.#set({ outcome: "reported" });
    await this.#deliverLevel2(archive, path);
    this.#set({ outcome: "uploaded" });
  }

  fail(error: CerError): ProtocolResult {
    this.#set({ outcome: REFUSALS.has(error.code) ? "refused" : "failed", error: describeError(error) });
    return { outcome: this.outcome, failure: { code: error.code, ...this.#lastReply } };
  }

  #set(part: Partial<Outcome>): void {
    this.outcome = { ...this.outcome, ...part };
  }

  /** The kept answer, or the answer to the POST. */
  async #deliverLevel1(): Promise<Level1Response> {
    const { destination } = this.#report;
    const url = formatUrl(destination.origin, destination.path);
    const { answer } = this.#store;
    // A kept answer was judged when it came.
    const parsed = answer === null ? await this.#post(url) : parseResponse(answer.body);
    if (answer !== null) this.#tellLevel1(url, answer.status);
    const { response, warnings } = parsed;
    const { bucket, bucketTable, responseUrl } = response;
    this.#set({ bucket, bucketTable, responseUrl, warnings: [...this.outcome.warnings, ...warnings] });
    return response;
  }

  #tellLevel1(url: string, status: number): void {
    this.#set({ level1: { url, status, bytes: this.#report.level1.length } });
  }

  async #post(url: string): Promise<ParsedResponse> {
    const { destination, level1 } = this.#report;
    this.#options.onStep?.(`POST ${url}`);
    const request: Request = {
      method: "POST",
      origin: destination.origin,
      path: destination.path,
      headers: this.#headers("text/xml; charset=utf-16"),
      body: { size: level1.length, open: () => onlyChunk(level1) },
    };
    return this.#exchange(1, request, {}, async (reply) => {
      this.#tellLevel1(url, reply.status);
      const parsed = judgeLevel1(reply, url);
      const { status, body } = reply;
      await this.#store.keepAnswer({ status, body, receivedAt: this.#options.now() });
      return parsed;
    });
  }

  /** The kept archive, or a fresh one, kept; null when there is nothing to send. */
  async #archiveFor(response: Level1Response): Promise<ReportArchive | null> {
    if (this.#store.archive === null) {
      this.#options.onStep?.("collecting");
      const built = await this.#options.buildArchive(response);
      if (built.archive === null) {
        this.#note(built);
        return null;
      }
      this.#note(built.archive.about);
      await this.#store.keepArchive(built.archive);
    } else this.#note(this.#store.archive.about);
    return this.#store.archive;
  }

  #note(about: { declined: readonly Declined[]; warnings: readonly string[] }): void {
    this.#set({ declined: about.declined, warnings: [...this.outcome.warnings, ...about.warnings] });
  }

  async #deliverLevel2(archive: ReportArchive, path: string): Promise<void> {
    const { origin } = this.#report.destination;
    const { onUpload, onStep } = this.#options;
    const url = formatUrl(origin, path);
    const { size, sha256, about } = archive;
    const name = path.slice(path.lastIndexOf("/") + 1);
    const tell = (status: number | null) =>
      this.#set({ level2: { url, status, archive: { name, bytes: size, sha256, files: about.files } } });
    tell(null);
    onStep?.(`PUT ${url}`);
    const request: Request = {
      method: "PUT",
      origin,
      path,
      headers: this.#headers(about.mediaType),
      body: archive,
    };
    const onProgress = (sent: number) => onUpload?.(sent, size);
    await this.#exchange(2, request, { onProgress }, async (reply) => {
      tell(reply.status);
      judgeLevel2(reply, url, size);
    });
  }

  #headers(mediaType: string): Record<string, string> {
    return { "user-agent": this.#options.userAgent, "content-type": mediaType };
  }

  /** `take` has the reply, and what has to outlive this process is kept, before anything else is written down. */
  async #exchange<T>(
    level: 1 | 2,
    request: Request,
    options: SendOptions,
    take: (reply: Reply) => Promise<T>,
  ): Promise<T> {
    const { send, signal } = this.#options;
    await this.#store.beginAttempt(level);
    let reply: Reply | null = null;
    const end = (errorCode: CerErrorCode | null) => {
      const { status = null, headers = {}, peer = null } = reply ?? {};
      const { date = null, "retry-after": retryAfter = null } = headers;
      this.#lastReply = { status, level, retryAfter, date };
      return this.#store.endAttempt({ status, errorCode, peer });
    };
    let taken: T;
    try {
      reply = await send(request, { ...options, signal });
      taken = await take(reply);
    } catch (thrown) {
      await end(asCerError(thrown).code);
      throw thrown;
    }
    await end(null);
    return taken;
  }
}

async function* onlyChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
