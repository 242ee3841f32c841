/** The journal of test/fixtures/journal-v1-early, as the version wrote it in which reports could first wait for a server. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Journal } from "../../src/journal/journal.ts";
import { sha256 } from "../support/bytes.ts";
import { copyKeptJournal } from "../support/journal/kept-sample.ts";
import { openHasty } from "../support/journal/samples.ts";

const EARLY = "20261126-224119071-ywy0sk";
const OF_2006 = "20060101-000000000-ph82cx";
const STORM = "20261126-224120394-gibbs3";
const DAMAGED = "20261126-224120515-rznuau";
const LATER = Date.parse("2026-11-26T23:59:00.000Z");
const DAY = 86_400_000;

let base = "";
let journal: Journal;
let now = LATER;
beforeEach(async () => {
  now = LATER;
  base = await mkdtemp(join(tmpdir(), "cer-early-"));
  await copyKeptJournal(join(base, "cer"), "journal-v1-early");
  journal = await openHasty(join(base, "cer"), { now: () => now });
});
afterEach(async () => {
  await journal.close();
  await rm(base, { recursive: true, force: true });
});

test("every report is listed in its state, with what was dropped and what was set aside", async () => {
  assert.deepEqual(
    (await journal.list()).map(({ state, label }) => [state, label.id]),
    [
      ["pending", OF_2006],
      ["unaddressed", EARLY],
      ["pending", STORM],
    ],
  );
  assert.deepEqual(await journal.repeats(await journal.find(STORM)), { duplicates: 0, suppressed: 2 });
  assert.deepEqual(
    (await journal.listSetAside()).map(({ id, at, reason }) => [id, at, reason]),
    [[DAMAGED, "2026-11-26T22:41:37.527Z", "level1 is not what was written: its SHA-256 differs."]],
  );
});

test("the report that waits for a server is given one, with its bytes and its files as they were kept", async () => {
  const origin = { scheme: "http", host: "cer.example", port: 1273 } as const;
  const destination = { origin, path: "/stage2.htm", from: "CER_SERVER" };
  assert.equal(await journal.address(destination), 1);
  const claimed = await journal.claim(await journal.find(EARLY));
  assert.ok(claimed !== null);
  assert.deepEqual(claimed.destination, destination);
  assert.equal(sha256(claimed.level1), "30ee6c5d13db8ec333513fbe188cc7089b66dd4c0dad07095d10dedd41998abe");
  await claimed.verifyAttachments();
  assert.deepEqual(
    claimed.attachments.map(({ original, how, state }) => [original.split("/").at(-1), how, state]),
    [
      ["setup.log", "copied", "as kept"],
      ["missing.log", "missing", "missing"],
    ],
  );
  assert.equal((await readFile(claimed.stored[0] ?? "")).toString(), "Setup failed: 1603\r\n");
  await claimed.settle({ state: "pending", due: null, reason: null });
});

test("the report of 2006 is as old as it has been tried at the right time", async () => {
  for (const days of [0, 29]) {
    now = LATER + days * DAY;
    await journal.prune();
    assert.equal((await journal.find(OF_2006)).state, "pending", `after ${days} days`);
  }
  const claimed = await journal.claim(await journal.find(OF_2006));
  assert.deepEqual(
    claimed?.attempts.map(({ startedAt, errorCode }) => [new Date(startedAt).getUTCFullYear(), errorCode]),
    [
      [2006, "CER_UNREACHABLE"],
      [2026, "CER_UNREACHABLE"],
    ],
  );
  await claimed?.settle({ state: "pending", due: null, reason: null });
});
