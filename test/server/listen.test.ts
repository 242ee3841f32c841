import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CerError } from "../../src/errors.ts";
import type { Event } from "../../src/event.ts";
import type { ServerEvent, VerifyArchive } from "../../src/server/handler.ts";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/listen.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { MAX_REPORT_SIZE } from "../../src/wire/report-reader.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { sha256 } from "../support/bytes.ts";
import { filesBelow } from "../support/files.ts";
import { exchangeRaw } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const GENERIC = EXAMPLES["4.4"].event;
const REPORT = encodeReport(GENERIC).bytes;
const CABINET = Buffer.from(`MSCF${"cabinet ".repeat(20_000)}`);
const TAR = Buffer.concat([Buffer.alloc(257), Buffer.from("ustar"), Buffer.alloc(250)]);

const CHUNKED = { "transfer-encoding": "chunked" };

const places: string[] = [];
after(() => Promise.all(places.map((place) => rm(place, { recursive: true, force: true }))));

async function makePlace(): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), "cer-listen-"));
  places.push(place);
  return place;
}

/** Stands in for the archive readers: an archive with this word in it does not open. */
const verifyArchive: VerifyArchive = async (path, format) => {
  if ((await readFile(path)).includes("broken")) throw new Error(`a broken ${format}`);
};

type Watched = RunningServer & { dir: string; events: ServerEvent[]; warnings: string[] };

/** A server in a fresh directory, closed when the callback ends. */
async function withServer(
  options: Partial<ServerOptions>,
  use: (server: Watched) => Promise<void>,
): Promise<void> {
  const dir = options.dir ?? join(await makePlace(), "made", "by the server");
  const events: ServerEvent[] = [];
  const warnings: string[] = [];
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    dir,
    requests: [],
    verifyArchive,
    onEvent: (event) => events.push(event),
    warn: (warning) => warnings.push(warning),
    ...options,
  });
  try {
    await use({ ...server, dir, events, warnings });
  } finally {
    await server.close();
  }
}

type Answer = { status: number; headers: NodeJS.Dict<string | string[]>; text: string };

function send(
  server: { port: number },
  method: string,
  path: string,
  body: Buffer | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port } = server;
    const request = httpRequest(
      { port, host: "127.0.0.1", method, path, headers, agent: false },
      async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString("latin1");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

async function post(server: { port: number }, body: Buffer = REPORT) {
  const { status, text } = await send(server, "POST", "/stage2.htm", body);
  assert.equal(status, 200, text);
  const { bucket, dumpFile } = parseResponse(Buffer.from(text, "latin1")).response;
  return { bucket, dumpFile: dumpFile ?? "", path: (dumpFile ?? "").replaceAll("\\", "/") };
}

function eventWith(changes: Partial<Event>): Buffer {
  return encodeReport({ ...GENERIC, ...changes }).bytes;
}

async function filesUnder(folder: string): Promise<string[]> {
  return (await filesBelow(folder)).map((path) => relative(folder, path));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    assert.ok(tries < 1000, "it never came true");
    await sleep(20);
  }
}

const nothingIncoming = async (dir: string) => (await readdir(join(dir, "incoming"))).length === 0;

