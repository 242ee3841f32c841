/** The embedded server on disks that are full, small files only, or gone read-only; needs root: it mounts them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ServerEvent } from "../../src/server/handler.ts";
import { startServer } from "../../src/server/listen.ts";
import { encodeReport } from "../../src/wire/report.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { filesBelow } from "../support/files.ts";
import { exchangeRaw } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const { event } = EXAMPLES["4.4"];

type Site = {
  readonly dir: string;
  readonly mount: string;
  readonly events: readonly ServerEvent[];
  /** Status and text of the answer. */
  send(method: string, target: string, body: Buffer): Promise<{ status: number; text: string }>;
};

/** A server that keeps what it gets on a disk of this size. */
async function onDisk(size: string, play: (site: Site) => Promise<void>): Promise<void> {
  const mount = await mkdtemp(join(tmpdir(), "cer-server-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=700`, "tmpfs", mount]);
  const dir = join(mount, "kept");
  const events: ServerEvent[] = [];
  try {
    const server = await startServer({
      host: "127.0.0.1",
      port: 0,
      dir,
      requests: [],
      verifyArchive: async () => {},
      onEvent: (event) => events.push(event),
    });
    const send: Site["send"] = async (method, target, body) => {
      const head = `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const answer = await exchangeRaw(
        server.port,
        Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]),
      );
      const text = answer.slice(answer.indexOf("\r\n\r\n") + 4);
      return { status: Number(answer.slice(9, 12)), text };
    };
    try {
      await play({ dir, mount, events, send });
    } finally {
      await server.close();
    }
  } finally {
    execFileSync("umount", [mount]);
    await rm(mount, { recursive: true });
  }
}

function level1(number: number): Buffer {
  return encodeReport({ ...event, eventTime: BigInt(number) }).bytes;
}

function dumpPathOf(text: string): string {
  const { dumpFile } = parseResponse(Buffer.from(text, "latin1")).response;
  return (dumpFile ?? "").replaceAll("\\", "/");
}

const cabinetOf = (bytes: number) => Buffer.concat([Buffer.from("MSCF"), randomBytes(bytes)]);

function causesOf(events: readonly ServerEvent[]): string[] {
  const causes = events.flatMap((event) =>
    event.kind === "refused" ? [event.cause?.split(":")[0] ?? ""] : [],
  );
  return [...new Set(causes)];
}

test("hostile 21: a full disk answers 507 at both levels; what was acknowledged is whole, and nothing else is there", () =>
  onDisk("300k", async ({ dir, mount, events, send }) => {
    const answers = [];
    for (let number = 0; number < 60; number++)
      answers.push(await send("POST", "/stage2.htm", level1(number)));
    const taken = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status !== 200);
    assert.ok(taken.length > 5 && refused.length > 5, `${taken.length} taken, ${refused.length} refused`);
    assert.deepEqual(
      refused,
      refused.map(() => ({ status: 507, text: "The report could not be stored.\n" })),
    );
    assert.deepEqual(causesOf(events), ["ENOSPC"]);
    assert.deepEqual(await readdir(join(dir, "incoming")), []);
    const reports = (await filesBelow(dir)).filter((path) => path.endsWith("report.json"));
    assert.equal(reports.length, taken.length);

    const path = dumpPathOf(taken[0]?.text ?? "");
    const full = await send("PUT", path, cabinetOf(400_000));
    assert.deepEqual(full, { status: 507, text: "The archive could not be stored.\n" });
    assert.deepEqual(await readdir(join(dir, "incoming")), []);

    execFileSync("mount", ["-o", "remount,size=2m", mount]);
    assert.equal((await send("PUT", path, cabinetOf(400_000))).status, 200);
    assert.equal((await send("POST", "/stage2.htm", level1(60))).status, 200);
  }));

test("hostile 21: no more file descriptions on the disk (ENOSPC of another kind): the same", () =>
  onDisk("10m,nr_inodes=30", async ({ dir, events, send }) => {
    const statuses = [];
    for (let number = 0; number < 12; number++)
      statuses.push((await send("POST", "/stage2.htm", level1(number))).status);
    assert.deepEqual([...new Set(statuses)], [200, 507]);
    assert.deepEqual([causesOf(events), await readdir(join(dir, "incoming"))], [["ENOSPC"], []]);
  }));

test("hostile 21: a disk that became read-only answers 507 at both levels", () =>
  onDisk("1m", async ({ dir, mount, events, send }) => {
    const path = dumpPathOf((await send("POST", "/stage2.htm", level1(0))).text);
    execFileSync("mount", ["-o", "remount,ro", mount]);
    assert.equal((await send("POST", "/stage2.htm", level1(1))).status, 507);
    assert.equal((await send("PUT", path, cabinetOf(1000))).status, 507);
    assert.deepEqual([causesOf(events), await readdir(join(dir, "incoming"))], [["EROFS"], []]);
    execFileSync("mount", ["-o", "remount,rw", mount]);
    assert.equal((await send("PUT", path, cabinetOf(1000))).status, 200);
  }));

test("hostile 21: a bound on the size of files (EFBIG) answers 507 at both levels", () =>
  onDisk("10m", async ({ dir, events, send }) => {
    const path = dumpPathOf((await send("POST", "/stage2.htm", level1(0))).text);
    const limit = (bytes: string) =>
      execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);
    const large = encodeReport({ ...event, eventDescription: "x".repeat(100_000) }).bytes;
    limit("100000");
    try {
      assert.equal((await send("PUT", path, cabinetOf(400_000))).status, 507);
      assert.equal((await send("POST", "/stage2.htm", large)).status, 507);
    } finally {
      limit("unlimited");
    }
    assert.deepEqual([causesOf(events), await readdir(join(dir, "incoming"))], [["EFBIG"], []]);
    assert.equal((await send("PUT", path, cabinetOf(400_000))).status, 200);
  }));
