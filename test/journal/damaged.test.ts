/** What lies in the journal is not what was written: each file of an entry, in every way that was thought of. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { type ClaimedReport, complainOf } from "../../src/journal/claimed-report.ts";
import type { Journal, JournalDeps } from "../../src/journal/journal.ts";
import { exportParts } from "../../src/journal/transfer.ts";
import {
  ARCHIVE,
  archiveOf,
  hastyDisk,
  mustAdd,
  NOON,
  openHasty,
  PLAIN,
  receiptOf,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";

let base = "";
let warnings: string[] = [];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-damaged-"));
  warnings = [];
});
afterEach(() => rm(base, { recursive: true, force: true }));

async function open(change: Partial<JournalDeps> = {}): Promise<Journal> {
  const warn = (problem: string) => warnings.push(problem);
  return openHasty(join(base, "cer"), { now: () => NOON, warn, ...change });
}

const wait = { state: "pending", due: null, reason: null } as const;
const inside = (...path: string[]) => join(base, "cer/v1", ...path);

async function onlyIn(state: string): Promise<string> {
  const names = await readdir(inside(state));
  assert.equal(names.length, 1, `${state}: ${names}`);
  return inside(state, names[0] ?? "");
}

async function claimOnly(journal: Journal): Promise<ClaimedReport | null> {
  const [entry] = await journal.list(["pending"]);
  assert.ok(entry !== undefined);
  return journal.claim(entry);
}

const LOG = "setup failed: error 1603\r\n";
type Damage = { readonly name: string; readonly problem: string; do(path: string): Promise<unknown> };

async function replace(path: string, make: (path: string) => unknown): Promise<void> {
  await rm(path, { recursive: true });
  await make(path);
}

const mkfifo = (path: string) => execFileSync("mkfifo", [path]);

const DAMAGES: readonly Damage[] = [
  {
    name: "flipped",
    problem: "its SHA-256 is not that of what was written",
    do: (path) => writeFile(path, LOG.replace("1603", "1604")),
  },
  { name: "emptied", problem: "it has 0 bytes, 26 were written", do: (path) => truncate(path, 0) },
  { name: "longer", problem: "it has 27 bytes, 26 were written", do: (path) => appendFile(path, "!") },
  { name: "removed", problem: "it is gone", do: (path) => rm(path) },
  {
    name: "replaced by a link to the same bytes",
    problem: "it is a symbolic link",
    do: (path) =>
      replace(path, async (gone) => {
        await writeFile(join(base, "elsewhere"), LOG);
        await symlink(join(base, "elsewhere"), gone);
      }),
  },
  { name: "replaced by a FIFO", problem: "it is no regular file", do: (path) => replace(path, mkfifo) },
  {
    name: "replaced by a directory",
    problem: "it is no regular file",
    do: (path) => replace(path, (gone) => mkdir(gone)),
  },
];

/** A report with a copied file, waiting; the original's path. */
async function keepOne(journal: Journal): Promise<string> {
  const path = join(base, "setup.log");
  await writeFile(path, LOG);
  const file = { path, name: "setup.log", type: 5 } as const;
  const claimed = await mustAdd(journal, sampleReport("a", [file]));
  assert.equal(claimed.attachments[0]?.how, "copied");
  await claimed.settle(wait);
  return path;
}

/** Copies, also where the file system could share blocks. */
function copyingDisk() {
  const clone = () => Promise.reject(Object.assign(new Error("ENOTSUP"), { code: "ENOTSUP" }));
  return { ...hastyDisk(), clone };
}

