import assert from "node:assert/strict";
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import type { AttachedFile } from "../../src/event.ts";
import type { ClaimedReport } from "../../src/journal/claimed-report.ts";
import { formatTime, type Listed } from "../../src/journal/entry/layout.ts";
import type { Journal, JournalDeps } from "../../src/journal/journal.ts";
import { LIMITS } from "../../src/journal/limits.ts";
import { openJournal } from "../../src/journal/open.ts";
import { readAll, sha256 } from "../support/bytes.ts";
import {
  ARCHIVE,
  archiveOf,
  DAY,
  FORCED,
  HOUR,
  hastyDisk,
  mustAdd,
  NOON,
  openHasty,
  PEER,
  PLAIN,
  receiptOf,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";

let base = "";
let now = NOON;
let warnings: string[] = [];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-journal-"));
  now = NOON;
  warnings = [];
});
afterEach(() => rm(base, { recursive: true, force: true }));

async function open(change: Partial<JournalDeps> = {}): Promise<Journal> {
  const warn = (problem: string) => warnings.push(problem);
  return openHasty(join(base, "cer"), { now: () => now, warn, ...change });
}

async function claimOnly(journal: Journal): Promise<ClaimedReport> {
  const [entry] = await journal.list(["pending"]);
  const claimed = entry === undefined ? null : await journal.claim(entry);
  if (claimed === null) throw new Error("nothing to claim");
  return claimed;
}

const wait = { state: "pending", due: null, reason: null } as const;
const states = async (journal: Journal) => (await journal.list()).map(({ state }) => state);
const inside = (...path: string[]) => join(base, "cer/v1", ...path);
/** The directory of the only entry in a state. */
async function onlyIn(state: string): Promise<string> {
  const names = await readdir(inside(state));
  assert.equal(names.length, 1, `${state}: ${names}`);
  return inside(state, names[0] ?? "");
}

const NOTHING = { recovered: [], givenUp: [], setAside: [], removed: [] };

const OK = { status: 200, errorCode: null, peer: PEER };

test("what was kept is found by the next run: event, bytes, destination, consent, settings", async () => {
  const first = await open();
  const report = sampleReport("a");
  await (await mustAdd(first, report)).settle({ state: "pending", due: now + 1, reason: "no route" });
  await first.close();
  const second = await open();
  const claimed = await claimOnly(second);
  assert.deepEqual(claimed.record.event, report.event);
  assert.deepEqual(claimed.level1, report.level1);
  const { destination, consent, settings, createdAt, id } = claimed.record;
  assert.deepEqual(
    { destination, consent, settings, createdAt, id },
    {
      destination: report.destination,
      consent: report.consent,
      settings: report.settings,
      createdAt: NOON,
      id: claimed.id,
    },
  );
  assert.deepEqual([claimed.answer, claimed.archive, claimed.attempts], [null, null, []]);
  await claimed.settle(wait);
  await second.close();
  assert.deepEqual(await readdir(inside("owners")), []);
});

test("the answer and the archive outlive the run that got them, byte for byte", async () => {
  const first = await open();
  const claimed = await mustAdd(first, sampleReport("a"));
  const body = Buffer.from([0, 255, 13, 10, 0x81]);
  await claimed.keepAnswer({ status: 203, body, receivedAt: NOON + 5 });
  await claimed.keepArchive(archiveOf(ARCHIVE));
  assert.deepEqual(await readAll(claimed.archive?.open() ?? Readable.from([])), ARCHIVE);
  await claimed.settle(wait);
  const again = await claimOnly(first);
  assert.deepEqual(again.answer, { status: 203, body, receivedAt: NOON + 5 });
  assert.deepEqual(again.archive?.about, archiveOf(ARCHIVE).about);
  assert.equal(again.archive?.sha256, sha256(ARCHIVE));
  for (let time = 0; time < 2; time++)
    assert.deepEqual(await readAll(again.archive?.open() ?? Readable.from([])), ARCHIVE);
  await again.settle(wait);
  await first.close();
});

