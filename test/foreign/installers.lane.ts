/**
 * Real installers that fail and report it, as the README tells them to: dpkg, npm, NSIS under Wine. Without a home, a
 * terminal or standard input; the installer's own verdict stays what it was without the hook.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import {
  type Ended,
  openPlace,
  type Place,
  PROGRAM,
  refugeOf,
  runCer,
  type Serve,
  startServe,
} from "../support/run-cer.ts";
import { freePorts } from "../support/servers/daemon.ts";

let place: Place;
let serve: Serve;
/** What an installer's environment has: no HOME, no TERM. */
let env: Record<string, string> = {};

before(async () => {
  place = await openPlace();
  serve = await startServe(place, "kept");
  const programs = join(place.directory, "bin");
  await mkdir(programs);
  await symlink(PROGRAM, join(programs, "cer"));
  const path = [
    programs,
    dirname(process.execPath),
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
  ];
  env = {
    PATH: path.join(":"),
    TMPDIR: place.env["TMPDIR"] ?? "",
    CER_JOURNAL: place.journal,
    CER_SERVER: serve.url,
  };
});
after(async () => {
  await serve.stop();
  await place.remove();
});

/** In a session of its own, which has no terminal, with standard input closed. */
async function install(command: string, more: Record<string, string> = {}): Promise<Ended> {
  const child = spawn("setsid", ["--wait", "sh", "-c", `exec <&-; ${command}`], {
    cwd: place.directory,
    env: { ...env, ...more },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, signal, stdout, stderr };
}

/** What the server got while this ran. */
async function arrivedDuring<T>(run: () => Promise<T>): Promise<{ result: T; arrived: string[] }> {
  const before = serve.exchanges().length;
  const result = await run();
  return { result, arrived: serve.exchanges().slice(before) };
}

async function assertNothingLeftBehind(): Promise<void> {
  assert.deepEqual(await readdir(env["TMPDIR"] ?? ""), []);
  for (const state of ["new", "claimed", "set-aside"])
    assert.deepEqual(await readdir(join(place.journal, "v1", state)), [], state);
}

async function waiting(): Promise<number> {
  const { stdout } = await runCer(place, ["queue", "list", "--json"]);
  const { reports } = JSON.parse(stdout) as { reports: { state: string }[] };
  return reports.filter(({ state }) => state === "pending").length;
}

describe("dpkg", () => {
  const HOOK = `trap 'code=$?; [ "$code" = 0 ] || cer submit --event-type PackageFailed -p "$DPKG_MAINTSCRIPT_PACKAGE" -p "$code" --quiet --max-time 20 || true' EXIT`;

  /** `dpkg -i` of a package whose maintainer script is these lines, in a system of its own. */
  async function installPackage(name: string, lines: readonly string[], more = {}): Promise<Ended> {
    const root = await mkdtemp(join(place.directory, "dpkg-"));
    const source = join(root, "source", "DEBIAN");
    const admin = join(root, "var", "lib", "dpkg");
    await Promise.all(
      [source, join(admin, "updates"), join(admin, "info")].map((path) => mkdir(path, { recursive: true })),
    );
    await writeFile(join(admin, "status"), "");
    const control = [
      "Version: 1.0",
      "Architecture: all",
      "Maintainer: Nobody <nobody@example.com>",
      "Description: fails",
    ];
    await writeFile(join(source, "control"), `Package: ${name}\n${control.join("\n")}\n`);
    await writeFile(join(source, "postinst"), `#!/bin/sh\nset -e\n${lines.join("\n")}\n`);
    await chmod(join(source, "postinst"), 0o755);
    await chmod(source, 0o755);
    const archive = join(root, `${name}.deb`);
    const built = await install(`dpkg-deb --build "${join(root, "source")}" "${archive}"`);
    assert.equal(built.code, 0, built.stderr);
    return install(`dpkg --root="${root}" --force-script-chrootless --force-not-root -i "${archive}"`, more);
  }

  test("fails as it would have without the hook, and the failure is reported", async () => {
    const failing = ["echo configuring", "false_step() { return 42; }", "false_step"];
    const bare = await installPackage("cer-test-bare", failing);
    const { result, arrived } = await arrivedDuring(() =>
      installPackage("cer-test-hook", [HOOK, ...failing]),
    );
    assert.deepEqual(arrived, ["report", "archive"]);
    assert.equal(result.code, bare.code);
    assert.notEqual(result.code, 0);
    const verdict =
      /installed cer-test-\w+ package post-installation script subprocess returned error exit status 42/;
    assert.match(bare.stderr, verdict);
    assert.equal(result.stderr.replaceAll("cer-test-hook", "cer-test-bare"), bare.stderr);
    assert.equal(withoutPaths(result.stdout), withoutPaths(bare.stdout));
    await assertNothingLeftBehind();
  });

  /** The two packages' names and directories differ; "Selecting previously unselected" is all the same. */
  function withoutPaths(output: string): string {
    return output.replaceAll("cer-test-hook", "cer-test-bare").replace(/\S*dpkg-\w+\S*/g, "");
  }

  test("succeeds without a report when nothing fails", async () => {
    const { result, arrived } = await arrivedDuring(() =>
      installPackage("cer-test-good", [HOOK, "echo configured"]),
    );
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(arrived, []);
  });

  test("fails as ever when the server is down; the report waits, and flush delivers it", async () => {
    const [port = 0] = await freePorts(1);
    const down = { CER_SERVER: `http://127.0.0.1:${port}` };
    const { result, arrived } = await arrivedDuring(() =>
      installPackage("cer-test-down", [HOOK, "exit 42"], down),
    );
    assert.match(result.stderr, /post-installation script subprocess returned error exit status 42/);
    assert.match(result.stderr, /^Not delivered yet: http:\/\/127\.0\.0\.1:\d+: the connection was refused/m);
    assert.deepEqual([arrived, await waiting()], [[], 1]);
    await assertNothingLeftBehind();
    const late = await startServe(place, "late", ["--port", String(port)]);
    const { stdout } = await runCer(place, ["queue", "list", "--json"]);
    for (const { id, state } of (JSON.parse(stdout) as { reports: { id: string; state: string }[] }).reports)
      if (state === "pending") await runCer(place, ["queue", "retry", id]);
    assert.equal((await runCer(place, ["flush"])).code, 0);
    assert.deepEqual([late.exchanges(), await waiting()], [["report", "archive"], 0]);
    await late.stop();
  });

  test("fails as ever when there is no server, no journal and no temporary directory, and the report is kept", async () => {
    const nothing = { CER_SERVER: "", CER_JOURNAL: "/dev/null/journal", TMPDIR: "/nonexistent" };
    const result = await installPackage("cer-test-none", [HOOK, "exit 42"], nothing);
    assert.match(result.stderr, /^Not delivered yet: No CER server is set; nothing was sent\.$/m);
    assert.match(result.stderr, /^Kept as \S+; it waits for a server\.$/m);
    await rm(refugeOf("/dev/null/journal"), { recursive: true });
    assert.match(result.stderr, /post-installation script subprocess returned error exit status 42/);
  });
});

describe("npm", () => {
  const HOOK = "(cer submit --event-type NpmInstallFailed --quiet --max-time 20 && exit 1 || exit 1)";

  /** `npm install` of a package with that script. */
  async function installPackage(name: string, script: string): Promise<Ended> {
    const directory = join(place.directory, name);
    await mkdir(directory);
    const manifest = { name, version: "1.0.0", scripts: { postinstall: script } };
    await writeFile(join(directory, "package.json"), JSON.stringify(manifest));
    await writeFile(join(directory, "setup.js"), "process.exit(1);\n");
    const cache = join(place.directory, "npm-cache");
    return install(`cd ${name} && npm install --offline --no-audit --no-fund --cache "${cache}"`, {
      HOME: place.env["HOME"] ?? "",
    });
  }

  test("fails as it would have without the hook, and the failure is reported", async () => {
    const bare = await installPackage("bare", "node setup.js");
    const { result, arrived } = await arrivedDuring(() => installPackage("hook", `node setup.js || ${HOOK}`));
    assert.deepEqual([bare.code, result.code], [1, 1]);
    assert.deepEqual(arrived, ["report", "archive"]);
    await assertNothingLeftBehind();
  });
});