for (const { name, problem, do: damage } of DAMAGES)
  test(`hostile 20: a kept copy that was ${name} is not sent; its original is, as long as it is the same`, async () => {
    const journal = await open({ disk: copyingDisk() });
    const original = await keepOne(journal);
    await damage(join(await onlyIn("pending"), "files/0"));
    const fault = `the copy that was kept cannot be used: ${problem}`;

    let claimed = await claimOnly(journal);
    await claimed?.verifyAttachments();
    assert.deepEqual(
      claimed?.attachments.map(({ path, state }) => [path, state]),
      [[original, "replaced"]],
    );
    assert.deepEqual(claimed.attachments.flatMap(complainOf), [
      `${original} is taken from where it was, being still the same: ${fault}.`,
    ]);
    await claimed.settle(wait);

    await writeFile(original, LOG.replace("setup", "reset"));
    claimed = await claimOnly(journal);
    await claimed?.verifyAttachments();
    assert.deepEqual(
      claimed?.attachments.map(({ state, problem }) => [state, problem]),
      [["damaged", fault]],
    );
    assert.deepEqual(claimed.attachments.flatMap(complainOf), [`${original} is not sent: ${fault}.`]);

    const parts = await exportParts(hastyDisk(), claimed);
    assert.deepEqual(
      parts.map((part) => part.name),
      ["transfer.json", "entry.json", "level1"],
    );
    await claimed.settle(wait);
    await journal.close();
  });

test("a copy that is as it was written is verified without a word, and a fresh one is not read again", async () => {
  const read: string[] = [];
  const disk = copyingDisk();
  const readChunks = (path: string, size: number) => {
    read.push(path);
    return disk.readChunks(path, size);
  };
  const journal = await open({ disk: { ...disk, readChunks } });
  await keepOne(journal);
  await journal.add(sampleReport("fresh", [{ path: join(base, "setup.log"), name: "a", type: 5 }]), PLAIN);
  assert.deepEqual(read, []);
  const claimed = await claimOnly(journal);
  await claimed?.verifyAttachments();
  assert.deepEqual(claimed?.attachments.flatMap(complainOf), []);
  assert.deepEqual(read, [claimed.stored[0]]);
  await claimed.settle(wait);
  await journal.close();
});

test("an imported report's damaged copy is not looked for on this machine", async () => {
  const theirs = await open({ disk: copyingDisk() });
  const original = await keepOne(theirs);
  const path = await onlyIn("pending");
  const record = JSON.parse(await readFile(join(path, "entry.json"), "utf8"));
  await writeFile(join(path, "entry.json"), JSON.stringify({ ...record, imported: true }));
  await truncate(join(path, "files/0"), 0);
  const claimed = await claimOnly(theirs);
  await claimed?.verifyAttachments();
  assert.equal(claimed?.attachments[0]?.state, "damaged");
  assert.equal(await readFile(original, "utf8"), LOG);
  await theirs.close();
});

test("too few open files are no damage: the report waits", async () => {
  const disk = copyingDisk();
  let isShort = false;
  const few = Object.assign(new Error("EMFILE"), { code: "EMFILE" });
  const journal = await open({
    disk: {
      ...disk,
      read: (path, limit) =>
        isShort && path.endsWith("level1") ? Promise.reject(few) : disk.read(path, limit),
      readChunks: (path, size) =>
        isShort ? Readable.from([Promise.reject(few)]) : disk.readChunks(path, size),
    },
  });
  await keepOne(journal);
  const claimed = await claimOnly(journal);
  isShort = true;
  await assert.rejects(claimed?.verifyAttachments() ?? assert.fail(), { code: "CER_JOURNAL_UNAVAILABLE" });
  isShort = false;
  await claimed?.settle(wait);
  isShort = true;
  await assert.rejects(claimOnly(journal), { code: "CER_JOURNAL_UNAVAILABLE" });
  isShort = false;
  await journal.close();
  assert.deepEqual(journal.pruned.setAside, []);
  assert.deepEqual(
    (await journal.list()).map(({ state }) => state),
    ["pending"],
  );
});

const FILES = ["entry.json", "level1", "progress.json", "answer.json", "archive", "archive.json", "files/0"];
/** What a write leaves for a moment beside them. */
const ASIDE = ["progress.json.new", "answer.json.new", "archive.new", "archive.json.new", "receipt.json.new"];

