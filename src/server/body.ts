/**
 * The body of a request as it comes off the socket. Hides how long the server waits for it: a body that stops, or comes
 * in drops, is cut off; one that is only slow is not. Time that the server takes for itself between two chunks, as for
 * a slow disk, is not the client's.
 */

import type { IncomingMessage } from "node:http";
import { BrokenBody, Refusal } from "./refusal.ts";

/** Milliseconds. */
export type Patience = {
  /** How long no byte at all may come. */
  readonly silence: number;
  /** How long the bytes are counted before they are held to the least rate; then they are counted anew. */
  readonly window: number;
};

/** Bytes a second. */
const LEAST_RATE = 1024;

/**
 * The chunks of a body, framed by a length or chunked. The socket outlives it, and what was not read can still be read.
 * @throws BrokenBody when the client breaks off; Refusal with 408 when it is silent or too slow
 */
export async function* readBody(message: IncomingMessage, patience: Patience): AsyncGenerator<Buffer> {
  // While the server waits it counts for itself; once the body is there it is the client who waits.
  message.socket.setTimeout(0);
  const chunks = message.iterator({ destroyOnReturn: false });
  const wait = waiting(patience);
  try {
    for (let next = await wait(chunks.next()); next.done !== true; next = await wait(chunks.next()))
      yield next.value;
  } finally {
    // Not awaited: the iterator of a body that was given up may still wait for the next chunk.
    void chunks.return?.();
  }
}

type Next = IteratorResult<Buffer, unknown>;

/** A way to wait for one chunk after the other of the same body. */
function waiting({ silence, window }: Patience): (next: Promise<Next>) => Promise<Next> {
  let waited = 0;
  let received = 0;
  return async (next) => {
    const broken = next.catch((cause: unknown) => {
      throw new BrokenBody("The client broke off.", { cause });
    });
    for (let silent = 0; ; ) {
      const begun = performance.now();
      const result = await before(broken, Math.min(silence - silent, window - waited));
      const passed = performance.now() - begun;
      waited += passed;
      silent += passed;
      if (result?.done === true) return result;
      received += result?.value.length ?? 0;
      if (result === null && silent >= silence) throw tooSlow(`no byte for ${silence / 1000} s`);
      if (waited >= window) {
        if (received < (LEAST_RATE * window) / 1000)
          throw tooSlow(`${received} bytes in ${window / 1000} s, the least is ${LEAST_RATE} bytes a second`);
        waited = 0;
        received = 0;
      }
      if (result !== null) return result;
    }
  };
}

/** What comes of the promise within that time; null: nothing yet. */
async function before<T>(promise: Promise<T>, time: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, time, null);
  });
  try {
    return await Promise.race([promise, enough]);
  } finally {
    clearTimeout(timer);
  }
}

function tooSlow(how: string): Refusal {
  return new Refusal(408, `The request's body came too slowly: ${how}.`, {
    headers: { connection: "close" },
  });
}
