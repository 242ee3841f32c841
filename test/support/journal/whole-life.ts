/** A report's whole life in a journal, for the tests that end it at every step, and what has to be true afterwards. */

import assert from "node:assert/strict";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { entryPath } from "../../../src/journal/entry/layout.ts";
import type { JournalDeps } from "../../../src/journal/journal.ts";
import { LIMITS } from "../../../src/journal/limits.ts";
import { readAll } from "../bytes.ts";
import {
  ARCHIVE,
  archiveOf,
  DAY,
  FORCED,
  HOUR,
  hastyDisk,
  mustAdd,
  mustOpen,
  NOON,
  PEER,
  PLAIN,
  receiptOf,
  sampleDeps,
  sampleReport,
} from "./samples.ts";

const LOG = Buffer.from("setup failed\n".repeat(1000));
const DUMP = Buffer.from("MDMP\0\x01\x02\x03".repeat(1000));

const PAST = Date.parse("2006-01-01T00:00:00.000Z");
/** Of the only report that was acknowledged and is set aside; a program that is killed may not come to say so. */
const LEVEL1_DAMAGED = "level1 is not what was written";

/** What is there before the program starts. */
export async function prepare(directory: string): Promise<void> {
  await writeFile(`${directory}/setup.log`, LOG);
  await writeFile(`${directory}/setup.dmp`, DUMP);
}

/**
 * One made by a clock that stands in 2006; then kept, answered, packed, failed, waiting, delivered; a full journal,
 * given up, dropped, repeated, too many of a kind, set aside, grown old.
 * @param acknowledge what the program would have told its user
 */
export async function live(
  directory: string,
  change: Pick<JournalDeps, "disk"> & Partial<JournalDeps>,
  acknowledge: (what: string) => void,
): Promise<void> {
  let now = PAST;
  const deps = await sampleDeps({ ...change, now: () => now, limits: { ...LIMITS, maxEntries: 3 } });
  const journal = await mustOpen(`${directory}/journal`, deps);
  await journal.prune();

  const past = await mustAdd(journal, sampleReport("past"));
  await past.beginAttempt(1);
  await past.endAttempt({ status: null, errorCode: "CER_UNREACHABLE", peer: null });
  await past.settle({ state: "pending", due: now + DAY, reason: "no route" });
  acknowledge("past");
  now = NOON;
  await journal.prune();

  const files = [
    { path: `${directory}/setup.log`, name: "setup.log", type: 5 },
    { path: `${directory}/setup.dmp`, name: "setup.dmp", type: 2 },
  ] as const;
  let claimed = await mustAdd(journal, sampleReport("first", files));
  acknowledge("kept");
  await claimed.beginAttempt(1);
  await claimed.endAttempt({ status: 200, errorCode: null, peer: PEER });
  await claimed.keepAnswer({ status: 200, body: Buffer.from("iData=1\r\n"), receivedAt: now });
  acknowledge("answered");
  await claimed.keepArchive(archiveOf(ARCHIVE));
  acknowledge("packed");
  await claimed.beginAttempt(2);
  await claimed.endAttempt({ status: 503, errorCode: "CER_STATUS", peer: PEER });
  await claimed.settle({ state: "pending", due: now + 60_000, reason: "status 503" });

  now += 60_000;
  for await (const { claimed: due } of journal.claimDue())
    if (due.id === past.id) await due.settle({ state: "pending", due: now + DAY, reason: "no route" });
    else claimed = due;
  await claimed.verifyAttachments();
  await claimed.settle({ state: "done", receipt: receiptOf(claimed, now) });
  acknowledge("delivered");

  // A full journal: the next report is sent without it, or the oldest gives way.
  for (const name of ["second", "third"]) {
    const waiting = await mustAdd(journal, sampleReport(name));
    now += 1000;
    await waiting.settle({ state: "pending", due: now + DAY, reason: null });
  }
  assert.equal((await journal.add(sampleReport("full"), PLAIN)).outcome, "unprotected");
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

  // A storm, told of by the next one that is let in.
  const few = { ...PLAIN, admission: { window: 0, perHour: 1 } };
  assert.equal((await journal.add(sampleReport("third"), few)).outcome, "suppressed");
  now += 2 * HOUR;
  const after = await mustAdd(journal, sampleReport("third"), few);
  await after.settle({ state: "pending", due: now + DAY, reason: null });

  // Set aside for what cannot be read.
  const [second] = (await journal.list(["pending"])).filter(({ createdAt }) => createdAt < now - HOUR);
  assert.ok(second !== undefined);
  await truncate(`${entryPath(journal.directory, second.state, second.label)}/level1`, 1);
  assert.equal(await journal.claim(second), null);

  // Old: the receipt goes, and what was set aside. What was never tried stays.
  acknowledge("old");
  now += 20 * DAY;
  await (await mustAdd(journal, sampleReport("late"))).settle({ state: "pending", due: now, reason: null });
  now += 20 * DAY;
  await journal.prune();
  await journal.close();
}

