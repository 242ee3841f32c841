import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runServe } from "../../src/commands/serve.ts";
import { CerError } from "../../src/errors.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { exchangeRaw } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

let tempDir = "";
before(async () => {
  tempDir = await mkdtemp(join(tmpdir(), "cer-serve-test-"));
});
after(() => rm(tempDir, { recursive: true }));

const EVENT = { ...EXAMPLES["4.4"].event, eventType: "Mike\u009b\u202eTest" };
const REPORT = encodeReport(EVENT).bytes;

function requestBytes(method: string, path: string, body: Buffer | string): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`${head}Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

/** Runs the command while the callback does; gives what it printed and returned. */
async function run(options: Partial<Parameters<typeof runServe>[0]>, use: (port: number) => Promise<void>) {
  const printed: string[] = [];
  const warned: string[] = [];
  const stop = new AbortController();
  let used: Promise<void> | undefined;
  const print = (line: string) => {
    printed.push(line);
    const [, port] = /^Listening on .*:([0-9]+)$/.exec(line) ?? [];
    if (port !== undefined) used = use(Number(port)).finally(() => stop.abort());
  };
  const exitCode = await runServe(
    { name: "serve", port: 0, host: "127.0.0.1", dir: null, requests: [], strict: false, ...options },
    { terminal: { print, say: (line) => void warned.push(line) }, signal: stop.signal, tempDir },
    async () => {},
  );
  await used;
  return { exitCode, printed, warned };
}

test("serve says where it listens and what happens, harmlessly, until it is told to stop", async () => {
  const dir = join(tempDir, "kept");
  const { exitCode, printed, warned } = await run(
    { dir, requests: ["WQL=SELECT a FROM b"] },
    async (port) => {
      const level1 = await exchangeRaw(port, requestBytes("POST", "/stage2.htm", REPORT));
      const body = Buffer.from(level1.slice(level1.indexOf("\r\n\r\n") + 4), "latin1");
      const { response } = parseResponse(body);
      assert.deepEqual(response.wql, ["SELECT a FROM b"]);
      const path = encodeURI((response.dumpFile ?? "").replaceAll("\\", "/"));
      for (let times = 0; times < 2; times++)
        assert.match(await exchangeRaw(port, requestBytes("PUT", path, "MSCF")), /^HTTP\/1\.1 200 /);
      await exchangeRaw(port, requestBytes("PUT", "/nowhere", "MSCF"));
      const half = connect(port, "127.0.0.1").end(requestBytes("PUT", path, "MSCF").subarray(0, -2));
      await once(half.resume(), "close");
    },
  );
  assert.equal(exitCode, 0);
  assert.deepEqual(warned, []);
  const [listening, report, archive, again, refused, broken, ...others] = printed;
  assert.match(listening ?? "", /^Listening on http:\/\/127\.0\.0\.1:[0-9]+$/);
  const size = REPORT.length;
  assert.match(
    report ?? "",
    new RegExp(`^report   bucket 500  ${size} bytes  "MikeTest"  .*/kept/bucket-500/[0-9a-f-]{36}$`),
  );
  assert.match(
    archive ?? "",
    /^archive {2}bucket 500 {2}4 bytes {2}sha256 [0-9a-f]{64} {2}.*\/archive\.cab$/,
  );
  assert.equal(again, `${archive} (received before)`);
  assert.equal(
    refused,
    'refused  404  "PUT" "/nowhere"  Level 1 goes to /stage2.htm, level 2 to a DumpFile that this server handed out.',
  );
  assert.match(
    broken ?? "",
    /^broken {3}"PUT" "\/Pers.*" {2}The client stopped in the middle of its body\.$/,
  );
  assert.deepEqual(others, []);
});

test("a temporary directory is told of, kept when something arrived, removed when nothing did", async () => {
  const idle = await run({}, async () => {});
  assert.deepEqual(await readdir(tempDir).then((names) => names.filter((name) => name !== "kept")), []);
  assert.match(idle.warned[0] ?? "", /^What arrives is kept in .*cer-serve-/);
  const busy = await run({}, async (port) => {
    await exchangeRaw(port, requestBytes("POST", "/stage2.htm", REPORT));
  });
  const dir = (busy.warned[0] ?? "").replace("What arrives is kept in ", "");
  assert.deepEqual(await readdir(dir), ["bucket-500", "incoming"]);
});

test("an address that others can reach is warned of", async () => {
  const { warned } = await run({ host: "0.0.0.0", dir: join(tempDir, "kept") }, async () => {});
  assert.match(
    warned[0] ?? "",
    /^WARNING: 0\.0\.0\.0 is not a loopback address\. Whoever reaches port [0-9]+ can fill this disk: there is neither TLS nor authentication\.$/,
  );
});

test("a request that is none is refused before anything is listened on", async () => {
  await assert.rejects(
    run({ requests: ["Dump=x"] }, async () => {}),
    (thrown) => thrown instanceof CerError && thrown.code === "CER_USAGE",
  );
});

test("G11: a report that breaks the schema is taken and told of; --strict refuses it, with all that breaks it", async () => {
  const bytes = encodeReport({
    ...EXAMPLES["4.4"].event,
    machine: { name: "x".repeat(257), os: "banana", lcid: 16393, oem: null },
  }).bytes;
  const told = [
    `MACHINEINFO has machinename="${"x".repeat(80)}…"; the schema takes at most 256 characters on one line.`,
    'MACHINEINFO has os="banana"; the schema takes seven or eight numbers with dots between them.',
    'MACHINEINFO has lcid="16393"; the schema takes four digits, not 0000.',
  ];
  const answers: string[] = [];
  const post = async (port: number) => {
    for (const body of [bytes, REPORT])
      answers.push(await exchangeRaw(port, requestBytes("POST", "/stage2.htm", body)));
  };
  const dir = join(tempDir, "breaking");
  const lenient = await run({ dir }, post);
  const [, taken = "", clean = ""] = lenient.printed;
  const folder = / (\/\S+\/bucket-500\/[0-9a-f-]{36}) /.exec(taken)?.[1] ?? "";
  assert.equal(
    taken,
    `report   bucket 500  ${bytes.length} bytes  "MikeTest"  ${folder}${told.map((one) => ` (${one})`).join("")}`,
  );
  assert.match(clean, /\/bucket-501\/[0-9a-f-]{36}$/);
  assert.deepEqual(JSON.parse(await readFile(join(folder, "report.json"), "utf8")).warnings, told);

  const strictDir = join(tempDir, "strict");
  const strict = await run({ dir: strictDir, strict: true }, post);
  const reason = `The report breaks the schema of [MS-CER2] 2.2.1: ${told.join(" ")}`;
  assert.equal(strict.printed[1], `refused  400  "POST" "/stage2.htm"  ${reason}`);
  assert.deepEqual((await readdir(strictDir)).sort(), ["bucket-500", "incoming"]);
  const [first = "", second = "", third = "", fourth = ""] = answers;
  assert.ok(
    third.startsWith("HTTP/1.1 400 ") &&
      third.endsWith(`\r\n\r\n${reason.replace("…", "\u00e2\u0080\u00a6")}\n`),
  );
  for (const answer of [first, second, fourth]) assert.ok(answer.startsWith("HTTP/1.1 200 "), answer);
});

test("G11: what --request makes of the grammar of an answer is said at the start, and answered as asked", async () => {
  const { warned } = await run(
    { dir: join(tempDir, "odd"), requests: ["Response=not a url", "GetFile=/a;;"] },
    async (port) => {
      const answer = await exchangeRaw(port, requestBytes("POST", "/stage2.htm", REPORT));
      assert.match(answer, /\r\nGetFile=\/a;;\r\n/);
    },
  );
  assert.deepEqual(warned, [
    'What --request asks for breaks the grammar of an answer: Line 1 has Response="not a url": it is neither 1 nor an http or https URI.',
    'What --request asks for breaks the grammar of an answer: Line 5 has GetFile="/a;;": one of its items is empty.',
  ]);
});