describe("both levels", () => {
  test("the exchange of section 4.4: answer in the strict grammar, cabinet and report kept byte for byte", async () => {
    await withServer({}, async (server) => {
      const { status, headers, text } = await send(server, "POST", "/stage2.htm", REPORT);
      assert.equal(status, 200);
      assert.equal(headers["content-type"], "text/plain; charset=windows-1252");
      const [, guid] = /([0-9a-f-]{36})\.cab\r\n$/.exec(text) ?? [];
      assert.ok(guid);
      const dumpFile = `\\PersistedCabs\\Generic\\MikeTest\\1000\\2000\\3000\\${guid}.cab`;
      assert.equal(
        text,
        "Bucket=500\r\nBucketTable=5\r\niData=1\r\nWQL=SELECT Family FROM Win32_Processor\r\n" +
          `DumpFile=${dumpFile}\r\n`,
      );

      const put = await send(server, "PUT", dumpFile.replaceAll("\\", "/"), CABINET);
      assert.deepEqual([put.status, put.text], [200, `${CABINET.length} bytes received.\n`]);

      const folder = join(server.dir, "bucket-500", guid);
      assert.deepEqual(
        await filesUnder(server.dir),
        [
          `bucket-500/${guid}/archive.cab`,
          `bucket-500/${guid}/report.json`,
          `bucket-500/${guid}/report.xml`,
          "bucket-500/bucket.json",
        ].sort(),
      );
      assert.deepEqual(await readFile(join(folder, "report.xml")), REPORT);
      assert.deepEqual(await readFile(join(folder, "archive.cab")), CABINET);
      const kept = JSON.parse(await readFile(join(folder, "report.json"), "utf8"));
      assert.equal(kept.dumpFile, dumpFile);
      assert.equal(kept.report.eventTime, "128497001160460289");

      const stored = { guid, bucket: 500, bucketTable: 5, dumpFile, folder };
      assert.deepEqual(server.events, [
        { kind: "report", stored, size: REPORT.length, eventType: "MikeTest", warnings: [] },
        {
          kind: "archive",
          stored,
          size: CABINET.length,
          sha256: sha256(CABINET),
          path: join(folder, "archive.cab"),
          again: false,
        },
      ]);
    });
  });

  test("what is kept is its owner's alone", async () => {
    await withServer({}, async (server) => {
      await send(server, "PUT", (await post(server)).path, CABINET);
      for (const entry of await readdir(server.dir, { recursive: true, withFileTypes: true })) {
        const { mode } = await stat(join(entry.parentPath, entry.name));
        assert.equal(mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, entry.name);
      }
    });
  });

  test("G11: bodies in chunks are taken at both levels, to the byte", async () => {
    await withServer({}, async (server) => {
      const level1 = await send(server, "POST", "/stage2.htm", REPORT, CHUNKED);
      assert.equal(level1.status, 200);
      const { dumpFile } = parseResponse(Buffer.from(level1.text, "latin1")).response;
      const path = (dumpFile ?? "").replaceAll("\\", "/");
      const put = await send(server, "PUT", path, CABINET, CHUNKED);
      assert.deepEqual([put.status, put.text], [200, `${CABINET.length} bytes received.\n`]);
      const kept = await filesUnder(server.dir);
      const contents = await Promise.all(
        kept.filter((name) => !name.endsWith(".json")).map((name) => readFile(join(server.dir, name))),
      );
      assert.deepEqual(contents, [CABINET, REPORT]);
    });
  });

  test("G18: the path of level 1 is taken in any case, as by IIS", async () => {
    await withServer({}, async (server) => {
      assert.equal((await send(server, "POST", "/Stage2.HTM", REPORT)).status, 200);
    });
  });

  test("a tar is taken as well, under the same DumpFile", async () => {
    await withServer({}, async (server) => {
      assert.equal((await send(server, "PUT", (await post(server)).path, TAR)).status, 200);
      assert.ok((await filesUnder(server.dir)).some((name) => name.endsWith("/archive.tar")));
    });
  });

  test("without iData there is no DumpFile", async () => {
    await withServer({ requests: ["iData=0"] }, async (server) => {
      const { text } = await send(server, "POST", "/stage2.htm", REPORT);
      assert.equal(text, "Bucket=500\r\nBucketTable=5\r\niData=0\r\n");
    });
  });

  test("one signature is one bucket, for twenty clients at once and after a restart", async () => {
    const dir = await makePlace();
    await withServer({ dir }, async (server) => {
      const clients = Array.from({ length: 20 }, async (_, n) => {
        const { bucket, path } = await post(server, eventWith({ eventTime: BigInt(n) }));
        const put = await send(server, "PUT", path, Buffer.concat([CABINET, Buffer.of(n)]));
        return [bucket, put.status];
      });
      assert.deepEqual(await Promise.all(clients), Array(20).fill(["500", 200]));
      const archives = (await filesUnder(dir)).filter((name) => name.endsWith("archive.cab"));
      const lastBytes = await Promise.all(
        archives.map(async (name) => (await readFile(join(dir, name))).at(-1)),
      );
      assert.deepEqual(
        lastBytes.sort((one, other) => Number(one) - Number(other)),
        Array.from({ length: 20 }, (_, n) => n),
      );
      assert.equal((await post(server, eventWith({ eventType: "Other" }))).bucket, "501");
    });
    await withServer({ dir }, async (server) => {
      const named = GENERIC.parameters.map((parameter) => ({ ...parameter, name: "translated" }));
      assert.equal((await post(server, eventWith({ parameters: named }))).bucket, "500");
      assert.equal((await post(server, eventWith({ eventType: "Third" }))).bucket, "502");
      assert.equal((await post(server, eventWith({ parameters: named.slice(1) }))).bucket, "503");
    });
  });

  test("kernel faults, which have no parameters, are told apart by the secondary ones", async () => {
    await withServer({}, async (server) => {
      const kernel = EXAMPLES["4.3"].event;
      const bytesOf = (event: Event) => encodeReport(event).bytes;
      const first = await post(server, bytesOf(kernel));
      assert.match(first.dumpFile, /^\\PersistedCabs\\Blue\\[0-9a-f-]{36}\.cab$/);
      const other = { ...kernel, secondaryParameters: kernel.secondaryParameters.slice(1) };
      assert.deepEqual(
        [
          first.bucket,
          (await post(server, bytesOf(other))).bucket,
          (await post(server, bytesOf(kernel))).bucket,
        ],
        ["500", "501", "500"],
      );
    });
  });
});

