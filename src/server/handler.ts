/**
 * What the embedded CER server does with one request ([MS-CER2] 3.2.5): a function from a request to a reply over a
 * store. It knows nothing of sockets. A request it will not take is answered before its body is read.
 */

import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { joinChunks } from "../bytes.ts";
import { CerError } from "../errors.ts";
import { stripControls } from "../printable.ts";
import type { Reply } from "../wire/exchange.ts";
import { MAX_REPORT_SIZE, parseReport } from "../wire/report-reader.ts";
import { encodeResponse } from "../wire/response.ts";
import { answerLines, type Requested } from "./answer.ts";
import { parseDumpTarget, pathOf } from "./dump-file.ts";
import type { ArchiveFormat, ReceivedArchive, Store, StoredReport } from "./store.ts";

/** A request as it arrives: unlike the client's, any method and any target. */
export type ServerRequest = {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body, once; it fails with BrokenBody when the client breaks off. Not calling it: the body is not wanted. */
  open(): Readable;
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
  readonly onEvent: (event: ServerEvent) => void;
};

const LEVEL1_PATH = "/stage2.htm";

/** The client stopped in the middle of its body: there is nobody to answer. */
export class BrokenBody extends Error {}

/** Ends the handling of a request with a status and a plain reason. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    reason: string,
    { headers = {}, cause }: { headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(reason, { cause });
    this.status = status;
    this.headers = headers;
  }
}

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

function route(request: ServerRequest, options: HandlerOptions): Promise<ServerReply> {
  const { method, target } = request;
  if (pathOf(target) === LEVEL1_PATH) {
    if (method !== "POST")
      throw new Refusal(405, `${LEVEL1_PATH} takes POST.`, { headers: { allow: "POST" } });
    return takeReport(request, options);
  }
  const dumpFile = parseDumpTarget(target);
  const stored = dumpFile === null ? null : options.store.findReport(dumpFile);
  if (stored === null)
    throw new Refusal(
      404,
      `Level 1 goes to ${LEVEL1_PATH}, level 2 to a DumpFile that this server handed out.`,
    );
  if (method !== "PUT") throw new Refusal(405, "A DumpFile takes PUT.", { headers: { allow: "PUT" } });
  return takeArchive(request, stored, options);
}

async function takeReport(request: ServerRequest, options: HandlerOptions): Promise<ServerReply> {
  checkLength(request, MAX_REPORT_SIZE);
  const bytes = await joinChunks(request.open());
  const parsed = parseOrRefuse(bytes);
  const stored = await options.store.addReport(bytes, parsed, options.requested.iData);
  const { eventType } = parsed.report;
  options.onEvent({ kind: "report", stored, size: bytes.length, eventType, warnings: parsed.warnings });
  return {
    status: 200,
    headers: { "content-type": "text/plain; charset=windows-1252" },
    body: encodeResponse(answerLines(options.requested, stored)),
  };
}

function parseOrRefuse(bytes: Buffer) {
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
  checkLength(request, maxArchiveSize);
  const archive = await receiveBody(request, store);
  const { size, sha256 } = archive;
  try {
    const format = await checkArchive(archive, verifyArchive);
    const { verdict, path } = await store.keepArchive(stored, archive, format);
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

/** A body has a length, within the bound, and is not compressed on the way: nothing in the protocol says how. */
function checkLength({ headers }: ServerRequest, bound: number): void {
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity")
    throw new Refusal(415, "Content-Encoding is not part of this protocol.");
  const length = headers["content-length"];
  if (typeof length !== "string" || !/^[0-9]+$/.test(length))
    throw new Refusal(411, "The request has no Content-Length.");
  if (Number(length) > bound)
    throw new Refusal(413, `The request's body is ${length} bytes long, the bound is ${bound}.`);
}

async function receiveBody(request: ServerRequest, store: Store): Promise<ReceivedArchive> {
  try {
    return await store.receive(request.open());
  } catch (thrown) {
    if (thrown instanceof BrokenBody) throw thrown;
    throw new Refusal(507, "The archive could not be stored.", { cause: thrown });
  }
}

function textReply(status: number, text: string, headers: ServerReply["headers"] = {}): ServerReply {
  return {
    status,
    headers: { ...headers, "content-type": "text/plain; charset=utf-8" },
    body: Buffer.from(`${text}\n`),
  };
}
