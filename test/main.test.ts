import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Outcome } from "../src/delivery/outcome.ts";
import { type CerOptions, type Ended, openPlace, type Place, runCer, startCer } from "./support/run-cer.ts";
import {
  answer,
  challenge,
  closeBeforeAnswer,
  type Fault,
  flood,
  halfHeader,
  loginPage,
  neverAnswer,
  ok,
  redirect,
  refusingPort,
  startScripted,
} from "./support/scripted-server.ts";
import { EXAMPLES } from "./support/spec-examples.ts";

let place: Place;
let directory = "";
before(async () => {
  place = await openPlace();
  directory = place.directory;
  await writeFile(join(directory, "e.json"), '{"eventType":"Test"}');
});
after(() => place.remove());

/** Each run has a journal of its own, where the same event is new. */
async function withJournal({ env, ...options }: CerOptions = {}): Promise<CerOptions> {
  return { ...options, env: { CER_JOURNAL: await mkdtemp(join(directory, "journal-")), ...env } };
}

async function cer(args: readonly string[], options?: CerOptions): Promise<Ended> {
  return runCer(place, args, await withJournal(options));
}

/** What a run that was wrong from the start says: nothing on standard output, message and hint on the other. */
function refusal(message: string, hint?: string, code = 2): Ended {
  return {
    code,
    signal: null,
    stdout: "",
    stderr: `cer: ${message}\n${hint === undefined ? "" : `${hint}\n`}`,
  };
}

/** Runs of the program side by side, as many as there are cores to spare. */
async function inPairs<T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await use(item);
  };
  await Promise.all([worker(), worker(), worker()]);
}

const SERVER = ["--server", "127.0.0.1:1"];

