/**
 * The program as it was before reports could wait for a server, at work on the journal of the program as it is: what it
 * does not know it leaves as it is. It is built from this repository's own history.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sha256Of } from "../../src/bytes.ts";
import { inPlace, type Place, runCer } from "../support/run-cer.ts";
import { refusingPort, startScripted } from "../support/scripted-server.ts";

/** The last commit before. */
const BEFORE = "f1f817da8a264f8af5aa5c4381d3ca6b804100d1";

const ROOT = join(import.meta.dirname, "../..");
let older = "";
let script = "";
before(async () => {
  older = await mkdtemp(join(tmpdir(), "cer-older-"));
  const tar = execFileSync("git", ["archive", BEFORE], { cwd: ROOT, maxBuffer: 1 << 30 });
  execFileSync("tar", ["-x"], { cwd: older, input: tar });
  await symlink(join(ROOT, "node_modules"), join(older, "node_modules"));
  await mkdir(join(older, "dist"), { recursive: true });
  execFileSync("npm", ["run", "--silent", "build"], { cwd: older, stdio: "ignore" });
  script = join(older, "bin/cer.js");
});
after(() => rm(older, { recursive: true, force: true }));

/** Every file below a directory, with the hash of its bytes. */
async function contentsOf(directory: string): Promise<string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const hashed = files.map(async (file) => `${file} ${sha256Of(await readFile(file))}`);
  return (await Promise.all(hashed)).sort();
}

async function runOlder(place: Place, args: readonly string[]): Promise<number | null> {
  return (await runCer(place, args, { script })).code;
}

test("an older program leaves a report that waits for a server untouched, and the newer one then sends it", () =>
  inPlace(async (place) => {
    const early = await runCer(place, ["submit", "--event-type", "Early", "-p", "1"]);
    assert.equal(early.code, 75, early.stderr);
    const waiting = join(place.journal, "v1/unaddressed");
    const kept = await contentsOf(waiting);
    assert.equal(kept.length, 2);
    const nobody = `127.0.0.1:${await refusingPort()}`;
    const submit = ["submit", "--event-type", "Older", "--server", nobody, "--retries", "0"];
    assert.equal(await runOlder(place, submit), 75);
    assert.equal(await runOlder(place, ["flush"]), 0);
    assert.equal(await runOlder(place, ["queue", "list"]), 0);
    assert.deepEqual(await contentsOf(waiting), kept);
    assert.deepEqual(await readdir(join(place.journal, "v1/set-aside")), []);

    const server = await startScripted();
    const flushed = await runCer(place, ["flush", "--json"], { env: { CER_SERVER: server.url } });
    const sent = server.whole("POST").map(({ body }) => body.toString("utf16le"));
    await server.close();
    assert.equal(JSON.parse(flushed.stdout).unaddressed, 0);
    assert.equal(sent.filter((xml) => xml.includes('eventtype="Early"')).length, 1);
  }));
