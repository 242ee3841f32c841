import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { CerError } from "../../src/errors.ts";
import {
  type Body,
  formatUrl,
  MAX_REPLY_SIZE,
  type Origin,
  type SendOptions,
} from "../../src/wire/exchange.ts";
import { type HttpOptions, openHttp } from "../../src/wire/http.ts";
import { at, bytes, large, OPTIONS, request, withFaults } from "../support/exchanges.ts";
import {
  answer,
  challenge,
  closeBeforeAnswer,
  closeOnConnect,
  delayed,
  early,
  type Fault,
  flood,
  garbage,
  halfBody,
  halfHeader,
  neverAnswer,
  ok,
  redirect,
  refusingPort,
  resetAfter,
  type ScriptedServer,
  slow,
  startScripted,
} from "../support/scripted-server.ts";
import { type Complaint, complaintOf } from "../support/thrown-error.ts";

const REACH = "Check the server's name and port, and that this machine may reach it.";
const LOST = "The server or something on the way closed the connection. Try again; look at the server's log.";

test("a request goes out as it is, with its length, and the reply comes back as data", async () => {
  const reply = answer(203, {
    headers: { "X-One": "1", "set-cookie": "a\r\nset-cookie: b" },
    body: "Bucket=5",
  });
  await withFaults([reply], async (http, server) => {
    const path = "/a%5Cb/%20;=:@";
    const got = await http.send(request(at(server.port), { method: "PUT", path }));
    assert.deepEqual(got, {
      status: 203,
      headers: { "content-length": "8", "x-one": "1", "set-cookie": "a, b" },
      body: Buffer.from("Bucket=5"),
      truncated: false,
      isEndKnown: true,
      peer: { address: "127.0.0.1", tlsFingerprint: null },
    });
    assert.deepEqual(server.requests, [
      {
        method: "PUT",
        target: path,
        head:
          `PUT ${path} HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nconnection: keep-alive\r\n` +
          "content-type: text/xml; charset=utf-16\r\ncontent-length: 6",
        headers: {
          host: `127.0.0.1:${server.port}`,
          connection: "keep-alive",
          "content-type": "text/xml; charset=utf-16",
          "content-length": "6",
        },
        body: Buffer.from("report"),
        complete: true,
      },
    ]);
  });
});

test("any status is a reply, redirects and challenges too", async () => {
  const faults = [
    redirect("http://elsewhere/"),
    challenge(["NTLM"]),
    answer(500),
    answer(404, { body: "no" }),
    answer(204),
  ];
  await withFaults(faults, async (http, server) => {
    const statuses: number[] = [];
    for (const _ of faults) statuses.push((await http.send(request(at(server.port)))).status);
    assert.deepEqual(statuses, [302, 401, 500, 404, 204]);
  });
});

test("one connection serves POST and PUT", async () => {
  await withFaults([ok("Bucket=5"), ok()], async (http, server) => {
    const origin = at(server.port);
    await http.send(request(origin));
    await http.send(request(origin, { method: "PUT", path: "/x.cab", body: large(300_000) }));
    assert.deepEqual(
      server.requests.map(({ method, body, complete }) => [method, body.length, complete]),
      [
        ["POST", 6, true],
        ["PUT", 300_000, true],
      ],
    );
    assert.equal(server.connections(), 1);
  });
});

test("a server that closes the idle connection between POST and PUT gets the PUT on a new one", async () => {
  const closesAfterwards: Fault = {
    play: async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nBucket=5");
      await sleep(30);
      socket.end();
    },
  };
  await withFaults([closesAfterwards, ok()], async (http, server) => {
    const origin = at(server.port);
    await http.send(request(origin));
    await sleep(100);
    const reply = await http.send(request(origin, { method: "PUT", body: large(100_000) }));
    assert.equal(reply.status, 200);
    assert.equal(server.connections(), 2);
  });
});

