/** The program where something around it is missing: output, directory, server, configuration, somebody to ask. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { inPlace, type Place, PROGRAM, runCer } from "../support/run-cer.ts";
import { ok, type Script, type ScriptedServer, startScripted } from "../support/scripted-server.ts";

async function at(
  play: (place: Place, server: ScriptedServer) => Promise<void>,
  script?: Script,
): Promise<void> {
  const server = await startScripted(script);
  try {
    await inPlace((place) => play(place, server));
  } finally {
    await server.close();
  }
}

/** Runs a line of shell in which `cer` is the program; its exit code. */
function shell({ directory, env }: Place, line: string): Promise<number | null> {
  const script = `cer() { "$NODE" "$PROGRAM" "$@"; }; ${line}`;
  const variables = { ...env, NODE: process.execPath, PROGRAM };
  return new Promise((resolve) => {
    execFile("bash", ["-c", script], { cwd: directory, env: variables }, (error) =>
      resolve(error === null ? 0 : typeof error.code === "number" ? error.code : null),
    );
  });
}

async function statesOf(place: Place): Promise<string[]> {
  const { stdout } = await runCer(place, ["queue", "list", "--json"]);
  return JSON.parse(stdout).reports.map(({ state }: { state: string }) => state);
}

test("A3, hostile 19: output on a full disk is dropped, and the exit code tells the report's fate", () =>
  at(async (place, server) => {
    const submit = (event: string) => `cer submit --server ${server.url} --event-type ${event} --retries 0`;
    assert.equal(await shell(place, `${submit("Out")} >/dev/full`), 0);
    assert.equal(await shell(place, `${submit("Both")} --verbose >/dev/full 2>&1`), 0);
    assert.equal(await shell(place, `${submit("Json")} --json >/dev/full`), 0);
    assert.equal(await shell(place, `${submit("Closed")} >&- 2>&-`), 0);
    assert.equal(await shell(place, `${submit("Piped")} --verbose 2>&1 | true; exit \${PIPESTATUS[0]}`), 0);
    assert.equal(server.whole("POST").length, 5);
    assert.deepEqual(await statesOf(place), ["done", "done", "done", "done", "done"]);
    server.isDown = true;
    assert.equal(await shell(place, `${submit("Down")} 2>/dev/full`), 75);
  }));

test("a command whose result is its output fails when that cannot be written, but for a reader who left", () =>
  inPlace(async (place) => {
    for (const command of ["schema", "queue list", "--help", "smoke"])
      assert.equal(await shell(place, `cer ${command} >/dev/full`), 1, command);
    assert.equal(await shell(place, "set -o pipefail; cer schema | true"), 0);
  }));

test("hostile 5: in a working directory that is gone a report is sent, and no file is found there", () =>
  at(async (place, server) => {
    const line = `mkdir gone && cd gone && rmdir ../gone && cer submit --server ${server.url} --event-type Gone --file a.log --json > ../out`;
    assert.equal(await shell(place, line), 0);
    assert.equal(server.whole("POST").length, 1);
  }));

test("hostile 31: what it keeps under umask 777 is its own to use, and nobody else's", () =>
  at(async (place, server) => {
    const line = `umask 777; cer submit --server ${server.url} --event-type Umask`;
    assert.equal(await shell(place, line), 0);
    assert.equal((await stat(place.journal)).mode & 0o777, 0o700);
    assert.deepEqual(await statesOf(place), ["done"]);
    assert.equal(await shell(place, `umask 000; cer submit --server ${server.url} --event-type Open`), 0);
    assert.equal((await stat(join(place.journal, "v1/done"))).mode & 0o777, 0o700);
  }));

