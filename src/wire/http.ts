/**
 * `Send` over the network. The only importer of undici. One connection serves both levels; a redirect is a reply like
 * any other; nothing here knows what a CER answer is.
 */

import { unescape as decodeLeniently } from "node:querystring";
import type { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { setFlagsFromString } from "node:v8";
import type { Dispatcher } from "undici";
import buildConnector from "undici/lib/core/connect.js";
import Client from "undici/lib/dispatcher/client.js";
import { CerError } from "../errors.ts";
import { messageOf } from "../printable.ts";
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

/** Bytes that a socket may take without saying that it is full: 16 KiB on Node 20, 64 KiB on later ones. */
const SOCKET_ROOM = 64 * 1024;

export type HttpOptions = {
  /** Milliseconds until a connection stands, name look-up and TLS included. */
  readonly connectTimeout: number;
  /** Milliseconds in which something must move: bytes of a body in either direction, or the head of the answer. */
  readonly idleTimeout: number;
  /** Address of the proxy for this origin, as http(s)://[user:password@]host:port; null to connect directly. */
  readonly proxy: string | null;
};

export type Http = {
  readonly send: Send;
  /** Ends the connection at once; a request under way fails. */
  close(): Promise<void>;
};

/** Opens no connection yet: that happens with the first request. All requests go to the one origin. */
export async function openHttp(origin: Origin, options: HttpOptions): Promise<Http> {
  // undici parses with WebAssembly, which V8 would go on to optimize in the background for a quarter of a second; Node
  // waits for that at exit. Two answers do not need it.
  setFlagsFromString("--liftoff-only");
  const peer: { current: Peer } = { current: { address: null, tlsFingerprint: null } };
  const dispatcher =
    options.proxy === null ? openClient(origin, options, peer) : await openProxy(options.proxy, options);
  return {
    send: (request, sendOptions = {}) => exchange(dispatcher, request, { ...options, ...sendOptions }, peer),
    close: () => dispatcher.destroy(),
  };
}

function openClient(origin: Origin, options: HttpOptions, peer: { current: Peer }): Client {
  const connect = buildConnector(connectorOptions(options));
  return new Client(formatUrl(origin, ""), {
    connect: (target, callback) => {
      connect(target, (...result) => {
        // undici leaves the socket out of a failure, whatever its types say.
        if (result[1] != null) peer.current = describePeer(result[1]);
        callback(...result);
      });
    },
  });
}

async function openProxy(proxy: string, options: HttpOptions): Promise<Dispatcher> {
  const { default: ProxyAgent } = await import("undici/lib/dispatcher/proxy-agent.js");
  const { default: connect } = await import("undici/lib/api/api-connect.js");
  const { username, password, origin } = new URL(proxy);
  // Not decodeURIComponent, which throws at a `%` that nobody escaped.
  const credentials = `${decodeLeniently(username)}:${decodeLeniently(password)}`;
  return new ProxyAgent({
    uri: origin,
    // Proxies commonly allow CONNECT to 443 only; plain http is asked for by its whole URL instead.
    proxyTunnel: false,
    proxyTls: connectorOptions(options),
    requestTls: connectorOptions(options),
    // Loaded alone, a client lacks the methods that undici's own index gives to all of them.
    clientFactory: (url, settings) => Object.assign(new Client(url, settings), { connect }),
    ...(username === "" ? {} : { token: `Basic ${Buffer.from(credentials).toString("base64")}` }),
  });
}

/** Without TCP's own probes: a silent connection is given up long before they begin, and Wine refuses to set them. */
function connectorOptions({ connectTimeout }: HttpOptions) {
  return { timeout: connectTimeout, keepAlive: false };
}

function describePeer(socket: object): Peer {
  const { remoteAddress, getPeerX509Certificate } = socket as Partial<TLSSocket>;
  return {
    address: remoteAddress ?? null,
    tlsFingerprint: getPeerX509Certificate?.call(socket as TLSSocket)?.fingerprint256 ?? null,
  };
}

type ExchangeOptions = HttpOptions & SendOptions;

function exchange(
  dispatcher: Dispatcher,
  request: Request,
  options: ExchangeOptions,
  peer: { readonly current: Peer },
): Promise<Reply> {
  const { signal } = options;
  if (signal?.aborted === true) return Promise.reject(asAbortReason(signal.reason));
  return new Promise((resolve, reject) => {
    const running = new Exchange(request, options, (stop) => dispatcher.destroy(stop, () => {}));
    const onAbort = () => running.stop(asAbortReason(signal?.reason));
    signal?.addEventListener("abort", onAbort);
    running.onSettled = (result) => {
      signal?.removeEventListener("abort", onAbort);
      if (result instanceof Error) reject(result);
      else resolve({ ...result, peer: peer.current });
    };
    running.start(dispatcher);
  });
}

/** One request under way: what undici tells of it becomes a reply, and what stops it an error. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: Request;
  readonly #options: ExchangeOptions;
  readonly #idle: NodeJS.Timeout;
  /** Ends it at once. */
  #abort: (error: Error) => void;
  /** Why it was stopped from this side. */
  #reason: Error | undefined;
  #head: { status: number; headers: Record<string, string> } = { status: 0, headers: {} };
  readonly #chunks: Buffer[] = [];
  #size = 0;
  /** Called at the end, perhaps more than once: what counts is the first time. */
  onSettled: (result: Omit<Reply, "peer"> | Error) => void = () => {};

  /** `abort` ends it as long as undici has not begun. */
  constructor(request: Request, options: ExchangeOptions, abort: (error: Error) => void) {
    this.#request = request;
    this.#options = options;
    this.#abort = abort;
    this.#idle = setTimeout(() => this.stop(this.#outOfTime()), options.idleTimeout);
  }

  start(dispatcher: Dispatcher): void {
    const { origin, method, path, headers, body } = this.#request;
    const counted = countedBody(this.#request, (sent) => {
      this.#idle.refresh();
      this.#options.onProgress?.(sent);
    });
    dispatcher.dispatch(
      {
        origin: formatUrl(origin, ""),
        path,
        method,
        // undici takes any iterable, says its documentation; its types do not.
        body: counted as unknown as Readable,
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
    if (this.#reason !== undefined) controller.abort(this.#reason);
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#idle.refresh();
    this.#head = { status, headers: joinHeaders(headers) };
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#idle.refresh();
    this.#size += chunk.length;
    this.#chunks.push(chunk);
    if (this.#size <= MAX_REPLY_SIZE) return;
    this.#finish(true);
    controller.abort(new Error("the answer is too long"));
  }

  onResponseEnd(): void {
    this.#finish(false);
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#settle(this.#reason ?? explainNetworkError(error, this.#request, this.#options));
  }

  #finish(truncated: boolean): void {
    const body = Buffer.concat(this.#chunks).subarray(0, MAX_REPLY_SIZE);
    this.#settle({ ...this.#head, body, truncated });
  }

  #settle(result: Omit<Reply, "peer"> | Error): void {
    clearTimeout(this.#idle);
    this.onSettled(result);
  }

  #outOfTime(): CerError {
    const place = formatUrl(this.#request.origin, this.#request.path);
    return new CerError("CER_TIMEOUT", `${place}: nothing moved for ${this.#options.idleTimeout / 1000} s.`, {
      hint: "The server is busy or stuck. --timeout SECONDS waits longer.",
    });
  }
}

/**
 * The body, counted as it is handed to the connection, which takes it no faster than it can send. Of a chunk that fills
 * the socket, undici asks for the next one when it has drained: its memory may be used again by then. Smaller ones wait
 * in the socket, several together.
 */
async function* countedBody(
  { method, path, body }: Request,
  onSent: (sent: number) => void,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const chunk of body.open()) {
      sent += chunk.length;
      onSent(sent);
      yield chunk.length < SOCKET_ROOM ? Buffer.from(chunk) : chunk;
    }
  } catch (cause) {
    const reason = messageOf(cause);
    throw new CerError("CER_ARCHIVE", `The body of ${method} ${path} cannot be read: ${reason}.`, { cause });
  }
}

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
