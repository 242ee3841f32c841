/**
 * `Send` over the network. The only importer of undici. One connection serves both levels; a redirect is a reply like
 * any other; nothing here knows what a CER answer is.
 */

import { unescape as decodeLeniently } from "node:querystring";
import type { Readable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import type { buildConnector as Connectors, Dispatcher } from "undici";
import buildConnector from "undici/lib/core/connect.js";
import Client from "undici/lib/dispatcher/client.js";
import { CerError } from "../errors.ts";
import { formatBytes, messageOf, stripControls } from "../printable.ts";
import { Connection } from "./connection.ts";
import {
  formatUrl,
  MAX_REPLY_SIZE,
  type Origin,
  type Peer,
  type Reply,
  type Request,
  type Send,
  type SendOptions,
} from "./exchange.ts";
import { explainNetworkError } from "./network-error.ts";
import { type Limits, type Overrun, type Sight, Watch } from "./watch.ts";

/** Bytes handed over at a time, which is also what a socket takes before it says that it is full. */
const PIECE = 32 * 1024;

/** 1 KiB a second, over a minute. */
const LEAST_RATE = { bytes: 60 * 1024, time: 60_000 };
/** Five minutes, or the silence that is allowed where that is longer. */
const ANSWER_TIMEOUT = 300_000;

export type HttpOptions = Pick<Limits, "idleTimeout"> & {
  /** Milliseconds until a connection stands, name look-up and TLS included. */
  readonly connectTimeout: number;
  /** As of `Limits`; 60 KiB in 60 s when left out. */
  readonly leastRate?: Limits["leastRate"];
  /** As of `Limits`; 300 s when left out, or as long as the silence that is allowed. */
  readonly answerTimeout?: number;
  /** Address of the proxy for this origin, as http(s)://[user:password@]host:port; null to connect directly. */
  readonly proxy: string | null;
};

export type Http = {
  readonly send: Send;
  /** Ends the connection at once; a request under way fails. */
  close(): Promise<void>;
};

/** The connection that stands: the latest that was made. */
type Line = { current: Connection | null };

/** Opens no connection yet: that happens with the first request. All requests go to the one origin. */
export async function openHttp(origin: Origin, options: HttpOptions): Promise<Http> {
  // undici parses with WebAssembly, which V8 would go on to optimize in the background for a quarter of a second; Node
  // waits for that at exit. Two answers do not need it.
  setFlagsFromString("--liftoff-only");
  const line: Line = { current: null };
  const dispatcher =
    options.proxy === null
      ? openClient(formatUrl(origin, ""), buildConnector(connectorOptions(options)), line)
      : await openProxy(options.proxy, options, line);
  return {
    send: (request, sendOptions = {}) => exchange(dispatcher, request, { ...options, ...sendOptions }, line),
    close: () => dispatcher.destroy(),
  };
}

/** A client whose connections are watched, whoever makes them. */
function openClient(url: string | URL, connect: Connectors.connector, line: Line): Client {
  return new Client(url, {
    connect: (target, callback) => {
      connect(target, (...result) => {
        // undici leaves the socket out of a failure, whatever its types say.
        if (result[1] != null) line.current = new Connection(result[1]);
        if (result[0] === null) callback(...result);
        else callback(final(result[0]), null);
      });
    },
  });
}

/** Of a connection that a proxy closes undici thinks that another one will do, and asks at once, and again. */
function final(cause: Error): Error {
  return new Error(cause.message, { cause });
}

async function openProxy(proxy: string, options: HttpOptions, line: Line): Promise<Dispatcher> {
  const { default: ProxyAgent } = await import("undici/lib/dispatcher/proxy-agent.js");
  const { default: connect } = await import("undici/lib/api/api-connect.js");
  const { username, password, origin } = new URL(proxy);
  // Not decodeURIComponent, which throws at a `%` that nobody escaped.
  const credentials = `${decodeLeniently(username)}:${decodeLeniently(password)}`;
  // undici hands over how to connect: to the proxy, or through it.
  const open = (url: string | URL, settings: object) =>
    openClient(url, (settings as { connect: Connectors.connector }).connect, line);
  return new ProxyAgent({
    uri: origin,
    // Proxies commonly allow CONNECT to 443 only; plain http is asked for by its whole URL instead.
    proxyTunnel: false,
    proxyTls: connectorOptions(options),
    requestTls: connectorOptions(options),
    factory: open,
    // Loaded alone, a client lacks the methods that undici's own index gives to all of them.
    clientFactory: (url, settings) => Object.assign(open(url, settings), { connect }),
    ...(username === "" ? {} : { token: `Basic ${Buffer.from(credentials).toString("base64")}` }),
  });
}

/** Without TCP's own probes: a silent connection is given up long before they begin, and Wine refuses to set them. */
function connectorOptions({ connectTimeout }: HttpOptions) {
  // Node gives the first of several addresses a quarter of a second, less than a slow line takes.
  const autoSelectFamilyAttemptTimeout = Math.ceil(connectTimeout / 3);
  return { timeout: connectTimeout, keepAlive: false, highWaterMark: PIECE, autoSelectFamilyAttemptTimeout };
}

type ExchangeOptions = HttpOptions & SendOptions;

function exchange(
  dispatcher: Dispatcher,
  request: Request,
  options: ExchangeOptions,
  line: Line,
): Promise<Reply> {
  const { signal } = options;
  if (signal?.aborted === true) return Promise.reject(asAbortReason(signal.reason));
  return new Promise((resolve, reject) => {
    const running = new Exchange(request, options, line, (stop) => dispatcher.destroy(stop, () => {}));
    const onAbort = () => running.stop(asAbortReason(signal?.reason));
    signal?.addEventListener("abort", onAbort);
    running.onSettled = (result) => {
      signal?.removeEventListener("abort", onAbort);
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    running.start(dispatcher);
  });
}

/** One request under way: what undici tells of it becomes a reply, and what stops it an error. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: Request;
  readonly #options: ExchangeOptions;
  readonly #line: Line;
  readonly #watch: Watch;
  /** Ends it at once. */
  #abort: (error: Error) => void;
  /** Why it was stopped from this side. */
  #reason: Error | undefined;
  #hasBegun = false;
  /** Bytes of the body that were given to the connection, and that it has taken. */
  #given = 0;
  #sent = 0;
  #head: { status: number; headers: Record<string, string> } | null = null;
  /** The first `#size` bytes of it are the answer's. A list of its chunks could be as long as they are small. */
  #body = Buffer.alloc(0);
  #size = 0;
  #isSettled = false;
  onSettled: (result: Reply | Error) => void = () => {};

  /** `abort` ends it as long as undici has not begun. */
  constructor(request: Request, options: ExchangeOptions, line: Line, abort: (error: Error) => void) {
    this.#request = request;
    this.#options = options;
    this.#line = line;
    this.#abort = abort;
    const { idleTimeout, leastRate = LEAST_RATE } = options;
    const answerTimeout = options.answerTimeout ?? Math.max(ANSWER_TIMEOUT, idleTimeout);
    const limits = { idleTimeout, leastRate, answerTimeout };
    this.#watch = new Watch(
      limits,
      () => this.#look(),
      (overrun) => this.stop(this.#outOfTime(overrun, limits)),
    );
  }

  start(dispatcher: Dispatcher): void {
    const { origin, method, path, headers, body } = this.#request;
    dispatcher.dispatch(
      {
        origin: formatUrl(origin, ""),
        path,
        method,
        // undici takes any iterable, says its documentation; its types do not.
        body: this.#handOver() as unknown as Readable,
        headers: { ...headers, "content-length": String(body.size) },
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      this,
    );
  }

  stop(reason: Error): void {
    this.#reason ??= reason;
    this.#abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#abort = (error) => controller.abort(error);
    this.#hasBegun = true;
    this.#line.current?.expectAnswer();
    if (this.#reason !== undefined) controller.abort(this.#reason);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#head = { status, headers: joinHeaders(headers) };
    if (isSuccess(status) && (!this.#isAllSent || this.#isOnItsWay)) this.stop(this.#tooEarly(status));
    else if (isSuccess(status)) this.#take(this.#given - this.#sent);
    // Interim answers do not come this far: this one ends HTTP, or its status is none.
    else if (status < 200) this.#breakOff(controller, false);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const size = this.#size + chunk.length;
    if (size > this.#body.length) {
      const larger = Buffer.alloc(Math.max(size, 2 * this.#body.length));
      this.#body.copy(larger);
      this.#body = larger;
    }
    chunk.copy(this.#body, this.#size);
    this.#size = size;
    if (this.#size > MAX_REPLY_SIZE) this.#breakOff(controller, true);
  }

  onResponseEnd(): void {
    this.#finish(false);
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    // So undici calls a 101 that it did not ask for.
    if (this.#reason === undefined && error.message === "bad upgrade") {
      this.#head = { status: 101, headers: {} };
      this.#finish(false);
    } else this.#settle(this.#reason ?? explainNetworkError(error, this.#request, this.#options));
  }

  #breakOff(controller: Dispatcher.DispatchController, truncated: boolean): void {
    this.#finish(truncated);
    controller.abort(new Error("no more of this answer is wanted"));
  }

  #finish(truncated: boolean): void {
    const { status, headers } = this.#head ?? { status: 0, headers: {} };
    const isEndKnown = "content-length" in headers || /\bchunked\b/i.test(headers["transfer-encoding"] ?? "");
    const isBroken = !isEndKnown && !truncated && this.#line.current?.isBroken === true;
    const reply: Reply = {
      status,
      headers,
      body: this.#body.subarray(0, Math.min(this.#size, MAX_REPLY_SIZE)),
      truncated,
      isEndKnown,
      // A proxy's own address does not tell where the report went.
      peer: (this.#options.proxy === null && this.#line.current?.peer) || NOBODY,
    };
    this.#settle(isSuccess(status) && isBroken ? this.#brokenOff() : reply);
  }

  #settle(result: Reply | Error): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#watch.end();
    this.onSettled(result);
  }

  /**
   * The body in pieces, each counted once the connection has taken it, which it does no faster than it can send: undici
   * asks for the next one when a piece that fills the socket has drained, and its memory may be used again by then.
   * Smaller ones wait in the socket, several together; of a chunk, the small piece goes first.
   */
  async *#handOver(): AsyncGenerator<Uint8Array> {
    const { method, path, body } = this.#request;
    try {
      for await (const chunk of body.open())
        for (let at = 0; at < chunk.length; ) {
          const piece = chunk.subarray(at, at + ((chunk.length - at) % PIECE || PIECE));
          at += piece.length;
          this.#given += piece.length;
          yield piece.length < PIECE ? Buffer.from(piece) : piece;
          // undici goes on also when the connection is gone.
          if (this.#isSettled) return;
          this.#take(this.#given - this.#sent);
        }
    } catch (cause) {
      const reason = stripControls(messageOf(cause));
      throw new CerError("CER_ARCHIVE", `The body of ${method} ${path} cannot be read: ${reason}.`, {
        cause,
      });
    }
  }

  #take(bytes: number): void {
    if (bytes === 0) return;
    this.#sent += bytes;
    this.#options.onProgress?.(this.#sent);
  }

  /** The last piece is with the connection, which has taken all before it, and holds nothing back. */
  get #isAllSent(): boolean {
    return this.#given >= this.#request.body.size && this.#line.current?.isHoldingBack === false;
  }

  /** What fits into one piece nobody answers before it has come, or it cannot be told. */
  get #isOnItsWay(): boolean {
    return this.#request.body.size > PIECE && this.#line.current?.isUnacknowledged === true;
  }

  async #look(): Promise<Sight> {
    const connection = this.#hasBegun ? this.#line.current : null;
    const isAnswered = this.#head !== null;
    const unacknowledged = isAnswered ? 0 : ((await connection?.unacknowledged()) ?? 0);
    return {
      hasBegun: this.#hasBegun,
      sent: this.#sent,
      isAllSent: this.#isAllSent,
      unacknowledged,
      received: connection?.received ?? 0,
      isAnswered,
    };
  }

  #brokenOff(): CerError {
    const { origin, path } = this.#request;
    return new CerError(
      "CER_CONNECTION_LOST",
      `${formatUrl(origin, path)}: the connection was reset in the middle of the answer.`,
      {
        hint: "The server or something on the way broke it off. Try again; look at the server's log.",
      },
    );
  }

  #tooEarly(status: number): CerError {
    const { origin, path, body } = this.#request;
    const sent = `${this.#sent} of ${body.size} bytes`;
    return new CerError(
      "CER_CONNECTION_LOST",
      `${formatUrl(origin, path)} answered ${status} before it had the request (${sent} had been sent): that acknowledges nothing.`,
      {
        hint: "Something on the way answers in the server's place, or the server before it has read the request.",
      },
    );
  }

  #outOfTime(overrun: Overrun, { idleTimeout, leastRate, answerTimeout }: Limits): CerError {
    const place = formatUrl(this.#request.origin, this.#request.path);
    const told: Record<Overrun, readonly [what: string, hint: string]> = {
      silence: [
        `nothing moved for ${idleTimeout / 1000} s`,
        "The server is busy or stuck. --timeout SECONDS waits longer.",
      ],
      rate: [
        `less than ${formatBytes(leastRate.bytes)} moved in ${leastRate.time / 1000} s`,
        "The line or the server is too slow. Try again later.",
      ],
      answer: [
        `the answer was not whole ${answerTimeout / 1000} s after the request was sent`,
        "The server is busy or stuck. Try again later; look at its log.",
      ],
    };
    const [what, hint] = told[overrun];
    return new CerError("CER_TIMEOUT", `${place}: ${what}.`, { hint });
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

const NOBODY: Peer = { address: null, tlsFingerprint: null };

function asAbortReason(reason: unknown): Error {
  return reason instanceof Error
    ? reason
    : new CerError("CER_INTERRUPTED", "Stopped before the answer came.");
}

function joinHeaders(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase(),
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
