/** SIGINT and SIGTERM at the moments that matter, sent to the real program. */

import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { type Ended, inPlace, type Started } from "../support/run-cer.ts";
import {
  busy,
  type Fault,
  neverAnswer,
  ok,
  type ScriptedServer,
  startScripted,
} from "../support/scripted-server.ts";
import { bundleProgram, type Program } from "../support/steps/stepped-program.ts";

const ASKS = ok("Bucket=7\r\nBucketTable=2\r\niData=1\r\nDumpFile=\\Cabs\\7.cab\r\n");

let program: Program;
before(async () => {
  program = await bundleProgram();
});
after(() => program.remove());

/** What the server got, and whether each whole body of a method is the same. */
function received({ requests }: ScriptedServer): string[] {
  for (const method of ["POST", "PUT"]) {
    const bodies = requests.filter((one) => one.method === method && one.complete).map(({ body }) => body);
    for (const body of bodies) assert.deepEqual(body, bodies[0]);
  }
  return requests.map(({ method, complete }) => (complete ? method : `part of ${method}`));
}

async function until(isSo: () => boolean): Promise<void> {
  for (let looks = 0; !isSo(); looks++) {
    assert.ok(looks < 3000, "it never came to that");
    await sleep(10);
  }
}

type Play = {
  readonly faults: readonly Fault[];
  readonly more?: readonly string[];
  /** When to send the signal. */
  readonly moment: (started: Started, server: ScriptedServer) => Promise<void>;
  readonly signal: NodeJS.Signals;
  /** Another one, while it settles on a disk that takes a minute over it. */
  readonly second?: NodeJS.Signals;
};

/** Submits, interrupts that, flushes; the two runs' ends and all that the server got. */
async function interrupt(play: Play): Promise<{ submitted: Ended; flushed: Ended; received: string[] }> {
  const server = await startScripted(play.faults);
  try {
    return await inPlace(async (place) => {
      const { directory } = place;
      const dump = join(directory, "setup.dmp");
      await writeFile(dump, "MDMP");
      // A gibibyte that takes no room, and some seconds to pack.
      await truncate(dump, 1024 ** 3);
      await writeFile(join(directory, "setup.log"), "failed");
      const args =
        `submit --server 127.0.0.1:${server.port} --event-type X -p 1 --consent all --json -v`.split(" ");
      const started = program.start(place, [...args, ...(play.more ?? ["--file", "setup.log"])], {
        ...(play.second === undefined ? {} : { secondSignal: play.second }),
      });
      await play.moment(started, server);
      started.process.kill(play.signal);
      const submitted = await started.ended;
      await writeFile(dump, "MDMP");
      const flushed = await program.run(place, ["flush", "--json"]);
      return { submitted, flushed, received: received(server) };
    });
  } finally {
    await server.close();
  }
}

const arrived = (requests: number) => (_: Started, server: ScriptedServer) =>
  until(() => server.requests.length === requests);

function assertKept({ stdout, code }: Ended, expected: number): void {
  const { outcome, error, journal } = JSON.parse(stdout) as Outcome;
  assert.deepEqual(
    [outcome, error?.code, journal?.state, journal?.at],
    ["deferred", "CER_INTERRUPTED", "pending", null],
  );
  assert.equal(code, expected);
}

function assertFlushed({ stdout, code, stderr }: Ended): void {
  const { outcomes, waiting } = JSON.parse(stdout) as { outcomes: Outcome[]; waiting: number };
  assert.deepEqual([outcomes.map(({ outcome }) => outcome), waiting, code], [["uploaded"], 0, 0], stderr);
}

test("SIGINT while the server thinks about level 1: kept, exit code 130, sent later", async () => {
  const { submitted, flushed, ...server } = await interrupt({
    faults: [neverAnswer(), ASKS, ok()],
    moment: arrived(1),
    signal: "SIGINT",
  });
  assertKept(submitted, 130);
  assert.match(submitted.stderr, /\nKept as [0-9a-z-]+; "cer flush" sends what waits\.\n$/);
  assertFlushed(flushed);
  // Whether the first one was taken nobody can tell; the second has the same bytes.
  assert.deepEqual(server.received, ["POST", "POST", "PUT"]);
});

test("SIGTERM while the server thinks about level 2: exit code 143, only level 2 is sent again", async () => {
  const { submitted, flushed, ...server } = await interrupt({
    faults: [ASKS, neverAnswer(), ok()],
    moment: arrived(2),
    signal: "SIGTERM",
  });
  assertKept(submitted, 143);
  assertFlushed(flushed);
  assert.deepEqual(server.received, ["POST", "PUT", "PUT"]);
});

test("SIGTERM during the wait before a quick try: the report keeps the time that the server asked for", async () => {
  const { submitted, flushed, ...server } = await interrupt({
    faults: [busy("8"), ASKS],
    moment: async (started, faults) => {
      await arrived(1)(started, faults);
      await sleep(500);
    },
    signal: "SIGTERM",
  });
  const { outcome, error, journal } = JSON.parse(submitted.stdout) as Outcome;
  assert.deepEqual(
    [submitted.code, outcome, error?.code, journal?.state],
    [143, "deferred", "CER_STATUS", "pending"],
  );
  assert.notEqual(journal?.at, null);
  const pruned = { recovered: [], givenUp: [], setAside: [], removed: [] };
  assert.deepEqual(JSON.parse(flushed.stdout), { outcomes: [], waiting: 1, unaddressed: 0, pruned });
  assert.deepEqual(server.received, ["POST"]);
});

test("SIGTERM while a large file is packed: nothing was sent of it, and level 1 is not sent again", async () => {
  const { submitted, flushed, ...server } = await interrupt({
    faults: [ASKS, ok()],
    more: ["--file", "setup.dmp", "--no-copy"],
    moment: async ({ process }) => {
      let said = "";
      process.stderr.on("data", (text: string) => {
        said += text;
      });
      await until(() => said.includes("collecting"));
    },
    signal: "SIGTERM",
  });
  assertKept(submitted, 143);
  assertFlushed(flushed);
  assert.deepEqual(server.received, ["POST", "PUT"]);
});

test("a second signal leaves at once, and the next run finds the report", async () => {
  const { submitted, flushed, ...server } = await interrupt({
    faults: [ASKS, neverAnswer(), ok()],
    moment: arrived(2),
    signal: "SIGINT",
    second: "SIGTERM",
  });
  assert.deepEqual([submitted.code, submitted.stdout], [130, ""]);
  assertFlushed(flushed);
  assert.deepEqual(server.received, ["POST", "PUT", "PUT"]);
});

test("a signal while standard input is read ends the program: there is nothing to keep yet", () =>
  inPlace(async (place) => {
    const args = ["schema", "--then", "submit", "-", "--server", "127.0.0.1:1"];
    const started = program.start(place, args, { stdin: null });
    let printed = "";
    started.process.stdout.on("data", (text: string) => {
      printed += text;
    });
    await until(() => printed.endsWith("\u001e0\u001e"));
    await sleep(300);
    started.process.kill("SIGTERM");
    const { code, stderr } = await started.ended;
    assert.deepEqual([code, stderr], [143, "cer: Stopped by SIGTERM.\n"]);
  }));