for (const [kind, plant] of [
  ["FIFO", mkfifo],
  ["device", (path: string) => symlink("/dev/zero", path)],
] as const)
  test(`hostile 32: a ${kind} in the place of any file of an entry is not waited for, and not read without end`, async () => {
    for (const name of [...FILES, ...ASIDE, "receipt.json"]) {
      warnings = [];
      const journal = await open({ disk: copyingDisk() });
      await keepOne(journal);
      let claimed = await claimOnly(journal);
      await claimed?.beginAttempt(1);
      await claimed?.keepAnswer({ status: 200, body: Buffer.from("iData=1"), receivedAt: NOON });
      await claimed?.keepArchive(archiveOf(ARCHIVE));
      await claimed?.settle(wait);
      const path = join(await onlyIn("pending"), name);
      await rm(path, { force: true });
      await plant(path);

      await journal.prune();
      const [entry] = await journal.list();
      assert.ok(entry !== undefined);
      await journal.show(entry);
      claimed = await claimOnly(journal);
      const isSetAside = ["entry.json", "level1", "answer.json"].includes(name);
      assert.equal(claimed === null, isSetAside, `${name}: ${warnings}`);
      await claimed?.verifyAttachments();
      // Where a FIFO stands in the way of the new document, the attempt cannot be written down.
      await claimed?.beginAttempt(2).catch(() => undefined);
      await claimed?.settle({ state: "abandoned", reason: "seen" });
      assert.equal((await journal.list(["done"])).length, 0, `${name}: nothing was delivered`);
      await journal.close();
      await rm(join(base, "cer"), { recursive: true });
    }
  });

test("what is no receipt of the report does not make it delivered", async () => {
  const journal = await open();
  const done = await mustAdd(journal, sampleReport("done"));
  await done.settle({ state: "done", receipt: receiptOf(done, NOON) });
  const foreign = await readFile(join(await onlyIn("done"), "receipt.json"), "utf8");
  for (const text of ["", "x", foreign, foreign.slice(0, 100), "null"]) {
    const claimed = await mustAdd(journal, sampleReport("a"));
    await claimed.settle(wait);
    await writeFile(join(await onlyIn("pending"), "receipt.json"), text);
    const again = await claimOnly(journal);
    assert.ok(again !== null, JSON.stringify(text));
    await again.settle({ state: "done", receipt: receiptOf(again, NOON) });
    await journal.drop(again.id);
  }
  await journal.close();
});

test("a FIFO among the notes of repeats, the owners and what was set aside is not waited for", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  const [entry] = await journal.list();
  assert.ok(entry !== undefined);
  for (const place of [
    ["repeats", entry.label.identity],
    ["repeats", entry.label.signature],
    ["owners", "0123456789ab.json"],
    ["set-aside", "foreign"],
    ["set-aside", "pending.x.0-abcdef.why"],
  ])
    mkfifo(inside(...place));
  assert.equal((await journal.add(sampleReport("a"), PLAIN)).outcome, "duplicate");
  assert.match(warnings[0] ?? "", /^A report that was not sent could not be counted \((ENXIO|EINVAL)\)\.$/);
  await journal.prune();
  assert.deepEqual(
    (await journal.listSetAside()).map(({ id, reason }) => [id, reason]),
    [[null, null]],
  );
  await claimed.settle(wait);
  await journal.close();
});

test("hostile 23: an event that the journal could not read again is not kept, and nothing of it stays", async () => {
  const journal = await open();
  const report = sampleReport("a");
  const many = Array.from({ length: 100_001 }, (_, at) => ({ name: "n", value: `${at}` }));
  const added = await journal.add(
    { ...report, event: { ...report.event, secondaryParameters: many } },
    PLAIN,
  );
  assert.deepEqual(added.outcome === "unprotected" && [added.why.code, added.why.message], [
    "CER_JOURNAL_UNAVAILABLE",
    "The journal could not read this report again. entry.json: event.secondaryParameters has 100001 items, the bound is 100000.",
  ]);
  const long = await journal.add({ ...report, level1: Buffer.alloc(64 * 1024 * 1024 + 1) }, PLAIN);
  assert.equal(
    long.outcome === "unprotected" && long.why.message,
    "The journal could not read this report again. level1 has 67108865 bytes, the bound is 67108864.",
  );
  const eventDescription = "\u0001".repeat(12 * 1024 * 1024);
  const escaped = await journal.add({ ...report, event: { ...report.event, eventDescription } }, PLAIN);
  assert.match(
    escaped.outcome === "unprotected" ? escaped.why.message : "",
    /^The journal could not read this report again\. entry\.json has 7549\d{4} bytes, the bound is 67108864\.$/,
  );
  for (const state of ["new", "claimed", "pending", "removed", "set-aside"])
    assert.deepEqual(await readdir(inside(state)), [], state);
  await journal.close();
});

