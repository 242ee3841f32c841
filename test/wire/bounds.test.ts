import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpOptions } from "../../src/wire/http.ts";
import { at, large, request, withFaults } from "../support/exchanges.ts";
import { type Fault, slow } from "../support/scripted-server.ts";
import { complaintOf } from "../support/thrown-error.ts";

/** A silence of seconds is allowed; the other bounds are short. */
const SHORT: Partial<HttpOptions> = {
  idleTimeout: 4000,
  leastRate: { bytes: 1000, time: 400 },
  answerTimeout: 4000,
};

/** These bytes again and again, until the client leaves. */
function drip(head: string, piece: string, ms: number, after?: number): Fault {
  return {
    ...(after === undefined ? {} : { after }),
    play: async (socket) => {
      socket.write(head);
      while (socket.writable) {
        socket.write(piece);
        await sleep(ms);
      }
    },
  };
}

async function complaintTo(fault: Fault, size: number, options: Partial<HttpOptions>): Promise<string> {
  let said = "";
  await withFaults(
    [fault],
    async (http, server) => {
      const put = request(at(server.port), { method: "PUT", path: "/x.cab", body: large(size) });
      const { code, message } = await complaintOf(() => http.send(put));
      said = `${code} ${message.replace(`http://127.0.0.1:${server.port}`, "")}`;
    },
    { ...SHORT, ...options },
  );
  return said;
}

test("an answer that drips is given up without --max-time, however long each byte keeps it alive", async () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n";
  const tooSlow = "CER_TIMEOUT /x.cab: less than 1000 bytes moved in 0.4 s.";
  assert.equal(await complaintTo(drip(head, "x", 20), 100, {}), tooSlow);
  assert.equal(await complaintTo(drip("HTTP/1.1 200 OK\r\n\r\n", "x", 20), 100, {}), tooSlow);
});

test("an answer that never ends is given up in its time, its head too, and endless interim answers", async () => {
  const late = "CER_TIMEOUT /x.cab: the answer was not whole 0.6 s after the request was sent.";
  const interim = "HTTP/1.1 102 Processing\r\n\r\n";
  const limits = { answerTimeout: 600 };
  assert.equal(await complaintTo(drip("HTTP/1.1 200 OK\r\n", "X: y\r\n", 20), 100, limits), late);
  assert.equal(await complaintTo(drip("", interim, 20), 100, limits), late);
  assert.equal(await complaintTo(drip("HTTP/1.1 100 Continue\r\n", "A", 20), 100, limits), late);
});

test("an upload that stands still is given up, though interim answers keep coming", async () => {
  const interim = drip("", "HTTP/1.1 102 Processing\r\n\r\n", 20, 10);
  assert.equal(
    await complaintTo(interim, 64 * 1024 * 1024, {}),
    "CER_TIMEOUT /x.cab: less than 1000 bytes moved in 0.4 s.",
  );
});

test("what is slow and keeps to the bounds arrives, in any time", async () => {
  const answer = slow("Bucket=5".repeat(50), 5);
  await withFaults(
    [answer],
    async (http, server) => {
      const { body } = await http.send(request(at(server.port)));
      assert.equal(body.length, 400);
    },
    { ...SHORT, leastRate: { bytes: 10, time: 500 }, answerTimeout: 60_000 },
  );
});