test("an archive that is not what it is said to be is not kept", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  const archive = archiveOf(ARCHIVE);
  for (const wrong of [
    { ...archive, size: 5 },
    { ...archive, sha256: "00".repeat(32) },
  ])
    await assert.rejects(claimed.keepArchive(wrong), { code: "CER_ARCHIVE" });
  assert.equal(claimed.archive, null);
  await claimed.settle(wait);
  assert.equal((await claimOnly(journal)).archive, null);
  await journal.close();
});

test("attempts are written down before they begin and when they end, with who answered", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  await claimed.beginAttempt(1);
  const begun = { level: 1, startedAt: NOON, endedAt: null, status: null, errorCode: null, peer: null };
  const [entry] = await journal.list();
  assert.ok(entry);
  assert.deepEqual((await journal.show(entry)).progress?.attempts, [begun]);
  now += 50;
  await claimed.endAttempt(OK);
  now += 50;
  await claimed.beginAttempt(2);
  assert.deepEqual(claimed.attempts, [
    { ...begun, ...OK, endedAt: NOON + 50 },
    { ...begun, level: 2, startedAt: NOON + 100 },
  ]);
  assert.deepEqual(claimed.counted, { count: 2, age: 0 });
  await claimed.settle({ state: "abandoned", reason: "status 401" });
  const [given] = await journal.list();
  assert.ok(given);
  const { progress, time } = await journal.show(given);
  assert.deepEqual([given.state, progress?.reason, time], ["abandoned", "status 401", NOON + 100]);
  await journal.close();
});

test("a delivered report leaves its receipt, and nothing else", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a", [await makeFile("setup.log", "log")]));
  await claimed.keepArchive(archiveOf(ARCHIVE));
  const receipt = receiptOf(claimed, NOON + 9);
  await claimed.settle({ state: "done", receipt });
  assert.deepEqual(await readdir(await onlyIn("done")), ["receipt.json"]);
  const [entry] = await journal.list();
  assert.ok(entry);
  const shown = await journal.show(entry);
  assert.deepEqual(
    [shown.receipt, shown.record, shown.time, entry.label.bytes],
    [receipt, null, NOON + 9, 0],
  );
  await journal.close();
});

async function makeFile(
  name: string,
  text: string | Buffer,
  type: AttachedFile["type"] = 5,
): Promise<AttachedFile> {
  await writeFile(join(base, name), text);
  return { path: join(base, name), name, type };
}

test("attached files are kept: the original may be written to, or go", async () => {
  const journal = await open();
  const file = await makeFile("setup.log", "as it was");
  const claimed = await mustAdd(journal, sampleReport("a", [file]));
  await appendFile(file.path, " and more");
  assert.equal(await readFile(claimed.stored[0] ?? "", "utf8"), "as it was");
  assert.deepEqual(claimed.record.event.files, [file]);
  await rm(file.path);
  await claimed.settle(wait);
  const again = await claimOnly(journal);
  assert.equal(await readFile(again.stored[0] ?? "", "utf8"), "as it was");
  assert.equal(again.attachments[0]?.state, "as kept");
  await journal.close();
});

test("a big file is shared with its original where it can be, and a later change is told", async () => {
  const journal = await open();
  const file = await makeFile("heap.dmp", "", 3);
  await truncate(file.path, 65 * 1024 * 1024);
  const claimed = await mustAdd(journal, sampleReport("a", [file]));
  const [attachment] = claimed.attachments;
  assert.equal(attachment?.size, 65 * 1024 * 1024);
  // A file system that can clone shares blocks, not writes.
  assert.match(attachment?.how ?? "", /^(linked|cloned)$/);
  await utimes(file.path, 1, 1);
  await claimed.settle(wait);
  const again = await claimOnly(journal);
  assert.equal(again.attachments[0]?.state, attachment?.how === "linked" ? "changed" : "as kept");
  await rm(file.path);
  assert.equal((await stat(again.stored[0] ?? "")).size, 65 * 1024 * 1024, "the original's end is not ours");
  await journal.close();
});

