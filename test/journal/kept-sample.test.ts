import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { ClaimedReport } from "../../src/journal/claimed-report.ts";
import { encodeEntry, encodeProgress } from "../../src/journal/entry/documents.ts";
import { entryPath, formatLabel } from "../../src/journal/entry/layout.ts";
import { encodeReceipt, verifyReceipt } from "../../src/journal/entry/receipt.ts";
import type { Journal, Shown } from "../../src/journal/journal.ts";
import { readAll } from "../support/bytes.ts";
import { ABANDONED, ANSWERED, copyKeptJournal, DONE, LATER, TRIED } from "../support/journal/kept-sample.ts";
import { hastyDisk, mustOpen, sampleDeps } from "../support/journal/samples.ts";

let base = "";
let journal: Journal;
let warnings: string[] = [];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "cer-kept-"));
  await copyKeptJournal(join(base, "cer"));
  const deps = await sampleDeps({ disk: hastyDisk(), now: () => LATER });
  journal = await mustOpen(join(base, "cer"), deps);
  warnings = deps.warnings;
});
afterEach(async () => {
  await journal.close();
  await rm(base, { recursive: true, force: true });
});

const at = (iso: string) => Date.parse(`2026-11-26T${iso}Z`);
const show = async (id: string): Promise<Shown> => journal.show(await journal.find(id));

async function claim(id: string): Promise<ClaimedReport> {
  const claimed = await journal.claim(await journal.find(id));
  if (claimed === null) throw new Error(`${id} cannot be claimed`);
  return claimed;
}

const PEER = { address: "127.0.0.1", tlsFingerprint: null };
const ATTEMPTS_OF_ANSWERED = [
  {
    level: 1,
    startedAt: at("18:56:45.983"),
    endedAt: at("18:56:45.994"),
    status: 200,
    errorCode: null,
    peer: PEER,
  },
  {
    level: 2,
    startedAt: at("18:56:46.008"),
    endedAt: at("18:56:46.011"),
    status: 503,
    errorCode: "CER_STATUS",
    peer: PEER,
  },
];
const ATTEMPTS_OF_TRIED = [
  {
    level: 1,
    startedAt: at("18:56:45.897"),
    endedAt: at("18:56:45.901"),
    status: null,
    errorCode: "CER_UNREACHABLE",
    peer: null,
  },
];
const SETTINGS = {
  rules: {
    policy: {
      consent: "all",
      level2: true,
      allow: {},
      deny: {},
      maxFileSize: 33_554_432,
      maxTotalSize: 134_217_728,
    },
    consentFrom: "the command line",
    redact: true,
    anonymize: false,
  },
  archive: { format: "cab", compression: null, splitLarge: false },
};
const EVENT_OF_TRIED = {
  reportType: 1,
  eventType: "KeptTried",
  friendlyEventName: null,
  eventDescription: null,
  eventTime: 133_000_000_000_000_001n,
  machine: { name: "HOST", os: "6.1.7601.2.1.0.256.1", lcid: 1033, oem: null },
  user: { name: "ann" },
  application: null,
  parameters: [{ id: 0, name: "product", value: "1603" }],
  secondaryParameters: [],
  files: [{ path: "/tmp/x/setup.log", name: "setup.log", type: 5 }],
};
const EVENT_OF_ANSWERED = {
  ...EVENT_OF_TRIED,
  eventType: "KeptAnswered",
  friendlyEventName: "Setup failed",
  eventDescription: "Über-Setup „kaputt“",
  eventTime: 2n ** 64n - 1n,
  machine: { name: "HOST", os: "6.1.7601.2.1.0.256.1", lcid: 1033, oem: "Contoso" },
  application: { name: "setup.exe", path: "C:\\setup.exe", company: "Contoso" },
  parameters: [
    { id: 0, name: "product", value: "1603" },
    { id: 1, name: null, value: "plain" },
  ],
  secondaryParameters: [{ name: "log", value: "1" }],
  files: [
    { path: "/tmp/x/setup.mdmp", name: "setup.mdmp", type: 2 },
    { path: "/tmp/x/setup.log", name: "setup.log", type: 5 },
  ],
};
const LOG_HASH = "b5aa49f77a9f4828fe0eccfe88fc15b850b9d0a0986fe7ebfe6f6e7c83d0dea2";
const DUMP_HASH = "4f010e2656af3e398699f00de0f29cae44b9fc6399b6055725b149366b73ecce";

