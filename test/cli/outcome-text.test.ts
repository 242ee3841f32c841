import assert from "node:assert/strict";
import { test } from "node:test";
import { formatOutcome } from "../../src/cli/outcome-text.ts";
import type { Paint } from "../../src/context.ts";
import { describeError, failedOutcome, NOTHING_EXCHANGED, type Outcome } from "../../src/delivery/outcome.ts";
import { CerError, type CerErrorCode } from "../../src/errors.ts";
import type { Declined } from "../../src/journal/entry/documents.ts";

const plain: Paint = (_, text) => text;

const URL1 = "http://h:1273/stage2.htm";
const REPORTED: Outcome = {
  outcome: "reported",
  bucket: "502",
  bucketTable: "5",
  responseUrl: null,
  level1: { url: URL1, status: 200, bytes: 1500 },
  level2: null,
  declined: [],
  warnings: [],
  journal: null,
  error: null,
};

const LEVEL2: NonNullable<Outcome["level2"]> = {
  url: "http://h:1273/a/b.cab",
  status: 200,
  archive: {
    name: "b.cab",
    bytes: 1500,
    sha256: "00",
    files: [
      { name: "report.xml", bytes: 1, sha256: "00" },
      { name: "manifest.json", bytes: 1, sha256: null },
    ],
  },
};

const UPLOADED: Outcome = { ...REPORTED, outcome: "uploaded", level2: LEVEL2 };

function withError(base: Outcome, code: CerErrorCode, message: string, hint?: string): Outcome {
  const outcome = code === "CER_STATUS" || code === "CER_NOT_CER" ? "refused" : "failed";
  return {
    ...base,
    outcome,
    error: describeError(new CerError(code, message, hint === undefined ? {} : { hint })),
  };
}

function declined(items: number): Declined[] {
  return Array.from({ length: items }, (_, at) => ({
    kind: "GetFile",
    item: `f${at}`,
    reason: "not allowed",
  }));
}

test("the lines for people, outcome by outcome", () => {
  const cases: [outcome: Outcome, lines: string[]][] = [
    [REPORTED, [`Reported to ${URL1}: bucket 502 in table 5`, "There is nothing to upload."]],
    [
      { ...REPORTED, bucketTable: null, responseUrl: "http://x/" },
      [`Reported to ${URL1}: bucket 502`, "There is nothing to upload.", "The server points to http://x/"],
    ],
    [
      { ...REPORTED, bucket: null, bucketTable: null },
      [`Reported to ${URL1}`, "There is nothing to upload."],
    ],
    [
      { ...REPORTED, declined: declined(1) },
      [
        `Reported to ${URL1}: bucket 502 in table 5`,
        "Nothing was uploaded.",
        "Not sent: GetFile f0: not allowed",
      ],
    ],
    [
      UPLOADED,
      [
        `Reported to ${URL1}: bucket 502 in table 5`,
        "Uploaded b.cab (1.5 KiB, 2 files) to http://h:1273/a/b.cab",
      ],
    ],
    [
      { ...UPLOADED, declined: declined(5), responseUrl: "https://x" },
      [
        `Reported to ${URL1}: bucket 502 in table 5`,
        "Uploaded b.cab (1.5 KiB, 2 files) to http://h:1273/a/b.cab",
        "Not sent: GetFile f0: not allowed",
        "Not sent: GetFile f1: not allowed",
        "Not sent: GetFile f2: not allowed",
        "Not sent: 2 more items (--json lists them)",
        "The server points to https://x",
      ],
    ],
    [
      failedOutcome(new CerError("CER_UNREACHABLE", "no route", { hint: "Check." })),
      ["Not delivered: no route", "Check.", "The report was neither kept nor sent."],
    ],
    [
      failedOutcome(new CerError("CER_INTERNAL", "odd\u001b[2J")),
      ["Not delivered: odd[2J", "The report was neither kept nor sent."],
    ],
    [
      withError(
        { ...REPORTED, bucket: null, level1: { url: URL1, status: 404, bytes: 1 } },
        "CER_STATUS",
        "404",
      ),
      ["Not delivered: 404", "It is not kept: no later run tries it again."],
    ],
    [
      withError({ ...REPORTED, bucket: null }, "CER_NOT_CER", "a page"),
      ["Not delivered: a page", "It is not kept: no later run tries it again."],
    ],
    [
      withError({ ...REPORTED, bucket: null, bucketTable: null }, "CER_ARCHIVE", "disk full"),
      [`Reported to ${URL1}`, "Not delivered: disk full", "It is not kept: no later run tries it again."],
    ],
    [
      withError({ ...REPORTED, level2: { ...LEVEL2, status: 500 } }, "CER_STATUS", "500", "Later."),
      [
        `Reported to ${URL1}: bucket 502 in table 5`,
        "Not delivered: 500",
        "Later.",
        "It is not kept: no later run tries it again.",
      ],
    ],
    [
      withError(
        { ...REPORTED, bucket: null, bucketTable: null, level2: { ...LEVEL2, status: null } },
        "CER_NOT_CER",
        "no HTTP",
      ),
      [`Reported to ${URL1}`, "Not delivered: no HTTP", "It is not kept: no later run tries it again."],
    ],
  ];
  for (const [outcome, lines] of cases) assert.deepEqual(formatOutcome(outcome, plain), lines);
});