test("a big file on another file system is copied", async () => {
  const across = Object.assign(new Error("EXDEV"), { code: "EXDEV" });
  const disk = { ...hastyDisk(), clone: () => Promise.reject(across), link: () => Promise.reject(across) };
  const journal = await open({ disk });
  const file = await makeFile("heap.dmp", "", 3);
  await truncate(file.path, 65 * 1024 * 1024);
  const claimed = await mustAdd(journal, sampleReport("a", [file]));
  assert.deepEqual([claimed.attachments[0]?.how, claimed.attachments[0]?.size], ["copied", 65 * 1024 * 1024]);
  assert.match(claimed.attachments[0]?.sha256 ?? "", /^[0-9a-f]{64}$/);
  await claimed.settle(wait);
  await journal.close();
});

test("with copy: false a file stays where it is, and is looked at again", async () => {
  const journal = await open();
  const files = await Promise.all(["same", "longer", "gone"].map((name) => makeFile(name, name)));
  const claimed = await mustAdd(journal, sampleReport("a", files), { ...PLAIN, copy: false });
  await claimed.settle(wait);
  await appendFile(join(base, "longer"), "!");
  await rm(join(base, "gone"));
  const again = await claimOnly(journal);
  assert.deepEqual(
    again.attachments.map(({ how, state }) => [how, state]),
    [
      ["left", "as kept"],
      ["left", "changed"],
      ["left", "missing"],
    ],
  );
  assert.deepEqual(
    again.stored,
    files.map(({ path }) => path),
  );
  assert.ok(!(await readdir(await onlyIn("claimed"))).includes("files/0"));
  await journal.close();
});

test("a file that is missing or no file costs only itself", async () => {
  const journal = await open();
  const directory: AttachedFile = { path: base, name: "d", type: 5 };
  const missing: AttachedFile = { path: join(base, "none"), name: "n", type: 5 };
  const impossible: AttachedFile = { path: "/tmp/a\0b", name: "i", type: 5 };
  const claimed = await mustAdd(journal, sampleReport("a", [directory, missing, impossible]));
  assert.deepEqual(
    claimed.attachments.map(({ how, why, state }) => [how, why, state]),
    [
      ["missing", "EINVAL", "missing"],
      ["missing", "ENOENT", "missing"],
      ["missing", "EINVAL", "missing"],
    ],
  );
  await claimed.settle(wait);
  await journal.close();
});

test("two of one report: the second is a duplicate of the first, waiting and then delivered, and counted", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  assert.deepEqual(await journal.add(sampleReport("a"), PLAIN), {
    outcome: "duplicate",
    of: claimed.id,
    deliveredAt: null,
  });
  await claimed.settle({ state: "done", receipt: receiptOf(claimed, NOON) });
  now += DAY - 1;
  assert.deepEqual(await journal.add(sampleReport("a"), PLAIN), {
    outcome: "duplicate",
    of: claimed.id,
    deliveredAt: NOON,
  });
  const [done] = await journal.list();
  assert.ok(done);
  assert.deepEqual(await journal.repeats(done), { duplicates: 2, suppressed: 0 });
  assert.equal((await mustAdd(journal, sampleReport("b"))).record.event.parameters[0]?.value, "b");
  assert.equal((await mustAdd(journal, sampleReport("a"), FORCED)).answer, null, "forced");
  await journal.close();
});

