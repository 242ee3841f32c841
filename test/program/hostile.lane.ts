/**
 * A hostile server against the whole program: it asks for everything that it should not have, under each consent. What
 * was planted is looked for in every byte that left or was kept, and the manifest is compared with the cabinet.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ManifestItem } from "../../src/collect/manifest.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { sha256 as sha256Of } from "../support/bytes.ts";
import { openPlace, PROGRAM, runCer } from "../support/run-cer.ts";
import { answer, type Fault, flood, ok, startScripted } from "../support/scripted-server.ts";
import { asking, attach, type Submitted, submit, submitTo } from "../support/submit.ts";

const place = await openPlace();
after(() => place.remove());
const { directory, home } = place;

/** What must never leave, whatever the server asks. */
const PLANTED = "planted-9Jq2secretV";
const PEM = "MC4CAQAwBQYDK2VwBCIEIH1plantedZ3kq0TrxN8Uw2vLb5s7YdFhJ1oPz9AmEcKg";
const logs = join(directory, "logs");
const open = join(logs, "open.log");

function plant(path: string, text = `${PLANTED}\n`): string {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const key = plant(
  join(home, ".ssh/id_ed25519"),
  `-----BEGIN PRIVATE KEY-----\n${PEM}\n-----END PRIVATE KEY-----\n${PLANTED}\n`,
);
const denied = plant(join(logs, "denied/deep/down.log"));
plant(open, "an open line\n");
plant(join(home, "app/open.log"), "a line at home\n");
for (const name of [".aws/credentials", ".sqlite_history", ".config/rclone/rclone.conf"])
  plant(join(home, name));
symlinkSync(key, join(logs, "link.log"));
symlinkSync(join(home, ".ssh"), join(logs, "linked"));
symlinkSync(logs, join(directory, "alias"));
linkSync(open, join(logs, "second-name.log"));
execFileSync("mkfifo", [join(logs, "fifo")]);
writeFileSync(join(logs, "sparse"), "head of it\n");
truncateSync(join(logs, "sparse"), 10 * 1024 ** 3);

/** Nothing of these may be had by any consent. */
const SECRET_FILES = [
  "/etc/shadow",
  "/etc/SHADOW",
  "//etc//./shadow",
  `${logs}/../home/.ssh/id_ed25519`,
  key,
  "$HOME/.ssh/id_ed25519",
  "%HOME%/.SSH/ID_ED25519",
  "~/.ssh/id_ed25519",
  "$HOME/.aws/credentials",
  "/run/secrets/db",
  "/var/run/secrets/kubernetes.io/serviceaccount/token",
  "$HOME/.sqlite_history",
  "$HOME/.config/rclone/rclone.conf",
  "/dev/zero",
  "/dev/stdin",
  "/proc/self/environ",
  "/proc/self/root/etc/shadow",
  "/proc/self/cwd/e.json",
  `${logs}/fifo`,
  `${logs}/link.log`,
  `${logs}/linked/id_ed25519`,
  `${logs}/denied/deep/down.log`,
  `${directory}/alias/denied/deep/down.log`,
  `${logs}/open.log\0.txt`,
  `${home}/.ssh/id_ed25519\u202e`,
  "$SECRET_DIR/open.log",
  "%CER_SERVER%",
  "C:\\Windows\\System32\\config\\SAM",
  "\\\\evil.example\\share\\x",
  `${logs}`,
  "*",
  `${logs}/*`,
  "a".repeat(9000),
];

const REQUEST = asking(
  "MemoryDump=1",
  "fDoc=1",
  "RegKey=HKLM\\SAM;HKLM\\SECURITY\\Policy\\Secrets",
  "RegTree=HKLM;HKCU",
  "WQL=SELECT * FROM Win32_Product; DROP;SELECT * FROM Win32_Environment;" +
    "SELECT Caption FROM Win32_OperatingSystem WHERE RegisteredUser LIKE 'a%';SELECT Name, UserName FROM Win32_ComputerSystem;" +
    "SELECT NumberOfLogicalProcessors FROM Win32_ComputerSystem",
  `GetFile=${[...SECRET_FILES, `${logs}/sparse`, open, "$HOME/app/open.log"].join(";")}`,
  `GetFileVersion=${[...SECRET_FILES, open, `${logs}/sparse`].join(";")}`,
);

/** A smaller limit than usual, so that the sparse file costs less time. */
const RULES = {
  maxFileSize: 262144,
  deny: {
    GetFile: [`${logs}/denied/**`],
    GetFileVersion: [`${logs}/denied/**`],
    File: [`${logs}/denied/**`],
  },
};
const event = {
  user: { name: "somebody" },
  machine: { name: "m" },
  files: [{ path: denied }, { path: open }],
};

function submitHostile(args: readonly string[], config: object = RULES) {
  return submitTo(REQUEST, { place, args, config, event, env: { SECRET_DIR: logs, TOKEN: PLANTED } });
}

function assertNothingLeaked(run: Submitted): void {
  for (const planted of [PLANTED, PEM, PLANTED.toUpperCase()])
    for (const encoding of ["utf8", "utf16le"] as const)
      assert.equal(run.everything.indexOf(Buffer.from(planted, encoding)), -1, `${planted} in ${encoding}`);
}

/** Every file of the manifest is in the cabinet with these very bytes, and every file of the cabinet is accounted for. */
function assertTrueManifest({ files, manifest }: Submitted): void {
  assert.ok(manifest !== null);
  const listed = manifest.items.flatMap((item) => item.files);
  for (const { name, bytes, sha256 } of [
    ...listed,
    ...(manifest.report.file ? [manifest.report.file] : []),
  ]) {
    const stored = files.get(name) ?? assert.fail(`${name} is not in the cabinet`);
    assert.deepEqual([stored.length, sha256Of(stored)], [bytes, sha256]);
  }
  const names = new Set([...listed.map(({ name }) => name), "report.xml", "manifest.json"]);
  assert.deepEqual(
    [...files.keys()].filter((name) => !names.has(name)),
    [],
  );
  for (const { state, files: held } of manifest.items)
    assert.equal(held.length > 0, state === "collected" || state === "cut");
}

/** A run that goes through both levels, with nothing planted in what it sent and a manifest that is true. */
async function uploadHostile(consent: string, config: object = RULES): Promise<Submitted> {
  const run = await submitHostile(["--consent", consent], config);
  assert.deepEqual([run.code, run.requests.map(({ method }) => method)], [0, ["POST", "PUT"]]);
  assertNothingLeaked(run);
  assertTrueManifest(run);
  return run;
}

function itemsOf({ manifest }: Submitted, kind: ManifestItem["kind"]): ManifestItem[] {
  return manifest?.items.filter((item) => item.kind === kind) ?? [];
}

function collectedOf(run: Submitted, kind: ManifestItem["kind"]): string[] {
  return itemsOf(run, kind).flatMap(({ state, item }) =>
    state === "collected" || state === "cut" ? [`${state} ${item}`] : [],
  );
}

test("parameters: level 1 and not a byte more", async () => {
  const run = await submitHostile(["--consent", "parameters"]);
  assert.deepEqual([run.code, run.requests.map(({ method }) => method)], [0, ["POST"]]);
  assertNothingLeaked(run);
});

const OPEN_VERSIONS = [`collected ${open}`, `collected ${logs}/sparse`];

test("safe: the attached file that is not denied, file versions, and properties that say nothing of a person", async () => {
  const run = await uploadHostile("safe");
  assert.deepEqual(collectedOf(run, "File"), ["collected open.log"]);
  assert.deepEqual(collectedOf(run, "GetFile"), []);
  assert.deepEqual(collectedOf(run, "GetFileVersion"), OPEN_VERSIONS);
  assert.deepEqual(collectedOf(run, "WQL"), [
    "collected SELECT NumberOfLogicalProcessors FROM Win32_ComputerSystem",
  ]);
  assert.equal(itemsOf(run, "GetFile").length, SECRET_FILES.length + 3);
});

test("all: what is open, and of the largest file both ends", async () => {
  const run = await uploadHostile("all");
  assert.deepEqual(collectedOf(run, "File"), ["collected open.log"]);
  assert.deepEqual(collectedOf(run, "GetFile"), [
    `cut ${logs}/sparse`,
    `collected ${open}`,
    "collected $HOME/app/open.log",
  ]);
  assert.deepEqual(collectedOf(run, "GetFileVersion"), OPEN_VERSIONS);
  const sparse = run.files.get("sparse") ?? assert.fail();
  assert.equal(sparse.subarray(0, 11).toString(), "head of it\n");
  assert.match(
    sparse.toString("latin1"),
    /\[cer left out 10737156096 bytes here; the limit is 262144 bytes\]/,
  );
  assert.deepEqual(
    itemsOf(run, "RegTree").map(({ item, state, reason }) => [item, state, reason]),
    ["HKLM", "HKCU"].map((item) => [item, "declined", "there is no registry on this system"]),
  );
});

test("allow opens what its pattern names, never what is denied, nor what is built in unless by its very name", async () => {
  const config = {
    allow: { GetFile: ["**", `${logs}/denied/deep/down.log`, "/proc/**", "/dev/zero"] },
    deny: { File: ["**"], GetFile: [`${directory}/alias/denied/**`], GetFileVersion: ["**"], WQL: ["*"] },
    maxFileSize: 262144,
  };
  const run = await uploadHostile("safe", config);
  const kinds = (["File", "GetFileVersion", "WQL"] as const).flatMap((kind) => collectedOf(run, kind));
  assert.deepEqual(kinds, []);
  assert.deepEqual(collectedOf(run, "GetFile"), [
    `cut ${logs}/sparse`,
    `collected ${open}`,
    "collected $HOME/app/open.log",
  ]);
});

test("a hundred thousand items and one of a mebibyte: looked at up to a bound, reported, in bounded memory", async () => {
  const many = Array.from({ length: 100_000 }, (_, index) => `/x${index.toString(36)}`).join(";");
  const begun = performance.now();
  const run = await submitTo(asking(`GetFile=${many}`, `GetFileVersion=${"/y".repeat(524_288)}`), {
    place,
    args: ["--consent", "all"],
    event: { files: [{ path: open }] },
    env: { NODE_OPTIONS: "--max-old-space-size=96" },
  });
  assert.ok(performance.now() - begun < 60_000);
  assert.deepEqual([run.code, run.requests.map(({ method }) => method)], [0, ["POST", "PUT"]]);
  assertTrueManifest(run);
  const files = itemsOf(run, "GetFile");
  assert.deepEqual([files.length, files.at(-1)?.item, files.at(-1)?.state], [1000, "/xrr", "missing"]);
  const [version] = itemsOf(run, "GetFileVersion");
  assert.equal(version?.reason, "it is 1048576 characters long; at most 8192 are looked at");
  assert.ok((version?.item.length ?? 0) < 1100);
  assert.match(run.stderr, /The server sent 100000 items in GetFile; only the first 1000 are looked at\./);
});

test("G3: ask without a terminal: the report goes and nothing else; under --strict nothing leaves or is kept", async () => {
  const lenient = await submitHostile(["--consent", "ask"]);
  assert.deepEqual([lenient.code, lenient.requests.map(({ method }) => method)], [0, ["POST"]]);
  const run = await submitHostile(["--consent", "ask", "--strict"]);
  assert.deepEqual([run.code, run.requests.length, run.receipt], [2, 0, ""]);
  assert.match(run.stderr, /Consent is "ask" \(the command line\), but there is no terminal to ask at\./);
  const server = await startScripted([ok()]);
  const journal = join(directory, "never-made");
  const args = ["submit", "-", "--consent", "ask", "--strict", "--server", server.url, "--journal", journal];
  const piped = await runCer(place, args);
  await server.close();
  assert.deepEqual(piped, {
    code: 2,
    signal: null,
    stdout: "",
    stderr:
      'cer: Consent is "ask" (the command line), but standard input holds the event and cannot hold answers as well.\n' +
      "Nothing was sent. Give the event as a file, or --consent parameters, safe or all.\n",
  });
  assert.deepEqual([server.connections(), existsSync(journal)], [0, false]);
});

test("answers of the collectors are what the system's own programs say", async () => {
  const answer = asking(
    "WQL=SELECT NumberOfLogicalProcessors, Name FROM Win32_Processor;SELECT Size FROM Win32_LogicalDisk WHERE DeviceID = '/';" +
      "SELECT TotalVisibleMemorySize FROM Win32_OperatingSystem",
    `GetFileVersion=${open}`,
  );
  const run = await submitTo(answer, { place, args: ["--consent", "safe"] });
  const [processor, disk, memory] = [
    "wql-1-Win32_Processor",
    "wql-2-Win32_LogicalDisk",
    "wql-3-Win32_OperatingSystem",
  ].map((name) => JSON.parse(run.files.get(`${name}.json`)?.toString() ?? "[]")[0]);
  assert.equal(
    processor.Name,
    /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.trim(),
  );
  const df = execFileSync("df", ["-B1", "--output=size", "/"], { encoding: "utf8" });
  assert.equal(disk?.Size, df.split("\n")[1]?.trim());
  const total = /^MemTotal:\s*(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  assert.equal(memory.TotalVisibleMemorySize, total);
  const [version] = JSON.parse(run.files.get("file-versions.json")?.toString() ?? "[]");
  const sum = execFileSync("sha256sum", [open], { encoding: "utf8" }).slice(0, 64);
  assert.deepEqual([version.File, version.Size, version.SHA256], [open, 13, sum]);
});

/** `cer submit` of an event with 50 MiB of noise, to a server that plays this. */
async function submitNoise(faults: readonly Fault[], args: readonly string[] = [], env = {}) {
  const directory = await mkdtemp(join(place.directory, "noise-"));
  const dump = await attach(place, "noise.dmp", randomBytes(50 * 1024 * 1024));
  const server = await startScripted(faults);
  const words = ["--server", server.url, "--minidump", dump, "--retries", "0", "--no-flush", ...args];
  const run = await submit(place, words, { env: { CER_JOURNAL: join(directory, "journal"), ...env } });
  await server.close();
  return { ...run, requests: server.requests };
}

const PAGE = "<html><title>Session expired</title><body>Log in</body></html>";
const SUCCESS = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

for (const [title, then] of [
  ["and goes on reading", (socket: Socket) => void socket.resume()],
  ["and reads no more", () => {}],
  ["and closes", (socket: Socket) => void socket.end()],
  ["and resets", (socket: Socket) => void setTimeout(() => socket.resetAndDestroy(), 100)],
] as const)
  test(`hostile 1: an early 200 to the PUT ${title}: deferred, and the payload is kept`, async () => {
    const early: Fault = {
      after: 65_536,
      play: (socket) => {
        socket.write(SUCCESS);
        then(socket);
      },
    };
    const { code, outcome, requests } = await submitNoise([ok(asking()), early]);
    assert.deepEqual(
      [code, outcome.outcome, outcome.error?.code, outcome.journal?.state],
      [75, "deferred", "CER_CONNECTION_LOST", "pending"],
    );
    assert.equal(requests[1]?.complete, false);
  });

test("hostile 2: a page, or a text without end, in answer to the PUT is no delivery; what is created may have a page", async () => {
  for (const [fault, what] of [
    [answer(200, { body: PAGE }), 'a page titled "Session expired"'],
    [flood(), "more than 4 MiB of text"],
  ] as const) {
    const { code, outcome } = await submitNoise([ok(asking()), fault]);
    assert.deepEqual([code, outcome.outcome, outcome.error?.code], [75, "deferred", "CER_NOT_CER"]);
    assert.match(
      outcome.error?.message ?? "",
      new RegExp(`answered with ${what}, which acknowledges no archive`),
    );
  }
  const created = await submitNoise([ok(asking()), answer(201, { body: PAGE })]);
  assert.deepEqual([created.code, created.outcome.outcome], [0, "uploaded"]);
});

test("hostile 29: a status that there is none is told in our words, at once", async () => {
  for (const [status, shown] of [
    ["000", "000"],
    ["999", "999"],
  ]) {
    const odd: Fault = {
      play: (socket) => void socket.end(`HTTP/1.1 ${status} Odd\r\nContent-Length: 0\r\n\r\n`),
    };
    const { code, outcome } = await submitNoise([odd]);
    assert.equal(code, 75);
    assert.equal(outcome.error?.code, "CER_NOT_CER");
    assert.match(
      outcome.error?.message ?? "",
      new RegExp(`/stage2\\.htm answered with the status ${shown}, which HTTP does not know\\.$`),
    );
  }
});

test("hostile 30: where WebAssembly gets no memory, that is what is said, and the report is kept", async () => {
  const server = await startScripted();
  const script = `ulimit -v 1500000; exec "$@"`;
  const args = ["submit", "--event-type", "X", "--server", server.url, "--retries", "0", "--json", "--force"];
  const { stdout } = await new Promise<{ stdout: string }>((resolve) =>
    execFile(
      "bash",
      ["-c", script, "limited", process.execPath, PROGRAM, ...args],
      { env: { ...place.env, CER_JOURNAL: join(directory, "small") } },
      (_, stdout) => resolve({ stdout }),
    ),
  );
  await server.close();
  const outcome = JSON.parse(stdout) as Outcome;
  assert.deepEqual(
    [outcome.outcome, outcome.error?.code, outcome.error?.hint],
    ["deferred", "CER_NO_MEMORY", "Close programs, or raise the limit (ulimit -v)."],
  );
});
