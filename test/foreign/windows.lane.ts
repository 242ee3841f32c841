/**
 * The built program in a real Windows Node under Wine, against `cer serve` on this side: the smoke test, reports with
 * files, the journal on a drive, exit codes, an NSIS installer's hook; and cabinets unpacked by Wine's own programs.
 */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { filesBelow, hashOf } from "../support/files.ts";
import { runForeign, tooSlow } from "../support/foreign-program.ts";
import { type Ended, openPlace, type Place, PROGRAM, type Serve, startServe } from "../support/run-cer.ts";
import { freePorts } from "../support/servers/daemon.ts";
import { submit } from "../support/submit.ts";
import { openWine, type Wine } from "../support/wine.ts";

const LOG = "Error 1603: the service did not start\r\n".repeat(500);
/** What the servers ask for: no WQL, for which Wine may take longer than cer waits; see test/collect/wine.lane.ts. */
const ATTACHED_ONLY = ["--request", "iData=1"];
const NOTE = "an aux file\r\n";

let place: Place;
let serve: Serve;
let wine: Wine;
/** C:\ on this side. */
let drive = "";

before(async () => {
  place = await openPlace();
  serve = await startServe(place, "kept", ATTACHED_ONLY);
  wine = await openWine();
  // The first query starts more of Windows than cer waits for on a busy machine.
  await wine.run("wmic", ["cpu", "get", "Family"], { timeoutMs: 120_000 });
  drive = join(wine.directory, "prefix", "drive_c");
  await mkdir(join(drive, "Work Dir"));
  await writeFile(join(drive, "Work Dir", "Setup.log"), LOG);
});
after(async () => {
  await wine.close();
  await serve.stop();
  await place.remove();
});

const UNSET = {
  CER_SERVER: "",
  CER_PORT: "",
  CER_HTTPS: "",
  CER_CONSENT: "",
  HTTP_PROXY: "",
  http_proxy: "",
  NODE_OPTIONS: "",
};

/** Of a run, what Windows tells. */
type Said = Omit<Ended, "signal">;

/** `cer` on Windows, its journal in C:\journal. */
async function cerOnWindows(args: readonly string[], env: Record<string, string> = {}): Promise<Said> {
  const { code, stdout, stderr } = await wine.node(PROGRAM, args, {
    env: { ...UNSET, CER_JOURNAL: "C:\\journal", ...env },
    cwd: join(drive, "Work Dir"),
    timeoutMs: 120_000,
  });
  return { code, stdout: stdout.toString(), stderr: stderr.toString() };
}

async function submitOnWindows(args: readonly string[]): Promise<Said & { outcome: Outcome }> {
  const result = await cerOnWindows(["submit", "--event-type", "Windows", "--force", "--json", ...args]);
  assert.notEqual(result.stdout, "", result.stderr);
  return { ...result, outcome: JSON.parse(result.stdout) as Outcome };
}

/** The archives that the server has of this event type. */
async function archivesOf(server: Serve): Promise<string[]> {
  return (await filesBelow(server.directory)).filter((path) => path.endsWith(".cab"));
}

/** The files below C:\NAME: path from there, and content. */
async function unpackedTo(name: string): Promise<Record<string, string>> {
  const directory = join(drive, name);
  const pairs = (await filesBelow(directory)).map(async (path) => [
    relative(directory, path),
    await readFile(path, "latin1"),
  ]);
  return Object.fromEntries(await Promise.all(pairs));
}