test("what the journal holds is said last", () => {
  const at = "2008-03-11T07:01:59.648Z";
  const nothing: Outcome = { ...REPORTED, ...NOTHING_EXCHANGED };
  const note = (
    state: "done" | "pending" | "claimed" | "abandoned" | "suppressed",
    when: string | null = at,
  ) => ({
    journal: { id: "ID", state, at: when },
  });
  const later = withError(nothing, "CER_UNREACHABLE", "refused", "Check.");
  const cases: [outcome: Outcome, lines: string[]][] = [
    [
      { ...REPORTED, ...note("done") },
      [`Reported to ${URL1}: bucket 502 in table 5`, "There is nothing to upload."],
    ],
    [
      { ...later, outcome: "deferred", ...note("pending") },
      [
        "Not delivered yet: refused",
        "Check.",
        `Kept as ID; "cer flush" sends what waits, this one from ${at}.`,
      ],
    ],
    [
      { ...later, outcome: "deferred", ...note("pending", null) },
      ["Not delivered yet: refused", "Check.", 'Kept as ID; "cer flush" sends what waits.'],
    ],
    [
      { ...later, ...note("abandoned") },
      [
        "Not delivered: refused",
        "Check.",
        'Given up; kept as ID to be read ("cer queue show ID") or retried.',
      ],
    ],
    [
      { ...nothing, outcome: "duplicate", bucket: "502", ...note("done") },
      [`Not sent again: the same event was delivered at ${at}, bucket 502 (ID).`],
    ],
    [
      { ...nothing, outcome: "duplicate", ...note("done") },
      [`Not sent again: the same event was delivered at ${at} (ID).`],
    ],
    [
      { ...nothing, outcome: "duplicate", ...note("claimed", null) },
      ["Not sent: the same event is being sent by another process (ID)."],
    ],
    [
      { ...nothing, outcome: "suppressed", ...note("suppressed") },
      [`Dropped: too many reports of this kind in an hour; the next one is let through at ${at}.`],
    ],
  ];
  for (const [outcome, lines] of cases) assert.deepEqual(formatOutcome(outcome, plain), lines);
});

test("what a server or a file made up is shown without controls, and short", () => {
  const odd = { kind: "WQL", item: `\u001b[31m${"x".repeat(100)}`, reason: "no\u0007" };
  assert.deepEqual(
    formatOutcome({ ...REPORTED, declined: [odd] }, plain)[2],
    `Not sent: WQL [31m${"x".repeat(75)}…: no`,
  );
});

test("good words, bad words and hints are painted", () => {
  const painted = (outcome: Outcome) => formatOutcome(outcome, (style, text) => `<${style} ${text}>`);
  assert.deepEqual(painted(UPLOADED), [
    `<good Reported> to ${URL1}: bucket 502 in table 5`,
    "<good Uploaded> b.cab (1.5 KiB, 2 files) to http://h:1273/a/b.cab",
  ]);
  assert.deepEqual(painted(failedOutcome(new CerError("CER_TIMEOUT", "m", { hint: "h" }))), [
    "<bad Not delivered>: m",
    "<dim h>",
    "The report was neither kept nor sent.",
  ]);
});