describe("level 2", () => {
  test("a DumpFile is recognised with slashes and back-slashes, encoded or not", async () => {
    await withServer({}, async (server) => {
      for (const write of [
        (path: string) => path,
        (path: string) => `/${path.replaceAll("/", "\\")}`,
        (path: string) => `/${path.slice(1).replaceAll("/", "\\")}`,
        (path: string) => `/${path.replaceAll("/", "%5C")}`,
        (path: string) => `/${path.slice(1).replaceAll("/", "%5c")}`,
        (path: string) => `http://127.0.0.1:${server.port}${path}`,
      ]) {
        const target = write((await post(server)).path);
        const text = await exchangeRaw(
          server.port,
          `PUT ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nMSCF`,
        );
        assert.match(text, /^HTTP\/1\.1 200 OK\r\n/, target);
      }
    });
  });

  test("and nothing else is", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      for (const target of [
        "/stage2.htm/x",
        "/",
        path.slice(0, -1),
        `${path}x`,
        path.toLowerCase(),
        `/x${path}`,
        `/x/..${path}`,
        `/PersistedCabs/../..${path}`,
        path.replace("MikeTest", "MikeTest/../MikeTest"),
        "/PersistedCabs/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%zz",
        "/bucket-500/bucket.json",
      ]) {
        const { status, text } = await send(server, "PUT", target, CABINET);
        assert.deepEqual(
          [status, text],
          [404, "Level 1 goes to /stage2.htm, level 2 to a DumpFile that this server handed out.\n"],
        );
      }
      assert.equal((await filesUnder(server.dir)).length, 3);
    });
  });

  test("the same bytes again are welcome, other bytes are a conflict, the first archive stays", async () => {
    const dir = await makePlace();
    const other = Buffer.from("MSCF other");
    const tries = async (server: { port: number }, path: string) => {
      const again = await send(server, "PUT", path, CABINET);
      assert.deepEqual([again.status, again.text], [200, `${CABINET.length} bytes, received before.\n`]);
      const conflict = await send(server, "PUT", path, other);
      assert.deepEqual(
        [conflict.status, conflict.text],
        [409, "This DumpFile already holds another archive; the first one stays.\n"],
      );
      const [kept = ""] = (await filesUnder(dir)).filter((name) => name.includes("archive"));
      assert.deepEqual(await readFile(join(dir, kept)), CABINET);
      assert.ok(await nothingIncoming(dir));
    };
    let path = "";
    await withServer({ dir }, async (server) => {
      ({ path } = await post(server));
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
      await tries(server, path);
    });
    await withServer({ dir }, (server) => tries(server, path));
  });

  test("ten uploads to one DumpFile at once end with one archive", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      const bodies = Array.from({ length: 10 }, (_, n) => Buffer.concat([CABINET, Buffer.of(n % 2)]));
      const answers = await Promise.all(bodies.map((body) => send(server, "PUT", path, body)));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [200, 200, 200, 200, 200, 409, 409, 409, 409, 409]);
      assert.equal((await filesUnder(server.dir)).filter((name) => name.includes("archive")).length, 1);
      assert.ok(await nothingIncoming(server.dir));
    });
  });

  test("a DumpFile handed out before a restart is still good", async () => {
    const dir = await makePlace();
    let path = "";
    await withServer({ dir }, async (server) => {
      ({ path } = await post(server));
    });
    await withServer({ dir }, async (server) => {
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
    });
  });

  test("an upload that breaks off leaves nothing, and the next one counts", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      for (const end of ["destroy", "resetAndDestroy", "end"] as const) {
        const socket = connect(server.port, "127.0.0.1");
        socket.on("error", () => {});
        socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${CABINET.length}\r\n\r\n`);
        socket.write(CABINET.subarray(0, 70_000));
        await until(async () => !(await nothingIncoming(server.dir)));
        socket[end]();
        await until(async () => server.events.at(-1)?.kind === "broken");
        assert.deepEqual(server.events.at(-1), { kind: "broken", method: "PUT", target: path });
        assert.ok(await nothingIncoming(server.dir));
        socket.destroy();
        server.events.pop();
      }
      assert.equal((await filesUnder(server.dir)).filter((name) => name.includes("archive")).length, 0);
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
    });
  });

  test("closing the server cuts off an upload that does not end, and keeps nothing of it", async () => {
    const dir = await makePlace();
    let socket: ReturnType<typeof connect> | undefined;
    await withServer({ dir }, async (server) => {
      const { path } = await post(server);
      socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nMSCF`);
      await until(async () => !(await nothingIncoming(dir)));
    });
    assert.ok(await nothingIncoming(dir));
    socket?.destroy();
  });
});

