/** Peak memory of both ends, as the kernel counts it, while a dump of 1 GiB is reported. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openPlace, type Place, runCer, startServe } from "../support/run-cer.ts";
import { submit } from "../support/submit.ts";

const MIB = 1024 * 1024;
const BOUND = 160 * MIB;

let place: Place;
before(async () => {
  place = await openPlace();
  // The peak of this very program; getrusage would count the parent's, from before it was this program.
  const probe = `process.on("exit", () => {
    const fs = require("node:fs");
    fs.writeFileSync(process.env.PEAK, /VmHWM:\\s+(\\d+) kB/.exec(fs.readFileSync("/proc/self/status"))[1]);
  });`;
  await writeFile(join(place.directory, "probe.cjs"), probe);
});
after(() => place.remove());

/** The environment that makes a run of `cer` leave its peak in a file of that name. */
function probed(name: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--require=${join(place.directory, "probe.cjs")}`,
    PEAK: join(place.directory, name),
  };
}

async function peakOf(name: string): Promise<number> {
  return Number(await readFile(join(place.directory, name), "utf8")) * 1024;
}

/** A quarter of it noise, the rest zeros, as dumps are. */
async function writeDump(path: string, size: number): Promise<void> {
  const file = await open(path, "w");
  const noise = randomBytes(MIB);
  for (let at = 0; at < size; at += 4 * MIB) await file.write(noise, 0, MIB, at);
  await file.truncate(size);
  await file.close();
}

test("neither cer submit nor cer serve grows with a dump of 1 GiB", async (context) => {
  await runCer(place, ["--version"], { env: probed("idle.peak") });
  const dump = join(place.directory, "big.dmp");
  await writeDump(dump, 1024 * MIB);
  const config = join(place.directory, "config.json");
  await writeFile(config, JSON.stringify({ maxFileSize: 2048 * MIB, maxTotalSize: 2048 * MIB }));
  const server = await startServe(place, "kept", [], probed("serve.peak"));
  // Not copied: the journal holds no more than 1 GiB by itself.
  const args = ["--server", server.url, "--minidump", dump, "--config", config, "--no-copy"];
  const { code, outcome } = await submit(place, args, { env: probed("submit.peak") });
  await server.stop();

  assert.deepEqual([code, outcome.outcome, outcome.error], [0, "uploaded", null]);
  const packed = outcome.level2?.archive;
  assert.deepEqual(packed?.files.find(({ name }) => name === "big.dmp")?.bytes, 1024 * MIB);
  assert.ok((packed?.bytes ?? 0) > 256 * MIB, `the archive has ${packed?.bytes} bytes`);
  const idle = await peakOf("idle.peak");
  for (const end of ["submit", "serve"]) {
    const growth = (await peakOf(`${end}.peak`)) - idle;
    context.diagnostic(
      `cer ${end}: ${Math.round(growth / MIB)} MiB over an idle cer's ${Math.round(idle / MIB)}`,
    );
    assert.ok(growth < BOUND, `cer ${end} grew by ${growth} bytes, the bound is ${BOUND}`);
  }
});
