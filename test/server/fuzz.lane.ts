/** The embedded server under thousands of damaged requests: it answers by the book or hangs up, and never falls over. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { startServer } from "../../src/server/listen.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { exchangeRaw } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const REPORT = encodeReport(EXAMPLES["4.4"].event).bytes;
const CABINET = Buffer.from(`MSCF${"cabinet ".repeat(50)}`);

function requestBytes(method: string, target: string, body: Buffer): Buffer {
  const head = `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** Bytes replaced anywhere, half of them in the head, and perhaps an early end. */
function damaged(request: Buffer): fc.Arbitrary<Buffer> {
  const head = request.indexOf("\r\n\r\n") + 4;
  const place = fc.oneof(fc.nat(head - 1), fc.nat(request.length - 1));
  const cut = fc.option(fc.nat(request.length), { nil: request.length, freq: 4 });
  return fc
    .tuple(fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }), cut)
    .map(([changes, end]) => {
      const bytes = Buffer.from(request);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes.subarray(0, end);
    });
}

test("3,000 damaged requests: each gets a known status or none, and the server goes on", async () => {
  const dir = await mkdtemp(join(tmpdir(), "cer-fuzz-"));
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    dir,
    requests: [],
    verifyArchive: async () => {},
    idleTimeout: 150,
  });
  const post = () => exchangeRaw(server.port, requestBytes("POST", "/stage2.htm", REPORT));
  const answered =
    /^(|\[ECONNRESET\]|HTTP\/1\.1 (200|400|404|405|408|409|411|413|415|417|431|501|505) [\s\S]*|HTTP\/1\.1 100 [\s\S]*)$/;
  try {
    const first = await post();
    const { dumpFile } = parseResponse(Buffer.from(first.slice(first.indexOf("\r\n\r\n") + 4))).response;
    const put = requestBytes("PUT", (dumpFile ?? "").replaceAll("\\", "/"), CABINET);
    const any = fc.oneof(damaged(requestBytes("POST", "/stage2.htm", REPORT)), damaged(put));
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 60, maxLength: 60 }), async (requests) => {
        const texts = await Promise.all(requests.map((bytes) => exchangeRaw(server.port, bytes)));
        for (const text of texts) assert.match(text, answered);
      }),
      { numRuns: 50, endOnFailure: true },
    );
    assert.match(await post(), /^HTTP\/1\.1 200 OK\r\n/);
    assert.deepEqual(await readdir(join(dir, "incoming")), []);
  } finally {
    await server.close();
    await rm(dir, { recursive: true });
  }
});
