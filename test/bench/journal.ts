/** The journal with many entries: what every run does first must not grow with them. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../src/journal/disk/disk.ts";
import { openProcesses } from "../../src/journal/disk/owner.ts";
import { formatId, formatLabel, formatTime } from "../../src/journal/entry/layout.ts";
import { openJournal } from "../../src/journal/open.ts";

const ENTRIES = 10_000;

export async function measure(print: (line: string) => void): Promise<void> {
  print(`a journal of ${ENTRIES} entries`);
  for (const { what, ms, rss } of await benchJournal())
    print(`  ${what.padEnd(32)} ${`${ms}`.padStart(8)} ms ${`${rss}`.padStart(6)} MiB`);
}

/** One measured operation; milliseconds, and mebibytes of resident memory afterwards. */
type Measured = { readonly what: string; readonly ms: number; readonly rss: number };

/** Half of the entries are delivered (their receipts are kept), the others wait. */
async function benchJournal(count = ENTRIES): Promise<Measured[]> {
  const directory = await mkdtemp(join(tmpdir(), "cer-bench-journal-"));
  const measured: Measured[] = [];
  const measure = async <T>(what: string, operation: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await operation();
    const ms = Math.round((performance.now() - start) * 10) / 10;
    measured.push({ what, ms, rss: Math.round(process.memoryUsage().rss / 1024 / 1024) });
    return result;
  };
  try {
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
    const opened = await measure("open", () => openJournal(directory, deps));
    if (opened.journal === null) throw opened.why;
    const { journal } = opened;
    const listed = await measure(`list ${count}`, () => journal.list());
    if (listed.length !== count) throw new Error(`${listed.length} of ${count} were listed`);
    await measure("prune, nothing to do", () => journal.prune());
    const waiting = listed.filter(({ state }) => state === "pending");
    await measure("find by a part of its id", () => journal.find(waiting.at(-1)?.label.id.slice(-10) ?? ""));
    await measure("claim 100, damaged", async () => {
      for (const entry of waiting.slice(0, 100)) await journal.claim(entry);
    });
    await journal.close();
    return measured;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
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
