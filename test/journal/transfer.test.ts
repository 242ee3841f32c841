import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { extract, type Header, pack } from "tar-stream";
import type { ClaimedReport } from "../../src/journal/claimed-report.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { exportParts, importReport, type Part, type TarEntry } from "../../src/journal/transfer.ts";
import { readAll, sha256 } from "../support/bytes.ts";
import {
  ARCHIVE,
  archiveOf,
  hastyDisk,
  mustAdd,
  mustOpen,
  PEER,
  PLAIN,
  sampleDeps,
  sampleReport,
} from "../support/journal/samples.ts";

const disk = hastyDisk();
const MAX = 10_000_000;
let base = "";
let here: Journal;
let there: Journal;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-transfer-"));
  here = await mustOpen(join(base, "here"), await sampleDeps({ disk }));
  there = await mustOpen(join(base, "there"), await sampleDeps({ disk }));
});
afterEach(async () => {
  await Promise.all([here.close(), there.close()]);
  await rm(base, { recursive: true, force: true });
});

async function sample(): Promise<ClaimedReport> {
  await writeFile(join(base, "setup.log"), "the log");
  await writeFile(join(base, "left.log"), "left");
  const files = ["setup.log", "none"].map((name) => ({ path: join(base, name), name, type: 5 as const }));
  const claimed = await mustAdd(here, sampleReport("a", files));
  await claimed.beginAttempt(1);
  await claimed.endAttempt({ status: 200, errorCode: null, peer: PEER });
  await claimed.keepAnswer({ status: 200, body: Buffer.from("iData=1\r\n"), receivedAt: 5 });
  await claimed.keepArchive(archiveOf(ARCHIVE));
  return claimed;
}

type Member = { header: Partial<Header> & { name: string }; body: Buffer };

async function membersOf(claimed: ClaimedReport): Promise<Member[]> {
  const members: Member[] = [];
  for (const part of await exportParts(disk, claimed))
    members.push({ header: { name: part.name }, body: await bytesOf(part) });
  return members;
}

async function bytesOf({ open }: Part): Promise<Buffer> {
  return readAll(open());
}

/** A tar of these members, by tar-stream and back, as the tar module of this program reads it. */
async function* throughTar(members: readonly Member[]): AsyncGenerator<TarEntry> {
  const writing = pack();
  for (const { header, body } of members)
    writing.entry({ ...header }, header.type === undefined ? body : Buffer.alloc(0));
  writing.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of writing) chunks.push(chunk as Uint8Array);
  const reading = extract();
  // An importer that refuses stops reading, of which the streams complain on their own.
  reading.on("error", () => {});
  reading.end(Buffer.concat(chunks));
  for await (const entry of reading) {
    entry.on("error", () => {});
    const { name, type, size } = entry.header;
    yield { name, type: type ?? "file", size: size ?? 0, content: entry as AsyncIterable<Uint8Array> };
  }
}

const take = (members: readonly Member[], max = MAX) => importReport(there, disk, throughTar(members), max);

test("a report that was carried over is the same one: bytes, answer, archive, files, attempts", async () => {
  const claimed = await sample();
  const listed = await take(await membersOf(claimed));
  assert.deepEqual([listed.label.id, listed.state], [claimed.id, "pending"]);
  const copy = await there.claim(listed);
  assert.ok(copy);
  assert.deepEqual(
    { ...copy.record, attachments: [] },
    { ...claimed.record, attachments: [], imported: true },
  );
  assert.deepEqual(copy.level1, claimed.level1);
  assert.deepEqual([copy.answer, copy.attempts], [claimed.answer, claimed.attempts]);
  assert.deepEqual(await readAll(copy.archive?.open() ?? Readable.from([])), ARCHIVE);
  assert.equal(await readFile(copy.stored[0] ?? "", "utf8"), "the log");
  assert.deepEqual(
    copy.attachments.map(({ how, state }) => [how, state]),
    [
      ["copied", "as kept"],
      ["missing", "missing"],
    ],
  );
});