describe("cer on Windows", () => {
  test("runs the smoke test without a word on standard error", async () => {
    let smoke = await cerOnWindows(["smoke"]);
    // Wine's WMI may take longer than cer waits, on a machine with other things to do; nothing else is tried again.
    const isSlow = () => smoke.stderr.includes("the query took more than 20000 ms");
    for (let tries = 1; tries < 4 && isSlow(); tries++) smoke = await cerOnWindows(["smoke"]);
    if (isSlow()) throw tooSlow("wine's WMI", 20_000);
    assert.deepEqual([smoke.code, smoke.stderr], [0, ""]);
    assert.match(smoke.stdout, /\nOK: all nine steps\.\n$/);
  });

  test("reports with a file of a drive in any case, and keeps a receipt on one", async () => {
    const before = await archivesOf(serve);
    const args = [
      "--server",
      serve.url,
      "--file",
      "c:\\WORK DIR\\setup.LOG",
      "--receipt",
      "C:\\receipt.json",
    ];
    const { code, outcome } = await submitOnWindows(args);
    assert.deepEqual([code, outcome.outcome, outcome.error, outcome.warnings], [0, "uploaded", null, []]);
    assert.equal(outcome.journal?.state, "done");
    const [cabinet = "", ...others] = (await archivesOf(serve)).filter((path) => !before.includes(path));
    assert.deepEqual(others, []);
    const names = outcome.level2?.archive.files.map(({ name }) => name) ?? [];
    assert.equal(names.includes("setup.LOG"), true, names.join(" "));
    const unpacked = join(place.directory, "unpacked");
    await runForeign("cabextract", ["-q", "-d", unpacked, cabinet]);
    assert.equal(await readFile(join(unpacked, "setup.LOG"), "latin1"), LOG);
    const report = (await readFile(join(unpacked, "report.xml"))).toString("utf16le");
    assert.match(report, / os="\d+\.\d+\.\d+\.2\.\d+\.\d+\.\d+\.\d+" /);
    const verified = await cerOnWindows([
      "verify",
      "C:\\receipt.json",
      "--archive",
      wine.windowsPath(cabinet),
    ]);
    assert.deepEqual([verified.code, verified.stderr], [0, ""]);
  });

  test("keeps what cannot be sent, and flush sends it", async () => {
    const [port = 0] = await freePorts(1);
    const server = ["--server", `127.0.0.1:${port}`, "--retries", "0"];
    const kept = await submitOnWindows([...server, "--file", "Setup.log"]);
    assert.deepEqual(
      [kept.code, kept.outcome.outcome, kept.outcome.journal?.state],
      [75, "deferred", "pending"],
    );
    assert.equal(
      kept.outcome.error?.message,
      `http://127.0.0.1:${port}: the connection was refused (ECONNREFUSED).`,
    );
    const id = kept.outcome.journal?.id ?? "";
    const late = await startServe(place, "late", ["--port", String(port), ...ATTACHED_ONLY]);
    try {
      assert.equal((await cerOnWindows(["queue", "retry", id])).code, 0);
      const flushed = await cerOnWindows(["flush"]);
      assert.deepEqual([flushed.code, flushed.stderr], [0, ""]);
      assert.match(flushed.stdout, /\n1 of 1 delivered; 0 waiting\.\n$/);
      assert.deepEqual(late.exchanges(), ["report", "archive"]);
    } finally {
      await late.stop();
    }
    for (const state of ["new", "claimed", "pending", "set-aside"])
      assert.deepEqual(await readdir(join(drive, "journal", "v1", state)), [], state);
  });

  test("has the exit codes that it has everywhere", async () => {
    const none = await cerOnWindows(["submit", "--event-type", "X", "--strict"]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^cer: No CER server is set; nothing was sent\.\n/);
    const missing = await cerOnWindows([
      "submit",
      "--event-type",
      "X",
      "--server",
      serve.url,
      "--file",
      "D:\\none.log",
      "--strict",
    ]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^cer: The attached file D:\\none\.log does not exist\.\n/);
    const refused = await submitOnWindows(["--server", serve.url, "--path", "/elsewhere"]);
    assert.deepEqual([refused.code, refused.outcome.error?.code], [75, "CER_STATUS"]);
  });
});

