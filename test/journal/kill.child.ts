/**
 * The program that kill.test.ts kills: a report's whole life in a journal, every operation on the disk a step.
 * Arguments: directory, step log, step to be killed at. What the program would have told its user goes to `acks`.
 */

import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { Readable } from "node:stream";
import { openDisk } from "../../src/journal/disk.ts";
import { LIMITS } from "../../src/journal/limits.ts";
import { ARCHIVE, DAY, mustAdd, mustOpen, NOON, receiptOf, sampleDeps, sampleReport } from "./sample.ts";
import { killingStep, steppedDisk } from "./steps.ts";

const [directory = "", log = "", killAt = "0"] = process.argv.slice(2);
const step = killingStep(log, Number(killAt));
const acknowledge = (what: string) => appendFileSync(`${directory}/acks`, `${what}\n`);
let now = NOON;
const deps = await sampleDeps({
  disk: steppedDisk(openDisk(process.platform), step),
  now: () => now,
  limits: { ...LIMITS, maxEntries: 2 },
});
const journal = await mustOpen(`${directory}/journal`, deps);
await journal.prune();

const files = [
  { path: `${directory}/setup.log`, name: "setup.log", type: 5 },
  { path: `${directory}/setup.dmp`, name: "setup.dmp", type: 2 },
] as const;
let held = await mustAdd(journal, sampleReport("first", files));
acknowledge("kept");
await held.beginAttempt("level1");
await held.endAttempt({ status: 200, error: null, address: "192.0.2.1", tlsFingerprint: null });
await held.keepAnswer({ status: 200, body: Buffer.from("iData=1\r\n"), receivedAt: now });
acknowledge("answered");
const sha256 = createHash("sha256").update(ARCHIVE).digest("hex");
const archive = { size: ARCHIVE.length, sha256, open: () => Readable.from([ARCHIVE]) };
await held.keepArchive(archive, { name: "a.cab", files: ["setup.log"], items: [] });
acknowledge("packed");
await held.beginAttempt("level2");
await held.endAttempt({ status: 503, error: "CER_STATUS", address: "192.0.2.1", tlsFingerprint: null });
await held.settle({ state: "pending", due: now + 60_000, reason: "status 503" });

now += 60_000;
for await (const due of journal.claimDue()) held = due;
await held.settle({ state: "done", receipt: receiptOf(held, now) });
acknowledge("delivered");

// A full journal in which the oldest gives way.
for (const name of ["second", "third"]) {
  const waiting = await mustAdd(journal, sampleReport(name));
  now += 1000;
  await waiting.settle({ state: "pending", due: now + DAY, reason: null });
}
const fourth = await mustAdd(journal, sampleReport("fourth"), {
  admission: null,
  copy: true,
  dropOldest: true,
});
await fourth.settle({ state: "abandoned", reason: "status 401" });
await journal.drop(fourth.id);
await journal.add(sampleReport("third"), {
  admission: { window: DAY, perHour: 9 },
  copy: true,
  dropOldest: true,
});

// Old: the receipt goes. The third report was never tried, so that it stays.
acknowledge("old");
now += 40 * DAY;
await journal.prune();
await journal.close();
