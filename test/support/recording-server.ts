/**
 * A CER server that remembers everything it got, whole or broken off. Each report it takes gets a DumpFile of its own, as
 * from a real one, so that a report taken twice is seen.
 */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Received = {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
  readonly sha256: string;
  /** Milliseconds since 1970 at which its head arrived. */
  readonly at: number;
  /** False: the client broke off. */
  readonly whole: boolean;
};

/** What to answer, given how many whole requests of this method there were, this one among them; null: as a server should. */
export type Script = (
  method: string,
  count: number,
) => { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string } | null;

export type Recorder = {
  readonly port: number;
  /** HOST:PORT, as --server takes it. */
  readonly server: string;
  /** In the order in which they ended. */
  readonly received: readonly Received[];
  /** The whole requests of a method. */
  whole(method: string): Received[];
  /** Whether connections are closed as soon as they are made. */
  isDown: boolean;
  close(): Promise<void>;
};

export async function startRecorder(script: Script = () => null, port = 0): Promise<Recorder> {
  const received: Received[] = [];
  const whole = (method: string) => received.filter((one) => one.whole && one.method === method);
  const take = async (message: IncomingMessage, response: ServerResponse) => {
    const at = Date.now();
    const chunks: Buffer[] = [];
    const { method = "", url: path = "" } = message;
    const note = (isWhole: boolean) => {
      const body = Buffer.concat(chunks);
      const sha256 = createHash("sha256").update(body).digest("hex");
      received.push({ method, path, body, sha256, at, whole: isWhole });
    };
    response.on("error", () => {});
    try {
      for await (const chunk of message) chunks.push(chunk as Buffer);
    } catch {
      return note(false);
    }
    note(true);
    const count = whole(method).length;
    const { status, headers, body } = script(method, count) ?? goodAnswer(method, count);
    response.writeHead(status, headers).end(body);
  };
  const server = createServer((message, response) => void take(message, response));
  server.on("connection", (socket) => {
    if (recorder.isDown) socket.destroy();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  const recorder: Recorder = {
    port: address.port,
    server: `127.0.0.1:${address.port}`,
    received,
    whole,
    isDown: false,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return recorder;
}

function goodAnswer(method: string, count: number) {
  if (method === "PUT") return { status: 200 };
  const body = `Bucket=50${count}\r\nBucketTable=5\r\niData=1\r\nDumpFile=\\Cabs\\${count}.cab\r\n`;
  return { status: 200, headers: { "content-type": "text/plain" }, body };
}
