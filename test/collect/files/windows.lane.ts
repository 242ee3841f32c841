import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hashOf } from "../../support/files.ts";
import { bundle, openWine, type Wine } from "../../support/wine.ts";

let wine: Wine;
let drive: string;

before(async () => {
  wine = await openWine();
  drive = join(wine.directory, "prefix", "drive_c");
});
after(() => wine.close());

async function collect(items: readonly string[]): Promise<Record<string, unknown>> {
  const script = join(wine.directory, "probe.cjs");
  await bundle(join(import.meta.dirname, "windows-probe.ts"), script);
  const list = join(wine.directory, "items.json");
  writeFileSync(list, JSON.stringify(items));
  const { code, stdout, stderr } = await wine.node(script, [wine.windowsPath(list)]);
  assert.equal(code, 0, stderr.toString());
  return Object.fromEntries(JSON.parse(stdout.toString()));
}

test("on Windows files are collected by any spelling of their path, and what is no file is not", async () => {
  mkdirSync(join(drive, "app", "Long Directory Name", ".ssh"), { recursive: true });
  writeFileSync(join(drive, "app", "app.log"), "PASSWORD=x1\r\n");
  writeFileSync(join(drive, "app", "Long Directory Name", ".ssh", "config"), "secret");
  const log = {
    bytes: "PASSWORD=[redacted]\r\n".length,
    redaction: "text",
    isCut: false,
    size: 13,
    sha256: await hashOf(join(drive, "app", "app.log")),
    original: null,
  };
  const results = await collect([
    "c:/APP//./APP.LOG",
    "\\\\?\\C:\\app\\app.log",
    "C:\\app\\none",
    "C:\\app",
    "C:\\app\\CON",
    "C:\\app\\aux.txt",
    "C:\\app\\app.log:s",
    "C:\\app\\app.log.",
    "\\\\.\\C:\\app\\app.log",
    "%WINDIR%\\system32\\config\\SAM",
    // The short name that Wine makes of "Long Directory Name".
    "C:\\app\\LONG~FBX\\.ssh\\config",
  ]);
  const secret = (what: string) => `${what} are not sent unless the policy allows this very file by name`;
  assert.deepEqual(results, {
    "c:/APP//./APP.LOG": log,
    "\\\\?\\C:\\app\\app.log": log,
    "C:\\app\\none": "there is no such file",
    "C:\\app": "it is a directory",
    "C:\\app\\CON": "it names a device",
    "C:\\app\\aux.txt": "it names a device",
    "C:\\app\\app.log:s": "it names an alternate data stream",
    "C:\\app\\app.log.": "a part of it ends in a dot or a blank, which Windows would drop",
    "\\\\.\\C:\\app\\app.log": "it names a device",
    "%WINDIR%\\system32\\config\\SAM": secret("account databases"),
    "C:\\app\\LONG~FBX\\.ssh\\config": secret("private keys"),
  });
});

test("a short name that hides a denied directory is found out once the file is open", async () => {
  mkdirSync(join(drive, "app", "Microsoft"), { recursive: true });
  mkdirSync(join(drive, "app", "Microsoft", "Credentials"));
  writeFileSync(join(drive, "app", "Microsoft", "Credentials", "blob"), "secret");
  const { stdout } = await wine.run("cmd", ["/c", "dir /x C:\\app\\Microsoft"]);
  const short = /(\S+~\S+)\s+Credentials/.exec(stdout.toString())?.[1];
  assert.ok(short !== undefined, stdout.toString());
  const item = `C:\\app\\Microsoft\\${short}\\blob`;
  assert.deepEqual(await collect([item]), {
    [item]: "password and credential stores are not sent unless the policy allows this very file by name",
  });
});

test("a program and a library of the system are what they are on this side", async () => {
  const results = await collect(["%WINDIR%\\system32\\notepad.exe", "%SystemRoot%/system32/kernel32.dll"]);
  const system = join(drive, "windows", "system32");
  const notepad = results["%WINDIR%\\system32\\notepad.exe"] as Record<string, unknown>;
  const kernel = results["%SystemRoot%/system32/kernel32.dll"] as Record<string, unknown>;
  assert.deepEqual(
    [notepad.sha256, notepad.redaction, kernel.sha256, kernel.original],
    [
      await hashOf(join(system, "notepad.exe")),
      "binary",
      await hashOf(join(system, "kernel32.dll")),
      "kernel32.dll",
    ],
  );
});
