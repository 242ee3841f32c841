/**
 * The built server started over what an earlier one kept: 20,000 reports of few signatures, and of one each. How long
 * it takes to listen is told as a diagnostic line.
 */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { encodeReport } from "../../src/wire/report.ts";
import { parseReport } from "../../src/wire/report-reader.ts";
import { inPlace, startServe } from "../support/run-cer.ts";
import { exchangeRaw } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const REPORTS = 20_000;
const LEVEL1 = encodeReport(EXAMPLES["4.4"].event).bytes;
/** The server says so of a body at a DumpFile that it knows. */
const NO_ARCHIVE = "no archive";

/** As the server keeps them; gives the DumpFile of the last one. */
function plant(dir: string, buckets: number): string {
  const { report, encoding, warnings } = parseReport(LEVEL1);
  let dumpFile = "";
  for (let number = 0; number < REPORTS; number++) {
    const bucket = 500 + (number % buckets);
    const folder = join(dir, `bucket-${bucket}`);
    if (number < buckets) {
      mkdirSync(folder, { recursive: true });
      const signature = JSON.stringify(["MikeTest", [0, String(bucket)]]);
      writeFileSync(join(folder, "bucket.json"), JSON.stringify({ bucket, bucketTable: 5, signature }));
    }
    const guid = `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
    dumpFile = `\\PersistedCabs\\Generic\\MikeTest\\1000\\2000\\3000\\${guid}.cab`;
    mkdirSync(join(folder, guid));
    writeFileSync(join(folder, guid, "report.xml"), LEVEL1);
    const told = { dumpFile, encoding, warnings, report: { ...report, eventTime: String(report.eventTime) } };
    writeFileSync(join(folder, guid, "report.json"), JSON.stringify(told, null, 2));
  }
  return dumpFile;
}

function requestBytes(method: string, target: string, body: Buffer): Buffer {
  const head = `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

for (const buckets of [20, REPORTS])
  test(`hostile 4: ${REPORTS} reports of ${buckets} signatures: known after a start`, async (context) => {
    await inPlace(async (place) => {
      const dumpFile = plant(join(place.directory, "kept"), buckets);
      const env = { NODE_EXTRA_CA_CERTS: "" };
      const begun = performance.now();
      const server = await startServe(place, "kept", [], env);
      context.diagnostic(`listening after ${((performance.now() - begun) / 1000).toFixed(2)} s`);
      try {
        const port = Number(new URL(server.url).port);
        const put = requestBytes("PUT", dumpFile.replaceAll("\\", "/"), Buffer.from(NO_ARCHIVE));
        assert.match(await exchangeRaw(port, put), /\nThese 10 bytes are neither a cabinet nor a tar\.\n$/);
        const post = await exchangeRaw(port, requestBytes("POST", "/stage2.htm", LEVEL1));
        assert.match(post, new RegExp(`\nBucket=${500 + buckets}\r\n`));
        assert.equal((await readdir(join(server.directory, "incoming"))).length, 0);
      } finally {
        await server.stop();
      }
    });
  });
