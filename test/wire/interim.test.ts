import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer, connect as openSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { openHttp } from "../../src/wire/http.ts";
import { at, large, OPTIONS, request, withFaults } from "../support/exchanges.ts";
import { type Fault, ok, startScripted } from "../support/scripted-server.ts";
import { makeAuthority } from "../support/servers/certificates.ts";
import { complaintOf } from "../support/thrown-error.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const PROCESSING = "HTTP/1.1 102 Processing\r\nX-Step: 1 of 9\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nBucket=1\r\n";

/** These pieces, each as a packet of its own. */
function inPackets(pieces: readonly string[]): Fault {
  return {
    play: async (socket) => {
      socket.setNoDelay(true);
      for (const piece of pieces) {
        socket.write(piece, "latin1");
        // As long as a read of the other side takes.
        await nextTurn();
        await sleep(1);
      }
    },
  };
}

async function bodyAfter(fault: Fault): Promise<string> {
  let body = "";
  await withFaults([fault, ok("again")], async (http, server) => {
    body = (await http.send(request(at(server.port)))).body.toString();
    assert.equal((await http.send(request(at(server.port)))).body.toString(), "again");
    assert.equal(server.connections(), 1);
  });
  return body;
}

test("hostile 17: interim answers that nobody asked for are passed over, in any number and mixture", async () => {
  for (const interim of [
    CONTINUE,
    PROCESSING,
    HINTS,
    "HTTP/1.1 100\r\n\r\n",
    "HTTP/1.0 199 Else\n\n",
    `\r\n${CONTINUE}`,
    CONTINUE + PROCESSING + HINTS + CONTINUE,
    CONTINUE.repeat(10_000),
    `${PROCESSING}\r\n${HINTS}\r\n`,
  ])
    assert.equal(await bodyAfter(inPackets([interim + ANSWER])), "Bucket=1\r\n", interim.slice(0, 60));
});

test("hostile 17: wherever they are cut into packets", async () => {
  const whole = `HTTP/1.1 103 Hint\r\nA: b\r\n\r\n${CONTINUE}${ANSWER}`;
  const cuts = Array.from({ length: whole.length - 1 }, (_, index) => [
    whole.slice(0, index + 1),
    whole.slice(index + 1),
  ]);
  await withFaults(cuts.map(inPackets), async (http, server) => {
    for (const pieces of cuts) {
      const { body } = await http.send(request(at(server.port)));
      assert.equal(body.toString(), "Bucket=1\r\n", JSON.stringify(pieces));
    }
    assert.equal(server.connections(), 1);
  });
  assert.equal(await bodyAfter(inPackets([...whole])), "Bucket=1\r\n");
});

test("hostile 17: an upload in the middle of which a 100 arrives goes on to its end", async () => {
  const size = 8 * 1024 * 1024;
  const server = createServer(async (socket: Socket) => {
    let arrived = 0;
    for await (const chunk of socket) {
      const before = arrived;
      arrived += (chunk as Buffer).length;
      if (before < size / 2 && arrived >= size / 2) socket.write(CONTINUE + PROCESSING);
      if (arrived >= size) socket.write(ANSWER);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = at((server.address() as AddressInfo).port);
  const http = await openHttp(origin, OPTIONS);
  const reply = await http.send(request(origin, { method: "PUT", body: large(size) }));
  await http.close();
  server.close();
  assert.deepEqual([reply.status, reply.body.toString()], [200, "Bucket=1\r\n"]);
});

test("hostile 17: through a proxy, in the open", async () => {
  const proxy = await startScripted([inPackets([CONTINUE, HINTS + ANSWER])]);
  const origin = { scheme: "http", host: "cer.invalid", port: 1273 } as const;
  const http = await openHttp(origin, { ...OPTIONS, proxy: `http://127.0.0.1:${proxy.port}` });
  const { body } = await http.send(request(origin));
  await http.close();
  await proxy.close();
  assert.equal(body.toString(), "Bucket=1\r\n");
});

test("what only looks like an interim answer is the answer itself", async () => {
  const cases: [answer: string, status: number][] = [
    ["HTTP/1.1 200 100 Continue\r\nContent-Length: 0\r\n\r\n", 200],
    ["HTTP/1.1 101 Switching Protocols\r\n\r\n", 101],
    ["HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 101],
    [`${CONTINUE}HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n`, 101],
    ["HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n", 0],
    ["HTTP/1.1 999 Much\r\nContent-Length: 0\r\n\r\n", 999],
  ];
  for (const [answer, status] of cases)
    await withFaults([inPackets([answer])], async (http, server) => {
      const reply = await http.send(request(at(server.port)));
      assert.deepEqual([reply.status, reply.body.length], [status, 0], answer);
    });
  for (const begun of ["HTTP/1.1 1", "HTTP/1.1 100 Contin", CONTINUE, "HTT"])
    await withFaults([{ play: (socket) => void socket.end(begun) }], async (http, server) => {
      const complaint = await complaintOf(() => http.send(request(at(server.port))));
      assert.equal(complaint.code, "CER_CONNECTION_LOST", begun);
    });
});

test("hostile 17: through a tunnel that a proxy makes, before and behind the answer to CONNECT", async () => {
  const place = await mkdtemp(join(tmpdir(), "cer-interim-"));
  const { key, certificate } = await (await makeAuthority(place)).sign("IP:127.0.0.1");
  const target = createTlsServer(
    { key: await readFile(key), cert: await readFile(certificate) },
    (socket) => {
      socket.once("data", () => socket.write(CONTINUE + PROCESSING + ANSWER));
    },
  );
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const { port } = target.address() as AddressInfo;
  const proxy = createServer((socket) => {
    socket.once("data", () => {
      socket.write(`${CONTINUE}${PROCESSING}HTTP/1.1 200 Connection established\r\n\r\n`);
      const onward = openSocket(port, "127.0.0.1");
      socket.pipe(onward).pipe(socket);
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  // This test's own server is not what is judged here.
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  try {
    const origin = { scheme: "https", host: "127.0.0.1", port } as const;
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const http = await openHttp(origin, { ...OPTIONS, proxy: address });
    const { body } = await http.send(request(origin));
    await http.close();
    assert.equal(body.toString(), "Bucket=1\r\n");
  } finally {
    delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    target.close();
    proxy.close();
    await rm(place, { recursive: true });
  }
});
