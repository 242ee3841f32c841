/** Answers that a fault of the connection ends, and connections that fail in a way undici takes for another chance. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { openHttp } from "../../src/wire/http.ts";
import { at, large, OPTIONS, request, withFaults } from "../support/exchanges.ts";
import type { Fault } from "../support/scripted-server.ts";
import { complaintOf } from "../support/thrown-error.ts";

const HEAD = "HTTP/1.1 200 OK\r\nConnection: close\r\n";

/** Says this, and resets the connection once it has left. */
function sayAndReset(text: string): Fault {
  return {
    play: (socket) =>
      new Promise((resolve) => {
        socket.write(text, () => {
          setTimeout(() => {
            socket.resetAndDestroy();
            resolve();
          }, 50);
        });
      }),
  };
}

test("an answer without a length that a reset ends is cut, wherever that is", async () => {
  const whole = "Bucket=1\r\niData=1\r\nDumpFile=\\P\\G\\a.cab\r\n";
  for (const body of ["", "Bucket=1\r\n", whole.slice(0, -10), whole])
    await withFaults([sayAndReset(`${HEAD}\r\n${body}`)], async (http, server) => {
      const origin = at(server.port);
      const { code } = await complaintOf(() => http.send(request(origin)));
      assert.equal(code, "CER_CONNECTION_LOST", JSON.stringify(body));
    });
});

test("one with a length is whole when it is, whatever follows; a refusal is one by its status", async () => {
  const told = `${HEAD}Content-Length: 10\r\n\r\nBucket=1\r\n`;
  for (const [text, status] of [
    [told, 200],
    ["HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nno", 413],
  ] as const)
    await withFaults([sayAndReset(text)], async (http, server) => {
      const origin = at(server.port);
      assert.equal((await http.send(request(origin))).status, status);
    });
});

test("an answer in chunks that ends before its last one is cut", async () => {
  const cut: Fault = {
    play: (socket) => void socket.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\n10\r\nBucket`),
  };
  await withFaults([cut], async (http, server) => {
    const origin = at(server.port);
    assert.equal((await complaintOf(() => http.send(request(origin)))).code, "CER_CONNECTION_LOST");
  });
});

test("a proxy that closes the connection instead of answering CONNECT is asked once", async () => {
  let asked = 0;
  const proxy = createServer((socket) => {
    asked++;
    socket.on("error", () => {});
    socket.once("data", () => socket.end());
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const origin = { scheme: "https", host: "cer.example", port: 1273 } as const;
  const http = await openHttp(origin, { ...OPTIONS, proxy: address });
  const { code } = await complaintOf(() => http.send(request(origin)));
  assert.deepEqual([code, asked], ["CER_CONNECTION_LOST", 1]);
  await http.close();
  proxy.close();
});

test("an answer in pieces of one byte is put together", async () => {
  const text = "Bucket=1234567\r\n".repeat(20);
  const dripped: Fault = {
    play: (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n`);
      socket.write(`${[...text].map((letter) => `1\r\n${letter}\r\n`).join("")}0\r\n\r\n`);
    },
  };
  await withFaults([dripped], async (http, server) => {
    const origin = at(server.port);
    assert.equal((await http.send(request(origin))).body.toString(), text);
  });
});

test("hostile 1: a success from a server that has read nothing acknowledges nothing, though the system took it all", async () => {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => {});
    setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 300);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = at((server.address() as AddressInfo).port);
  const http = await openHttp(origin, OPTIONS);
  const body = large(2 * 1024 * 1024);
  const { code, message } = await complaintOf(() => http.send(request(origin, { method: "PUT", body })));
  assert.equal(code, "CER_CONNECTION_LOST");
  assert.match(message, /answered 200 before it had the request/);
  await http.close();
  server.close();
});
