/**
 * One report's way from the command line to the server, the program killed at one step of it, and what has to be true
 * afterwards: of the server, of the journal, and of what the next runs say.
 */

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { verifyArchive } from "../../../src/archive/verify.ts";
import type { Outcome } from "../../../src/delivery/outcome.ts";
import { STATES } from "../../../src/journal/entry/layout.ts";
import type { Pruned } from "../../../src/journal/store.ts";
import { sha256 } from "../bytes.ts";
import { mustOpen, sampleDeps } from "../journal/samples.ts";
import { type Ended, openPlace, type Place } from "../run-cer.ts";
import { busy, type Script, type ScriptedServer, startScripted } from "../scripted-server.ts";
import { bundleProgram, type Program, type RunOptions, readSteps, splitRuns } from "./stepped-program.ts";

/** What happens before the run that is killed, and which run that is. */
type Scenario = {
  readonly title: string;
  readonly killed: "submit" | "flush";
  /** Submitted before, without a server, to one that is down, or to one that takes level 1 and fails at level 2. */
  readonly before: "nothing" | "without a server" | "never left" | "answered";
  /** The run that is killed knows of no server yet. */
  readonly isEarly?: true;
  /** So many first PUTs are answered with 503. */
  readonly failingPuts: number;
};

export const SCENARIOS = {
  submit: { title: "submit", killed: "submit", before: "nothing", failingPuts: 0 },
  submitFailingOnce: {
    title: "submit with a PUT that fails first",
    killed: "submit",
    before: "nothing",
    failingPuts: 1,
  },
  flushUnsent: {
    title: "flush of a report that never left",
    killed: "flush",
    before: "never left",
    failingPuts: 0,
  },
  flushAnswered: {
    title: "flush of a report that was answered",
    killed: "flush",
    before: "answered",
    failingPuts: 1,
  },
  submitWithoutServer: {
    title: "submit before a server is set",
    killed: "submit",
    before: "nothing",
    failingPuts: 0,
    isEarly: true,
  },
  flushUnaddressed: {
    title: "flush of a report that was made before a server was set",
    killed: "flush",
    before: "without a server",
    failingPuts: 0,
  },
} as const satisfies Record<string, Scenario>;

const LOG = "setup failed: error 1603\r\n".repeat(4000);
const EVENT = [
  ..."--event-type SetupFailed --event-time 2026-11-24T12:00:00Z --app-name setup.exe -p 1603".split(" "),
  ..."--lcid 1033 --consent all --file setup.log --json --no-flush".split(" "),
];
/** Milliseconds after which whatever waits is due, and which a receipt may be ahead of the clock. */
const LATER = 30 * 60_000;

/** A place with a journal and a file to attach, and the program there. */
type Killed = {
  readonly place: Place;
  readonly server: ScriptedServer;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  submitArgs(retries: number): string[];
  /** Where no server is set. */
  readonly earlyArgs: readonly string[];
};

const FLUSH = ["flush", "--json"];

async function prepare(program: Program, place: Place, server: ScriptedServer): Promise<Killed> {
  await writeFile(join(place.directory, "setup.log"), LOG);
  await mkdir(place.journal, { mode: 0o700 });
  const toServer = { CER_SERVER: server.url };
  return {
    place,
    server,
    // What sends is told of the server as a timer's service is.
    run: (args, options) =>
      program.run(place, args, { ...options, env: args[0] === "flush" ? toServer : {} }),
    earlyArgs: ["submit", ...EVENT],
    submitArgs: (retries) => ["submit", "--server", server.url, "--retries", `${retries}`, ...EVENT],
  };
}

/**
 * Runs a scenario, kills it at a step (0: never) and checks everything.
 * @returns the steps that were taken
 */
async function runKilled(program: Program, scenario: Scenario, killAt: number): Promise<string[]> {
  const place = await openPlace();
  const server = await startScripted(failFirst(scenario.failingPuts));
  let steps: string[] = [];
  try {
    const killed = await prepare(program, place, server);
    await arrange(killed, scenario);
    const already = { posts: server.whole("POST").length, puts: server.whole("PUT").length };
    const options = { steps: join(place.directory, "steps"), killAt };
    const ended =
      scenario.killed === "submit"
        ? await killed.run(scenario.isEarly ? killed.earlyArgs : killed.submitArgs(2), options)
        : await killed.run(FLUSH, { ...options, ahead: LATER });
    steps = await readSteps(options.steps);
    assert.equal(ended.signal, killAt > 0 ? "SIGKILL" : null, ended.stderr);
    await checkDelivery(killed, scenario, expectedOf(steps, scenario, already));
    return steps;
  } catch (cause) {
    throw new Error(`${scenario.title}, killed at step ${killAt}: ${steps.at(-1)}`, { cause });
  } finally {
    await server.close();
    await place.remove();
  }
}

function failFirst(puts: number): Script {
  return (method, count) => (method === "PUT" && count <= puts ? busy("0") : null);
}

async function arrange(killed: Killed, { before }: Scenario): Promise<void> {
  if (before === "nothing") return;
  killed.server.isDown = before === "never left";
  const ended = await killed.run(before === "without a server" ? killed.earlyArgs : killed.submitArgs(0));
  assert.equal(ended.code, 75, ended.stderr);
  killed.server.isDown = false;
}

type Expected = {
  /** The report was in the journal when the program died; otherwise nothing of it has left the machine. */
  readonly isKept: boolean;
  readonly posts: number;
  readonly puts: number;
};

/**
 * What the server has to have received, whole, once nothing waits any more. One POST and one PUT that it accepts; one
 * more where the program died after its last byte had left and before it had written down the answer: neither side can
 * tell then, and sending the same bytes again is the one choice that loses nothing.
 */
