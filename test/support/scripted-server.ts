/**
 * A CER server that does what its script says, on raw sockets, and remembers every request as it came, whole or broken
 * off. What no well-behaved server produces is asked for by name:
 *
 *   const server = await startScripted([busy("7"), resetAfter(1000), ok()]);
 *   … run the client against server.port …
 *   assert.equal(server.requests.length, 3);
 *   await server.close();
 */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A request as it came over the wire. */
export type RawRequest = {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** Request line and header lines, without the empty line that ends them. */
  readonly head: string;
  /** Names in lower case; the last of a repeated header. */
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded if it came in chunks; what had arrived, if the fault stopped it or the client broke off. */
  readonly body: Buffer;
  /** The whole body arrived. */
  readonly complete: boolean;
};

/** What the server does with one request. */
export type Fault = {
  /** Bytes of the request body after which `play` runs; the whole body unless given. -1: as soon as it connects. */
  readonly after?: number;
  /** What to do with the socket. The connection is kept if it is still writable afterwards. */
  readonly play: (socket: Socket) => void | Promise<void>;
};

type AnswerParts = {
  readonly reason?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
};

function answerBytes(status: number, parts: AnswerParts): Buffer {
  const body = Buffer.from(parts.body ?? "");
  const headers = { "content-length": String(body.length), ...parts.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} ${parts.reason ?? "Reason"}\r\n${lines.join("")}\r\n`),
    body,
  ]);
}

/** Any status, headers and body: 404, 500, 203, 302 with a location, 401 with www-authenticate … */
export function answer(status: number, parts: AnswerParts = {}): Fault {
  return { play: (socket) => void socket.write(answerBytes(status, parts)) };
}

/** 200 with this text, or none: what a CER server says. */
export function ok(body: string | Buffer = ""): Fault {
  return answer(200, { headers: { "content-type": "text/plain" }, body });
}

/** 200 with a login page, as a captive portal or a proxy answers. */
export function loginPage(): Fault {
  const body = "<!DOCTYPE html><html><body>Please log in</body></html>";
  return answer(200, { headers: { "content-type": "text/html" }, body });
}

export function redirect(location: string, status = 302): Fault {
  return answer(status, { headers: { location } });
}

/** 503 that names its delay, as seconds or as an HTTP date. */
export function busy(retryAfter: string): Fault {
  return answer(503, { headers: { "retry-after": retryAfter } });
}

/** 401, or 407 as a proxy, with one challenge per scheme in one header. */
export function challenge(schemes: readonly string[], status: 401 | 407 = 401): Fault {
  const name = status === 401 ? "www-authenticate" : "proxy-authenticate";
  return answer(status, { headers: { [name]: schemes.join(", ") } });
}

/** The same answer before the body has been read. */
export function early(fault: Fault): Fault {
  return { ...fault, after: 0 };
}

/** Takes the connection and closes it before a byte of the request is read. */
export function closeOnConnect(): Fault {
  return { after: -1, play: (socket) => void socket.destroy() };
}

/** Reads the whole request and closes without an answer. */
export function closeBeforeAnswer(): Fault {
  return { play: (socket) => void socket.end() };
}

/** A reset of the connection once this many bytes of the body have arrived; 0: after the head; Infinity: after all. */
export function resetAfter(bodyBytes: number): Fault {
  return { after: bodyBytes, play: (socket) => void socket.resetAndDestroy() };
}

/** Reads the whole request and says nothing, until the client or the test ends it. */
export function neverAnswer(): Fault {
  return { play: () => {} };
}

/** The first part of an answer, then the end of the connection. */
export function halfHeader(): Fault {
  return { play: (socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Ty") };
}

/** A whole header that promises more bytes than follow, then the end of the connection. */
export function halfBody(body: string, promised: number): Fault {
  const parts = { headers: { "content-length": String(promised) }, body };
  return { play: (socket) => void socket.end(answerBytes(200, parts)) };
}

/** What is not HTTP at all. */
export function garbage(): Fault {
  return { play: (socket) => void socket.end("SSH-2.0-OpenSSH_9.6\r\n") };
}

/** 200 and this many bytes of text without an announced length, as fast as the client takes it, or until it leaves. */
export function flood(bytes = 64 * 1024 * 1024): Fault {
  const block = Buffer.from("all work and no play\r\n".repeat(2979));
  return {
    play: async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n");
      for (let sent = 0; sent < bytes && socket.writable; sent += block.length)
        if (!socket.write(block)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
      socket.end();
    },
  };
}

/** The bytes of an answer one at a time. */
export function slow(body: string, msPerByte: number): Fault {
  return {
    play: async (socket) => {
      for (const byte of answerBytes(200, { body })) {
        if (!socket.writable) return;
        socket.write(Buffer.of(byte));
        await sleep(msPerByte);
      }
    },
  };
}

/** This answer after a while. */
export function delayed(ms: number, fault: Fault): Fault {
  return {
    ...fault,
    play: async (socket) => {
      await sleep(ms);
      if (socket.writable) await fault.play(socket);
    },
  };
}

/**
 * Faults in the order in which the requests begin, counted over all connections, the last one repeated. Or a choice,
 * made once a request has arrived whole and given how many of its method there were, this one among them; null: what a
 * CER server should do.
 */
export type Script = readonly Fault[] | ((method: string, count: number) => Fault | null);

export type ScriptedServer = {
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** In the order in which they ended. One that never sent a head is not among them. */
  readonly requests: readonly RawRequest[];
  /** Those of a method that arrived whole. */
  whole(method: string): RawRequest[];
  /** Connections taken so far. */
  readonly connections: () => number;
  /** Whether connections are closed as soon as they are made; those that there are stay. */
  isDown: boolean;
  close(): Promise<void>;
};

/**
 * Listens on a free loopback port. Without a script every report is taken and an archive asked for, which is taken too.
 * `Expect: 100-continue` is granted unless the fault comes before the body.
 */
export async function startScripted(script: Script = () => null): Promise<ScriptedServer> {
  const requests: RawRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const player = typeof script === "function" ? choosing(script, requests) : inOrder(script);
  const listener = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    if (server.isDown) socket.destroy();
    else serveConnection(socket, player, requests).catch(() => socket.destroy());
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const server: ScriptedServer = {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    whole: (method) => wholeOf(requests, method),
    connections: () => connections,
    isDown: false,
    close: async () => {
      const closed = once(listener, "close");
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return server;
}

/** A port on which nothing listens: connections are refused. */
export async function refusingPort(): Promise<number> {
  const server = await startScripted([neverAnswer()]);
  await server.close();
  return server.port;
}

/** What the server answers to these very bytes, until it closes the connection or `until` is found in the answer. */
export async function exchangeRaw(port: number, bytes: string | Buffer, until?: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes);
  let text = "";
  try {
    for await (const chunk of socket) {
      text += (chunk as Buffer).toString("latin1");
      if (until !== undefined && text.includes(until)) break;
    }
  } catch (thrown) {
    text += `[${(thrown as NodeJS.ErrnoException).code}]`;
  }
  socket.destroy();
  return text;
}

/** The script as it is played. */
type Player = {
  /** What is done before a byte is read; null: nothing. */
  atConnect(): Fault | null;
  /** What is done with a request whose head is there. */
  atHead(method: string): Fault;
};

function inOrder(faults: readonly Fault[]): Player {
  let played = 0;
  const peek = () => {
    const fault = faults[Math.min(played, faults.length - 1)];
    if (fault === undefined) throw new Error("a script needs a fault");
    return fault;
  };
  const take = () => {
    const fault = peek();
    played++;
    return fault;
  };
  return { atConnect: () => (peek().after === -1 ? take() : null), atHead: take };
}

function choosing(
  choose: (method: string, count: number) => Fault | null,
  requests: readonly RawRequest[],
): Player {
  const atHead = (method: string): Fault => ({
    play: (socket) => {
      // The request was noted just now. A client that broke off gets no answer.
      if (requests.at(-1)?.complete !== true) return;
      const count = wholeOf(requests, method).length;
      return (choose(method, count) ?? goodAnswer(method, count)).play(socket);
    },
  });
  return { atConnect: () => null, atHead };
}

function wholeOf(requests: readonly RawRequest[], method: string): RawRequest[] {
  return requests.filter((one) => one.complete && one.method === method);
}

/** Each report gets a DumpFile of its own, as from a real server, so that a report taken twice is seen. */
function goodAnswer(method: string, count: number): Fault {
  if (method === "PUT") return ok();
  return ok(`Bucket=50${count}\r\nBucketTable=5\r\niData=1\r\nDumpFile=\\Cabs\\${count}.cab\r\n`);
}

async function serveConnection(socket: Socket, player: Player, requests: RawRequest[]): Promise<void> {
  const atOnce = player.atConnect();
  if (atOnce !== null) return atOnce.play(socket);
  const source = new SocketReader(socket);
  while (socket.writable) {
    const head = await source.readHead();
    if (head === null) return;
    const [requestLine = "", ...lines] = head.split("\r\n");
    const [method = "", target = ""] = requestLine.split(" ");
    const fault = player.atHead(method);
    const headers = Object.fromEntries(
      lines.map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
      }),
    );
    if (headers.expect?.toLowerCase() === "100-continue" && fault.after !== 0)
      socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    const limit = fault.after ?? Number.POSITIVE_INFINITY;
    const { body, complete } =
      headers["transfer-encoding"] === "chunked"
        ? await source.readChunks(limit)
        : await source.readBytes(Number(headers["content-length"] ?? 0), limit);
    requests.push({ method, target, head, headers, body, complete });
    await fault.play(socket);
    if (!complete) return;
  }
}

type PartOfBody = { body: Buffer; complete: boolean };

/** Reads requests off a socket, no further than asked. */
class SocketReader {
  #pending = Buffer.alloc(0);
  readonly #chunks: AsyncIterator<Buffer>;

  constructor(socket: Socket) {
    this.#chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  }

  /** False where the client has ended or broken off. */
  async #more(): Promise<boolean> {
    const { value, done } = await this.#chunks.next().catch(() => ({ value: null, done: true }));
    if (done === true || value === null) return false;
    this.#pending = Buffer.concat([this.#pending, value]);
    return true;
  }

  async #until(mark: string): Promise<string | null> {
    let at = this.#pending.indexOf(mark);
    while (at < 0) {
      if (!(await this.#more())) return null;
      at = this.#pending.indexOf(mark);
    }
    const text = this.#pending.subarray(0, at).toString("latin1");
    this.#pending = this.#pending.subarray(at + mark.length);
    return text;
  }

  readHead(): Promise<string | null> {
    return this.#until("\r\n\r\n");
  }

  /** `length` bytes, or the first `limit` of them. */
  async readBytes(length: number, limit: number): Promise<PartOfBody> {
    const parts: Buffer[] = [];
    let left = Math.min(length, limit);
    while (left > 0 && (this.#pending.length > 0 || (await this.#more()))) {
      const part = this.#pending.subarray(0, left);
      this.#pending = this.#pending.subarray(part.length);
      left -= part.length;
      parts.push(part);
    }
    const body = Buffer.concat(parts);
    return { body, complete: body.length === length };
  }

  async readChunks(limit: number): Promise<PartOfBody> {
    const parts: Buffer[] = [];
    for (let room = limit; room > 0; ) {
      const size = Number.parseInt((await this.#until("\r\n")) ?? "", 16);
      if (Number.isNaN(size)) break;
      const { body, complete } = await this.readBytes(size, room);
      parts.push(body);
      room -= body.length;
      if (!complete || (await this.#until("\r\n")) === null) break;
      if (size === 0) return { body: Buffer.concat(parts), complete: true };
    }
    return { body: Buffer.concat(parts), complete: false };
  }
}