test("every report of a journal of version 1 is listed in its state, and the repeats are counted", async () => {
  const listed = await journal.list();
  assert.deepEqual(
    listed.map(({ state, label, createdAt }) => [state, formatLabel(label), createdAt]),
    [
      ["pending", `${TRIED}.3v9.6cb47ffa8138f2d2.72deec64.mwxwzv3w`, at("18:56:45.887")],
      ["pending", `${ANSWERED}.5f2.122b581204a838cf.f8b316aa.mwxx0piu`, at("18:56:45.972")],
      ["done", `${DONE}.0.11219d1e3ed502e9.30edda49.mwxwyxin`, at("18:56:46.087")],
      ["abandoned", `${ABANDONED}.3ne.7dc0bfacfbf860a0.b592bd4b.mwxwyxn0`, at("18:56:46.265")],
    ],
  );
  assert.deepEqual(await journal.repeats(await journal.find(DONE)), { duplicates: 1, suppressed: 0 });
  assert.deepEqual(await journal.listSetAside(), []);
});

test("a waiting report that was answered is shown whole", async () => {
  const { record, progress, receipt, time } = await show(ANSWERED);
  assert.deepEqual(record, {
    id: ANSWERED,
    createdAt: at("18:56:45.972"),
    identity: "122b581204a838cf462be47b91120f2a9d3279dfa2735b8c100bd9f252db4ba5",
    timeGiven: true,
    destination: {
      origin: { scheme: "http", host: "127.0.0.1", port: 1273 },
      path: "/stage2.htm",
      from: "the command line",
    },
    consent: { level: "all", setBy: "the command line" },
    level1: { size: 1452, sha256: "956f4409fa3b2f8179f6b4ae6eab33c1f170c898d01bf1f6d2421517c7ab22df" },
    imported: false,
    settings: SETTINGS,
    event: EVENT_OF_ANSWERED,
    attachments: [
      {
        original: "/tmp/x/setup.mdmp",
        how: "copied",
        size: 25,
        modifiedAt: at("18:56:45.810"),
        sha256: DUMP_HASH,
        why: null,
      },
      {
        original: "/tmp/x/setup.log",
        how: "copied",
        size: 53,
        modifiedAt: at("18:56:45.810"),
        sha256: LOG_HASH,
        why: null,
      },
    ],
  });
  assert.deepEqual(progress, {
    attempts: ATTEMPTS_OF_ANSWERED,
    countedFrom: 0,
    reason: "http://127.0.0.1:1273/Cabs/7.cab answered 503 and did not take the archive.",
  });
  assert.equal(receipt, null);
  assert.equal(time, Number.parseInt("mwxx0piu", 36));
  assert.deepEqual(warnings, []);
});

test("a delivered report is its receipt, and the receipt's seal holds", async () => {
  const { record, progress, receipt, listed } = await show(DONE);
  assert.deepEqual([record, progress], [null, null]);
  assert.deepEqual(receipt, {
    id: DONE,
    createdAt: at("18:56:46.087"),
    deliveredAt: at("18:56:46.127"),
    event: {
      identity: "11219d1e3ed502e9c3fe0e3a456e55e6fcc4b02f36374a2ed70a05ffcf35e4a2",
      eventType: "KeptDone",
      eventTime: 133_000_000_000_000_003n,
      application: "setup.exe",
    },
    url: "http://127.0.0.1:1273/stage2.htm",
    level1: { bytes: 974, sha256: "bc61e7eccc7f7612e69e7c08ea5f532073d488086ed27dffb76d480025b2e7fd" },
    bucket: "508",
    bucketTable: "5",
    dumpFile: "\\Cabs\\8.cab",
    archive: {
      name: "8.cab",
      bytes: 1097,
      sha256: "b2bf48326e110476dafba4b9f112ca1552f56d65fc801304a478324bca41c756",
      files: [
        {
          name: "report.xml",
          bytes: 974,
          sha256: "bc61e7eccc7f7612e69e7c08ea5f532073d488086ed27dffb76d480025b2e7fd",
        },
        {
          name: "setup.log",
          bytes: 56,
          sha256: "3c634e12a8a7f9710e1e720fbfd2720af3213c33f48b5c23df6916897d89161a",
        },
        {
          name: "manifest.json",
          bytes: 1136,
          sha256: "7939e55ac4235e1649796b52524f0ae954d88b58dc8974a84af81fe0ee959ef1",
        },
      ],
    },
    attempts: [
      {
        level: 1,
        startedAt: at("18:56:46.099"),
        endedAt: at("18:56:46.110"),
        status: 200,
        errorCode: null,
        peer: PEER,
      },
      {
        level: 2,
        startedAt: at("18:56:46.123"),
        endedAt: at("18:56:46.126"),
        status: 200,
        errorCode: null,
        peer: PEER,
      },
    ],
    consent: { level: "all", setBy: "the command line" },
    declined: 1,
    redacted: 1,
  });
  const bytes = await readFile(`${entryPath(join(base, "cer"), "done", listed.label)}/receipt.json`);
  assert.deepEqual(await verifyReceipt(bytes.toString()), [
    { what: "receipt", ok: true, detail: "is as it was written" },
  ]);
  assert.equal(encodeReceipt(receipt ?? assert.fail()).toString(), bytes.toString());
});