test("a report as large as the bounds allow is kept, and read again", async () => {
  const journal = await open();
  const report = sampleReport("a");
  const secondaryParameters = Array.from({ length: 100_000 }, (_, at) => ({ name: "n", value: `${at}` }));
  const level1 = Buffer.alloc(64 * 1024 * 1024, 1);
  await (
    await mustAdd(journal, { ...report, level1, event: { ...report.event, secondaryParameters } })
  ).settle(wait);
  const again = await claimOnly(journal);
  assert.equal(again?.record.event.secondaryParameters.length, 100_000);
  assert.ok(again.level1.equals(level1));
  await again.settle(wait);
  await journal.close();
});

test("an entry whose writer was killed before the last rename is finished; one that is not whole is not", async () => {
  const deps = await sampleDeps();
  const dead = { ...deps.processes, self: { ...deps.processes.self, pid: 4_194_305 } };
  for (const damage of [null, "level1", "files/0", "entry.json.new"]) {
    const theirs = await open({ processes: dead, disk: copyingDisk() });
    const path = join(base, "setup.log");
    await writeFile(path, LOG);
    const claimed = await mustAdd(theirs, sampleReport("a", [{ path, name: "setup.log", type: 5 }]));
    const left = inside("new", (await readdir(inside("claimed")))[0] ?? "");
    await hastyDisk().rename(claimed.path, left);
    await hastyDisk().rename(join(left, "entry.json"), join(left, "entry.json.new"));
    if (damage !== null) await truncate(join(left, damage), 20);
    const ours = await open({ disk: copyingDisk() });
    await ours.prune();
    assert.deepEqual(ours.pruned.recovered, damage === null ? [claimed.id] : [], `${damage}`);
    assert.deepEqual(
      ours.pruned.setAside.map(({ id }) => id),
      damage === null ? [] : [claimed.id],
    );
    if (damage === null) {
      const whole = await claimOnly(ours);
      assert.equal(await readFile(whole?.stored[0] ?? "", "utf8"), LOG);
      await whole?.settle({ state: "abandoned", reason: "" });
    }
    await ours.close();
    await rm(join(base, "cer"), { recursive: true });
  }
});

test("hostile 24: a file that no descriptor is left for stays where it is, and that is told", async () => {
  const disk = copyingDisk();
  const few = Object.assign(new Error("EMFILE"), { code: "EMFILE" });
  const openSource = (path: string) =>
    path.endsWith("two") || path.endsWith("gone") ? Promise.reject(few) : disk.openSource(path);
  const journal = await open({ disk: { ...disk, openSource } });
  const files = ["one", "two", "gone"].map((name) => ({ path: join(base, name), name, type: 5 }) as const);
  for (const name of ["one", "two"]) await writeFile(join(base, name), LOG);
  const claimed = await mustAdd(journal, sampleReport("a", files));
  assert.deepEqual(
    claimed.attachments.map(({ how, size, path, state }) => [how, size, path === join(base, "two"), state]),
    [
      ["copied", 26, false, "as kept"],
      ["left", 26, true, "as kept"],
      ["missing", 0, false, "missing"],
    ],
  );
  assert.deepEqual(warnings, [`${base}/two could not be copied (EMFILE): a later try needs it where it is.`]);
  await claimed.settle(wait);
  await journal.close();
});
