/** Single exchanges over the network against a scripted server, below everything that knows what a report is. */

import { Readable } from "node:stream";
import type { Body, Origin, Request } from "../../src/wire/exchange.ts";
import { type Http, type HttpOptions, openHttp } from "../../src/wire/http.ts";
import { type Fault, type ScriptedServer, startScripted } from "./scripted-server.ts";

export const OPTIONS: HttpOptions = { connectTimeout: 5000, idleTimeout: 5000, proxy: null };

export function at(port: number): Origin {
  return { scheme: "http", host: "127.0.0.1", port };
}

export function bytes(content: Buffer): Body {
  return { size: content.length, open: () => Readable.from([content]) };
}

/** So many bytes in pieces, as from a disk. */
export function large(size: number): Body {
  const piece = Buffer.alloc(64 * 1024, "x");
  return {
    size,
    open: () =>
      Readable.from(
        (function* () {
          for (let left = size; left > 0; left -= piece.length) yield piece.subarray(0, left);
        })(),
      ),
  };
}

export function request(origin: Origin, parts: Partial<Request> = {}): Request {
  return {
    method: "POST",
    origin,
    path: "/stage2.htm",
    headers: { "content-type": "text/xml; charset=utf-16" },
    body: bytes(Buffer.from("report")),
    ...parts,
  };
}

/** A connection to a server that plays these faults; both end with the callback. */
export async function withFaults(
  faults: readonly Fault[],
  use: (http: Http, server: ScriptedServer) => Promise<void>,
  options: Partial<HttpOptions> = {},
): Promise<void> {
  const server = await startScripted(faults);
  const http = await openHttp(at(server.port), { ...OPTIONS, ...options });
  try {
    await use(http, server);
  } finally {
    await http.close();
    await server.close();
  }
}