test("G8: what goes beyond so many an hour is dropped and counted; the next one let through tells how many", async () => {
  const journal = await open();
  const options = { ...PLAIN, admission: { window: DAY, perHour: 2 } };
  const at = (eventTime: bigint) => ({
    ...sampleReport("a"),
    event: { ...sampleReport("a").event, eventTime },
  });
  for (const eventTime of [1n, 2n]) {
    await (await mustAdd(journal, at(eventTime), options)).settle({ state: "abandoned", reason: "" });
    now += 60_000;
  }
  assert.deepEqual(await journal.add(at(3n), options), { outcome: "suppressed", until: NOON + HOUR });
  now = NOON + HOUR;
  const third = await mustAdd(journal, at(4n), options);
  const [entry] = await journal.list();
  assert.ok(entry);
  assert.deepEqual(await journal.repeats(entry), { duplicates: 0, suppressed: 1 });
  assert.deepEqual(warnings, ["1 report of this kind was dropped since the last one that was let through."]);
  await third.settle(wait);

  // Told once; what is dropped afterwards counts anew, and earlier versions still find one line a report.
  now = NOON + HOUR + 60_000;
  await (await mustAdd(journal, at(5n), options)).settle(wait);
  for (const eventTime of [6n, 7n]) await journal.add(at(eventTime), options);
  now += HOUR;
  await (await mustAdd(journal, at(8n), options)).settle(wait);
  assert.deepEqual(warnings.slice(1), [
    "2 reports of this kind were dropped since the last one that was let through.",
  ]);
  assert.deepEqual(await journal.repeats(entry), { duplicates: 0, suppressed: 3 });
  const notes = await readFile(inside("repeats", entry.label.signature), "utf8");
  assert.equal(notes.split("\n").length - 1, 3);
  await journal.close();
});

test("a full journal does not take a report, which can be sent without it; the oldest goes only when told", async () => {
  const journal = await open({ limits: { ...LIMITS, maxEntries: 1 } });
  const first = await mustAdd(journal, sampleReport("a"));
  await first.settle(wait);
  const refused = await journal.add(sampleReport("b"), PLAIN);
  assert.deepEqual(refused.outcome === "unprotected" && [refused.why.code, refused.why.message], [
    "CER_JOURNAL_FULL",
    `The journal ${join(base, "cer")} is full: 1 reports wait already, the bound is 1.`,
  ]);
  assert.deepEqual(await readdir(inside("new")), []);
  now += 1;
  const second = await mustAdd(journal, sampleReport("b"), { ...PLAIN, dropOldest: true });
  assert.deepEqual(await states(journal), ["abandoned", "claimed"]);
  assert.deepEqual(warnings, [`Report ${first.id} was given up to make room for a newer one.`]);
  assert.deepEqual(journal.pruned, {
    ...NOTHING,
    givenUp: [{ id: first.id, reason: "It made room for a newer report." }],
  });
  await second.settle(wait);
  await journal.close();
});

test("a report that does not fit is refused before its files are copied", async () => {
  const copied: string[] = [];
  const create = (path: string) => {
    copied.push(path);
    return hastyDisk().create(path);
  };
  const disk = { ...hastyDisk(), create };
  const journal = await open({ disk, limits: { ...LIMITS, maxBytes: 40_000 } });
  const file = await makeFile("big", Buffer.alloc(20_000));
  await (await mustAdd(journal, sampleReport("a", [file]))).settle(wait);
  const before = copied.filter((path) => path.includes("files/")).length;
  const refused = await journal.add(sampleReport("b", [file]), PLAIN);
  assert.equal(refused.outcome === "unprotected" && refused.why.code, "CER_JOURNAL_FULL");
  assert.equal(copied.filter((path) => path.includes("files/")).length, before);
  assert.equal((await journal.add(sampleReport("b", [file]), { ...PLAIN, copy: false })).outcome, "kept");
  await journal.close();
});

