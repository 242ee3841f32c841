/** The scripted server itself: each fault does what its name says, and every request is remembered. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  answer,
  busy,
  challenge,
  closeBeforeAnswer,
  closeOnConnect,
  delayed,
  early,
  exchangeRaw,
  type Fault,
  flood,
  garbage,
  halfBody,
  halfHeader,
  loginPage,
  neverAnswer,
  ok,
  redirect,
  refusingPort,
  resetAfter,
  slow,
  startScripted,
} from "./scripted-server.ts";

const REQUEST = "PUT /a\\b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";

async function play(fault: Fault, until?: string): Promise<string> {
  const server = await startScripted([fault]);
  try {
    return await exchangeRaw(server.port, REQUEST, until);
  } finally {
    await server.close();
  }
}

test("each fault answers as its name says", async () => {
  const cases: [Fault, string, RegExp][] = [
    [
      answer(404, { reason: "Not Found", body: "no" }),
      "no",
      /^HTTP\/1\.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno$/,
    ],
    [ok("Bucket=1\r\n"), "=1\r\n", /^HTTP\/1\.1 200 .*\r\n\r\nBucket=1\r\n$/s],
    [loginPage(), "</html>", /^HTTP\/1\.1 200 .*text\/html.*<html>/s],
    [redirect("http://evil/"), "\r\n\r\n", /^HTTP\/1\.1 302 .*\r\nlocation: http:\/\/evil\/\r\n/s],
    [busy("7"), "\r\n\r\n", /^HTTP\/1\.1 503 .*\r\nretry-after: 7\r\n/s],
    [
      challenge(["NTLM", "Negotiate"]),
      "\r\n\r\n",
      /^HTTP\/1\.1 401 .*\r\nwww-authenticate: NTLM, Negotiate\r\n/s,
    ],
    [
      challenge(["Basic realm=x"], 407),
      "\r\n\r\n",
      /^HTTP\/1\.1 407 .*\r\nproxy-authenticate: Basic realm=x\r\n/s,
    ],
    [early(answer(413)), "\r\n\r\n", /^HTTP\/1\.1 413 /],
    [delayed(20, ok("late")), "late", /^HTTP\/1\.1 200 .*late$/s],
    [slow("drip", 1), "drip", /^HTTP\/1\.1 200 .*drip$/s],
  ];
  for (const [fault, until, expected] of cases) assert.match(await play(fault, until), expected);
  assert.equal(await play(closeBeforeAnswer()), "");
  assert.match(await play(closeOnConnect()), /^(\[ECONNRESET\])?$/);
  assert.equal(await play(halfHeader()), "HTTP/1.1 200 OK\r\nContent-Ty");
  assert.match(await play(halfBody("Bucket", 100)), /content-length: 100\r\n\r\nBucket$/);
  assert.equal(await play(garbage()), "SSH-2.0-OpenSSH_9.6\r\n");
  assert.equal(await play(resetAfter(2)), "[ECONNRESET]");
  assert.ok((await play(flood(1_000_000))).length > 1_000_000);
});

test("requests are recorded as they came, each with the fault that was its turn", async () => {
  const server = await startScripted([closeOnConnect(), resetAfter(3), answer(500), ok("fine")]);
  await exchangeRaw(server.port, REQUEST);
  assert.equal(await exchangeRaw(server.port, REQUEST), "[ECONNRESET]");
  const chunked =
    "POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
  const text = await exchangeRaw(server.port, REQUEST + chunked, "fine");
  assert.match(text, /^HTTP\/1\.1 500 .*HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 .*fine$/s);
  const put = {
    method: "PUT",
    target: "/a\\b",
    head: "PUT /a\\b HTTP/1.1\r\nHost: x\r\nContent-Length: 5",
    headers: { host: "x", "content-length": "5" },
  };
  assert.deepEqual(server.requests, [
    { ...put, body: Buffer.from("hel"), complete: false },
    { ...put, body: Buffer.from("hello"), complete: true },
    {
      method: "POST",
      target: "/",
      head: "POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked",
      headers: { expect: "100-continue", "transfer-encoding": "chunked" },
      body: Buffer.from("abc0123456789"),
      complete: true,
    },
  ]);
  assert.equal(server.connections(), 3);
  await server.close();
});

test("a server that never answers holds the connection until it is closed", async () => {
  const server = await startScripted([neverAnswer()]);
  const waiting = exchangeRaw(server.port, REQUEST);
  const first = await Promise.race([
    waiting,
    new Promise((resolve) => setTimeout(resolve, 100, "still waiting")),
  ]);
  assert.equal(first, "still waiting");
  await server.close();
  assert.match(await waiting, /^(\[ECONNRESET\])?$/);
});

test("a script that chooses is asked once a request is whole; null is what a CER server should do", async () => {
  const server = await startScripted((method, count) =>
    method === "POST" && count === 1 ? busy("7") : null,
  );
  const post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
  assert.match(await exchangeRaw(server.port, post, "\r\n\r\n"), /^HTTP\/1\.1 503 /);
  assert.match(
    await exchangeRaw(server.port, post, ".cab\r\n"),
    /\r\niData=1\r\nDumpFile=\\Cabs\\2\.cab\r\n$/,
  );
  assert.match(await exchangeRaw(server.port, REQUEST, "\r\n\r\n"), /^HTTP\/1\.1 200 /);
  assert.deepEqual([server.whole("POST").length, server.whole("PUT").length], [2, 1]);
  server.isDown = true;
  assert.match(await exchangeRaw(server.port, post), /^(\[ECONNRESET\])?$/);
  assert.equal(server.requests.length, 3);
  await server.close();
});

test("a request that its client breaks off is remembered as far as it came", async () => {
  for (const end of ["end", "resetAndDestroy"] as const) {
    let choices = 0;
    const server = await startScripted(() => {
      choices++;
      return null;
    });
    const client = connect(server.port, "127.0.0.1");
    client.on("error", () => {});
    client.write("PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel");
    await sleep(100);
    client[end]();
    while (server.requests.length === 0) await sleep(10);
    assert.deepEqual(
      server.requests.map(({ method, body, complete }) => [method, body.toString(), complete]),
      [["PUT", "hel", false]],
    );
    assert.deepEqual([server.whole("PUT").length, choices], [0, 0]);
    await server.close();
  }
});

test("nothing listens on a refusing port", async () => {
  assert.equal(await exchangeRaw(await refusingPort(), REQUEST), "[ECONNREFUSED]");
});