test("bad input under --strict: exit code 2, the exact complaint, nothing on standard output", async () => {
  const files: Record<string, string | Buffer> = {
    "not.json": '{\n  "eventType": "a",\n}',
    "eleven.json": JSON.stringify({
      eventType: "E",
      parameters: Array.from({ length: 11 }, (_, id) => ({ id: id % 10, value: "v" })),
    }),
    "twice.json": JSON.stringify({
      eventType: "E",
      parameters: [
        { id: 3, value: "a" },
        { id: 3, value: "b" },
      ],
    }),
    "long.json": JSON.stringify({ eventType: "E", application: { name: "x".repeat(257) } }),
    "key.json": '{"eventTyp":"E"}',
    "escape.json": '{"\\u001b[2Jx":1,"eventType":"E"}',
    "missing.json": '{"eventType":"E","files":[{"path":"no-such-file"}]}',
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  await mkdir(join(directory, "folder"));
  const known =
    "reportType, eventType, friendlyEventName, eventDescription, eventTime, machine, user, application, parameters, secondaryParameters, files";
  const leaveOut = "Nothing was sent. Correct the path, or leave the file out.";
  const cases: [args: string[], expected: Ended][] = [
    [
      ["submit", "e.json"],
      refusal(
        "No CER server is set; nothing was sent.",
        'Set one with --server HOST, with the environment variable CER_SERVER=HOST, or with {"server": "HOST"} in a configuration file (--config FILE).',
      ),
    ],
    [
      ["submit", "not.json", ...SERVER],
      refusal("not.json is not JSON: property name expected at line 3, column 1."),
    ],
    [
      ["submit", "eleven.json", ...SERVER],
      refusal(
        "eleven.json: parameters[10].id is 0, which is taken already.",
        "Each parameter has its own id from 0 to 9.",
      ),
    ],
    [
      ["submit", "twice.json", ...SERVER],
      refusal(
        "twice.json: parameters[1].id is 3, which is taken already.",
        "Each parameter has its own id from 0 to 9.",
      ),
    ],
    [
      ["submit", "long.json", ...SERVER],
      refusal(
        "application.name has 257 characters, the bound is 256.",
        "Shorten it, or leave --strict out: then it is cut.",
      ),
    ],
    [
      ["submit", "key.json", ...SERVER],
      refusal(
        "key.json: eventTyp is not a key that cer knows.",
        `Did you mean "eventType"? Known here: ${known}.`,
      ),
    ],
    [
      ["submit", "escape.json", ...SERVER],
      refusal("escape.json: [2Jx is not a key that cer knows.", `Did you mean "user"? Known here: ${known}.`),
    ],
    [
      ["submit", "missing.json", ...SERVER],
      refusal(`The attached file ${join(directory, "no-such-file")} does not exist.`, leaveOut),
    ],
    [
      ["submit", "e.json", "--file", "folder", ...SERVER],
      refusal(`The attached file ${join(directory, "folder")} is a directory.`, leaveOut),
    ],
    [
      ["submit", "nowhere.json", ...SERVER],
      refusal("The event file nowhere.json does not exist.", 'Check the path; "-" reads standard input.'),
    ],
    [
      ["submit", ...SERVER],
      refusal(
        "The event has no eventType.",
        'Give one with --event-type NAME, or as "eventType" in the event file.',
      ),
    ],
    [["submit", "-", ...SERVER], refusal("standard input is not JSON: it is empty.")],
    [
      ["submit", "e.json", "--config", "nowhere.json", ...SERVER],
      refusal(
        "The configuration file nowhere.json cannot be read (ENOENT).",
        "Check the path given with --config.",
      ),
    ],
    [["submit", "--frobnicate"], refusal("Unknown option '--frobnicate'.", "See cer submit --help.")],
  ];
  await inPairs(cases, async ([args, expected]) =>
    assert.deepEqual(await cer([...args, "--strict"]), expected, args.join(" ")),
  );
});

test("--json is one object on standard output, whatever goes wrong", async () => {
  const cases: [args: string[], code: string][] = [
    [["submit", "--json", "e.json", "--strict"], "CER_NO_SERVER"],
    [["submit", "--json", "--frobnicate"], "CER_USAGE"],
    [["submit", "e.json", "--json", "--lcid", "x", "--strict", ...SERVER], "CER_EVENT_INVALID"],
    [["submit", "nowhere.json", "--json", ...SERVER], "CER_FILE"],
  ];
  await inPairs(cases, async ([args, code]) => {
    const { stdout, stderr, code: exit } = await cer(args);
    const outcome = JSON.parse(stdout) as Outcome;
    assert.deepEqual([exit, outcome.outcome, outcome.error?.code], [2, "failed", code]);
    assert.ok(stderr.startsWith("cer: "));
  });
});

test("help, version, schema", async () => {
  const [help, bare, version, schema] = await Promise.all([
    cer(["--help"]),
    cer([]),
    cer(["--version"]),
    cer(["schema"]),
  ]);
  assert.match(help.stdout, /^Usage: cer \[options\] \[command\]\n/);
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.deepEqual(bare, help);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.equal(JSON.parse(schema.stdout).title, "cer event");
});

test("the event of 4.2 from standard input: POSTed byte for byte, reported, nothing uploaded", async () => {
  const { event, report, answer: text } = EXAMPLES["4.2"];
  await writeFile(join(directory, "Version.txt"), "1");
  const input = JSON.stringify({
    ...event,
    eventTime: String(event.eventTime),
    eventDescription: undefined,
    machine: { ...event.machine, oem: undefined },
    secondaryParameters: undefined,
    files: [{ path: "Version.txt", type: "Other" }],
  });
  const server = await startScripted([ok(text)]);
  const transcript = await cer(["submit", "-", "--server", `127.0.0.1:${server.port}`], { stdin: input });
  await server.close();
  assert.deepEqual(
    server.requests.map(({ method, target, body }) => ({ method, target, body })),
    [
      {
        method: "POST",
        target: "/stage2.htm",
        body: Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(report, "utf16le")]),
      },
    ],
  );
  assert.deepEqual([transcript.code, transcript.stderr], [0, ""]);
  assert.equal(
    transcript.stdout.split("\n")[0],
    `Reported to http://127.0.0.1:${server.port}/stage2.htm: bucket 500 in table 5`,
  );
});

test("through a proxy: plain http is asked for by its whole URL", async () => {
  const proxy = await startScripted([ok(EXAMPLES["4.2"].answer)]);
  const transcript = await cer(["submit", "e.json", "--server", "reports.example", "--max-time", "10"], {
    env: { http_proxy: proxy.url },
  });
  await proxy.close();
  assert.deepEqual(
    proxy.requests.map(({ method, target }) => ({ method, target })),
    [{ method: "POST", target: "http://reports.example:1273/stage2.htm" }],
  );
  assert.deepEqual([transcript.code, transcript.stderr], [0, ""]);
});

test("smoke: all nine steps against the embedded server, which no proxy stands before", async () => {
  const env = { http_proxy: "http://127.0.0.1:1", all_proxy: "ftp://no.proxy" };
  for (const more of [{}, env]) {
    const { code, stdout, stderr } = await cer(["smoke", "--json"], { env: more });
    const { outcome, error, steps } = JSON.parse(stdout) as {
      outcome: string;
      error: unknown;
      steps: object[];
    };
    assert.deepEqual([code, stderr, outcome, error, steps.length], [0, "", "uploaded", null, 9]);
  }
  const named = await cer(["smoke", "--server", "cer.example", "--json"], { env });
  assert.match(JSON.parse(named.stdout).error.message, /through the proxy 127\.0\.0\.1:1/);
});