function expectedOf(
  steps: readonly string[],
  { before, failingPuts }: Scenario,
  already: { readonly posts: number; readonly puts: number },
): Expected {
  const count = (pattern: RegExp) => steps.filter((step) => pattern.test(step)).length;
  // Once all its bytes are written, the next run does what is missing.
  const isKept = before !== "nothing" || count(/^after write .*entry\.json\.new$/) > 0;
  const isAnswered = before === "answered" || count(/^after rename .*answer\.json$/) > 0;
  const isDelivered = count(/^after rename .*receipt\.json$/) > 0;
  if (!isKept) return { isKept, posts: 0, puts: 0 };
  const posts = already.posts + count(/^POST: body$/);
  const puts = already.puts + count(/^PUT: body$/);
  return {
    isKept,
    posts: posts + (isAnswered ? 0 : 1),
    puts: puts + (isDelivered ? 0 : Math.max(0, failingPuts - puts) + 1),
  };
}

/** The next process: flushes until nothing waits, then runs the hook again that was killed. */
async function checkDelivery(killed: Killed, { failingPuts }: Scenario, expected: Expected): Promise<void> {
  const lines = [FLUSH, FLUSH, FLUSH, killed.submitArgs(2)].flatMap((line) => ["--then", ...line]);
  const ended = await killed.run(lines.slice(1), { ahead: LATER });
  const [first, second, third, again] = splitRuns(ended);
  for (const flushed of [first, second, third]) checkFlush(flushed, ended.stderr);
  const pruned = { recovered: [], givenUp: [], setAside: [], removed: [] };
  const nothing = { outcomes: [], waiting: 0, unaddressed: 0, pruned };
  assert.equal(third?.stdout, `${JSON.stringify(nothing, null, 2)}\n`);
  assert.equal(again?.code, 0, ended.stderr);
  const { outcome } = JSON.parse(again.stdout) as Outcome;
  assert.equal(outcome, expected.isKept ? "duplicate" : "uploaded");
  // Nothing of a report that was not kept has left the machine, so that this is all of it.
  checkReceived(killed, expected.isKept ? expected : { posts: 1, puts: failingPuts + 1 });
  await checkJournal(killed);
}

/** It says the truth about what still waits. */
function checkFlush(flushed: { code: number | null; stdout: string } | undefined, stderr: string): void {
  const { outcomes, waiting, pruned } = JSON.parse(flushed?.stdout ?? "") as {
    outcomes: Outcome[];
    waiting: number;
    pruned: Pruned;
  };
  const deferred = outcomes.filter(({ outcome }) => outcome === "deferred").length;
  assert.equal(waiting, deferred, stderr);
  // Half a report, that nobody was told of, is no success either.
  const isTorn = pruned.setAside.length > 0;
  assert.equal(flushed?.code, isTorn ? 3 : deferred > 0 ? 75 : 0, stderr);
}

function checkReceived({ server }: Killed, { posts, puts }: Omit<Expected, "isKept">): void {
  const [reports, archives] = [server.whole("POST"), server.whole("PUT")];
  assert.deepEqual({ posts: reports.length, puts: archives.length }, { posts, puts });
  // Every repetition has the same bytes and goes to the same place.
  assert.equal(new Set(reports.map(({ body, target }) => sha256(body) + target)).size, Math.min(posts, 1));
  assert.equal(new Set(archives.map(({ body }) => sha256(body))).size, Math.min(puts, 1));
  for (const { target } of archives) assert.equal(target, `/Cabs/${posts}.cab`);
}

/** One delivered report whose receipt names what the server has; a cabinet that opens; nothing left half-way. */
async function checkJournal({ place, server }: Killed): Promise<void> {
  const journal = await mustOpen(place.journal, await sampleDeps());
  const listed = await journal.list(STATES);
  assert.deepEqual(
    listed.map(({ state, label }) => [state, label.bytes]),
    [["done", 0]],
  );
  for (const { name } of await journal.listSetAside()) assert.match(name, /^(new|unaddressed)\./);
  const [entry] = listed;
  assert.ok(entry !== undefined);
  const { receipt } = await journal.show(entry);
  const [report, archive] = [server.whole("POST").at(-1), server.whole("PUT").at(-1)];
  assert.ok(report !== undefined && archive !== undefined);
  assert.equal(receipt?.level1.sha256, sha256(report.body));
  assert.equal(receipt.archive?.sha256, sha256(archive.body));
  assert.deepEqual(
    receipt.archive.files.map(({ name }) => name),
    ["report.xml", "setup.log", "manifest.json"],
  );
  const cabinet = join(place.directory, "received.cab");
  await writeFile(cabinet, archive.body);
  await verifyArchive(cabinet, "cab");
}

/** A test for each scenario: killed at each of the chosen steps, one run per step. */
export function killEverywhere(scenarios: readonly Scenario[], choose: (step: string) => boolean): void {
  let program: Program;
  before(async () => {
    program = await bundleProgram();
  });
  after(() => program.remove());
  for (const scenario of scenarios)
    test(`${scenario.title}, killed at any step, is delivered once`, async () => {
      const steps = await runKilled(program, scenario, 0);
      const chosen = steps.flatMap((step, index) => (choose(step) ? [index + 1] : []));
      assert.ok(chosen.length > 0);
      const worker = async () => {
        for (let killAt = chosen.shift(); killAt !== undefined; killAt = chosen.shift())
          assert.equal((await runKilled(program, scenario, killAt)).length, killAt);
      };
      await Promise.all([worker(), worker()]);
    });
}
