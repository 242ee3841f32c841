/** One try at delivering a dossier: a connection, the time limits, the conversation, and the connection's end. */

import type { Destination } from "../config/destination.ts";
import { CerError } from "../errors.ts";
import { openHttp } from "../wire/http.ts";
import type { Outcome } from "./outcome.ts";
import { type Conversation, converse, type Dossier } from "./protocol.ts";

/** Milliseconds until a connection stands. */
const CONNECT_TIMEOUT = 10_000;

export type DeliveryOptions = Pick<
  Conversation,
  "pack" | "now" | "onStep" | "onUpload" | "beginExchange" | "endExchange"
> & {
  readonly destination: Destination;
  /** Milliseconds. */
  readonly idleTimeout: number;
  /** Milliseconds for the whole try; null for no limit. */
  readonly maxTime: number | null;
  readonly proxy: string | null;
  readonly signal: AbortSignal;
  /** This program's version. */
  readonly version: string;
};

/** Never throws for what a server, the network or a time limit did. */
export async function deliver(dossier: Dossier, options: DeliveryOptions): Promise<Outcome> {
  const { destination, idleTimeout, proxy, maxTime, version } = options;
  const connectTimeout = Math.min(CONNECT_TIMEOUT, maxTime ?? CONNECT_TIMEOUT);
  const limit = new AbortController();
  const timer = maxTime === null ? undefined : setTimeout(() => limit.abort(outOfTime()), maxTime);
  const http = await openHttp(destination.origin, { connectTimeout, idleTimeout, proxy });
  try {
    return await converse(dossier, {
      ...options,
      send: http.send,
      userAgent: `cer/${version}`,
      signal: AbortSignal.any([options.signal, limit.signal]),
    });
  } finally {
    clearTimeout(timer);
    await http.close();
  }
}

function outOfTime(): CerError {
  return new CerError("CER_TIMEOUT", "The time given for the whole was over.", {
    hint: "--max-time SECONDS allows more.",
  });
}
