import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeReceipt,
  formatReceipt,
  parseReceipt,
  type Receipt,
  verifyReceipt,
  withoutCredentials,
} from "../../../src/journal/entry/receipt.ts";
import { quote } from "../../../src/printable.ts";
import { sha256 } from "../../support/bytes.ts";
import { NOON } from "../../support/journal/samples.ts";

const LEVEL1 = Buffer.from("the report");
const ARCHIVE = Buffer.from("the cabinet");
const body = (bytes: Buffer) => ({ open: () => Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]) });

const RECEIPT: Receipt = {
  id: "20261124-120000000-k3f9x2",
  createdAt: NOON,
  deliveredAt: NOON + 61_000,
  event: {
    identity: "ab".repeat(32),
    eventType: "SetupFailed",
    eventTime: 2n ** 64n - 1n,
    application: "setup.exe",
  },
  url: "https://cer.example:1273/stage2.htm",
  level1: { bytes: LEVEL1.length, sha256: sha256(LEVEL1) },
  bucket: "99999999999999999999",
  bucketTable: "5",
  dumpFile: "\\upload\\a.cab",
  archive: {
    name: "a.cab",
    bytes: ARCHIVE.length,
    sha256: sha256(ARCHIVE),
    files: [
      { name: "setup.log", bytes: 12, sha256: null },
      { name: "report.xml", bytes: LEVEL1.length, sha256: sha256(LEVEL1) },
    ],
  },
  attempts: [
    { level: 1, startedAt: NOON, endedAt: null, status: null, errorCode: null, peer: null },
    {
      level: 1,
      startedAt: NOON + 1000,
      endedAt: NOON + 1100,
      status: 200,
      errorCode: null,
      peer: { address: "192.0.2.1", tlsFingerprint: "AA:BB" },
    },
    {
      level: 2,
      startedAt: NOON + 2000,
      endedAt: NOON + 2100,
      status: 503,
      errorCode: "CER_STATUS",
      peer: { address: "192.0.2.1", tlsFingerprint: null },
    },
    {
      level: 2,
      startedAt: NOON + 3000,
      endedAt: NOON + 3100,
      status: null,
      errorCode: "CER_TIMEOUT",
      peer: null,
    },
  ],
  consent: { level: "all", setBy: "/etc/cer.json" },
  declined: 2,
  redacted: 3,
};

test("a receipt is read back as it was written", () => {
  assert.deepEqual(parseReceipt(encodeReceipt(RECEIPT).toString()), RECEIPT);
  const least = { ...RECEIPT, archive: null, bucket: null, bucketTable: null, dumpFile: null, attempts: [] };
  assert.deepEqual(parseReceipt(encodeReceipt(least).toString()), least);
});