describe("what is refused", () => {
  test("gets its status and its reason", async () => {
    await withServer({ maxArchiveSize: 200_000 }, async (server) => {
      const { path } = await post(server);
      const broken = Buffer.concat([CABINET, Buffer.from("broken")]);
      const cases: [string, string, Buffer | string, Record<string, string>, number, string][] = [
        ["GET", "/stage2.htm", "", {}, 405, "/stage2.htm takes POST."],
        ["PUT", "/stage2.htm", REPORT, {}, 405, "/stage2.htm takes POST."],
        ["GET", path, "", {}, 405, "A DumpFile takes PUT."],
        ["DELETE", path, "", {}, 405, "A DumpFile takes PUT."],
        [
          "POST",
          "/stage3.htm",
          REPORT,
          {},
          404,
          "Level 1 goes to /stage2.htm, level 2 to a DumpFile that this server handed out.",
        ],
        [
          "PUT",
          path,
          CABINET,
          { "transfer-encoding": "gzip, chunked" },
          501,
          "No Transfer-Encoding but chunked is known here.",
        ],
        [
          "PUT",
          path,
          CABINET,
          { "content-encoding": "gzip" },
          415,
          "Content-Encoding is not part of this protocol.",
        ],
        [
          "PUT",
          path,
          Buffer.alloc(200_001),
          {},
          413,
          "The request's body is 200001 bytes long, the bound is 200000.",
        ],
        [
          "POST",
          "/stage2.htm",
          Buffer.alloc(MAX_REPORT_SIZE + 1),
          {},
          413,
          `The request's body is ${MAX_REPORT_SIZE + 1} bytes long, the bound is ${MAX_REPORT_SIZE}.`,
        ],
        ["POST", "/stage2.htm", "", {}, 400, "This is not a level 1 report: it is empty."],
        [
          "POST",
          "/stage2.htm",
          "<html>\n</htm>",
          {},
          400,
          'This is not a level 1 report: its root element is "html", not WERREPORT.',
        ],
        ["PUT", path, "", {}, 400, "These 0 bytes are neither a cabinet nor a tar."],
        ["PUT", path, "PK\u0003\u0004", {}, 400, "These 4 bytes are neither a cabinet nor a tar."],
        ["PUT", path, broken, {}, 400, "The archive does not open: a broken cab"],
      ];
      const [tooMany, tooMuch] = [Buffer.alloc(200_001), Buffer.alloc(MAX_REPORT_SIZE + 1)];
      for (const [target, body, bound] of [
        [path, tooMany, 200_000],
        ["/stage2.htm", tooMuch, MAX_REPORT_SIZE],
      ] as const)
        cases.push([
          target === path ? "PUT" : "POST",
          target,
          body,
          CHUNKED,
          413,
          `The request's body is longer than the bound of ${bound} bytes.`,
        ]);
      for (const [method, target, body, headers, status, reason] of cases) {
        const answer = await send(server, method, target, body, headers);
        assert.deepEqual([answer.status, answer.text], [status, `${reason}\n`]);
        assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
        if (status === 405) assert.equal(answer.headers.allow, target === path ? "PUT" : "POST");
        assert.deepEqual(server.events.at(-1), {
          kind: "refused",
          method,
          target,
          status,
          reason,
          cause: null,
        });
      }
      assert.equal((await filesUnder(server.dir)).length, 3);
      assert.ok(await nothingIncoming(server.dir));
    });
  });

  test("G11: a request with neither a length nor chunks is refused, at both levels", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      for (const line of ["POST /stage2.htm", `PUT ${path}`]) {
        const text = await exchangeRaw(
          server.port,
          `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        assert.match(text, /^HTTP\/1\.1 411 Length Required\r\n/);
        assert.ok(
          text.endsWith("\nThe request has neither Content-Length nor Transfer-Encoding: chunked.\n"),
        );
      }
    });
  });

  test("G11: chunks that are none, or stop before the last, are not kept", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      const head = `PUT ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const garbled = await exchangeRaw(server.port, `${head}4\r\nMSCF\r\nzz\r\n`);
      assert.match(garbled, /^HTTP\/1\.1 400 Bad Request\r\n/);
      const socket = connect(server.port, "127.0.0.1").end(`${head}4\r\nMSCF\r\n`);
      await once(socket.resume(), "close");
      await until(async () => server.events.filter(({ kind }) => kind === "broken").length === 2);
      assert.ok(await nothingIncoming(server.dir));
      assert.equal((await filesUnder(server.dir)).length, 3);
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
    });
  });

  test("a body that nobody wants is read on until the client has its answer", async () => {
    await withServer({}, async (server) => {
      const { status } = await send(server, "PUT", "/nowhere", Buffer.alloc(20_000_000));
      assert.equal(status, 404);
    });
  });

  test("Expect: 100-continue gets its 100 only for a body that will be read", async () => {
    await withServer({}, async (server) => {
      const head = (path: string) =>
        `PUT ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`;
      const refused = await exchangeRaw(server.port, head("/nowhere"));
      assert.match(refused, /^HTTP\/1\.1 404 Not Found\r\n(.+\r\n)*Connection: close\r\n/);

      const socket = connect(server.port, "127.0.0.1");
      socket.write(head((await post(server)).path));
      const [first] = await once(socket, "data");
      assert.equal(String(first), "HTTP/1.1 100 Continue\r\n\r\n");
      socket.write("MSCF");
      const [second] = await once(socket, "data");
      assert.match(String(second), /^HTTP\/1\.1 200 OK\r\n/);
      socket.destroy();
    });
  });

  test("what is no HTTP gets a 400 with a reason, and the server goes on", async () => {
    await withServer({}, async (server) => {
      const badRequest =
        /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nThis is not an HTTP\/1\.1 request\.\n$/;
      for (const bytes of [
        "hello\r\n\r\n",
        "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
        "POST /stage2.htm HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /stage2.htm HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /stage2.htm HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        `${"x".repeat(300)} / HTTP/1.1\r\n\r\n`,
      ])
        assert.match(await exchangeRaw(server.port, bytes), badRequest, bytes);
      assert.match(
        await exchangeRaw(server.port, `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`),
        /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/,
      );
      assert.equal(await exchangeRaw(server.port, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"), "");
      assert.equal((await post(server)).bucket, "500");
    });
  });

  test("a request that stops half-way is dropped after the idle time", async () => {
    await withServer({ idleTimeout: 500 }, async (server) => {
      const { path } = await post(server);
      const head = `HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n`;
      const texts = [
        "",
        "PO",
        `POST /stage2.htm ${head}`,
        `POST /stage2.htm ${head}\r\n<WER`,
        `PUT ${path} ${head}\r\nMSCF`,
      ];
      const answers = await Promise.all(texts.map((text) => exchangeRaw(server.port, text)));
      for (const answer of answers) assert.doesNotMatch(answer, /200 OK/);
      await until(() => nothingIncoming(server.dir));
      assert.equal((await filesUnder(server.dir)).length, 3);
    });
  });

  test("checking an archive may take longer than the idle time", async () => {
    const verify: VerifyArchive = () => sleep(1200);
    await withServer({ idleTimeout: 500, verifyArchive: verify }, async (server) => {
      assert.equal((await send(server, "PUT", (await post(server)).path, CABINET)).status, 200);
    });
  });

  test("hostile 22: a body that drips is answered 408 and cut off, at both levels, in chunks or not, wanted or not", async () => {
    await withServer({ idleTimeout: 60_000, rateWindow: 600 }, async (server) => {
      const { path } = await post(server);
      const length = "Content-Length: 100000";
      const chunked = "Transfer-Encoding: chunked";
      const cases: [head: string, drop: string, status: string][] = [
        [`PUT ${path} HTTP/1.1\r\n${length}`, "x", "408 Request Timeout"],
        [`PUT ${path} HTTP/1.1\r\n${chunked}`, "1\r\nx\r\n", "408 Request Timeout"],
        [`POST /stage2.htm HTTP/1.1\r\n${length}`, "x", "408 Request Timeout"],
        [`POST /stage2.htm HTTP/1.1\r\n${chunked}`, "1\r\nx\r\n", "408 Request Timeout"],
        [`PUT /nowhere HTTP/1.1\r\n${length}`, "x", "404 Not Found"],
      ];
      const answers = await Promise.all(
        cases.map(([head, drop]) => drip(server, `${head}\r\nHost: x\r\n\r\n`, drop)),
      );
      answers.forEach((answer, at) => {
        assert.ok(answer.startsWith(`HTTP/1.1 ${cases[at]?.[2]}\r\n`), answer);
      });
      const slow =
        /^The request's body came too slowly: [0-9]+ bytes in 0\.6 s, the least is 1024 bytes a second\.$/;
      for (const event of server.events.filter((event) => event.kind === "refused" && event.status === 408))
        assert.match(event.kind === "refused" ? event.reason : "", slow);
      assert.equal(server.events.filter(({ kind }) => kind === "refused").length, 5);
      assert.ok(await nothingIncoming(server.dir));
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
    });
  });

  test("hostile 22: a body that stops is answered 408", async () => {
    await withServer({ idleTimeout: 300 }, async (server) => {
      const head = "POST /stage2.htm HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<WER";
      const answer = await exchangeRaw(server.port, head);
      assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n(.+\r\n)*Connection: close\r\n/i);
      assert.ok(answer.endsWith("\nThe request's body came too slowly: no byte for 0.3 s.\n"));
    });
  });

  test("hostile 22: a slow sender that keeps up the least rate is heard to its end", async () => {
    await withServer({ idleTimeout: 60_000, rateWindow: 2000 }, async (server) => {
      const { path } = await post(server);
      const socket = connect(server.port, "127.0.0.1");
      const answered = once(socket, "data");
      socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n`);
      for (let sent = 0; sent < 100_000; sent += 4000) {
        socket.write(CABINET.subarray(sent, sent + 4000));
        await sleep(100);
      }
      const [answer] = await answered;
      assert.match(String(answer), /^HTTP\/1\.1 200 OK\r\n/);
      socket.destroy();
    });
  });

  test("hostile 21: a disk that takes nothing is said so, at both levels", async () => {
    await withServer({}, async (server) => {
      const { path } = await post(server);
      const incoming = join(server.dir, "incoming");
      await rm(incoming, { recursive: true });
      await writeFile(incoming, "in the way");
      const put = await send(server, "PUT", path, Buffer.alloc(20_000_000));
      assert.deepEqual([put.status, put.text], [507, "The archive could not be stored.\n"]);
      const level1 = await send(server, "POST", "/stage2.htm", REPORT);
      assert.deepEqual([level1.status, level1.text], [507, "The report could not be stored.\n"]);
      const causes = server.events.map((event) => event.kind === "refused" && event.cause?.slice(0, 8));
      assert.deepEqual(causes, [false, "ENOTDIR:", "ENOTDIR:"]);
      await rm(incoming);
      await mkdir(incoming);
      assert.equal((await send(server, "PUT", path, CABINET)).status, 200);
    });
  });

  test("hostile 21: whatever fails while something is kept, nothing of it is left in incoming", async () => {
    await withServer({}, async (server) => {
      const { path, dumpFile } = await post(server);
      const [, guid = ""] = /([0-9a-f-]{36})\.cab$/.exec(dumpFile) ?? [];
      const inTheWay = join(server.dir, "bucket-500", guid, "archive.cab");
      await mkdir(inTheWay);
      assert.equal((await send(server, "PUT", path, CABINET)).status, 507);
      assert.ok(await nothingIncoming(server.dir));
      await rm(join(server.dir, "bucket-500"), { recursive: true });
      assert.equal((await send(server, "POST", "/stage2.htm", REPORT)).status, 507);
      assert.ok(await nothingIncoming(server.dir));
      await writeFile(join(server.dir, "bucket-501"), "in the way");
      const other = await send(server, "POST", "/stage2.htm", eventWith({ eventType: "Other" }));
      assert.equal(other.status, 507);
      assert.ok(await nothingIncoming(server.dir));
    });
  });

  test("an archive that the server cannot read back is the server's fault, and not kept", async () => {
    const verify: VerifyArchive = () => readFile("/").then(() => {});
    await withServer({ verifyArchive: verify }, async (server) => {
      const { path } = await post(server);
      const { status, text } = await send(server, "PUT", path, CABINET);
      assert.deepEqual([status, text], [500, "The server failed.\n"]);
      assert.ok(await nothingIncoming(server.dir));
    });
  });
});

/** Sends a drop every 50 ms until the server ends the connection; gives what it said. */
async function drip({ port }: { port: number }, head: string, drop: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  let text = "";
  // The last drop may meet a connection that is closed already.
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.write(head);
  const dripping = setInterval(() => socket.writable && socket.write(drop), 50);
  await closed;
  clearInterval(dripping);
  return text;
}

describe("the directory", () => {
  test("nothing that a report says becomes a name on disk", async () => {
    const place = await makePlace();
    await withServer({ dir: join(place, "dir") }, async (server) => {
      for (const value of [
        "..",
        "../../escaped",
        "..\\..\\escaped",
        "C:\\escaped",
        "/tmp/escaped",
        "NUL",
        "a\0b",
        "\n",
        "x".repeat(5000),
        "\u202e",
      ]) {
        const parameters = Array.from({ length: 10 }, (_, id) => ({ id, name: value, value }));
        const { path } = await post(server, eventWith({ eventType: value, parameters }));
        assert.equal((await send(server, "PUT", encodeURI(path), CABINET)).status, 200);
      }
    });
    const name =
      /^dir\/bucket-5[0-9]{2}\/(bucket\.json|[0-9a-f-]{36}\/(report\.xml|report\.json|archive\.cab))$/;
    const files = await filesUnder(place);
    assert.equal(files.length, 40);
    for (const file of files) assert.match(file, name);
    assert.deepEqual(await readdir(dirname(join(place, "dir"))), ["dir"]);
  });

  test("what a killed server left half done is removed, what is damaged is told of and left alone", async () => {
    const dir = await makePlace();
    await withServer({ dir }, async (server) => {
      await post(server);
    });
    await writeFile(join(dir, "incoming", "left"), "half");
    await writeFile(join(dir, "bucket-500", "bucket.json"), "{");
    await mkdir(join(dir, "bucket-503"));
    await mkdir(join(dir, "bucket-x"));
    await withServer({ dir }, async (server) => {
      assert.equal(server.warnings.length, 2);
      assert.match(server.warnings[0] ?? "", /bucket-500.bucket\.json cannot be read and is left alone: /);
      assert.match(
        server.warnings[1] ?? "",
        /bucket-503.bucket\.json cannot be read and is left alone: ENOENT/,
      );
      assert.ok(await nothingIncoming(dir));
      assert.equal((await post(server)).bucket, "504");
      assert.equal(await readFile(join(dir, "bucket-500", "bucket.json"), "utf8"), "{");
    });
  });

  test("hostile 4: a start reads no report; one is read when its archive comes, and damage is then the server's fault", async () => {
    const dir = await makePlace();
    const paths: string[] = [];
    await withServer({ dir }, async (server) => {
      for (let time = 0n; time < 30n; time++)
        paths.push((await post(server, eventWith({ eventTime: time }))).path);
    });
    const reports = (await filesBelow(dir)).filter((path) => path.endsWith("report.json"));
    assert.equal(reports.length, 30);
    const [good = "", ...others] = paths;
    const [, guid = ""] = /([0-9a-f-]{36})\.cab$/.exec(good) ?? [];
    for (const path of reports) if (!path.includes(guid)) await writeFile(path, "{");
    await withServer({ dir }, async (server) => {
      assert.deepEqual(server.warnings, []);
      assert.equal((await send(server, "PUT", good, CABINET)).status, 200);
      const damaged = await send(server, "PUT", others[0] ?? "", CABINET);
      assert.deepEqual([damaged.status, damaged.text], [500, "The server failed.\n"]);
      assert.ok(await nothingIncoming(dir));
      assert.equal((await post(server)).bucket, "500");
    });
  });

  test("that cannot be used, and a port that is taken, are errors that say so", async () => {
    const place = await makePlace();
    const file = join(place, "file");
    await writeFile(file, "");
    const options = { host: "127.0.0.1", requests: [], verifyArchive };
    await assert.rejects(
      startServer({ ...options, port: 0, dir: join(file, "dir") }),
      (thrown) =>
        thrown instanceof CerError &&
        thrown.code === "CER_WRITE" &&
        thrown.message.startsWith(`The directory ${join(file, "dir")} cannot be used: ENOTDIR`),
    );
    await withServer({}, async ({ port }) => {
      await assert.rejects(
        startServer({ ...options, port, dir: place }),
        (thrown) =>
          thrown instanceof CerError &&
          thrown.code === "CER_BAD_SERVER" &&
          thrown.message ===
            `The server cannot listen on 127.0.0.1, port ${port}: another program listens there.`,
      );
    });
  });
});