describe("cabinets of cer's, unpacked by Wine's own programs", () => {
  let cabinet = "";
  let expected: Record<string, string> = {};

  before(async () => {
    // Names that Windows has for devices, or tells apart by nothing.
    const files = ["CON", "aux.txt", "Setup.log", "SETUP.LOG"].map((name) => join(place.directory, name));
    for (const [at, path] of files.entries()) await writeFile(path, at < 2 ? NOTE : `${LOG}${at}`);
    const { outcome } = await submit(place, [
      "--server",
      serve.url,
      ...files.flatMap((path) => ["--file", path]),
    ]);
    assert.equal(outcome.outcome, "uploaded");
    const { sha256 } = outcome.level2?.archive ?? { sha256: "" };
    for (const path of await archivesOf(serve)) if ((await hashOf(path)) === sha256) cabinet = path;
    const directory = join(place.directory, "reference");
    await runForeign("cabextract", ["-q", "-d", directory, cabinet]);
    const names = await readdir(directory);
    expected = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), "latin1")])),
    );
  });

  test("hold names that Windows can have, each once", () => {
    const attached = Object.keys(expected).filter(
      (name) => !/^(report\.xml|manifest\.json|wql.*)$/i.test(name),
    );
    assert.deepEqual(attached.sort(), ["SETUP (2).LOG", "Setup.log", "_CON", "_aux.txt"]);
  });

  // Not expand: Wine's knows no way to have more than one file out of a cabinet.
  for (const [program, args] of [
    ["extrac32", (from: string, to: string) => ["/E", "/L", to, from]],
    ["cabarc", (from: string, to: string) => ["-p", "x", from, `${to}\\`]],
  ] as const)
    test(`${program} gives every file back`, async () => {
      await mkdir(join(drive, program));
      const unpacked = await wine.run(program, args(wine.windowsPath(cabinet), `C:\\${program}`));
      assert.equal(unpacked.code, 0, unpacked.stdout.toString() + unpacked.stderr.toString());
      assert.deepEqual(await unpackedTo(program), expected);
    });
});

describe("an NSIS installer that fails", () => {
  const SCRIPT = `
Unicode true
SilentInstall silent
RequestExecutionLevel user
Name "Agent"
OutFile "setup.exe"
Section
  ExecWait '"$SYSDIR\\cmd.exe" /c exit 1603' $0
  StrCmp $0 0 done
  ReadEnvStr $1 HOOK
  StrCmp $1 "" +2
  ExecWait '$1 submit --event-type SetupFailed -p Product=Agent -p Code=$0 --file "C:\\Work Dir\\Setup.log" --quiet --max-time 60' $2
  SetErrorLevel $0
done:
SectionEnd
`;

  test("exits as it would have without the hook, and the failure is reported", async () => {
    const source = join(place.directory, "setup.nsi");
    await writeFile(source, SCRIPT);
    await runForeign("makensis", ["-V2", "-XTarget amd64-unicode", source]);
    const setup = wine.windowsPath(join(place.directory, "setup.exe"));
    const temporary = join(drive, "temp");
    await mkdir(temporary);
    const env = {
      ...UNSET,
      CER_SERVER: serve.url,
      CER_JOURNAL: "C:\\journal",
      TEMP: "C:\\temp",
      TMP: "C:\\temp",
    };
    const bare = await wine.run(setup, ["/S"], { env });
    const hook = `"${wine.nodeExe}" "${wine.windowsPath(PROGRAM)}"`;
    const before = serve.exchanges().length;
    const hooked = await wine.run(setup, ["/S"], { env: { ...env, HOOK: hook }, timeoutMs: 120_000 });
    // Unix sees the low byte.
    assert.deepEqual([bare.code, hooked.code], [1603 & 0xff, 1603 & 0xff]);
    assert.deepEqual(serve.exchanges().slice(before), ["report", "archive"]);
    assert.deepEqual(await readdir(temporary), []);
  });
});
