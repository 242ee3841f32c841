/**
 * In the child: every connection's life as steps. A request is cut where it makes a difference: connected, the first
 * byte of the head, the head, the first byte of the body, half of it, all but its last byte, all; its reply at the first
 * byte and the last. Each piece is with the system when its step is taken, so that killing the process does not take it
 * back.
 */

import { Socket } from "node:net";
import type { Step } from "./kill-at-step.ts";

/** Where one connection is in its conversation. */
type Line = {
  method: string;
  /** What of the head was written; null while the body is. */
  head: string | null;
  size: number;
  sent: number;
  answered: boolean;
};

/** A piece of a write: how long it is, and the step after it. */
type Piece = { readonly length: number; readonly name: string | null };

type Written = (error?: Error | null) => void;
type Chunk = { readonly chunk: Buffer | string; readonly encoding: BufferEncoding };

/** The stream's own methods, which its types keep to themselves. */
type Inner = {
  connect(...args: unknown[]): Socket;
  push(chunk: Buffer | null): boolean;
  _write(bytes: Buffer, encoding: string, written: Written): void;
  _writev(chunks: readonly Chunk[], written: Written): void;
};

export function stepSockets(step: Step): void {
  const inner = Socket.prototype as unknown as Inner;
  const { connect, push, _write: write, _writev: writeAll } = inner;
  const lines = new WeakMap<object, Line>();

  inner.connect = function (this: Socket, ...args) {
    lines.set(this, { method: "", head: "", size: 0, sent: 0, answered: false });
    step("before connect");
    this.prependOnceListener("connect", () => step("after connect"));
    return connect.apply(this, args);
  };

  inner._writev = function (this: Inner, chunks, written) {
    if (!lines.has(this)) return writeAll.call(this, chunks, written);
    const bytes = chunks.map(({ chunk, encoding }) =>
      typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk,
    );
    this._write(Buffer.concat(bytes), "buffer", written);
  };

  inner._write = function (this: object, chunk, encoding, written) {
    const line = lines.get(this);
    if (line === undefined) return write.call(this as Inner, chunk, encoding, written);
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding as BufferEncoding) : chunk;
    const writePiece = (from: number): void => {
      if (from >= bytes.length) {
        written();
        return;
      }
      const { length, name } = nextPiece(line, bytes.subarray(from));
      write.call(this as Inner, bytes.subarray(from, from + length), "buffer", (error) => {
        if (name !== null && !error) step(name);
        if (error) written(error);
        else writePiece(from + length);
      });
    };
    writePiece(0);
  };

  inner.push = function (this: object, chunk) {
    const line = lines.get(this);
    if (line === undefined || chunk === null || line.answered) return push.call(this as Inner, chunk);
    line.answered = true;
    push.call(this as Inner, chunk.subarray(0, 1));
    step(`${line.method}: first byte of the reply`);
    const wantsMore = push.call(this as Inner, chunk.subarray(1));
    step(`${line.method}: reply`);
    return wantsMore;
  };
}

/** How much of these bytes to write before the next step, and its name; the line moves on by as much. */
function nextPiece(line: Line, bytes: Buffer): Piece {
  if (line.head === null && line.sent === line.size) line.head = "";
  if (line.head !== null) return nextOfHead(line, line.head, bytes);
  const cuts: [number, string][] = [
    [1, "first byte of the body"],
    [Math.floor(line.size / 2), "half the body"],
    [line.size - 1, "all of the body but a byte"],
    [line.size, "body"],
  ];
  const sent = line.sent;
  const [end, name] = cuts.find(([at]) => at > sent) ?? [line.size, "body"];
  const length = Math.min(end - sent, bytes.length);
  line.sent += length;
  return { length, name: sent + length === end ? `${line.method}: ${name}` : null };
}

function nextOfHead(line: Line, before: string, bytes: Buffer): Piece {
  const text = bytes.toString("latin1");
  if (before === "") {
    Object.assign(line, { method: text.slice(0, text.indexOf(" ")), head: text[0], answered: false });
    return { length: 1, name: `${line.method}: first byte` };
  }
  const end = `${before}${text}`.indexOf("\r\n\r\n");
  if (end < 0) {
    line.head = before + text;
    return { length: bytes.length, name: null };
  }
  const head = `${before}${text}`.slice(0, end + 4);
  const size = Number(/\r\ncontent-length: ([0-9]+)/i.exec(head)?.[1] ?? "0");
  Object.assign(line, { head: null, size, sent: 0 });
  return { length: head.length - before.length, name: `${line.method}: head` };
}

/** What is printed, and where the program is when it was. */
export function stepPrinting(step: Step): void {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = ((text: string) => {
    step("before print");
    const isWritten = write(text);
    step("after print");
    return isWritten;
  }) as typeof stdout.write;
}