test("files larger than the journal may be are not copied, and that is said", async () => {
  const journal = await open({ limits: { ...LIMITS, maxBytes: 10_000 } });
  const file = await makeFile("big", Buffer.alloc(20_000));
  const claimed = await mustAdd(journal, sampleReport("a", [file]));
  assert.deepEqual(
    claimed.attachments.map(({ how, path }) => [how, path]),
    [["left", file.path]],
  );
  assert.deepEqual(warnings, [
    "The attached files are larger than a journal may be: they are not copied, and a later try needs them where they are.",
  ]);
  await claimed.settle(wait);
  await journal.close();
});

test("when the disk does not take a report, that is a result, and nothing is left behind", async () => {
  for (const [code, words] of [
    ["ENOSPC", "the disk is full (ENOSPC)"],
    ["EROFS", "the file system is read-only (EROFS)"],
    ["EACCES", "permission denied (EACCES)"],
    ["EMFILE", "EMFILE"],
  ] as const) {
    const fault = Object.assign(new Error(code), { code });
    const real = hastyDisk();
    const create = async (path: string) => {
      const file = await real.create(path);
      return path.endsWith("entry.json.new") ? { ...file, write: () => Promise.reject(fault) } : file;
    };
    const journal = await open({ disk: { ...real, create } });
    const added = await journal.add(sampleReport("a"), PLAIN);
    assert.deepEqual(added.outcome === "unprotected" && [added.why.code, added.why.message], [
      "CER_JOURNAL_UNAVAILABLE",
      `The journal cannot be written to: ${words}.`,
    ]);
    assert.deepEqual([await readdir(inside("new")), await readdir(inside("removed"))], [[], []]);
    await journal.close();
  }
});

test("a place where no journal can be made is a result", async () => {
  await writeFile(join(base, "file"), "");
  const refusing = Object.assign(new Error("EROFS"), { code: "EROFS" });
  const disk = { ...hastyDisk(), makeDirectory: () => Promise.reject(refusing) };
  const opened = await openJournal(join(base, "cer"), await sampleDeps({ disk }));
  assert.equal(opened.journal === null && opened.why.code, "CER_JOURNAL_UNAVAILABLE");
});

test("on a disk too full for the receipt, the payload makes room for it", async () => {
  const real = hastyDisk();
  let isFull = false;
  const create = async (path: string) => {
    const hasRoom = !isFull || (await readdir(await onlyIn("claimed"))).length <= 1;
    if (!hasRoom) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    return real.create(path);
  };
  const journal = await open({ disk: { ...real, create } });
  const claimed = await mustAdd(journal, sampleReport("a"));
  isFull = true;
  await assert.rejects(claimed.beginAttempt(1), { code: "CER_JOURNAL_UNAVAILABLE" });
  await claimed.settle({ state: "done", receipt: receiptOf(claimed, NOON) });
  assert.deepEqual(await readdir(await onlyIn("done")), ["receipt.json"]);
  await journal.close();
});

test("what is held when the journal is closed waits, due at once", async () => {
  const journal = await open();
  await mustAdd(journal, sampleReport("a"));
  await journal.close();
  const next = await open();
  const due: string[] = [];
  for await (const { claimed } of next.claimDue()) {
    due.push(claimed.id);
    await claimed.settle({ state: "pending", due: now + HOUR, reason: null });
  }
  assert.equal(due.length, 1);
  for await (const { claimed } of next.claimDue()) assert.fail(`${claimed.id} is not due`);
  now += HOUR;
  for await (const { claimed } of next.claimDue()) due.push(claimed.id);
  assert.equal(due.length, 2);
  await next.close();
});

test("a clock that went back a year does not hold back what is due", async () => {
  const journal = await open();
  await (await mustAdd(journal, sampleReport("a"))).settle({
    state: "pending",
    due: now + HOUR,
    reason: null,
  });
  now -= 365 * DAY;
  const due: string[] = [];
  for await (const { claimed } of journal.claimDue()) due.push(claimed.id);
  assert.equal(due.length, 1);
  await journal.close();
});

