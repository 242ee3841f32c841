/**
 * One connection beneath undici: interim answers (RFC 9110, 15.2) are taken out of what it reads, since undici breaks
 * off at a 100 that it did not ask for; and what has really moved is counted.
 */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Peer } from "./exchange.ts";

export class Connection {
  readonly peer: Peer;
  readonly #socket: Socket;
  #filter = new InterimFilter();
  #received = 0;
  #isBroken = false;

  /** Of a socket that stands and that nobody has read from. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.peer = describePeer(socket);
    socket.on("error", () => {
      this.#isBroken = true;
    });
    const read = socket.read.bind(socket);
    socket.read = () => {
      for (;;) {
        const chunk: Buffer | null = read();
        if (chunk === null) return null;
        this.#received += chunk.length;
        const passed = this.#filter.pass(chunk);
        if (passed.length > 0) return passed;
      }
    };
  }

  /** The next bytes are the head of an answer, perhaps of an interim one. */
  expectAnswer(): void {
    this.#filter = new InterimFilter();
  }

  /** It ended by a fault, a reset most often. undici takes that for the end of an answer that has no length. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Bytes read so far, those of interim answers among them. */
  get received(): number {
    return this.#received;
  }

  /** What was written waits here, since the system takes no more. Of TLS it is not known: it tells later than it sends. */
  get isHoldingBack(): boolean {
    return !("encrypted" in this.#socket) && this.#socket.writableLength > 0;
  }

  /** Bytes that the other side has not acknowledged yet; 0 where the system does not tell. */
  async unacknowledged(): Promise<number> {
    for (const table of TABLES) {
      const queued = this.#queueIn(await readFile(table, "latin1").catch(() => ""));
      if (queued !== null) return queued;
    }
    return 0;
  }

  /**
   * Whether bytes are still on the way at the moment of the answer: who has read all of them has acknowledged them all,
   * at the latest with the answer. Of TLS it is not asked, which writes on its own account as well.
   */
  get isUnacknowledged(): boolean {
    if ("encrypted" in this.#socket) return false;
    return TABLES.some((table) => {
      try {
        return (this.#queueIn(readFileSync(table, "latin1")) ?? 0) > 0;
      } catch {
        return false;
      }
    });
  }

  /** Null where the connection does not stand in the table. */
  #queueIn(table: string): number | null {
    const { localPort, remotePort } = this.#socket;
    return localPort === undefined || remotePort === undefined ? null : queueOf(table, localPort, remotePort);
  }
}

/** Of Linux: all connections in this network. */
const TABLES = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

function describePeer(socket: Socket): Peer {
  const { getPeerX509Certificate } = socket as Partial<TLSSocket>;
  return {
    address: socket.remoteAddress ?? null,
    tlsFingerprint: getPeerX509Certificate?.call(socket as TLSSocket)?.fingerprint256 ?? null,
  };
}

/** Of Linux' table of connections, the bytes in the send queue of the one between these ports; null without one. */
function queueOf(table: string, localPort: number, remotePort: number): number | null {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
  const row = new RegExp(
    `: [0-9A-F]+:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} [0-9A-F]{2} ([0-9A-F]{8}):`,
  );
  const queued = row.exec(table)?.[1];
  return queued === undefined ? null : Number.parseInt(queued, 16);
}

/** The beginning of an interim answer. 101 is none: it ends HTTP on the connection. */
const INTERIM = /^HTTP\/\d\.\d 1(?!01)\d\d[ \r\n]$/;
const LIKE = "HTTP/1.1 100 ";
const END_OF_HEAD = /\n\r?\n/g;

/** Lets the bytes of one answer pass, without the interim answers before it, however they are cut into packets. */
class InterimFilter {
  /** start: before a status line · interim: in a head that is dropped · passing: in the answer itself */
  #state: "start" | "interim" | "passing" = "start";
  /** Bytes whose meaning the next ones decide. */
  #held = Buffer.alloc(0);

  pass(chunk: Buffer): Buffer {
    if (this.#state === "passing") return chunk;
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const text = bytes.toString("latin1");
    let at = 0;
    for (;;) {
      if (this.#state === "interim") {
        END_OF_HEAD.lastIndex = at;
        const end = END_OF_HEAD.exec(text);
        // Two bytes are enough to know the end by what follows.
        if (end === null) return this.#hold(bytes, Math.max(at, bytes.length - 2));
        at = END_OF_HEAD.lastIndex;
        this.#state = "start";
      }
      while (text[at] === "\r" || text[at] === "\n") at++;
      const line = text.slice(at, at + LIKE.length);
      if (!INTERIM.test(line + LIKE.slice(line.length))) {
        this.#state = "passing";
        this.#held = Buffer.alloc(0);
        return bytes.subarray(at);
      }
      if (line.length < LIKE.length) return this.#hold(bytes, at);
      // The line's own end may be the last of these bytes, and half of the head's.
      at += LIKE.length - 1;
      this.#state = "interim";
    }
  }

  #hold(bytes: Buffer, from: number): Buffer {
    this.#held = Buffer.from(bytes.subarray(from));
    return Buffer.alloc(0);
  }
}
