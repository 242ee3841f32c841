import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodeFor, failedOutcome, NOTHING_EXCHANGED, type Outcome } from "../../src/delivery/outcome.ts";
import { CerError, type CerErrorCode } from "../../src/errors.ts";

test("the exit code is 0 without an error and else that of its code", () => {
  assert.equal(exitCodeFor({ outcome: "reported", ...NOTHING_EXCHANGED }), 0);
  assert.equal(exitCodeFor({ outcome: "uploaded", ...NOTHING_EXCHANGED }), 0);
  const codes: [CerErrorCode, number][] = [
    ["CER_USAGE", 2],
    ["CER_NO_SERVER", 2],
    ["CER_BAD_SERVER", 2],
    ["CER_CONFIG", 2],
    ["CER_EVENT_JSON", 2],
    ["CER_EVENT_INVALID", 2],
    ["CER_TOO_LONG", 2],
    ["CER_FILE", 2],
    ["CER_UNREACHABLE", 3],
    ["CER_CONNECTION_LOST", 3],
    ["CER_TIMEOUT", 3],
    ["CER_TLS", 3],
    ["CER_PROXY", 3],
    ["CER_AUTH", 3],
    ["CER_REDIRECT", 3],
    ["CER_STATUS", 3],
    ["CER_NOT_CER", 3],
    ["CER_DUMP_PATH", 3],
    ["CER_ARCHIVE", 1],
    ["CER_INTERNAL", 1],
    ["CER_INTERRUPTED", 130],
  ];
  for (const [code, exit] of codes)
    assert.equal(exitCodeFor(failedOutcome(new CerError(code, "m"))), exit, code);
  const kept: Outcome = { ...failedOutcome(new CerError("CER_UNREACHABLE", "m")), outcome: "deferred" };
  assert.equal(exitCodeFor(kept), 75);
  const stopped: Outcome = { ...failedOutcome(new CerError("CER_INTERRUPTED", "m")), outcome: "deferred" };
  assert.equal(exitCodeFor(stopped), 130);
});

test("an outcome in which nothing was exchanged is whole all the same", () => {
  assert.deepEqual(failedOutcome(new CerError("CER_NO_SERVER", "m", { hint: "h" })), {
    outcome: "failed",
    bucket: null,
    bucketTable: null,
    responseUrl: null,
    level1: null,
    level2: null,
    declined: [],
    warnings: [],
    journal: null,
    error: { code: "CER_NO_SERVER", message: "m", hint: "h" },
  });
});