test("one who is held to be dead, and is not, is told that the report was taken over, and writes nothing", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  const path = await onlyIn("claimed");
  await rename(path, `${path.slice(0, -12)}0123456789ab`);
  const busy = { code: "CER_ENTRY_BUSY", message: `Another process has taken over report ${claimed.id}.` };
  await assert.rejects(claimed.keepAnswer({ status: 200, body: Buffer.alloc(0), receivedAt: now }), busy);
  await assert.rejects(claimed.beginAttempt(1), busy);
  await assert.rejects(claimed.keepArchive(archiveOf(ARCHIVE)), busy);
  await assert.rejects(claimed.settle(wait), busy);
  await assert.rejects(claimed.settle({ state: "done", receipt: receiptOf(claimed, now) }), busy);
  assert.deepEqual((await readdir(await onlyIn("claimed"))).sort(), ["entry.json", "level1"]);
});

test("what a dead process held waits again, what it was writing is judged by whether it is whole", async () => {
  const deps = await sampleDeps();
  const dead = { ...deps.processes, self: { ...deps.processes.self, pid: 4_194_305 } };
  const theirs = await open({ processes: dead });
  await mustAdd(theirs, sampleReport("claimed"));
  now += 1;
  const whole = await mustAdd(theirs, sampleReport("whole"));
  now += 1;
  const torn = await mustAdd(theirs, sampleReport("torn"));
  for (const name of await readdir(inside("claimed")))
    if (!name.startsWith(`${(await theirs.list())[0]?.label.id}`))
      await rename(inside("claimed", name), inside("new", name));
  const tornPath = inside(
    "new",
    (await readdir(inside("new"))).find((name) => name.startsWith(torn.id)) ?? "",
  );
  await truncate(join(tornPath, "entry.json"), 100);
  const ours = await open();
  await ours.prune();
  assert.deepEqual(ours.pruned.recovered.sort(), (await ours.list()).map(({ label }) => label.id).sort());
  assert.deepEqual(await states(ours), ["pending", "pending"]);
  assert.equal((await ours.list())[1]?.label.id, whole.id);
  assert.deepEqual(warnings.length, 1);
  assert.match(
    warnings[0] ?? "",
    new RegExp(
      `^Report ${torn.id} cannot be used: entry.json is not JSON, or only a part of it is there. It was set aside as set-aside/new\\.`,
    ),
  );
  const aside = await ours.listSetAside();
  const reason = "entry.json is not JSON, or only a part of it is there.";
  assert.deepEqual(
    aside.map((one) => [one.id, one.at, one.reason]),
    [[torn.id, new Date(now).toISOString(), reason]],
  );
  assert.deepEqual(ours.pruned.setAside, aside);
  await ours.close();
});

test("what lives is left alone by pruning", async () => {
  const mine = await open();
  const claimed = await mustAdd(mine, sampleReport("a"));
  const other = await open();
  await other.prune();
  assert.deepEqual(other.pruned, NOTHING);
  await claimed.settle(wait);
  await Promise.all([mine.close(), other.close()]);
  assert.deepEqual(await readdir(inside("owners")), []);
});

test("foreign names are set aside, and nothing else suffers", async () => {
  const journal = await open();
  await (await mustAdd(journal, sampleReport("a"))).settle(wait);
  for (const state of ["new", "pending", "claimed", "done", "abandoned", "removed"])
    await mkdir(inside(state, "lost+found"));
  await writeFile(inside("pending", ".DS_Store"), "x");
  await journal.prune();
  assert.equal(warnings.length, 7);
  assert.match(
    warnings[0] ?? "",
    /^There is something foreign in new: "lost\+found"\. It was set aside as set-aside\/new\.lost\+found\.[0-9a-z]+-[0-9a-f]{6}\.$/,
  );
  assert.equal((await journal.listSetAside()).length, 7);
  assert.deepEqual(await states(journal), ["pending"]);
  await journal.close();
});

