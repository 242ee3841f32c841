/**
 * The journal alone as a program, for measuring; bundled as the program itself is:
 *
 *   journal-driver DIRECTORY ENTRIES
 *
 * fills a journal in that directory and prints a `Measured` as JSON for every operation, a line each. Node reading the
 * names of the same entries is the first of them: what nobody who wants to know them can do without.
 */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../src/journal/disk/disk.ts";
import { openProcesses } from "../../src/journal/disk/owner.ts";
import { formatId, formatLabel, formatTime } from "../../src/journal/entry/layout.ts";
import { openJournal } from "../../src/journal/open.ts";
import type { Measured } from "./journal.ts";

/** Each operation's best counts. */
const ROUNDS = 5;
/** Entries that are claimed in one operation. */
const CLAIMED = 100;

const [directory = "", count = "0"] = process.argv.slice(2);
await measure(directory, Number(count));

/** Half of the entries are delivered (their receipts are kept), the others wait. */
async function measure(directory: string, count: number): Promise<void> {
  const { platform, pid } = process;
  const processes = await openProcesses({ platform, pid, hostName: hostname(), isRunning: () => false });
  const deps = {
    disk: openDisk(platform),
    processes,
    uid: process.geteuid?.() ?? null,
    now: Date.now,
    warn: () => {},
  };
  await openJournal(directory, deps);
  await fill(directory, count);
  const { journal, why } = await openJournal(directory, deps);
  if (journal === null) throw why;
  const listed = await journal.list();
  if (listed.length !== count) throw new Error(`${listed.length} of ${count} were listed`);
  const waiting = listed.filter(({ state }) => state === "pending");
  const partOfId = waiting.at(-1)?.label.id.slice(-10) ?? "";
  const unclaimed = [...waiting];
  await tell({
    "node reading the names": () => readNames(join(directory, "v1")),
    open: async () => (await openJournal(directory, deps)).journal?.close(),
    [`list ${count}`]: () => journal.list(),
    "prune, nothing to do": () => journal.prune(),
    "find by a part of its id": () => journal.find(partOfId),
    [`claim ${CLAIMED}, damaged`]: async () => {
      for (const entry of unclaimed.splice(0, CLAIMED)) await journal.claim(entry);
    },
  });
  await journal.close();
}

/** The names of all entries, in whatever state. */
async function readNames(states: string): Promise<void> {
  for (const state of await readdir(states)) await readdir(join(states, state));
}

async function tell(operations: Record<string, () => Promise<unknown>>): Promise<void> {
  const best = new Map<string, Measured>();
  for (let round = 0; round < ROUNDS; round++)
    for (const [what, operation] of Object.entries(operations)) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      await operation();
      const wall = (performance.now() - start) / 1000;
      const { user, system } = process.cpuUsage(before);
      const cpu = (user + system) / 1e6;
      const peak = process.memoryUsage().rss / 1024 / 1024;
      const other = best.get(what) ?? { what, wall, cpu, peak };
      best.set(what, {
        what,
        wall: Math.min(wall, other.wall),
        cpu: Math.min(cpu, other.cpu),
        peak: Math.max(peak, other.peak),
      });
    }
  for (const measured of best.values()) process.stdout.write(`${JSON.stringify(measured)}\n`);
}

async function fill(directory: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const time = Date.now() - number * 1000;
    const isDone = number % 2 === 0;
    const random = number.toString(36).padStart(6, "0");
    const identity = number.toString(16).padStart(16, "0");
    const label = {
      id: formatId(time, random),
      bytes: isDone ? 0 : 9,
      identity,
      signature: identity.slice(8),
      mark: formatTime(time),
    };
    const path = join(directory, "v1", isDone ? "done" : "pending", formatLabel(label));
    await mkdir(path);
    await writeFile(join(path, isDone ? "receipt.json" : "entry.json"), "{}");
  }
}