test("a file that was left where it was travels along; a path of another machine is never looked up", async () => {
  await writeFile(join(base, "setup.log"), "the log");
  const files = ["setup.log", "none"].map((name) => ({ path: join(base, name), name, type: 5 as const }));
  const claimed = await mustAdd(here, sampleReport("a", files), { ...PLAIN, copy: false });
  const members = await membersOf(claimed);
  const copy = await there.claim(await take(members));
  assert.equal(await readFile(copy?.stored[0] ?? "", "utf8"), "the log");
  assert.notEqual(copy?.stored[0], join(base, "setup.log"));
  assert.equal(copy?.attachments[1]?.state, "missing");

  // A tar made by hand that says: left at /etc/passwd.
  await there.drop(claimed.id).catch(() => {});
  await copy?.settle({ state: "abandoned", reason: "" });
  await there.drop(claimed.id);
  const entry = JSON.parse(bodyOf(members, "entry.json").toString());
  entry.attachments[0] = { ...entry.attachments[0], how: "left", original: "/etc/passwd", sha256: null };
  const evil = restated(replaced(members, "entry.json", Buffer.from(JSON.stringify(entry))));
  const taken = await there.claim(await take(evil));
  assert.equal(taken?.attachments[0]?.state, "missing");
  assert.ok(!taken?.stored.includes("/etc/passwd"));
});

function bodyOf(members: readonly Member[], name: string): Buffer {
  return members.find(({ header }) => header.name === name)?.body ?? Buffer.alloc(0);
}

function replaced(members: readonly Member[], name: string, body: Buffer): Member[] {
  return members.map((member) => (member.header.name === name ? { ...member, body } : member));
}

/** The members with a table of contents that is true of them. */
function restated(members: readonly Member[], id?: string): Member[] {
  const contents = JSON.parse(bodyOf(members, "transfer.json").toString());
  const parts = members.slice(1).map(({ header, body }) => ({
    name: header.name,
    bytes: body.length,
    sha256: sha256(body),
  }));
  return replaced(
    members,
    "transfer.json",
    Buffer.from(JSON.stringify({ ...contents, id: id ?? contents.id, parts })),
  );
}

test("an archive that is damaged does not travel: the report does, and makes it anew", async () => {
  const claimed = await sample();
  await writeFile(join(claimed.path, "archive"), "damaged");
  await claimed.settle({ state: "pending", due: null, reason: null });
  const [waiting] = await here.list(["pending"]);
  const again = waiting === undefined ? null : await here.claim(waiting);
  assert.ok(again !== null);
  const members = await membersOf(again);
  assert.deepEqual(
    members.map(({ header }) => header.name),
    ["transfer.json", "files/0", "answer.json", "progress.json", "entry.json", "level1"],
  );
  const copy = await there.claim(await take(members));
  assert.deepEqual([copy?.id, copy?.archive, copy?.answer], [claimed.id, null, claimed.answer]);
});

