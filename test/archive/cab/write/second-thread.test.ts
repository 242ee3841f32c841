import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { deflateSegment, type Segment } from "../../../../src/archive/cab/write/mszip.ts";
import { type Job, SecondThread } from "../../../../src/archive/cab/write/second-thread.ts";
import type * as writer from "../../../../src/archive/cab/write/write.ts";
import type { Entry } from "../../../../src/archive/entries/entry.ts";
import { entry, makeFolder } from "../../../support/archives/cabinet.ts";
import { logText, randomBytes } from "../../../support/archives/inputs.ts";
import { buildModule } from "../../../support/build-module.ts";

const SOURCE = join(import.meta.dirname, "../../../../src/archive/cab/write/second-thread.ts");
const BLOCK = 32_768;

function segment(seed: number): Segment {
  const bytes = Buffer.from(new SharedArrayBuffer(25 * BLOCK));
  logText(25 * BLOCK, seed).copy(bytes);
  return { bytes, length: 23 * BLOCK + 77, hasHistory: seed > 1 };
}

/** One of two bytes by chance: everything matches everything else a little, which takes level 9 long. */
function slowSegment(): Segment {
  const { bytes, length } = segment(1);
  for (const [index, byte] of randomBytes(bytes.length, 9).entries()) bytes[index] = byte & 1;
  return { bytes, length, hasHistory: false };
}

/** Hands it a job as soon as it takes one. */
async function handOver(thread: SecondThread, job: Job): Promise<Promise<number>> {
  for (let looks = 0; looks < 1000; looks++) {
    const size = thread.deflate(job);
    if (size !== null) return size;
    await sleep(10);
  }
  throw new Error("it never came up");
}

test("deflates as is done here, takes three jobs at a time, and gives up what it has when it is stopped", async (t) => {
  const module = await buildModule(SOURCE, await makeFolder(t));
  const Thread = ((await import(pathToFileURL(module).href)) as { SecondThread: typeof SecondThread })
    .SecondThread;
  const thread = new Thread();
  assert.equal(thread.deflate({ segment: segment(1), level: 4 }), null);
  thread.start();

  const [first, second] = [segment(1), segment(2)];
  const sizes = [
    await handOver(thread, { segment: first, level: 4 }),
    await handOver(thread, { segment: second, level: 9 }),
  ];
  const [here, there] = [segment(1), segment(2)];
  const expected = [deflateSegment(here, 4), deflateSegment(there, 9)];
  assert.deepEqual(await Promise.all(sizes), expected);
  assert.ok(first.bytes.subarray(0, expected[0]).equals(here.bytes.subarray(0, expected[0])));
  assert.ok(second.bytes.subarray(0, expected[1]).equals(there.bytes.subarray(0, expected[1])));

  const slow = [slowSegment(), slowSegment(), slowSegment(), slowSegment()];
  const jobs = slow.map((segment) => thread.deflate({ segment, level: 9 }));
  assert.deepEqual(
    jobs.map((job) => job === null),
    [false, false, false, true],
  );
  const ends = Promise.allSettled(jobs.map(async (job) => job));
  await thread.stop();
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    ["rejected", "rejected", "rejected", "fulfilled"],
  );
  assert.equal(thread.deflate({ segment: segment(1), level: 4 }), null);
});

/** The writer as plain Node runs it, with this in place of the second thread's module. */
async function writerWith(folder: string, thread: string): Promise<typeof writer.writeCabinet> {
  const module = await buildModule(join(SOURCE, "../write.ts"), folder);
  const code = `import { parentPort } from "node:worker_threads";\n${thread}`;
  await writeFile(join(folder, "second-thread.worker.js"), code);
  return ((await import(pathToFileURL(module).href)) as typeof writer).writeCabinet;
}

/** Entries until the second thread has surely come up and been handed a part of them. */
function entries(): Entry[] {
  const text = logText(2 * 1024 * 1024, 3);
  return Array.from({ length: 200 }, (_, index) => entry(`${index}.log`, text));
}

const SAYS_UP = 'parentPort.postMessage("up");';

test("a second thread that dies over its work makes the cabinet fail, which says why", async (t) => {
  const folder = await makeFolder(t);
  const write = await writerWith(folder, `${SAYS_UP} parentPort.on("message", () => process.exit(1));`);
  await assert.rejects(write(entries(), { spoolDir: folder }), {
    code: "CAB_WRITE_FAILED",
    message: "the thread that compressed a part of it came to an end",
  });
});

test("a second thread that never answers does not keep an abort waiting", async (t) => {
  const folder = await makeFolder(t);
  const write = await writerWith(folder, `${SAYS_UP} parentPort.on("message", () => { for (;;); });`);
  const controller = new AbortController();
  const reason = new Error("enough");
  let begun = 0;
  const counted = entries().map((entry) => ({
    ...entry,
    open: () => {
      begun++;
      return entry.open([]);
    },
  }));
  const writing = write(counted, { spoolDir: folder, signal: controller.signal });
  const aborted = assert.rejects(writing, (error) => error === reason);
  // It stands still once every segment waits for those of the thread.
  for (let before = -1; begun === 0 || begun !== before; await sleep(300)) before = begun;
  controller.abort(reason);
  await aborted;
});

test("a thread that cannot come up is one that never has time", async () => {
  // Of the sources, the worker's module is not there.
  const thread = new SecondThread();
  thread.start();
  for (let looks = 0; looks < 30; looks++) {
    assert.equal(thread.deflate({ segment: segment(1), level: 4 }), null);
    await sleep(20);
  }
  await thread.stop();
});