test("A report made before a server was set waits, and the next run that has one sends it there", () =>
  at(async (place, server) => {
    const early = await runCer(place, ["submit", "--event-type", "Early", "--json"]);
    const { outcome, error, journal } = JSON.parse(early.stdout) as Outcome;
    assert.deepEqual(
      [early.code, outcome, error?.code, journal?.state],
      [75, "deferred", "CER_NO_SERVER", "unaddressed"],
    );
    const none = await runCer(place, ["flush", "--json"]);
    const { outcomes, waiting, unaddressed } = JSON.parse(none.stdout);
    assert.deepEqual([none.code, outcomes, waiting, unaddressed], [75, [], 1, 1]);
    const env = { CER_SERVER: server.url };
    const flushed = await runCer(place, ["flush"], { env });
    assert.equal(flushed.code, 0, flushed.stderr);
    assert.match(server.whole("POST")[0]?.body.toString("utf16le") ?? "", /eventtype="Early"/);

    await runCer(place, ["submit", "--event-type", "Second"]);
    const later = await runCer(place, ["submit", "--event-type", "Third"], { env });
    assert.deepEqual([later.code, later.stderr], [0, "Delivered 1 that waited from earlier runs.\n"]);
    assert.deepEqual(await statesOf(place), ["done", "done", "done"]);
  }));

test("an address that is none is a server that is not set yet, and a password in one is kept nowhere", () =>
  at(async (place, server) => {
    for (const [at, address] of ["ftp://h", "h:99999", "::1", "http://h:1/?x"].entries()) {
      const args = ["submit", "--event-type", `E${at}`, "--server", address, "--json"];
      const { code, stdout } = await runCer(place, args);
      const { error, journal } = JSON.parse(stdout) as Outcome;
      assert.deepEqual([code, error?.code, journal?.state], [75, "CER_BAD_SERVER", "unaddressed"], address);
    }
    server.isDown = true;
    const url = server.url.replace("://", "://user:Hunter2@");
    const args = ["submit", "--event-type", "Secret", "--server", url, "--retries", "0"];
    assert.equal((await runCer(place, args)).code, 75);
    assert.equal(await shell(place, "grep -r Hunter2 journal"), 1);
  }));

test("G3: where nobody can be asked the report goes, and what would be asked for does not", () =>
  at(
    async (place, server) => {
      await writeFile(join(place.directory, "a.log"), "log");
      const ask = ["--consent", "ask", "--file", "a.log"];
      const args = ["submit", "--event-type", "Ask", "--server", server.url, "--json", ...ask];
      const { code, stdout } = await runCer(place, args);
      const { outcome, warnings, declined } = JSON.parse(stdout) as Outcome;
      assert.deepEqual([code, outcome], [0, "reported"]);
      assert.deepEqual(warnings, [
        'Consent is "ask" (the command line), but there is no terminal to ask at. The report goes, and what would be asked for does not.',
      ]);
      assert.deepEqual(
        declined.map(({ kind, item, reason }) => [kind, item, reason]),
        [
          ["File", "a.log", "the user did not agree"],
          ["GetFile", "/etc/hostname", "the user did not agree"],
        ],
      );
    },
    [ok("Bucket=1\r\niData=1\r\nGetFile=/etc/hostname\r\nDumpFile=\\x\\a.cab\r\n")],
  ));

test("--strict makes an error of each of these, before anything is kept or sent", () =>
  at(async (place, server) => {
    const config = join(place.home, ".config/cer/config.json");
    await mkdir(join(config, ".."), { recursive: true });
    const to = ["--server", server.url];
    const env = { ALL_PROXY: "socks5://p" };
    const cases: [args: string[], env?: Record<string, string>][] = [
      [[]],
      [["--server", "ftp://h"]],
      [["--server", "http://u:p@127.0.0.1"]],
      [[...to, "--file", "missing.log"]],
      [[...to, "--app-path", "x".repeat(300)]],
      [[...to, ...Array.from({ length: 11 }, () => ["-p", "v"]).flat()]],
      [[...to, "--consent", "ask"]],
      [[...to, "--lcid", "x"]],
      [to, env],
      [to, { CER_CONSENT: "everything" }],
    ];
    for (const [args, variables = {}] of cases) {
      const strict = ["submit", "--event-type", "S", ...args, "--strict"];
      assert.equal((await runCer(place, strict, { env: variables })).code, 2, args.join(" "));
    }
    await writeFile(config, "{");
    assert.equal((await runCer(place, ["submit", "--event-type", "S", ...to, "--strict"])).code, 2);
    assert.deepEqual(server.requests, []);
    assert.deepEqual(await statesOf(place), []);
  }));