test("a report given up says why", async () => {
  const { record, progress, time } = await show(ABANDONED);
  assert.equal(record?.event.eventType, "KeptAbandoned");
  assert.equal(progress?.reason, "CER_STATUS (status 403) will not change by trying again");
  assert.equal(time, Number.parseInt("mwxwyxn0", 36));
});

test("what is read of an entry says all that was written, in today's documents too", async () => {
  for (const id of [TRIED, ANSWERED, ABANDONED]) {
    const { listed, record, progress } = await show(id);
    const path = entryPath(join(base, "cer"), listed.state, listed.label);
    const kept = await readFile(`${path}/entry.json`, "utf8");
    assert.deepEqual(JSON.parse(encodeEntry(record ?? assert.fail()).toString()), JSON.parse(kept));
    assert.equal(
      encodeProgress(progress ?? assert.fail()).toString(),
      await readFile(`${path}/progress.json`, "utf8"),
    );
  }
});

test("a waiting report is claimed with its event, its files, its level 1 bytes and its attempts", async () => {
  const claimed = await claim(TRIED);
  const [listed] = await journal.list(["claimed"]);
  const stored = `${entryPath(join(base, "cer"), "claimed", listed?.label ?? assert.fail())}/files/0`;
  assert.deepEqual(claimed.record.event, EVENT_OF_TRIED);
  assert.deepEqual(claimed.stored, [stored]);
  assert.equal(await readFile(stored, "utf8"), "setup failed: error 1603\r\nuser=ann password=hunter2\r\n");
  assert.deepEqual(
    claimed.attachments.map(({ how, state }) => [how, state]),
    [["copied", "as kept"]],
  );
  assert.equal(claimed.level1.length, 864);
  assert.deepEqual(claimed.attempts, ATTEMPTS_OF_TRIED);
  assert.deepEqual(claimed.counted, { count: 1, age: 0 });
  assert.deepEqual([claimed.answer, claimed.archive], [null, null]);
  assert.equal(claimed.reason, "http://127.0.0.1:1: the connection was refused (ECONNREFUSED).");
  await claimed.settle({ state: "pending", due: null, reason: null });
});

test("a waiting report that was answered is claimed with the answer and the archive", async () => {
  const claimed = await claim(ANSWERED);
  assert.deepEqual(claimed.answer, {
    status: 200,
    receivedAt: at("18:56:45.994"),
    body: Buffer.from(
      "Bucket=507\r\nBucketTable=5\r\niData=1\r\nDumpFile=\\Cabs\\7.cab\r\nGetFile=/tmp/x/gone.log\r\n",
    ),
  });
  const { open, ...facts } = claimed.archive ?? assert.fail();
  assert.deepEqual(facts, {
    size: 1396,
    sha256: "9e1665a8e509f080ce2feb58b1ff7f992945ab8de1b6c14619e9cfc9e3f9730d",
    about: {
      files: [
        { name: "setup.mdmp", bytes: 25, sha256: DUMP_HASH },
        {
          name: "report.xml",
          bytes: 1452,
          sha256: "956f4409fa3b2f8179f6b4ae6eab33c1f170c898d01bf1f6d2421517c7ab22df",
        },
        {
          name: "setup.log",
          bytes: 56,
          sha256: "3c634e12a8a7f9710e1e720fbfd2720af3213c33f48b5c23df6916897d89161a",
        },
        {
          name: "manifest.json",
          bytes: 1527,
          sha256: "52bfe39e207fc13d7afcb00726440a9a738b8e6e33fdf1215f354ec3d67513da",
        },
      ],
      declined: [{ kind: "GetFile", item: "/tmp/x/gone.log", reason: "there is no such file" }],
      warnings: [],
      mediaType: "application/vnd.ms-cab-compressed",
      redacted: 1,
    },
  });
  const bytes = await readAll(open());
  assert.equal(createHash("sha256").update(bytes).digest("hex"), facts.sha256);
  assert.deepEqual(claimed.attempts, ATTEMPTS_OF_ANSWERED);
  assert.deepEqual(claimed.record.event, EVENT_OF_ANSWERED);
  await claimed.settle({ state: "pending", due: null, reason: null });
  assert.deepEqual(warnings, []);
});

test("answer and archive, kept once more, are the same documents to the byte", async () => {
  const claimed = await claim(ANSWERED);
  const names = ["answer.json", "archive.json", "archive"];
  const read = () => Promise.all(names.map((name) => readFile(join(claimed.path, name))));
  const before = await read();
  await claimed.keepAnswer(claimed.answer ?? assert.fail());
  await claimed.keepArchive(claimed.archive ?? assert.fail());
  assert.deepEqual(await read(), before);
  await claimed.settle({ state: "pending", due: null, reason: null });
});
