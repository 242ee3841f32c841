/** The built program on the Node releases that follow the oldest supported one, each as npm brings it. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { hashesIn } from "../support/files.ts";
import { openPlace, type Place, runCer } from "../support/run-cer.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const run = promisify(execFile);
const RELEASES = [22, 24];

let place: Place;
let event = "";
let response = "";

before(async () => {
  place = await openPlace();
  const text = join(place.directory, "setup.log");
  const lines = Array.from(
    { length: 200_000 },
    (_, at) => `${at} ${(at * 7919) % 104_729}: the service did not start`,
  );
  await writeFile(text, lines.join("\n"));
  const noise = join(place.directory, "setup.dmp");
  // The same on every run, and no compressor gets anything out of it.
  const blocks = Array.from({ length: 40_000 }, (_, at) => createHash("sha256").update(String(at)).digest());
  await writeFile(noise, Buffer.concat(blocks));
  event = join(place.directory, "event.json");
  const machine = { name: "machine.corp.example", os: "6.1.7601.2.1.0.256.1", lcid: 1033, oem: "Maker" };
  const files = [{ path: text }, { path: noise, type: "Minidump" }];
  const time = "2008-03-11T07:01:59Z";
  await writeFile(
    event,
    JSON.stringify({ eventType: "Nodes", eventTime: time, machine, user: { name: "User" }, files }),
  );
  response = join(place.directory, "answer.txt");
  await writeFile(response, EXAMPLES["4.4"].answer);
});
after(() => place.remove());

/** The Node binary of that release, from npm. */
async function installNode(release: number): Promise<string> {
  const directory = join(place.directory, `node-${release}`);
  await mkdir(directory);
  await writeFile(join(directory, "package.json"), '{"private":true}');
  const name = `node-linux-${process.arch}`;
  const quiet = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
  await run("npm", ["install", ...quiet, "--prefix", directory, `${name}@${release}`]);
  return join(directory, "node_modules", name, "bin", "node");
}

/** The bytes of all that preview writes for one event and one answer, by name. */
async function preview(node: string, name: string): Promise<Map<string, string>> {
  const out = join(place.directory, `out-${name}`);
  const args = ["preview", event, "--response", response, "--consent", "safe", "--out", out];
  const shown = await runCer(place, args, { node });
  assert.deepEqual([shown.code, shown.stderr], [0, ""]);
  return hashesIn(out);
}

for (const release of RELEASES)
  describe(`Node ${release}`, () => {
    let node = "";
    before(async () => {
      node = await installNode(release);
    });

    test("runs the smoke test without a word on standard error", async () => {
      const { stdout } = await run(node, ["--version"]);
      assert.equal(stdout.startsWith(`v${release}.`), true, stdout);
      const smoke = await runCer(place, ["smoke"], { node });
      assert.deepEqual([smoke.code, smoke.stderr], [0, ""]);
      assert.match(smoke.stdout, /\nOK: all nine steps\.\n$/);
    });

    test("makes the same report and the same cabinet, byte for byte", async () => {
      const [ours, theirs] = [
        await preview(process.execPath, `ours-${release}`),
        await preview(node, `node-${release}`),
      ];
      assert.ok(ours.size >= 3, [...ours.keys()].join(" "));
      assert.deepEqual(theirs, ours);
    });
  });
