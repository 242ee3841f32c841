/** Reports that were made before a server was set. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Destination } from "../../src/config/destination.ts";
import type { NewReport } from "../../src/journal/admission.ts";
import { eventIdentity } from "../../src/journal/duplicates.ts";
import { parseEntry } from "../../src/journal/entry/documents.ts";
import type { Journal, JournalDeps } from "../../src/journal/journal.ts";
import {
  FORCED,
  hastyDisk,
  mustAdd,
  openHasty,
  PLAIN,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";
import { type Step, steppedDisk } from "../support/steps/kill-at-step.ts";

const SERVER: Destination = {
  origin: { scheme: "http", host: "cer.example", port: 1273 },
  path: "/stage2.htm",
  from: "CER_SERVER",
};
const TO = "http://cer.example:1273/stage2.htm";

function unaddressed(value: string): NewReport {
  return { ...sampleReport(value), destination: null };
}

type Here = { readonly directory: string; open(change?: Partial<JournalDeps>): Promise<Journal> };

async function inJournal(play: (journal: Journal, here: Here) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cer-unaddressed-"));
  const open = async (change: Partial<JournalDeps> = {}) => openHasty(directory, change);
  try {
    const journal = await open();
    await play(journal, { directory, open });
    await journal.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function mustWait(journal: Journal, report: NewReport): Promise<string> {
  const added = await journal.add(report, PLAIN);
  if (added.outcome !== "unaddressed") throw new Error(`the report was ${added.outcome}`);
  return added.id;
}

async function statesOf(journal: Journal): Promise<string[]> {
  return (await journal.list()).map(({ state }) => state);
}

test("a report without a server waits until one is set, and then is claimed like any other, with it", () =>
  inJournal(async (journal) => {
    const id = await mustWait(journal, unaddressed("1603"));
    assert.deepEqual(await statesOf(journal), ["unaddressed"]);
    for await (const { claimed } of journal.claimDue()) assert.fail(`${claimed.id} has no server`);
    assert.equal(await journal.address(SERVER), 1);
    assert.equal(await journal.address(SERVER), 0);
    const found = [];
    for await (const { claimed } of journal.claimDue()) {
      found.push([claimed.id, claimed.destination, claimed.record.identity]);
      await claimed.settle({ state: "pending", due: null, reason: null });
    }
    const identity = eventIdentity(unaddressed("1603").event, { to: TO, timeGiven: true });
    assert.deepEqual(found, [[id, SERVER, identity]]);
  }));

test("the same event is kept once while there is no server, and once more is known by its server afterwards", () =>
  inJournal(async (journal) => {
    const id = await mustWait(journal, unaddressed("1603"));
    const again = { outcome: "duplicate", of: id, deliveredAt: null };
    assert.deepEqual(await journal.add(unaddressed("1603"), PLAIN), again);
    await mustWait(journal, unaddressed("1604"));
    await journal.address(SERVER);
    assert.deepEqual(await journal.add({ ...unaddressed("1603"), destination: SERVER }, PLAIN), again);
  }));

test("its own time, and that it had none, are part of what it is known by", () =>
  inJournal(async (journal) => {
    await mustWait(journal, { ...unaddressed("1603"), timeGiven: false });
    await journal.address(SERVER);
    const [listed] = await journal.list();
    const identity = eventIdentity(unaddressed("1603").event, { to: TO, timeGiven: false });
    assert.equal(listed?.label.identity, identity.slice(0, 16));
  }));

test("while it is written and given its server nothing of it lies where an older program looks", () =>
  inJournal(async (journal, { directory, open }) => {
    const places = new Set<string>();
    const look: Step = () => {
      for (const state of ["new", "pending", "claimed", "done", "abandoned", "removed"])
        for (const name of readdirSync(join(directory, "v1", state))) {
          const record = parseEntryAt(join(directory, "v1", state, name));
          places.add(`${state}, ${record?.destination?.origin.host ?? "no server"}`);
        }
    };
    const stepped = await open({ disk: steppedDisk(hastyDisk(), look) });
    await mustWait(stepped, unaddressed("1603"));
    assert.deepEqual([...places], []);
    await stepped.address(SERVER);
    assert.deepEqual([...places], ["pending, cer.example"]);
    await stepped.close();
    assert.deepEqual(await statesOf(journal), ["pending"]);
  }));

/** Null while it is not whole. */
function parseEntryAt(path: string) {
  try {
    return parseEntry(readFileSync(join(path, "entry.json"), "utf8"));
  } catch {
    return null;
  }
}

