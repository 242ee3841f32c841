/**
 * What the embedded CER server does with one request ([MS-CER2] 3.2.5): a function from a request to a reply over a
 * store. It knows nothing of sockets. A request it will not take is answered before its body is read.
 */

import { open } from "node:fs/promises";
import { joinChunks } from "../bytes.ts";
import { CerError } from "../errors.ts";
import { stripControls } from "../printable.ts";
import type { Reply } from "../wire/exchange.ts";
import { MAX_REPORT_SIZE, type ParsedReport, parseReport } from "../wire/report-reader.ts";
import { encodeResponse } from "../wire/response.ts";
import { answerLines, type Requested } from "./answer.ts";
import { parseDumpTarget, pathOf } from "./dump-file.ts";
import { BrokenBody, Refusal } from "./refusal.ts";
import type { ArchiveFormat, ReceivedArchive, Store, StoredReport } from "./store.ts";

/** A request as it arrives: unlike the client's, any method and any target. */
export type ServerRequest = {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /**
   * The body, once; it fails with BrokenBody when the client breaks off, with a Refusal when it takes too long. Not
   * calling it: the body is not wanted.
   */
  open(): AsyncIterable<Buffer>;
};

export type ServerReply = Pick<Reply, "status" | "headers" | "body">;

/** What happened, for whoever watches the server. Texts in it may come from a client. */
export type ServerEvent =
  | {
      readonly kind: "report";
      readonly stored: StoredReport;
      readonly size: number;
      readonly eventType: string;
      readonly warnings: readonly string[];
    }
  | {
      readonly kind: "archive";
      readonly stored: StoredReport;
      readonly size: number;
      readonly sha256: string;
      /** Where it is kept. */
      readonly path: string;
      /** The client sent the same bytes before. */
      readonly again: boolean;
    }
  | {
      readonly kind: "refused";
      readonly method: string;
      readonly target: string;
      readonly status: number;
      /** What the client was told. */
      readonly reason: string;
      /** What it was not: the operating system's own words. */
      readonly cause: string | null;
    }
  /** The client broke off in the middle of its body; nothing of it is kept. */
  | { readonly kind: "broken"; readonly method: string; readonly target: string };

/** Rejects, with a message for the client, an archive that does not hold together. */
export type VerifyArchive = (path: string, format: ArchiveFormat) => Promise<void>;

type HandlerOptions = {
  readonly store: Store;
  readonly requested: Requested;
  readonly verifyArchive: VerifyArchive;
  /** Bytes. */
  readonly maxArchiveSize: number;
  /** Refuses a report that breaks the schema. */
  readonly strict: boolean;
  readonly onEvent: (event: ServerEvent) => void;
};

/** In lower case; a client may write it otherwise, as to IIS, which is blind to case. */
const LEVEL1_PATH = "/stage2.htm";

/**
 * The handler. It rejects only with BrokenBody, and then nothing of the request is kept; whatever else goes wrong is a
 * reply of 500.
 */
export function createHandler(options: HandlerOptions): (request: ServerRequest) => Promise<ServerReply> {
  return async (request) => {
    const { method, target } = request;
    try {
      return await route(request, options);
    } catch (thrown) {
      if (thrown instanceof BrokenBody) {
        options.onEvent({ kind: "broken", method, target });
        throw thrown;
      }
      const refusal =
        thrown instanceof Refusal ? thrown : new Refusal(500, "The server failed.", { cause: thrown });
      const { status, message: reason, headers } = refusal;
      const cause = refusal.cause instanceof Error ? refusal.cause.message : null;
      options.onEvent({ kind: "refused", method, target, status, reason, cause });
      return textReply(status, reason, headers);
    }
  };
}

async function route(request: ServerRequest, options: HandlerOptions): Promise<ServerReply> {
  const { method, target } = request;
  if (pathOf(target).toLowerCase() === LEVEL1_PATH) {
    if (method !== "POST")
      throw new Refusal(405, `${LEVEL1_PATH} takes POST.`, { headers: { allow: "POST" } });
    return takeReport(request, options);
  }
  const dumpFile = parseDumpTarget(target);
  const stored = dumpFile === null ? null : await options.store.findReport(dumpFile);
  if (stored === null)
    throw new Refusal(
      404,
      `Level 1 goes to ${LEVEL1_PATH}, level 2 to a DumpFile that this server handed out.`,
    );
  if (method !== "PUT") throw new Refusal(405, "A DumpFile takes PUT.", { headers: { allow: "PUT" } });
  return takeArchive(request, stored, options);
}

