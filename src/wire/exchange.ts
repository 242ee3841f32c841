/**
 * An HTTP exchange as data. A request and a reply are plain values; `Send` is the function between them, so that the
 * network, the embedded server and a test's list of expectations are interchangeable.
 */

/** A body that knows its length and can be opened again: every retry sends the same bytes. */
export type Body = {
  /** Bytes. */
  readonly size: number;
  /** From the start. A chunk is good until the next one is asked for. */
  open(): AsyncIterable<Uint8Array>;
};

/** Where a server is. The port is always explicit: 80 and 443 are ports like any other. */
export type Origin = {
  readonly scheme: "http" | "https";
  /** Host name or address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
};

export type Request = {
  readonly method: "POST" | "PUT";
  readonly origin: Origin;
  /** Absolute path, percent-encoded, sent as it is. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
};

/** Where a reply came from, for the receipt. */
export type Peer = {
  readonly address: string | null;
  /** SHA-256 fingerprint of the server's certificate, colon-separated hex; null without TLS. */
  readonly tlsFingerprint: string | null;
};

export type Reply = {
  readonly status: number;
  /** Names in lower case; a repeated header's values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** At most MAX_REPLY_SIZE bytes of the body. */
  readonly body: Buffer;
  /** The body was longer and was not read on. */
  readonly truncated: boolean;
  /** The answer told where its body ends; otherwise the connection's end was taken for it, which may have come too early. */
  readonly isEndKnown: boolean;
  readonly peer: Peer;
};

export type SendOptions = {
  readonly signal?: AbortSignal;
  /** Called with the bytes of the request body that the connection has taken so far. */
  readonly onProgress?: (sent: number) => void;
};

/**
 * Carries a request to the server and its reply back. Any status is a reply, but for a success that came before the
 * last byte of the body was handed over: that answers something else. "No reply" throws, a CerError of CER_UNREACHABLE,
 * CER_CONNECTION_LOST, CER_TIMEOUT, CER_TLS, CER_PROXY, CER_NO_MEMORY or CER_INTERRUPTED, of CER_NOT_CER for what is no
 * HTTP, and of CER_ARCHIVE or CER_MISMATCH for a body that fails.
 */
export type Send = (request: Request, options?: SendOptions) => Promise<Reply>;

/** Bytes of a reply that are read at most. A CER answer is a few hundred; a server may name an item of a mebibyte, and still gets its report. */
export const MAX_REPLY_SIZE = 4 * 1024 * 1024;

/** An origin and a path as the URL people know, the port spelled out. */
export function formatUrl(origin: Origin, path: string): string {
  const host = origin.host.includes(":") ? `[${origin.host}]` : origin.host;
  return `${origin.scheme}://${host}:${origin.port}${path}`;
}