test("no whole answer is no reply: which layer failed, where, and what to check", async () => {
  const lost = (port: number, code: string, what: string): Complaint => ({
    code: "CER_CONNECTION_LOST",
    message: `http://127.0.0.1:${port}: ${what} (${code}).`,
    hint: LOST,
  });
  const CLOSED = "the connection was closed before the answer was whole";
  const cases: [fault: Fault, expected: (port: number) => Complaint][] = [
    [closeBeforeAnswer(), (port) => lost(port, "UND_ERR_SOCKET", CLOSED)],
    [closeOnConnect(), (port) => lost(port, "UND_ERR_SOCKET", CLOSED)],
    [halfHeader(), (port) => lost(port, "UND_ERR_SOCKET", CLOSED)],
    [resetAfter(3), (port) => lost(port, "ECONNRESET", "the connection was reset")],
    [halfBody("Bucket=5", 100), (port) => lost(port, "UND_ERR_SOCKET", CLOSED)],
    [
      garbage(),
      (port) => ({
        code: "CER_NOT_CER",
        message: `http://127.0.0.1:${port}: the answer is not HTTP ("Response does not match the HTTP/1.1 protocol (Expected HTTP/, RTSP/ or ICE/)").`,
        hint: "Is this the CER server's port? A server that wants TLS needs --https.",
      }),
    ],
    [
      answer(200, { headers: { x: "y".repeat(200_000) } }),
      (port) => ({
        code: "CER_NOT_CER",
        message: `http://127.0.0.1:${port}: the answer's headers are too long (UND_ERR_HEADERS_OVERFLOW).`,
        hint: "Is this the CER server?",
      }),
    ],
  ];
  for (const [fault, expected] of cases)
    await withFaults([fault], async (http, server) => {
      assert.deepEqual(await complaintOf(() => http.send(request(at(server.port)))), expected(server.port));
    });
});

test("a server that is down", async () => {
  const port = await refusingPort();
  const http = await openHttp(at(port), OPTIONS);
  assert.deepEqual(await complaintOf(() => http.send(request(at(port)))), {
    code: "CER_UNREACHABLE",
    message: `http://127.0.0.1:${port}: the connection was refused (ECONNREFUSED).`,
    hint: REACH,
  });
  await http.close();
});

test("a name that nobody knows", async () => {
  const origin: Origin = { scheme: "http", host: "cer.invalid", port: 1273 };
  const http = await openHttp(origin, OPTIONS);
  const { code, message, hint } = await complaintOf(() => http.send(request(origin)));
  assert.deepEqual([code, hint], ["CER_UNREACHABLE", REACH]);
  assert.match(
    message,
    /^http:\/\/cer\.invalid:1273: the name (is not known \(ENOTFOUND\)|cannot be looked up now \(EAI_AGAIN\))\.$/,
  );
  await http.close();
});