test("a damaged entry is set aside when it is to be sent, with the reason; what can be made again is done without", async () => {
  const damages: [string, (path: string) => Promise<void>, string | null][] = [
    [
      "entry.json cut",
      (path) => truncate(join(path, "entry.json"), 50),
      "entry.json is not JSON, or only a part of it is there.",
    ],
    [
      "entry.json empty",
      (path) => truncate(join(path, "entry.json"), 0),
      "entry.json is not JSON, or only a part of it is there.",
    ],
    [
      "entry.json of zeros",
      (path) => writeFile(join(path, "entry.json"), Buffer.alloc(4096)),
      "entry.json is not JSON, or only a part of it is there.",
    ],
    ["entry.json gone", (path) => rm(join(path, "entry.json")), "entry.json is missing."],
    [
      "entry.json a directory",
      async (path) => {
        await rm(join(path, "entry.json"));
        await mkdir(join(path, "entry.json"));
      },
      "entry.json is no regular file (EINVAL).",
    ],
    [
      "level1 cut",
      (path) => truncate(join(path, "level1"), 3),
      "level1 is not what was written: its SHA-256 differs.",
    ],
    ["level1 gone", (path) => rm(join(path, "level1")), "level1 is missing."],
    [
      "answer.json cut",
      (path) => truncate(join(path, "answer.json"), 10),
      "answer.json is not JSON, or only a part of it is there.",
    ],
    ["archive changed", (path) => writeFile(join(path, "archive"), "x"), null],
    ["archive gone", (path) => rm(join(path, "archive")), null],
    ["archive.json cut", (path) => truncate(join(path, "archive.json"), 10), null],
    ["progress.json cut", (path) => truncate(join(path, "progress.json"), 10), null],
  ];
  const journal = await open();
  for (const [name, damage, problem] of damages) {
    warnings = [];
    const claimed = await mustAdd(journal, sampleReport(name));
    await claimed.beginAttempt(1);
    await claimed.keepAnswer({ status: 200, body: Buffer.from("iData=1"), receivedAt: now });
    await claimed.keepArchive(archiveOf(ARCHIVE));
    await claimed.settle(wait);
    await damage(await onlyIn("pending"));
    const [entry] = await journal.list(["pending"]);
    assert.ok(entry);
    const again = await journal.claim(entry);
    assert.equal(warnings.length, 1, name);
    if (problem === null) {
      assert.ok(again?.answer, name);
      assert.ok((again.archive === null) !== (again.attempts.length === 0), name);
      await again.settle({ state: "abandoned", reason: "" });
    } else {
      assert.equal(again, null, name);
      assert.ok(
        warnings[0]?.startsWith(`Report ${claimed.id} cannot be used: ${problem} It was set aside`),
        warnings[0],
      );
    }
  }
  assert.equal((await journal.listSetAside()).length, 8);
  await journal.close();
});

test("retry makes what waits or was given up due at once, its bounds counted anew", async () => {
  const journal = await open();
  const claimed = await mustAdd(journal, sampleReport("a"));
  await claimed.beginAttempt(1);
  await claimed.endAttempt(OK);
  await assert.rejects(journal.retry(claimed.id), { code: "CER_ENTRY_BUSY" });
  await claimed.settle({ state: "abandoned", reason: "status 401" });
  now += 1;
  assert.equal((await journal.retry(claimed.id.slice(-6))).state, "pending");
  const again = await claimOnly(journal);
  assert.deepEqual([again.counted, again.attempts.length], [{ count: 0, age: 0 }, 1]);
  await again.settle({ state: "done", receipt: receiptOf(again, now) });
  await assert.rejects(journal.retry(claimed.id), {
    code: "CER_NO_ENTRY",
    message: `Report ${claimed.id} was delivered already.`,
  });
  await journal.close();
});

