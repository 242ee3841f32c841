/**
 * The embedded CER server on a socket: a thin adapter between node:http and the handler. Hides what HTTP/1.1 wants
 * beside a reply: `100 Continue` only for a body that will be read, an early answer that the client gets to see while
 * it is still sending, time limits, and an end that leaves nothing half done.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { CerError } from "../errors.ts";
import { formatUrl } from "../wire/exchange.ts";
import { findRequestFaults, parseRequests } from "./answer.ts";
import { type Patience, readBody } from "./body.ts";
import {
  createHandler,
  type ServerEvent,
  type ServerReply,
  type ServerRequest,
  type VerifyArchive,
} from "./handler.ts";
import { BrokenBody } from "./refusal.ts";
import { openStore } from "./store.ts";

export type ServerOptions = {
  /** An address or a name of this machine. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Where what arrives is kept; made when missing. One server per directory. */
  readonly dir: string;
  /** `KEY=VALUE`, as of `parseRequests`. */
  readonly requests: readonly string[];
  readonly verifyArchive: VerifyArchive;
  readonly onEvent?: (event: ServerEvent) => void;
  readonly warn?: (warning: string) => void;
  /** Bytes; 4 GiB unless given. */
  readonly maxArchiveSize?: number;
  /** Whether a report that breaks the schema is refused; it is not unless given. */
  readonly strict?: boolean;
  /** Milliseconds without a byte after which a connection is closed; 30 s unless given. */
  readonly idleTimeout?: number;
  /** Milliseconds over which the rate of a body is averaged before it is held to the least; 60 s unless given. */
  readonly rateWindow?: number;
};

export type RunningServer = {
  readonly port: number;
  /** `http://HOST:PORT`, no path. */
  readonly url: string;
  /** Takes no more connections, gives open requests `CLOSE_GRACE` ms to end, then cuts them off. */
  close(): Promise<void>;
};

const MAX_ARCHIVE_SIZE = 4 * 1024 ** 3;
const IDLE_TIMEOUT = 30_000;
const RATE_WINDOW = 60_000;
const HEADERS_TIMEOUT = 10_000;
const CLOSE_GRACE = 500;
/** Of a body that nobody wants any more, the bytes still read so that the client gets to see its answer. */
const MAX_DRAIN = 64 * 1024 * 1024;

/**
 * Opens DIR and listens.
 * @throws CerError CER_USAGE for a request that is none, CER_WRITE for a DIR that cannot be used, CER_BAD_SERVER for an
 *   address or port that cannot be listened on
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host, idleTimeout = IDLE_TIMEOUT, rateWindow = RATE_WINDOW, onEvent = () => {} } = options;
  const requested = parseRequests(options.requests);
  const { warn = () => {} } = options;
  for (const fault of findRequestFaults(requested))
    warn(`What --request asks for breaks the grammar of an answer: ${fault}`);
  const store = await openStore(options.dir, warn);
  const { verifyArchive, maxArchiveSize = MAX_ARCHIVE_SIZE, strict = false } = options;
  const handle = createHandler({ store, requested, verifyArchive, maxArchiveSize, strict, onEvent });
  const patience = { silence: idleTimeout, window: rateWindow };

  const running = new Set<Promise<void>>();
  const serve = (message: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    const exchange = carryOut(handle, message, response, expectsContinue, patience).finally(() =>
      running.delete(exchange),
    );
    running.add(exchange);
  };

  const server = createServer({ headersTimeout: HEADERS_TIMEOUT, requestTimeout: 0 });
  server.timeout = idleTimeout;
  server.keepAliveTimeout = idleTimeout;
  server.on("request", (message, response) => serve(message, response, false));
  server.on("checkContinue", (message, response) => serve(message, response, true));
  server.on("clientError", answerBrokenHead);
  const { port } = await listen(server, host, options.port);

  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    const grace = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE);
    server.closeIdleConnections();
    await closed;
    clearTimeout(grace);
    await Promise.all(running);
  };
  return { port, url: formatUrl({ scheme: "http", host, port }, ""), close };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.on("error", (cause: NodeJS.ErrnoException) => {
      const reason =
        cause.code === "EADDRINUSE"
          ? "another program listens there"
          : `it cannot (${cause.code ?? cause.message})`;
      reject(
        new CerError("CER_BAD_SERVER", `The server cannot listen on ${host}, port ${port}: ${reason}.`, {
          hint: "Choose another port with --port (0 picks a free one) or address with --host.",
          cause,
        }),
      );
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

/** Never rejects: when there is nobody left to answer, there is nothing left to do. */
async function carryOut(
  handle: (request: ServerRequest) => Promise<ServerReply>,
  message: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
  patience: Patience,
): Promise<void> {
  response.on("error", () => {});
  let isWanted = false;
  const request = {
    method: message.method ?? "",
    target: message.url ?? "",
    headers: message.headers,
    open: () => {
      isWanted = true;
      if (expectsContinue) response.writeContinue();
      return readBody(message, patience);
    },
  };
  try {
    const { status, headers, body } = await handle(request);
    response.writeHead(status, { ...headers, "content-length": body.length });
    // A client that was told to wait will not send its body any more.
    if (expectsContinue && !isWanted) response.shouldKeepAlive = false;
    response.end(message.method === "HEAD" ? undefined : body);
    if (!message.readableEnded) await drain(message, patience);
  } catch {
    message.socket.destroy();
  }
}

/** Reads what is left of a body, so that the client gets to see its answer; throws when that leads nowhere. */
async function drain(message: IncomingMessage, patience: Patience): Promise<void> {
  const { socket } = message;
  // An answered request is not told any more that its connection has ended.
  const end = () => message.destroy();
  socket.once("close", end);
  try {
    let drained = 0;
    for await (const chunk of readBody(message, patience)) {
      drained += chunk.length;
      if (drained > MAX_DRAIN) throw new BrokenBody("Nobody wants the rest.");
    }
  } finally {
    socket.off("close", end);
  }
}

/** What does not even parse as a request. */
function answerBrokenHead(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, reason] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", "The request's header is too large."]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", "The request's header did not arrive in time."]
        : ["400 Bad Request", "This is not an HTTP/1.1 request."];
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n`;
  socket.end(`${head}Content-Length: ${reason.length + 1}\r\n\r\n${reason}\n`);
}