test("a server that never answers, and one that stops in the middle, are given up", async () => {
  const stuck: Fault = {
    play: (socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nBucket=5"),
  };
  for (const fault of [neverAnswer(), stuck, { after: 10, play: () => sleep(2000) }])
    await withFaults(
      [fault],
      async (http, server) => {
        const started = performance.now();
        const sent = request(at(server.port), { body: large(8 * 1024 * 1024) });
        assert.deepEqual(await complaintOf(() => http.send(sent)), {
          code: "CER_TIMEOUT",
          message: `http://127.0.0.1:${server.port}/stage2.htm: nothing moved for 0.2 s.`,
          hint: "The server is busy or stuck. --timeout SECONDS waits longer.",
        });
        assert.ok(performance.now() - started < 10_000);
      },
      { idleTimeout: 200 },
    );
});

test("a slow server that keeps moving is not given up", async () => {
  await withFaults(
    [slow("Bucket=5".repeat(20), 25)],
    async (http, server) => {
      const started = performance.now();
      assert.equal((await http.send(request(at(server.port)))).body.length, 160);
      assert.ok(performance.now() - started > 3500);
    },
    { idleTimeout: 3000 },
  );
});

test("of an endless answer a bounded part is read, and no more", async () => {
  await withFaults([flood(), ok()], async (http, server) => {
    const reply = await http.send(request(at(server.port)));
    assert.deepEqual([reply.status, reply.body.length, reply.truncated], [200, MAX_REPLY_SIZE, true]);
    assert.equal((await http.send(request(at(server.port)))).status, 200);
  });
});

test("an answer of exactly the bound is whole", async () => {
  await withFaults([ok(Buffer.alloc(MAX_REPLY_SIZE, "x"))], async (http, server) => {
    const { body, truncated } = await http.send(request(at(server.port)));
    assert.deepEqual([body.length, truncated], [MAX_REPLY_SIZE, false]);
  });
});

test("a refusal that comes while the body is still being sent is the reply", async () => {
  const closing = (status: number): Fault =>
    early({
      play: (socket) =>
        void socket.end(`HTTP/1.1 ${status} Early\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno`),
    });
  const put = (server: ScriptedServer) =>
    request(at(server.port), { method: "PUT", path: "/x.cab", body: large(32 * 1024 * 1024) });
  for (const fault of [
    early(challenge(["NTLM"])),
    early(answer(413)),
    closing(413),
    closing(401),
    early(answer(302)),
  ])
    await withFaults([fault, ok("again")], async (http, server) => {
      const { status } = await http.send(put(server));
      assert.ok([401, 413, 302].includes(status));
      assert.equal((await http.send(request(at(server.port)))).body.toString(), "again");
    });
});

test("a connection reset in the middle of a PUT is lost, at whatever byte", async () => {
  for (const byte of [0, 1, 1_000_000])
    await withFaults([resetAfter(byte)], async (http, server) => {
      const put = request(at(server.port), { method: "PUT", path: "/x.cab", body: large(8 * 1024 * 1024) });
      const { code, message, hint } = await complaintOf(() => http.send(put));
      assert.deepEqual([code, hint], ["CER_CONNECTION_LOST", LOST]);
      assert.match(message, /: the connection was (reset \(ECONNRESET\)|closed while sending \(EPIPE\))\.$/);
    });
});

test("a chunk's memory may be used again when the next one is asked for, also of chunks that wait in the socket", async () => {
  const [count, length] = [5000, 4000];
  const memory = Buffer.alloc(length);
  const body = {
    size: count * length,
    async *open() {
      for (let index = 0; index < count; index++) {
        yield memory.fill(index % 251);
        // As long as a read from a disk takes.
        await nextTurn();
      }
    },
  };
  // More than fits between the two: the server begins to read when the client can no longer send.
  const server = createHttpServer(async (message, response) => {
    await sleep(300);
    const arrived: Buffer[] = [];
    for await (const chunk of message) arrived.push(chunk as Buffer);
    const bytes = Buffer.concat(arrived);
    const wrong = bytes.findIndex((byte, at) => byte !== Math.floor(at / length) % 251);
    response.end(`${bytes.length} ${wrong}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = at((server.address() as AddressInfo).port);
  const http = await openHttp(origin, OPTIONS);
  try {
    const reply = await http.send(request(origin, { method: "PUT", body }));
    assert.equal(reply.body.toString(), `${count * length} -1`);
  } finally {
    await http.close();
    server.close();
  }
});

test("progress is told in bytes, never backwards, up to the whole", async () => {
  await withFaults([ok()], async (http, server) => {
    const told: number[] = [];
    const size = 1_000_000;
    const put = request(at(server.port), { method: "PUT", body: large(size) });
    await http.send(put, { onProgress: (sent) => told.push(sent) });
    assert.deepEqual(
      told,
      [...told].sort((a, b) => a - b),
    );
    assert.ok(told.length > 10);
    assert.equal(told.at(-1), size);
  });
});

test("a body that cannot be read, and one whose length changes, are no delivery", async () => {
  const cases: [body: Body, code: string, message: (port: number) => string][] = [
    [
      {
        size: 100,
        open: () =>
          new Readable({
            read() {
              this.destroy(new Error("EIO: the disk is gone"));
            },
          }),
      },
      "CER_ARCHIVE",
      () => "The body of POST /stage2.htm cannot be read: EIO: the disk is gone.",
    ],
    [
      { size: 100, open: () => Readable.from([Buffer.alloc(50)]) },
      "CER_MISMATCH",
      (port) =>
        `http://127.0.0.1:${port}: the body's length changed while it was sent (UND_ERR_REQ_CONTENT_LENGTH_MISMATCH).`,
    ],
    [
      { size: 100, open: () => Readable.from([Buffer.alloc(60), Buffer.alloc(60)]) },
      "CER_MISMATCH",
      (port) =>
        `http://127.0.0.1:${port}: the body's length changed while it was sent (UND_ERR_REQ_CONTENT_LENGTH_MISMATCH).`,
    ],
  ];
  for (const [body, code, message] of cases)
    await withFaults([ok("Bucket=5")], async (http, server) => {
      const complaint = await complaintOf(() => http.send(request(at(server.port), { body })));
      assert.deepEqual([complaint.code, complaint.message], [code, message(server.port)]);
      assert.ok(server.requests.every(({ complete }) => !complete));
    });
});

test("every try opens the body anew", async () => {
  let opened = 0;
  const body: Body = {
    size: 3,
    open: () => {
      opened++;
      return Readable.from([Buffer.from("abc")]);
    },
  };
  await withFaults([answer(503), ok()], async (http, server) => {
    await http.send(request(at(server.port), { body }));
    await http.send(request(at(server.port), { body }));
    assert.deepEqual(
      server.requests.map(({ body }) => body.toString()),
      ["abc", "abc"],
    );
    assert.equal(opened, 2);
  });
});

test("an empty body is sent with its length of 0", async () => {
  await withFaults([ok()], async (http, server) => {
    await http.send(request(at(server.port), { body: bytes(Buffer.alloc(0)) }));
    assert.deepEqual(
      server.requests.map(({ headers, complete }) => [headers["content-length"], complete]),
      [["0", true]],
    );
  });
});

test("aborting stops a request before it starts, while it connects, sends, or waits", async () => {
  const reason = new CerError("CER_INTERRUPTED", "Stopped by SIGINT.");
  const expected = { code: "CER_INTERRUPTED", message: "Stopped by SIGINT.", hint: undefined };
  const early = AbortSignal.abort(reason);
  await withFaults([ok()], async (http, server) => {
    assert.deepEqual(
      await complaintOf(() => http.send(request(at(server.port)), { signal: early })),
      expected,
    );
    assert.equal(server.connections(), 0);
  });
  const stuck: [Fault, Body][] = [
    [neverAnswer(), bytes(Buffer.from("x"))],
    [{ after: 10, play: () => sleep(2000) }, large(16 * 1024 * 1024)],
  ];
  for (const [fault, body] of stuck)
    for (const ms of [0, 60])
      await withFaults([fault], async (http, server) => {
        const stop = new AbortController();
        const started = performance.now();
        const sent = complaintOf(() =>
          http.send(request(at(server.port), { body }), { signal: stop.signal }),
        );
        if (ms > 0) await sleep(ms);
        stop.abort(reason);
        assert.deepEqual(await sent, expected);
        assert.ok(performance.now() - started < 10_000);
      });
});

test("closing fails a request under way", async () => {
  await withFaults([neverAnswer()], async (http, server) => {
    const sent = complaintOf(() => http.send(request(at(server.port))));
    await sleep(50);
    await http.close();
    assert.equal((await sent).code, "CER_CONNECTION_LOST");
  });
});

const run = promisify(execFile);

test("a process that has its answer ends at once: no socket and no timer is left", async () => {
  await withFaults([ok("Bucket=5"), ok("Bucket=5"), delayed(50, ok("Bucket=5"))], async (_, server) => {
    const script = `
      import { Readable } from "node:stream";
      import { openHttp } from ${JSON.stringify(new URL("../../src/wire/http.ts", import.meta.url).href)};
      const origin = ${JSON.stringify(at(server.port))};
      const http = await openHttp(origin, { connectTimeout: 10000, idleTimeout: 30000, proxy: null });
      const body = { size: 1, open: () => Readable.from([Buffer.from("x")]) };
      for (const method of ["POST", "PUT"])
        await http.send({ method, origin, path: "/", headers: {}, body }, { signal: new AbortController().signal });
      await http.close();
      process.on("exit", () => process.stdout.write(process.getActiveResourcesInfo().join()));
      process.stdout.write("answered at " + Math.round(performance.now()) + " ");
    `;
    const loader = ["--import", "tsx", "--input-type=module", "--eval", script];
    const { stdout } = await run(process.execPath, loader, { timeout: 20_000, cwd: import.meta.dirname });
    assert.match(stdout, /^answered at \d+ /);
    assert.doesNotMatch(stdout, /TCPSocketWrap|Timeout|TLSWrap/);
  });
});

let place = "";
let certificates: Record<"self" | "wrong", { key: Buffer; cert: Buffer }>;

/** A self-signed certificate for a host name, made by openssl. */
async function makeCertificate(name: string, alternative: string) {
  const [key, cert] = [join(place, `${name}.key`), join(place, `${name}.pem`)];
  await run("openssl", [
    ..."req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cer-test -keyout".split(" "),
    ...[key, "-out", cert, "-addext", `subjectAltName=${alternative}`],
  ]);
  return { key: await readFile(key), cert: await readFile(cert) };
}

before(async () => {
  place = await mkdtemp(join(tmpdir(), "cer-http-"));
  const [self, wrong] = await Promise.all([
    makeCertificate("self", "DNS:localhost,IP:127.0.0.1"),
    makeCertificate("wrong", "DNS:other.example"),
  ]);
  certificates = { self, wrong };
});
after(() => rm(place, { recursive: true, force: true }));

async function withTls(which: "self" | "wrong", use: (origin: Origin) => Promise<void>): Promise<void> {
  const server = createTlsServer(certificates[which], (incoming, response) => {
    incoming.resume();
    response.end("Bucket=5");
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use({ scheme: "https", host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function complaintFrom(
  origin: Origin,
  options: Partial<HttpOptions> = {},
  sendOptions: SendOptions = {},
) {
  const http = await openHttp(origin, { ...OPTIONS, ...options });
  try {
    return await complaintOf(() => http.send(request(origin), sendOptions));
  } finally {
    await http.close();
  }
}

test("a certificate that nobody vouches for is refused, and so is one for another name", async () => {
  const TRUST =
    "To trust the company's own authority, set NODE_EXTRA_CA_CERTS to a file with its certificate in PEM form.";
  for (const which of ["self", "wrong"] as const)
    await withTls(which, async (origin) => {
      assert.deepEqual(await complaintFrom(origin), {
        code: "CER_TLS",
        message: `${formatUrl(origin, "")}: the server's certificate is self-signed (DEPTH_ZERO_SELF_SIGNED_CERT).`,
        hint: TRUST,
      });
    });
});

test("with NODE_EXTRA_CA_CERTS a trusted server is taken, its fingerprint told, and a wrong name refused", async () => {
  const talk = async (which: "self" | "wrong", origin: Origin) => {
    const script = `
      import { Readable } from "node:stream";
      import { openHttp } from ${JSON.stringify(new URL("../../src/wire/http.ts", import.meta.url).href)};
      const origin = ${JSON.stringify(origin)};
      const http = await openHttp(origin, { connectTimeout: 5000, idleTimeout: 5000, proxy: null });
      const body = { size: 1, open: () => Readable.from([Buffer.from("x")]) };
      try {
        const { status, peer } = await http.send({ method: "POST", origin, path: "/", headers: {}, body });
        console.log(JSON.stringify({ status, peer }));
      } catch ({ code, message }) {
        console.log(JSON.stringify({ code, message }));
      }
      await http.close();
    `;
    const { stdout } = await run(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "--eval", script],
      {
        timeout: 20_000,
        cwd: import.meta.dirname,
        env: { ...process.env, NODE_EXTRA_CA_CERTS: join(place, `${which}.pem`) },
      },
    );
    return JSON.parse(stdout);
  };
  const { stdout } = await run("openssl", [
    "x509",
    "-in",
    join(place, "self.pem"),
    "-noout",
    "-fingerprint",
    "-sha256",
  ]);
  const tlsFingerprint = stdout.trim().split("=")[1];
  await withTls("self", async (origin) => {
    assert.deepEqual(await talk("self", origin), {
      status: 200,
      peer: { address: "127.0.0.1", tlsFingerprint },
    });
  });
  await withTls("wrong", async (origin) => {
    assert.deepEqual(await talk("wrong", origin), {
      code: "CER_TLS",
      message: `${formatUrl(origin, "")}: the server's certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID).`,
    });
  });
});

test("a server that speaks plain HTTP on a port asked for TLS", async () => {
  const server = await startScripted([garbage()]);
  const sink = createTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  sink.listen(0, "127.0.0.1");
  await once(sink, "listening");
  const port = (sink.address() as AddressInfo).port;
  const origin: Origin = { scheme: "https", host: "127.0.0.1", port };
  assert.deepEqual(await complaintFrom(origin), {
    code: "CER_TLS",
    message: `https://127.0.0.1:${port}: no TLS there (ERR_SSL_WRONG_VERSION_NUMBER).`,
    hint: "Does the server speak plain http on this port? Then leave --https out.",
  });
  sink.close();
  await server.close();
});

test("a connection that does not stand in time is given up, TLS included", async () => {
  const sockets: Socket[] = [];
  const silent = createTcpServer((socket) => sockets.push(socket));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const started = performance.now();
  assert.deepEqual(
    await complaintFrom({ scheme: "https", host: "127.0.0.1", port }, { connectTimeout: 300 }),
    {
      code: "CER_TIMEOUT",
      message: `https://127.0.0.1:${port}: no connection in time (UND_ERR_CONNECT_TIMEOUT).`,
      hint: REACH,
    },
  );
  assert.ok(performance.now() - started < 9000);
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test("through a proxy plain http is asked for by its whole address, with the proxy's credentials", async () => {
  await withFaults([ok("Bucket=5")], async (_, proxy) => {
    const origin: Origin = { scheme: "http", host: "cer.invalid", port: 1273 };
    const http = await openHttp(origin, { ...OPTIONS, proxy: `http://me:p%40ss@127.0.0.1:${proxy.port}` });
    const { status, body } = await http.send(request(origin, { path: "/a%20b" }));
    await http.close();
    assert.deepEqual([status, body.toString()], [200, "Bucket=5"]);
    assert.deepEqual(
      proxy.requests.map(({ method, target, headers }) => [
        method,
        target,
        headers.host,
        headers["proxy-authorization"],
        headers["content-length"],
      ]),
      [
        [
          "POST",
          "http://cer.invalid:1273/a%20b",
          "cer.invalid:1273",
          `Basic ${Buffer.from("me:p@ss").toString("base64")}`,
          "6",
        ],
      ],
    );
  });
});

test("a proxy's credentials with a percent sign that nobody escaped are taken as they stand", async () => {
  await withFaults([ok("Bucket=5")], async (_, proxy) => {
    const origin: Origin = { scheme: "http", host: "cer.invalid", port: 1273 };
    const http = await openHttp(origin, { ...OPTIONS, proxy: `http://me:100%%20@127.0.0.1:${proxy.port}` });
    await http.send(request(origin));
    await http.close();
    assert.equal(
      proxy.requests[0]?.headers["proxy-authorization"],
      `Basic ${Buffer.from("me:100% ").toString("base64")}`,
    );
  });
});

test("a proxy that wants a password for plain http", async () => {
  await withFaults([answer(407)], async (_, proxy) => {
    const origin: Origin = { scheme: "http", host: "cer.invalid", port: 1273 };
    const complaint = await complaintFrom(origin, { proxy: `http://127.0.0.1:${proxy.port}` });
    assert.deepEqual(complaint, {
      code: "CER_PROXY",
      message: `http://cer.invalid:1273 through the proxy 127.0.0.1:${proxy.port}: the proxy answered 407.`,
      hint: "Check the proxy's address and rules, and put name and password into HTTP_PROXY if it wants them.",
    });
  });
});

test("a proxy that is down, or refuses to connect on to a server with TLS", async () => {
  const down = await refusingPort();
  const plain: Origin = { scheme: "http", host: "cer.invalid", port: 1273 };
  const refused = await complaintFrom(plain, { proxy: `http://127.0.0.1:${down}` });
  assert.deepEqual(
    [refused.code, refused.message],
    [
      "CER_UNREACHABLE",
      `http://cer.invalid:1273 through the proxy 127.0.0.1:${down}: the connection was refused (ECONNREFUSED).`,
    ],
  );
  await withFaults([answer(403)], async (_, proxy) => {
    const tls: Origin = { ...plain, scheme: "https" };
    const complaint = await complaintFrom(tls, { proxy: `http://me:secret@127.0.0.1:${proxy.port}` });
    assert.deepEqual(complaint, {
      code: "CER_PROXY",
      message: `https://cer.invalid:1273 through the proxy 127.0.0.1:${proxy.port}: the proxy answered 403 to CONNECT.`,
      hint: "Check the proxy's address and rules, and put name and password into HTTPS_PROXY if it wants them.",
    });
  });
});