test("drop removes an entry in any state but the one being sent; a name must name one", async () => {
  const journal = await open();
  const first = await mustAdd(journal, sampleReport("a"));
  now += 1;
  const second = await mustAdd(journal, sampleReport("b"));
  await assert.rejects(journal.drop(first.id), {
    code: "CER_ENTRY_BUSY",
    message: `Report ${first.id} is being sent by another process.`,
  });
  await first.settle({ state: "abandoned", reason: "" });
  await second.settle({ state: "done", receipt: receiptOf(second, now) });
  await assert.rejects(journal.find("2026"), {
    code: "CER_USAGE",
    message: /^More than one report \(2\)/,
  });
  await assert.rejects(journal.find("\u001b[2J"), {
    message: /^No report in the journal .* is called "\\u001b\[2J"\.$/,
  });
  await journal.drop(first.id);
  await journal.drop(second.id);
  assert.deepEqual([await states(journal), await readdir(inside("removed"))], [[], []]);
  await journal.close();
});

test("a receipt is removed after seven days, and not before", async () => {
  const journal = await open();
  const done = await mustAdd(journal, sampleReport("done"));
  await done.settle({ state: "done", receipt: receiptOf(done, NOON) });
  now = NOON + 7 * DAY;
  await journal.prune();
  assert.deepEqual(journal.pruned, NOTHING);
  now += 1;
  await journal.prune();
  assert.deepEqual(journal.pruned, { ...NOTHING, removed: [done.id] });
  await journal.close();
});

test("a step of the tidying that fails is told of, and the others are done", async () => {
  const journal = await open();
  await chmod(inside("repeats"), 0o700);
  const done = await mustAdd(journal, sampleReport("done"));
  await done.settle({ state: "done", receipt: receiptOf(done, NOON) });
  await rm(inside("repeats"), { recursive: true });
  await writeFile(inside("repeats"), "");
  now += 8 * DAY;
  await journal.prune();
  assert.deepEqual(journal.pruned.removed, [done.id]);
  assert.deepEqual(warnings, ["Tidying the journal failed in one part (ENOTDIR)."]);
  await journal.close();
});

test("the turn that somebody tidied away is made anew", async () => {
  const journal = await open();
  await rm(inside("turn/free"));
  await (await mustAdd(journal, sampleReport("a"))).settle(wait);
  assert.deepEqual(await readdir(inside("turn")), ["free"]);
  await journal.close();
});

test("an entry that cannot be taken does not hold up the others", async () => {
  const real = hastyDisk();
  const denied = Object.assign(new Error("EACCES"), { code: "EACCES" });
  const journal = await open({
    disk: {
      ...real,
      rename: (from, to) => (from.includes(stuck) ? Promise.reject(denied) : real.rename(from, to)),
    },
  });
  let stuck = "nothing";
  const first = await mustAdd(journal, sampleReport("a"));
  await first.settle(wait);
  now += 1;
  const second = await mustAdd(journal, sampleReport("b"));
  await second.settle(wait);
  stuck = first.id;
  const taken: string[] = [];
  for await (const { claimed } of journal.claimDue()) taken.push(claimed.id);
  assert.deepEqual(taken, [second.id]);
  assert.deepEqual(warnings, [
    `Report ${first.id} cannot be taken. The journal cannot be written to: permission denied (EACCES).`,
  ]);
  await journal.close();
});

test("listing reads names only", async () => {
  const journal = await open();
  const label: Listed["label"] = {
    id: "20260101-000000000-aaaaaa",
    bytes: 5,
    identity: "0".repeat(16),
    signature: "0".repeat(8),
    mark: formatTime(0),
  };
  await writeFile(
    inside("pending", `${label.id}.5.${label.identity}.${label.signature}.0`),
    "not even a directory",
  );
  assert.deepEqual(await journal.list(), [{ state: "pending", label, createdAt: Date.UTC(2026, 0, 1) }]);
  assert.equal(await journal.claim({ state: "pending", label, createdAt: 0 }), null);
  assert.match(warnings[0] ?? "", /cannot be used: entry.json is missing/);
  await journal.close();
});