test("one that cannot be read is set aside, and keeps no other from its server", () =>
  inJournal(async (journal, { directory }) => {
    const broken = await mustWait(journal, unaddressed("1"));
    await mustWait(journal, unaddressed("2"));
    const folder = join(directory, "v1/unaddressed");
    const name = (await readdir(folder)).find((one) => one.startsWith(broken)) ?? "";
    await writeFile(join(folder, name, "level1"), "other");
    assert.equal(await journal.address(SERVER), 1);
    assert.deepEqual(await statesOf(journal), ["pending"]);
    assert.deepEqual(
      journal.pruned.setAside.map(({ id, reason }) => [id, reason]),
      [[broken, "level1 is not what was written: its SHA-256 differs."]],
    );
  }));

test("it is retried in place, dropped, and given up for a newer one; given up, a retry lets it wait again", () =>
  inJournal(async (journal) => {
    const first = await mustWait(journal, unaddressed("1"));
    assert.equal((await journal.retry(first)).state, "unaddressed");
    await journal.drop(first);
    assert.deepEqual(await statesOf(journal), []);
    for (let value = 0; value < 50; value++)
      assert.equal((await journal.add(unaddressed(`${value}`), FORCED)).outcome, "unaddressed");
    const [oldest] = await journal.list();
    await mustAdd(journal, sampleReport("new"), { ...FORCED, dropOldest: true });
    const id = oldest?.label.id ?? "";
    assert.equal((await journal.find(id)).state, "abandoned");
    assert.equal((await journal.retry(id)).state, "unaddressed");
    assert.equal((await journal.find(id)).state, "unaddressed");
    const { record } = await journal.show(await journal.find(id));
    assert.equal(record?.destination, null);
  }));

test("ended at any step of being kept and given a server, it is there once, whole, or was never said to be", () =>
  inJournal(async (_journal, { directory, open }) => {
    const { processes } = await sampleDeps();
    const dead = { ...processes, self: { ...processes.self, pid: 4_194_305 } };
    for (let last = 1, steps = Number.POSITIVE_INFINITY; last <= steps; last++) {
      for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
      let taken = 0;
      const step: Step = () => {
        if (taken >= last) throw new Gone();
        taken++;
      };
      let kept: string | null = null;
      try {
        const journal = await open({ disk: steppedDisk(hastyDisk(), step), processes: dead });
        kept = await mustWait(journal, unaddressed("1603"));
        await journal.address(SERVER);
        steps = taken;
      } catch (error) {
        assert.ok(error instanceof Gone, String(error));
      }
      const next = await open();
      await next.prune();
      await next.address(SERVER);
      const states = await statesOf(next);
      assert.ok(kept === null ? states.length <= 1 : states.length === 1, `step ${last}: ${states}`);
      for await (const { claimed } of next.claimDue()) {
        assert.deepEqual([claimed.destination, claimed.level1], [SERVER, sampleReport("1603").level1]);
        await claimed.settle({ state: "pending", due: null, reason: null });
      }
      assert.ok(
        states.every((state) => state === "pending"),
        `step ${last}: ${states}`,
      );
      await next.close();
    }
  }));

class Gone extends Error {}

test("nobody can claim it, and what it says of itself is read again with the time it did not name", () =>
  inJournal(async (journal, { directory }) => {
    const id = await mustWait(journal, { ...unaddressed("1603"), timeGiven: false });
    assert.equal(await journal.claim(await journal.find(id)), null);
    const { record } = await journal.show(await journal.find(id));
    assert.deepEqual([record?.destination, record?.timeGiven], [null, false]);
    const folder = join(directory, "v1/unaddressed");
    const [name = ""] = await readdir(folder);
    const entry = JSON.parse(await readFile(join(folder, name, "entry.json"), "utf8"));
    assert.deepEqual([entry.destination, entry.timeGiven], [null, false]);
  }));

test("one that its process was giving its server when it died waits again, whatever is like it or wrong with it", () =>
  inJournal(async (journal, { directory, open }) => {
    const { processes } = await sampleDeps();
    const dead = { ...processes, self: { ...processes.self, pid: 4_194_305 } };
    const other = await open({ processes: dead });
    const first = await mustWait(journal, unaddressed("1603"));
    assert.equal((await journal.add(unaddressed("1603"), FORCED)).outcome, "unaddressed");
    // Makes the dead process known, and what it had in hand look as it left it.
    const early = await other.add({ ...sampleReport("x"), destination: SERVER }, FORCED);
    assert.equal(early.outcome, "kept");
    const token = (await readdir(join(directory, "v1/claimed")))[0]?.split(".").at(-1);
    const folder = join(directory, "v1/unaddressed");
    const name = (await readdir(folder)).find((one) => one.startsWith(first)) ?? "";
    await rename(join(folder, name), join(folder, name.replace(/\.0$/, `.to${token}`)));
    await journal.prune();
    assert.deepEqual(journal.pruned.setAside, []);
    assert.ok(journal.pruned.recovered.includes(first));
    assert.equal(await journal.address(SERVER), 2);
  }));