async function takeReport(request: ServerRequest, options: HandlerOptions): Promise<ServerReply> {
  const bytes = await joinChunks(openBody(request, MAX_REPORT_SIZE));
  const parsed = parseOrRefuse(bytes, options.strict);
  const stored = await storing("report", options.store.addReport(bytes, parsed, options.requested.iData));
  const { eventType } = parsed.report;
  options.onEvent({ kind: "report", stored, size: bytes.length, eventType, warnings: parsed.warnings });
  return {
    status: 200,
    headers: { "content-type": "text/plain; charset=windows-1252" },
    body: encodeResponse(answerLines(options.requested, stored)),
  };
}

function parseOrRefuse(bytes: Buffer, strict: boolean): ParsedReport {
  const parsed = parseLeniently(bytes);
  if (strict && parsed.warnings.length > 0)
    throw new Refusal(400, `The report breaks the schema of [MS-CER2] 2.2.1: ${parsed.warnings.join(" ")}`);
  return parsed;
}

function parseLeniently(bytes: Buffer): ParsedReport {
  try {
    return parseReport(bytes);
  } catch (thrown) {
    if (thrown instanceof CerError) throw new Refusal(400, thrown.message);
    throw thrown;
  }
}

async function takeArchive(
  request: ServerRequest,
  stored: StoredReport,
  { store, verifyArchive, maxArchiveSize, onEvent }: HandlerOptions,
): Promise<ServerReply> {
  const archive = await storing("archive", store.receive(openBody(request, maxArchiveSize)));
  const { size, sha256 } = archive;
  try {
    const format = await checkArchive(archive, verifyArchive);
    const { verdict, path } = await storing("archive", store.keepArchive(stored, archive, format));
    if (verdict === "different")
      throw new Refusal(409, "This DumpFile already holds another archive; the first one stays.");
    const again = verdict === "same";
    onEvent({ kind: "archive", stored, size, sha256, path, again });
    return textReply(200, again ? `${size} bytes, received before.` : `${size} bytes received.`);
  } finally {
    await store.discard(archive);
  }
}

/** The format of an archive that opens; the name in DumpFile says .cab whatever the client sends. */
async function checkArchive(archive: ReceivedArchive, verifyArchive: VerifyArchive): Promise<ArchiveFormat> {
  const format = await detectFormat(archive.path);
  if (format === null) throw new Refusal(400, `These ${archive.size} bytes are neither a cabinet nor a tar.`);
  try {
    await verifyArchive(archive.path, format);
  } catch (thrown) {
    // That the disk could not be read is no fault of the archive.
    if ((thrown as NodeJS.ErrnoException).syscall !== undefined) throw thrown;
    throw new Refusal(400, `The archive does not open: ${stripControls((thrown as Error).message)}`);
  }
  return format;
}

async function detectFormat(path: string): Promise<ArchiveFormat | null> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
    const start = buffer.subarray(0, bytesRead).toString("latin1");
    if (start.startsWith("MSCF")) return "cab";
    return start.startsWith("ustar", 257) ? "tar" : null;
  } finally {
    await file.close();
  }
}

/**
 * The body, within the bound: one that names a length beyond it is refused before it is read, one in chunks as soon as
 * it grows beyond it.
 */
function openBody(request: ServerRequest, bound: number): AsyncIterable<Buffer> {
  checkFraming(request, bound);
  return upTo(bound, request.open());
}

/** A body has a length or comes in chunks, and is not compressed on the way: nothing in the protocol says how. */
function checkFraming({ headers }: ServerRequest, bound: number): void {
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity")
    throw new Refusal(415, "Content-Encoding is not part of this protocol.");
  const transfer = headers["transfer-encoding"];
  if (typeof transfer === "string") {
    if (transfer.trim().toLowerCase() === "chunked") return;
    throw new Refusal(501, "No Transfer-Encoding but chunked is known here.");
  }
  const length = headers["content-length"];
  if (typeof length !== "string" || !/^[0-9]+$/.test(length))
    throw new Refusal(411, "The request has neither Content-Length nor Transfer-Encoding: chunked.");
  if (Number(length) > bound)
    throw new Refusal(413, `The request's body is ${length} bytes long, the bound is ${bound}.`);
}

async function* upTo(bound: number, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > bound)
      throw new Refusal(413, `The request's body is longer than the bound of ${bound} bytes.`);
    yield chunk;
  }
}

/** What fails is the disk's fault (full, read-only, over quota), unless the body itself was at fault. */
async function storing<T>(what: string, stored: Promise<T>): Promise<T> {
  try {
    return await stored;
  } catch (thrown) {
    if (thrown instanceof BrokenBody || thrown instanceof Refusal) throw thrown;
    throw new Refusal(507, `The ${what} could not be stored.`, { cause: thrown });
  }
}

function textReply(status: number, text: string, headers: ServerReply["headers"] = {}): ServerReply {
  return {
    status,
    headers: { ...headers, "content-type": "text/plain; charset=utf-8" },
    body: Buffer.from(`${text}\n`),
  };
}
