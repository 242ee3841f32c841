import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openHttp } from "../../src/wire/http.ts";
import { at, bytes, large, OPTIONS, request, withFaults } from "../support/exchanges.ts";
import { answer, early, type Fault, ok } from "../support/scripted-server.ts";
import { makeAuthority } from "../support/servers/certificates.ts";
import { complaintOf } from "../support/thrown-error.ts";

const MIB = 1024 * 1024;
const SIZE = 48 * MIB;
const SUCCESS = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/** The head is read, and so many bytes of the body; then a success is said, and that is done. */
function says(status: string, after: number, then: "read" | "close" | "reset" | "wait"): Fault {
  return {
    after,
    play: (socket) => {
      socket.write(status);
      if (then === "read") socket.resume();
      if (then === "close") socket.end();
      if (then === "reset") setTimeout(() => socket.resetAndDestroy(), 50);
    },
  };
}

const EARLY: readonly [title: string, fault: Fault][] = [
  ["and reads on", says(SUCCESS, 0, "read")],
  ["and reads no more", says(SUCCESS, MIB, "wait")],
  ["and closes", says(SUCCESS, 65_536, "close")],
  ["and resets", says(SUCCESS, 65_536, "reset")],
  ["with Connection: close", says("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nOK", 0, "close")],
  ["as 201", says("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 0, "read")],
  ["as 204", says("HTTP/1.1 204 No Content\r\n\r\n", 0, "read")],
  ["after an interim answer", says(`HTTP/1.1 100 Continue\r\n\r\n${SUCCESS}`, 0, "read")],
];

for (const [title, fault] of EARLY)
  for (const method of ["POST", "PUT"] as const)
    test(`hostile 1: an early 200 to the ${method} ${title} is no delivery`, () =>
      withFaults([fault, ok("Bucket=5")], async (http, server) => {
        const told: number[] = [];
        const big = request(at(server.port), { method, path: "/x.cab", body: large(SIZE) });
        const { code, message } = await complaintOf(() =>
          http.send(big, { onProgress: (sent) => told.push(sent) }),
        );
        assert.equal(code, "CER_CONNECTION_LOST", message);
        // A reset may be noticed before what was said ahead of it.
        if (!title.includes("resets"))
          assert.match(
            message,
            /\/x\.cab answered 20\d before it had the request \(\d+ of 50331648 bytes had been sent\)/,
          );
        assert.ok((told.at(-1) ?? 0) < SIZE, "progress says no more than was taken");
        assert.equal((await http.send(request(at(server.port)))).body.toString(), "Bucket=5");
      }));

test("hostile 1: a 200 that was there before the PUT began is not taken for its answer", async () => {
  const twice: Fault = { play: (socket) => void socket.write(`${SUCCESS}${SUCCESS}`) };
  await withFaults([twice, ok("second")], async (http, server) => {
    const origin = at(server.port);
    await http.send(request(origin));
    const reply = await http.send(request(origin, { method: "PUT", body: large(MIB) }));
    assert.equal(reply.body.toString(), "second");
    assert.equal(server.connections(), 2);
  });
});

test("an early error is the reply that it is", async () => {
  for (const status of [401, 403, 413, 503])
    await withFaults([early(answer(status))], async (http, server) => {
      const put = request(at(server.port), { method: "PUT", body: large(SIZE) });
      assert.equal((await http.send(put)).status, status);
    });
});

test("an answer that comes with the last byte counts, whatever the size, and however often", async () => {
  const sizes = [0, 1, 100, 16_384, 32_767, 32_768, 32_769, 65_536, 65_537, 100_000, 3 * MIB + 1];
  await withFaults([ok()], async (http, server) => {
    const origin = at(server.port);
    for (let round = 0; round < 20; round++)
      for (const size of sizes) {
        const told: number[] = [];
        const body = round % 2 === 0 ? large(size) : bytes(Buffer.alloc(size));
        const put = request(origin, { method: "PUT", body });
        const { status } = await http.send(put, { onProgress: (sent) => told.push(sent) });
        assert.deepEqual([status, told.at(-1) ?? 0], [200, size]);
      }
    assert.equal(server.connections(), 1);
  });
});

test("over TLS, which tells late what it has sent, the same: an honest answer counts, an early one does not", async () => {
  const place = await mkdtemp(join(tmpdir(), "cer-acknowledged-"));
  const { key, certificate } = await (await makeAuthority(place)).sign("IP:127.0.0.1");
  const server = createTlsServer(
    { key: await readFile(key), cert: await readFile(certificate) },
    async (asked, answered) => {
      if (asked.url === "/early") return void answered.end();
      for await (const _ of asked);
      answered.end();
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = { ...at((server.address() as AddressInfo).port), scheme: "https" } as const;
  // This test's own server is not what is judged here.
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  const http = await openHttp(origin, OPTIONS);
  try {
    for (let round = 0; round < 50; round++)
      for (const size of [10, 2000, 32_768, 40_000, 65_536])
        assert.equal((await http.send(request(origin, { body: bytes(Buffer.alloc(size)) }))).status, 200);
    const put = request(origin, { method: "PUT", path: "/early", body: large(SIZE) });
    assert.equal((await complaintOf(() => http.send(put))).code, "CER_CONNECTION_LOST");
  } finally {
    delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    await http.close();
    server.closeAllConnections();
    server.close();
    await rm(place, { recursive: true });
  }
});
