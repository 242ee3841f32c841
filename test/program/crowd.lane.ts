/** Many processes on one journal: each report arrives, and none twice. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { sha256 } from "../support/bytes.ts";
import { type Ended, inPlace } from "../support/run-cer.ts";
import { type ScriptedServer, startScripted } from "../support/scripted-server.ts";
import { bundleProgram, type Program } from "../support/steps/stepped-program.ts";

let program: Program;
before(async () => {
  program = await bundleProgram();
});
after(() => program.remove());

const REPORTS = 20;

type Cer = (args: string) => Promise<Ended>;

async function at(play: (cer: Cer, server: ScriptedServer) => Promise<void>): Promise<void> {
  const server = await startScripted();
  try {
    await inPlace((place) =>
      play((args) => program.run(place, args.split(" "), { env: { CER_SERVER: server.url } }), server),
    );
  } finally {
    await server.close();
  }
}

/** Asks for nothing to attach: the report and the manifest make no archive. */
function submitArgs(value: number | string): string {
  return `submit --event-type X --event-time 2026-11-24T12:00:00Z -p ${value} --no-level2 --no-flush --json --retries 0`;
}

function outcomeOf({ stdout, stderr }: Ended): string {
  assert.notEqual(stdout, "", stderr);
  return (JSON.parse(stdout) as Outcome).outcome;
}

function assertEachOnce(server: ScriptedServer, reports: number): void {
  const hashes = server.whole("POST").map(({ body }) => sha256(body));
  assert.deepEqual([hashes.length, new Set(hashes).size], [reports, reports]);
}

for (const processes of [2, 20])
  test(`${processes} processes flush one journal at once`, () =>
    at(async (cer, server) => {
      server.isDown = true;
      for (let value = 0; value < REPORTS; value++) await cer(`${submitArgs(value)} --force`);
      server.isDown = false;
      const { stdout } = await cer("queue list --json");
      for (const { id } of (JSON.parse(stdout) as { reports: { id: string }[] }).reports)
        await cer(`queue retry ${id}`);
      const ended = await Promise.all(Array.from({ length: processes }, () => cer("flush --json")));
      for (const { code, stderr } of ended) assert.deepEqual([code, stderr], [0, ""]);
      const delivered = ended.map(({ stdout }) => (JSON.parse(stdout) as { outcomes: Outcome[] }).outcomes);
      assert.deepEqual(
        delivered.flat().map(({ outcome }) => outcome),
        Array<string>(REPORTS).fill("reported"),
      );
      assertEachOnce(server, REPORTS);
      assert.equal((await cer("flush")).stdout, "Nothing waits.\n");
    }));

test("twenty submits of different events at once", () =>
  at(async (cer, server) => {
    const ended = await Promise.all(Array.from({ length: 20 }, (_, value) => cer(submitArgs(value))));
    assert.deepEqual(ended.map(outcomeOf), Array<string>(20).fill("reported"));
    assertEachOnce(server, 20);
  }));

test("twenty submits of the same event at once: one is sent, the others are duplicates", () =>
  at(async (cer, server) => {
    const ended = await Promise.all(Array.from({ length: 20 }, () => cer(submitArgs("same"))));
    assert.deepEqual(ended.map(outcomeOf).sort(), [...Array<string>(19).fill("duplicate"), "reported"]);
    for (const { code } of ended) assert.equal(code, 0);
    assertEachOnce(server, 1);
  }));