test("a receipt begins with its version and its seal, and has no credentials in it", () => {
  const text = encodeReceipt({
    ...RECEIPT,
    url: "https://ann:s3c@ret@cer.example:1273/stage2.htm",
  }).toString();
  assert.match(
    text,
    /^\{\n {2}"version": 1,\n {2}"seal": "[0-9a-f]{64}",\n {2}"id": "20261124-120000000-k3f9x2",\n/,
  );
  assert.match(text, /"url": "https:\/\/cer\.example:1273\/stage2\.htm"/);
  assert.doesNotMatch(text, /ann|s3c|ret@/);
});

test("credentials are removed from a URL, and nothing else is", () => {
  assert.equal(withoutCredentials("http://a:b@h:1/x@y"), "http://h:1/x@y");
  assert.equal(withoutCredentials("http://a@[::1]:1/"), "http://[::1]:1/");
  assert.equal(withoutCredentials("http://h:1/x@y?z=a@b"), "http://h:1/x@y?z=a@b");
  assert.equal(withoutCredentials("http://a:p@ss@h:1/"), "http://h:1/");
});

test("what is changed in a receipt breaks its seal: every digit of every value", async () => {
  const text = encodeReceipt(RECEIPT).toString();
  assert.deepEqual(await verifyReceipt(text), [
    { what: "receipt", ok: true, detail: "is as it was written" },
  ]);
  for (const match of text.matchAll(/[0-9]/g)) {
    const digit = match[0] === "1" ? "2" : "1";
    const changed = text.slice(0, match.index) + digit + text.slice(match.index + 1);
    const checks = await verifyReceipt(changed).catch((error) => [error.code]);
    assert.ok(
      checks[0] === "CER_DAMAGED" || checks[0].ok === false,
      `${match.index}: ${text.slice(match.index - 20, match.index + 5)}`,
    );
  }
});

test("a receipt without a seal, or with a line moved, is not as it was written", async () => {
  const text = encodeReceipt(RECEIPT).toString();
  for (const changed of [
    text.replace(/ {2}"seal": .*\n/, ""),
    text.replace(/\n$/, ""),
    text.replaceAll("  ", " "),
  ])
    assert.deepEqual(await verifyReceipt(changed), [
      { what: "receipt", ok: false, detail: "was changed after it was written" },
    ]);
});

test("the bytes that were sent are compared by size and hash", async () => {
  const text = encodeReceipt(RECEIPT).toString();
  assert.deepEqual((await verifyReceipt(text, { level1: body(LEVEL1), archive: body(ARCHIVE) })).slice(1), [
    { what: "level1", ok: true, detail: `10 bytes, SHA-256 ${sha256(LEVEL1)}` },
    { what: "archive", ok: true, detail: `11 bytes, SHA-256 ${sha256(ARCHIVE)}` },
  ]);
  const other = Buffer.from("The cabinet");
  assert.deepEqual((await verifyReceipt(text, { archive: body(other) })).slice(1), [
    { what: "archive", ok: false, detail: `has SHA-256 ${sha256(other)}, was sent with ${sha256(ARCHIVE)}` },
  ]);
  assert.deepEqual((await verifyReceipt(text, { archive: body(LEVEL1) })).slice(1), [
    { what: "archive", ok: false, detail: "is 10 bytes, was sent as 11" },
  ]);
  const none = encodeReceipt({ ...RECEIPT, archive: null }).toString();
  assert.deepEqual((await verifyReceipt(none, { archive: body(ARCHIVE) })).slice(1), [
    { what: "archive", ok: false, detail: "was never sent, says the receipt" },
  ]);
});

test("people read every fact of a receipt, one a line", () => {
  assert.deepEqual(formatReceipt(RECEIPT, quote).split("\n"), [
    "Report     20261124-120000000-k3f9x2",
    'Event      "SetupFailed" of "setup.exe"',
    `Identity   ${"ab".repeat(32)}`,
    "Made       2026-11-24T12:00:00.000Z",
    'Delivered  2026-11-24T12:01:01.000Z to "https://cer.example:1273/stage2.htm"',
    `Level 1    10 bytes, SHA-256 ${sha256(LEVEL1)}`,
    "Bucket     99999999999999999999, table 5",
    `Level 2    "a.cab", 11 bytes, SHA-256 ${sha256(ARCHIVE)}`,
    'DumpFile   "\\upload\\a.cab"',
    '           "setup.log", 12 bytes',
    '           "report.xml", 10 bytes',
    "Declined   2",
    "Redacted   3",
    'Consent    "all", set by "/etc/cer.json"',
    "Attempt    2026-11-24T12:00:00.000Z level 1: interrupted",
    'Attempt    2026-11-24T12:00:01.000Z level 1: status 200, "192.0.2.1", certificate "AA:BB"',
    'Attempt    2026-11-24T12:00:02.000Z level 2: status 503 (CER_STATUS), "192.0.2.1"',
    "Attempt    2026-11-24T12:00:03.000Z level 2: no answer (CER_TIMEOUT)",
    "",
  ]);
});

test("a hostile receipt is an error or a receipt, and never writes to the terminal what it likes", () => {
  const text = encodeReceipt(RECEIPT).toString();
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(40), fc.string({ unit: "binary" }), (at, length, junk) => {
      const changed = Buffer.from(text.slice(0, at) + junk + text.slice(at + length)).toString();
      let receipt: Receipt;
      try {
        receipt = parseReceipt(changed);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, "CER_DAMAGED");
        return;
      }
      assert.doesNotMatch(formatReceipt(receipt, quote).replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f]/);
    }),
    { numRuns: 300 },
  );
  const escaping = "\u001b]0;x\u0007";
  for (const change of [{ id: escaping }, { bucket: escaping }, { bucketTable: escaping }])
    assert.throws(() => parseReceipt(encodeReceipt({ ...RECEIPT, ...change }).toString()), {
      code: "CER_DAMAGED",
    });
});