/** What the next run finds. @param acks what was acknowledged before the end */
export async function checkRecovery(directory: string, acks: ReadonlySet<string>): Promise<void> {
  // The originals may be gone by the retry.
  await writeFile(`${directory}/setup.log`, "overwritten");
  const deps = await sampleDeps({ disk: hastyDisk(), now: () => NOON + 2 * DAY });
  const journal = await mustOpen(`${directory}/journal`, deps);
  await journal.prune();
  const listed = await journal.list();
  const shown = await Promise.all(listed.map((entry) => journal.show(entry)));
  // Only the first report is ever delivered.
  const first = shown.filter(
    ({ record, receipt }) => receipt ?? record?.event.parameters[0]?.value === "first",
  );
  assert.equal(new Set(listed.map(({ label }) => label.id)).size, listed.length, "an entry is there twice");
  assert.deepEqual(
    listed.filter(({ state }) => state === "claimed"),
    [],
  );

  const past = shown.filter(({ record }) => record?.event.parameters[0]?.value === "past");
  if (acks.has("past"))
    assert.equal(past.length, 1, "the report of 2006 waits, or was given up to make room");
  if (acks.has("kept") && !acks.has("old")) assert.equal(first.length, 1, "the acknowledged report");
  assert.ok(first.length <= 1, "the report is there twice");
  if (acks.has("delivered") && !acks.has("old")) assert.equal(first[0]?.listed.state, "done");
  if (!acks.has("kept")) assert.ok(!listed.some(({ state }) => state === "done"));

  for (const { listed: entry, receipt } of shown) {
    if (entry.state === "done") {
      assert.equal(receipt?.archive?.bytes, ARCHIVE.length);
      assert.equal(entry.label.bytes, 0);
    }
    if (entry.state !== "pending") continue;
    const claimed = await journal.claim(entry);
    if (claimed === null) {
      const [aside] = journal.pruned.setAside.filter(({ id }) => id === entry.label.id);
      assert.ok(aside?.reason?.startsWith(LEVEL1_DAMAGED), "a waiting report can be claimed, or is damaged");
      continue;
    }
    if (claimed.stored.length > 0) {
      const [log = "", dump = ""] = claimed.stored;
      assert.deepEqual(await readFile(log), LOG);
      assert.deepEqual(await readFile(dump), DUMP);
      if (acks.has("answered")) assert.deepEqual(claimed.answer?.body, Buffer.from("iData=1\r\n"));
      if (acks.has("packed")) {
        assert.deepEqual(await readAll(claimed.archive?.open() ?? Readable.from([])), ARCHIVE);
        assert.deepEqual(claimed.archive?.about, archiveOf(ARCHIVE).about);
      }
    }
    await claimed.settle({ state: "abandoned", reason: "seen" });
  }
  // The lock is free, and the journal works.
  const claimed = await mustAdd(journal, sampleReport("later"), FORCED);
  await claimed.settle({ state: "abandoned", reason: "seen" });
  await journal.close();
  const torn = await journal.listSetAside();
  for (const { name, reason } of torn)
    if (!name.startsWith("new.")) assert.ok(reason === null || reason.startsWith(LEVEL1_DAMAGED), name);
}
