/** The embedded server with other people's programs: curl as the client, gcab's cabinets, bsdtar's tars. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { verifyArchive } from "../../src/archive/verify.ts";
import { type RunningServer, startServer } from "../../src/server/listen.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const run = promisify(execFile);
let place = "";
let server: RunningServer;

before(async () => {
  place = await mkdtemp(join(tmpdir(), "cer-curl-"));
  const dir = join(place, "dir");
  server = await startServer({ host: "127.0.0.1", port: 0, dir, requests: [], verifyArchive });
});

after(async () => {
  await server.close();
  await rm(place, { recursive: true });
});

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run("curl", ["-sS", "-w", "%{http_code}", ...args], { encoding: "latin1" });
  return stdout;
}

async function postReport(): Promise<string> {
  const file = join(place, "report.xml");
  await writeFile(file, EXAMPLES["4.1"].report);
  const text = await curl("--data-binary", `@${file}`, `${server.url}/stage2.htm`);
  assert.match(text, /\r\n200$/);
  return parseResponse(Buffer.from(text, "latin1")).response.dumpFile ?? "";
}

async function keptArchives(): Promise<string[]> {
  const names = await readdir(join(place, "dir"), { recursive: true });
  return names.filter((name) => name.includes("archive.")).map((name) => join(place, "dir", name));
}

test("curl posts UTF-8, and puts a cabinet of gcab's and a tar of bsdtar's with Expect: 100-continue", async () => {
  const content = join(place, "content.bin");
  await writeFile(content, Buffer.alloc(3_000_000, "content"));
  const cabinet = join(place, "made.cab");
  const tar = join(place, "made.tar");
  await run("gcab", ["-c", "-z", "-n", cabinet, content]);
  await run("bsdtar", ["--format=ustar", "-cf", tar, "-C", place, "content.bin"]);

  for (const [archive, path] of [
    [cabinet, (await postReport()).replaceAll("\\", "/")],
    [tar, `/${await postReport()}`],
  ] as const) {
    const text = await curl(
      "--path-as-is",
      "-H",
      "Expect: 100-continue",
      "-T",
      archive,
      `${server.url}${path}`,
    );
    assert.equal(text, `${(await readFile(archive)).length} bytes received.\n200`);
  }
  const kept = await Promise.all((await keptArchives()).map((name) => readFile(name)));
  kept.sort((one, other) => one.length - other.length);
  assert.deepEqual(kept, [await readFile(cabinet), await readFile(tar)]);
});

test("G11: curl streams a report and a cabinet from standard input, in chunks, with Expect: 100-continue or without", async () => {
  const file = join(place, "streamed.xml");
  await writeFile(file, EXAMPLES["4.1"].report);
  const content = join(place, "streamed.bin");
  await writeFile(content, Buffer.alloc(2_000_000, "streamed"));
  const cabinet = join(place, "streamed.cab");
  await run("gcab", ["-c", "-z", "-n", cabinet, content]);
  const stream = async (from: string, ...args: string[]) => {
    const curling = run("curl", ["-sS", "-w", "%{http_code}", "--path-as-is", "-T", "-", ...args], {
      encoding: "latin1",
    });
    // One that is refused stops reading.
    curling.child.stdin?.on("error", () => {}).end(await readFile(from));
    return (await curling).stdout;
  };
  for (const expect of ["Expect: 100-continue", "Expect:"]) {
    const text = await stream(file, "-X", "POST", "-H", expect, `${server.url}/stage2.htm`);
    assert.match(text, /\r\n200$/);
    const { dumpFile } = parseResponse(Buffer.from(text, "latin1")).response;
    const path = (dumpFile ?? "").replaceAll("\\", "/");
    assert.equal(
      await stream(cabinet, "-H", expect, `${server.url}${path}`),
      `${(await readFile(cabinet)).length} bytes received.\n200`,
    );
  }
  const large = join(place, "streamed.large");
  await writeFile(large, Buffer.alloc(5_000_000));
  const refused = await stream(large, "-X", "POST", `${server.url}/stage2.htm`);
  assert.equal(refused, "The request's body is longer than the bound of 4194304 bytes.\n413");
});

test("curl is told why it is refused, before it has sent a large body", async () => {
  const large = join(place, "large");
  await writeFile(large, Buffer.alloc(30_000_000));
  const reason = "Level 1 goes to /stage2.htm, level 2 to a DumpFile that this server handed out.\n";
  assert.equal(await curl("-T", large, `${server.url}/nowhere`), `${reason}404`);
  assert.equal(await curl("-H", "Expect:", "-T", large, `${server.url}/nowhere`), `${reason}404`);
  const chunked = await curl("-H", "Transfer-Encoding: chunked", "-T", large, `${server.url}/stage2.htm`);
  assert.equal(chunked, "/stage2.htm takes POST.\n405");
});

test("a cabinet of gcab's that lost its end, or one bit, is refused with the reason and not kept", async () => {
  const content = join(place, "content.bin");
  await writeFile(content, Buffer.alloc(300_000, "content"));
  const cabinet = join(place, "damaged.cab");
  await run("gcab", ["-c", "-z", "-n", cabinet, content]);
  const bytes = await readFile(cabinet);
  const before = (await keptArchives()).length;
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(bytes.readUInt8(bytes.length - 9) ^ 1, bytes.length - 9);
  for (const [damaged, reason] of [
    [bytes.subarray(0, -10), /^The archive does not open: .*should have [0-9]+ bytes.*\n400$/],
    [flipped, /^The archive does not open: .*checksum.*\n400$/],
  ] as const) {
    await writeFile(cabinet, damaged);
    assert.match(
      await curl("-T", cabinet, `${server.url}${(await postReport()).replaceAll("\\", "/")}`),
      reason,
    );
  }
  assert.equal((await keptArchives()).length, before);
});