test("whatever is wrong with a tar, it is refused with the reason, and leaves nothing behind", async () => {
  const members = await membersOf(await sample());
  const added = (name: string, header: Partial<Header> = {}) => [
    ...members,
    { header: { name, ...header }, body: Buffer.from("x") },
  ];
  const renamed = (from: string, to: string) =>
    members.map((member) => (member.header.name === from ? { ...member, header: { name: to } } : member));
  const entry = JSON.parse(bodyOf(members, "entry.json").toString());
  const withEntry = (change: object) =>
    restated(
      replaced(members, "entry.json", Buffer.from(JSON.stringify({ ...entry, ...change }))),
      ...("id" in change ? [String(change.id)] : []),
    );
  const cases: [string, readonly Member[], string][] = [
    ["empty", [], "it is empty"],
    ["no contents", members.slice(1), "it does not begin with transfer.json"],
    ["absolute", added("/etc/cron.d/x"), '"/etc/cron.d/x" is in it, which it does not list, or twice'],
    ["climbing", added("files/../../../x"), '"files/../../../x" is in it, which it does not list, or twice'],
    ["unlisted", added("files/7"), '"files/7" is in it, which it does not list, or twice'],
    ["twice", added("level1"), '"level1" is in it, which it does not list, or twice'],
    ["listed absolute", restated(added("/etc/cron.d/x")), '"/etc/cron.d/x" is no part of a report'],
    ["listed climbing", restated(added("files/../../x")), '"files/../../x" is no part of a report'],
    ["listed receipt", restated(added("receipt.json")), '"receipt.json" is no part of a report'],
    [
      "symbolic link",
      added("files/1", { type: "symlink", linkname: "/etc/passwd" }),
      '"files/1" is a symlink',
    ],
    ["hard link", added("files/1", { type: "link", linkname: "level1" }), '"files/1" is a link'],
    ["device", added("files/1", { type: "character-device" }), '"files/1" is a character-device'],
    ["directory", added("files", { type: "directory" }), '"files" is a directory'],
    ["missing", members.filter(({ header }) => header.name !== "level1"), "level1 is missing"],
    [
      "shorter",
      replaced(members, "archive", ARCHIVE.subarray(1)),
      "archive is 299999 bytes long, it lists 300000",
    ],
    [
      "longer",
      replaced(members, "archive", Buffer.concat([ARCHIVE, ARCHIVE])),
      "archive is longer than the 300000 bytes it lists",
    ],
    [
      "other bytes",
      replaced(members, "archive", Buffer.alloc(ARCHIVE.length)),
      "the SHA-256 of archive is not the one it lists",
    ],
    ["a file renamed", restated(renamed("files/0", "files/1")), "files/0 is missing"],
  ];
  for (const [name, tar, why] of cases)
    await assert.rejects(
      take(tar),
      { code: "CER_DAMAGED", message: `This is not an exported report: ${why}. Nothing was imported.` },
      name,
    );
  const inner: [string, readonly Member[], string][] = [
    [
      "contents",
      replaced(members, "transfer.json", Buffer.from("{")),
      "transfer.json is not JSON, or only a part of it is there.",
    ],
    [
      "level1",
      restated(replaced(members, "level1", Buffer.from("x"))),
      "level1 is not what was written: its SHA-256 differs.",
    ],
    [
      "archive",
      restated(replaced(members, "archive", Buffer.from("x"))),
      "archive is not what was written: its SHA-256 differs.",
    ],
    [
      "answer",
      restated(replaced(members, "answer.json", Buffer.from("{}"))),
      "answer.json: body must be text.",
    ],
    ["id", withEntry({ id: "../../../../tmp/x" }), "entry.json: id is not one that cer gives."],
    ["other id", restated(members, "20260101-000000000-aaaaaa"), "entry.json belongs to another entry."],
    ["version", withEntry({ version: 2 }), "entry.json: version must be one of 1."],
    ["identity", withEntry({ identity: "../x" }), "entry.json: identity must be a SHA-256 in hex."],
  ];
  for (const [name, tar, message] of inner)
    await assert.rejects(take(tar), { code: "CER_DAMAGED", message }, name);
  await assert.rejects(take(members, 300_000), {
    message: /^This is not an exported report: it holds \d+ bytes, the bound is 300000\./,
  });
  assert.deepEqual(await there.list(), []);
  for (const left of ["new", "pending", "removed", "set-aside"])
    assert.deepEqual(await readdir(join(base, "there/v1", left)), [], left);
});

test("a report is taken in once", async () => {
  const members = await membersOf(await sample());
  const { label } = await take(members);
  await assert.rejects(take(members), {
    code: "CER_USAGE",
    message: `Report ${label.id} is in the journal already.`,
  });
  assert.equal((await there.list()).length, 1);
});