test("G13: a server that refuses or talks nonsense: exit code, error code, and no word of delivery", async () => {
  const dump = (path: string) => ok(`Bucket=5\r\niData=1\r\nDumpFile=${path}\r\n`);
  const cases: [name: string, faults: Fault[], exit: number, outcome: Outcome["outcome"], code: string][] = [
    ["400", [answer(400)], 3, "refused", "CER_STATUS"],
    ["410", [answer(410)], 3, "refused", "CER_STATUS"],
    ["404", [answer(404)], 75, "deferred", "CER_STATUS"],
    ["403", [answer(403)], 75, "deferred", "CER_STATUS"],
    ["401", [challenge(["NTLM"])], 75, "deferred", "CER_AUTH"],
    ["101", [answer(101)], 75, "deferred", "CER_NOT_CER"],
    ["206", [answer(206, { body: "Bucket=5" })], 75, "deferred", "CER_NOT_CER"],
    ["302", [redirect("http://elsewhere/")], 75, "deferred", "CER_REDIRECT"],
    ["200 with HTML", [loginPage()], 75, "deferred", "CER_NOT_CER"],
    ["64 MiB of text", [flood()], 75, "deferred", "CER_NOT_CER"],
    ["\\\\evil\\x", [dump("\\\\evil\\x")], 3, "refused", "CER_DUMP_PATH"],
    ["http://evil/x", [dump("http://evil/x")], 3, "refused", "CER_DUMP_PATH"],
    ["..\\..\\x", [dump("..\\..\\x")], 3, "refused", "CER_DUMP_PATH"],
    ["empty DumpFile", [dump("")], 3, "refused", "CER_DUMP_PATH"],
    ["500", [answer(500)], 75, "deferred", "CER_STATUS"],
    ["half a header", [halfHeader()], 75, "deferred", "CER_CONNECTION_LOST"],
    ["closes the socket", [closeBeforeAnswer()], 75, "deferred", "CER_CONNECTION_LOST"],
    ["never answers", [neverAnswer()], 75, "deferred", "CER_TIMEOUT"],
  ];
  await inPairs(cases, async ([name, faults, exit, kind, code]) => {
    const server = await startScripted(faults);
    const args = ["submit", "e.json", "--json", "--retries", "0", "--server", server.url];
    const transcript = await cer([...args, "--timeout", code === "CER_TIMEOUT" ? "0.5" : "20"]);
    await server.close();
    const outcome = JSON.parse(transcript.stdout) as Outcome;
    assert.deepEqual([transcript.code, outcome.outcome, outcome.error?.code], [exit, kind, code], name);
    assert.match(transcript.stderr, /Not delivered/);
    assert.ok(server.requests.every(({ method }) => method === "POST"));
  });
});

test("a server that is down: deferred, kept, and said so; --quiet says errors only", async () => {
  const port = await refusingPort();
  const journal = join(directory, "kept");
  const args = ["submit", "e.json", "--retries", "0", "--quiet", "--server", `127.0.0.1:${port}`];
  const { code, stdout, stderr } = await cer(args, { env: { CER_JOURNAL: journal } });
  assert.deepEqual([code, stdout], [75, ""]);
  assert.match(
    stderr,
    new RegExp(
      `^Not delivered yet: http://127\\.0\\.0\\.1:${port}: the connection was refused \\(ECONNREFUSED\\)\\.\n` +
        "Check the server's name and port, and that this machine may reach it\\.\nKept as ",
    ),
  );
  assert.equal((await readdir(join(journal, "v1/pending"))).length, 1);
});

test("a reader that closes standard output early is no fault", async () => {
  const { process: child, ended } = startCer(place, ["schema"]);
  child.stdout.destroy();
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, ""]);
});

test("SIGINT while a server does not answer: stopped, kept, exit code 130", async () => {
  const server = await startScripted([neverAnswer()]);
  const args = ["submit", "e.json", "--json", "--server", server.url];
  const { process: child, ended } = startCer(place, args, await withJournal());
  while (server.requests.length === 0) await sleep(20);
  child.kill("SIGINT");
  const { code, stdout } = await ended;
  await server.close();
  const outcome = JSON.parse(stdout) as Outcome;
  assert.deepEqual([code, outcome.error?.code], [130, "CER_INTERRUPTED"]);
});
