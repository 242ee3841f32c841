import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { resolveTerms } from "../../src/config/terms.ts";
import { NOTHING_EXCHANGED, type Outcome } from "../../src/delivery/outcome.ts";
import { type ProtocolOptions, runProtocol } from "../../src/delivery/protocol.ts";
import type { Failure } from "../../src/delivery/retry.ts";
import { CerError } from "../../src/errors.ts";
import type { Answer } from "../../src/journal/entry/documents.ts";
import {
  type AttemptResult,
  type BuiltArchive,
  MemoryStore,
  type ReportStore,
} from "../../src/journal/report.ts";
import type { Reply, Request, Send } from "../../src/wire/exchange.ts";
import { encodeReport } from "../../src/wire/report.ts";
import type { Level1Response } from "../../src/wire/response.ts";
import { readAll } from "../support/bytes.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

const ORIGIN = { scheme: "http", host: "testserver.corp.xyz.com", port: 1273 } as const;
const URL1 = "http://testserver.corp.xyz.com:1273/stage2.htm";
const PEER = { address: "10.0.0.1", tlsFingerprint: null };
const NOW = 1_205_218_919_000;

const CABINET = Buffer.from("MSCF, the rest does not matter here");
const ARCHIVE: BuiltArchive = {
  size: CABINET.length,
  open: () => Readable.from([CABINET]),
  sha256: "5a",
  about: {
    files: [{ name: "report.xml", bytes: 7, sha256: "5b" }],
    declined: [{ kind: "GetFile", item: "x", reason: "not allowed" }],
    warnings: ["packed with a warning"],
    mediaType: "application/vnd.ms-cab-compressed",
    redacted: 0,
  },
  manifest: Buffer.alloc(0),
  dispose: async () => {},
};

function reply(status: number, body: string | Buffer = "", headers: Record<string, string> = {}): Reply {
  return { status, headers, body: Buffer.from(body), truncated: false, isEndKnown: true, peer: PEER };
}

/** A request with its body read, as what it would be on the wire. */
type Sent = Omit<Request, "body" | "origin"> & { readonly size: number; readonly body: Buffer };

type Scene = {
  /** What `send` does, request by request: a reply, or the error that says there is none. */
  readonly replies: readonly (Reply | Error)[];
  /** What the store does otherwise than keeping in memory. */
  readonly store?: Partial<ReportStore>;
  readonly example?: keyof typeof EXAMPLES;
  readonly build?: ProtocolOptions["buildArchive"];
};

type Played = {
  outcome: Outcome;
  failure: Failure | null;
  sent: Sent[];
  builtFor: Level1Response[];
  kept: Answer[];
  steps: string[];
  attempts: (AttemptResult | 1 | 2)[];
  /** What happened, in order. */
  log: string[];
};

async function play({ replies, store, example = "4.4", build }: Scene): Promise<Played> {
  const played: Omit<Played, "outcome" | "failure"> = {
    sent: [],
    builtFor: [],
    kept: [],
    steps: [],
    attempts: [],
    log: [],
  };
  const send: Send = async ({ body, origin, ...request }, options) => {
    assert.deepEqual(origin, ORIGIN);
    played.log.push(request.method);
    const content = await readAll(body.open());
    played.sent.push({ ...request, size: body.size, body: content });
    options?.onProgress?.(content.length);
    const next = replies[played.sent.length - 1];
    if (next === undefined) throw new Error("one request too many");
    if (next instanceof Error) throw next;
    return next;
  };
  class LoggingStore extends MemoryStore {
    override async keepAnswer(answer: Answer) {
      await super.keepAnswer(answer);
      played.log.push("answer kept");
      played.kept.push(answer);
    }
    override async keepArchive(archive: BuiltArchive) {
      await super.keepArchive(archive);
      played.log.push("archive kept");
    }
    override async beginAttempt(level: 1 | 2) {
      played.attempts.push(level);
    }
    override async endAttempt(result: AttemptResult) {
      played.attempts.push(result);
    }
  }
  const memory = Object.assign(new LoggingStore(), store);
  const { event } = EXAMPLES[example];
  const report = {
    event,
    level1: encodeReport(event).bytes,
    destination: { origin: ORIGIN, path: "/stage2.htm", from: "test" },
    terms: resolveTerms([], { format: "cab", compression: null, splitLarge: false }),
    imported: false,
    stored: [],
  };
  const result = await runProtocol(report, memory, {
    send,
    now: () => NOW,
    userAgent: "cer/1.2.3",
    signal: new AbortController().signal,
    buildArchive: async (response) => {
      played.log.push("built");
      played.builtFor.push(response);
      if (build !== undefined) return build(response);
      return { archive: ARCHIVE };
    },
    onStep: (step) => played.steps.push(step),
  });
  return { ...result, ...played };
}

/** The report as the specification prints it, as it goes over the wire. */
function printed(example: keyof typeof EXAMPLES): Buffer {
  return Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(EXAMPLES[example].report, "utf16le")]);
}

function post(body: Buffer): Sent {
  return {
    method: "POST",
    path: "/stage2.htm",
    headers: { "user-agent": "cer/1.2.3", "content-type": "text/xml; charset=utf-16" },
    size: body.length,
    body,
  };
}

function put(path: string): Sent {
  return {
    method: "PUT",
    path,
    headers: { "user-agent": "cer/1.2.3", "content-type": "application/vnd.ms-cab-compressed" },
    size: CABINET.length,
    body: CABINET,
  };
}

const PATHS = {
  "4.1":
    "/PersistedCabs/Generic/APPCRASH/GPFMe.exe/6.0.4082.0/40ce670d/GPFMe.exe/6.0.4082.0/40ce670d/c0000005/000031de/8747c307-c461-42ba-abf5-7fd98d8bb0ec.cab",
  "4.3": "/PersistedCabs/Blue/c2428d43-b50a-4622-9d55-cce4602834b3.cab",
  "4.4": "/PersistedCabs/Generic/MikeTest/1000/2000/3000/41ed848b-30fe-4db5-92e9-7745d2ceb2b8",
} as const;

const BUCKETS = { "4.1": "500", "4.3": "501", "4.4": "502" } as const;

for (const section of ["4.1", "4.3", "4.4"] as const)
  test(`section ${section}: the report is POSTed byte for byte, the archive PUT to the DumpFile`, async () => {
    const { outcome, ...played } = await play({
      example: section,
      replies: [reply(200, EXAMPLES[section].answer), reply(200)],
    });
    const level1 = printed(section);
    assert.deepEqual(played.sent, [post(level1), put(PATHS[section])]);
    assert.deepEqual(played.log, ["POST", "answer kept", "built", "archive kept", "PUT"]);
    assert.deepEqual(
      played.builtFor.map(({ wql }) => wql),
      [["SELECT Family FROM Win32_Processor"]],
    );
    const url = `http://testserver.corp.xyz.com:1273${PATHS[section]}`;
    assert.deepEqual(played.steps, [`POST ${URL1}`, "collecting", `PUT ${url}`]);
    assert.deepEqual(played.kept, [
      { status: 200, body: Buffer.from(EXAMPLES[section].answer), receivedAt: NOW },
    ]);
    const ended: AttemptResult = { status: 200, errorCode: null, peer: PEER };
    assert.deepEqual(played.attempts, [1, ended, 2, ended]);
    assert.equal(played.failure, null);
    const expected: Outcome = {
      outcome: "uploaded",
      bucket: BUCKETS[section],
      bucketTable: "5",
      responseUrl: section === "4.1" ? "http://oca.microsoft.com/resredir.aspx?SID=32" : null,
      level1: { url: URL1, status: 200, bytes: level1.length },
      level2: {
        url,
        status: 200,
        archive: {
          name: PATHS[section].slice(PATHS[section].lastIndexOf("/") + 1),
          bytes: CABINET.length,
          sha256: "5a",
          files: ARCHIVE.about.files,
        },
      },
      declined: ARCHIVE.about.declined,
      warnings: ARCHIVE.about.warnings,
      journal: null,
      error: null,
    };
    assert.deepEqual(outcome, expected);
  });

test("section 4.2: the report is POSTed and nothing else happens", async () => {
  const { outcome, sent, log } = await play({
    example: "4.2",
    replies: [reply(200, EXAMPLES["4.2"].answer)],
  });
  assert.deepEqual(sent, [post(printed("4.2"))]);
  assert.deepEqual(log, ["POST", "answer kept"]);
  assert.deepEqual(outcome, {
    ...NOTHING_EXCHANGED,
    outcome: "reported",
    bucket: "500",
    bucketTable: "5",
    level1: { url: URL1, status: 200, bytes: printed("4.2").length },
  });
});

test("an empty answer, iData=0, and a DumpFile without iData ask for nothing", async () => {
  for (const body of ["", "iData=0\r\nDumpFile=\\a", "DumpFile=\\a\r\nWQL=x", "iData=2\r\nDumpFile=\\a"]) {
    const { outcome, log } = await play({ replies: [reply(200, body)] });
    assert.deepEqual([outcome.outcome, outcome.error, log], ["reported", null, ["POST", "answer kept"]]);
  }
});

test("when there is nothing to upload the report is made all the same, and what was declined is said", async () => {
  const declined = [{ kind: "WQL", item: "q", reason: "r" }];
  const { outcome, sent } = await play({
    replies: [reply(200, EXAMPLES["4.4"].answer)],
    build: async () => ({ archive: null, declined, warnings: ["w"] }),
  });
  assert.equal(sent.length, 1);
  assert.deepEqual(
    [outcome.outcome, outcome.level2, outcome.declined, outcome.warnings, outcome.error],
    ["reported", null, declined, ["w"], null],
  );
});

test("iData=1 without a DumpFile, or with a hostile one, is refused before anything is collected", async () => {
  const missing = {
    code: "CER_DUMP_PATH",
    message: "The server asks for data (iData=1) but names no DumpFile to put it to.",
    hint: "Nothing was uploaded. The server's administrator has to correct its answer.",
  };
  const hostile = {
    code: "CER_DUMP_PATH",
    message: 'The server sent DumpFile="\\\\evil\\x": it names another host.',
    hint: "Nothing was uploaded. The server's administrator has to correct the DumpFile it hands out.",
  };
  for (const [answer, error] of [
    ["Bucket=5\r\niData=1", missing],
    ["Bucket=5\r\niData=1\r\nDumpFile=", missing],
    ["Bucket=5\r\niData=1\r\nDumpFile=\\\\evil\\x", hostile],
  ] as const) {
    const { outcome, log } = await play({ replies: [reply(200, answer)] });
    assert.deepEqual(log, ["POST", "answer kept"]);
    assert.deepEqual(outcome, {
      ...NOTHING_EXCHANGED,
      outcome: "refused",
      bucket: "5",
      level1: { url: URL1, status: 200, bytes: printed("4.4").length },
      error,
    });
  }
});

test("an answer that is none is not kept: the report was not delivered", async () => {
  const cases: [reply: Reply | Error, outcome: Outcome["outcome"], code: string, status: number | null][] = [
    [reply(200, "<html>"), "refused", "CER_NOT_CER", 200],
    [reply(200, "hello"), "refused", "CER_NOT_CER", 200],
    [{ ...reply(200, "Bucket=5"), truncated: true }, "refused", "CER_NOT_CER", 200],
    [reply(302, "", { location: "/x" }), "refused", "CER_REDIRECT", 302],
    [reply(401), "refused", "CER_AUTH", 401],
    [reply(404, "Bucket=5"), "refused", "CER_STATUS", 404],
    [reply(500), "refused", "CER_STATUS", 500],
    [new CerError("CER_UNREACHABLE", "m"), "failed", "CER_UNREACHABLE", null],
    [new CerError("CER_TIMEOUT", "m"), "failed", "CER_TIMEOUT", null],
    [new TypeError("a defect"), "failed", "CER_INTERNAL", null],
  ];
  for (const [first, expected, code, status] of cases) {
    const { outcome, log, kept } = await play({ replies: [first] });
    assert.deepEqual(log, ["POST"]);
    assert.deepEqual(kept, []);
    assert.deepEqual(
      [outcome.outcome, outcome.error?.code, outcome.level1?.status ?? null, outcome.bucket, outcome.level2],
      [expected, code, status, null, null],
    );
  }
});

test("a PUT that fails leaves what level 1 brought, and the archive in the outcome", async () => {
  const cases: [reply: Reply | Error, outcome: Outcome["outcome"], code: string, status: number | null][] = [
    [reply(500), "refused", "CER_STATUS", 500],
    [reply(301), "refused", "CER_REDIRECT", 301],
    [reply(407), "refused", "CER_AUTH", 407],
    [new CerError("CER_CONNECTION_LOST", "m"), "failed", "CER_CONNECTION_LOST", null],
    [new CerError("CER_INTERRUPTED", "m"), "failed", "CER_INTERRUPTED", null],
  ];
  for (const [second, expected, code, status] of cases) {
    const { outcome, log } = await play({ replies: [reply(200, EXAMPLES["4.4"].answer), second] });
    assert.deepEqual(log, ["POST", "answer kept", "built", "archive kept", "PUT"]);
    assert.deepEqual(
      [outcome.outcome, outcome.error?.code, outcome.bucket, outcome.level1?.status, outcome.level2?.status],
      [expected, code, "502", 200, status],
    );
  }
});

test("how each attempt ended is told, with what a later one needs to know", async () => {
  const headers = { "retry-after": "120", date: "Tue, 11 Mar 2008 07:01:59 GMT" };
  const busy = await play({ replies: [reply(503, "", headers)] });
  assert.deepEqual(busy.attempts, [1, { status: 503, errorCode: "CER_STATUS", peer: PEER }]);
  assert.deepEqual(busy.failure, {
    code: "CER_STATUS",
    status: 503,
    level: 1,
    retryAfter: "120",
    date: headers.date,
  });
  const lost = await play({ replies: [new CerError("CER_TIMEOUT", "m")] });
  assert.deepEqual(lost.attempts, [1, { status: null, errorCode: "CER_TIMEOUT", peer: null }]);
  assert.deepEqual(lost.failure, {
    code: "CER_TIMEOUT",
    status: null,
    level: 1,
    retryAfter: null,
    date: null,
  });
});

test("an answer once kept is never asked for again", async () => {
  const body = Buffer.from(EXAMPLES["4.4"].answer);
  const { outcome, sent, log } = await play({
    replies: [reply(200)],
    store: { answer: { status: 200, body, receivedAt: 1 } },
  });
  assert.deepEqual(sent, [put(PATHS["4.4"])]);
  assert.deepEqual(log, ["built", "archive kept", "PUT"]);
  assert.deepEqual(
    [outcome.outcome, outcome.bucket, outcome.level1],
    ["uploaded", "502", { url: URL1, status: 200, bytes: printed("4.4").length }],
  );
});

test("an archive once kept is sent as it was and not packed again", async () => {
  const body = Buffer.from(EXAMPLES["4.4"].answer);
  const { outcome, sent, log } = await play({
    replies: [reply(201)],
    store: { answer: { status: 200, body, receivedAt: 1 }, archive: ARCHIVE },
  });
  assert.deepEqual(sent, [put(PATHS["4.4"])]);
  assert.deepEqual(log, ["PUT"]);
  assert.deepEqual(
    [outcome.outcome, outcome.level2?.status, outcome.declined, outcome.warnings],
    ["uploaded", 201, ARCHIVE.about.declined, ARCHIVE.about.warnings],
  );
});

test("a kept answer that asks for nothing needs no exchange at all", async () => {
  const body = Buffer.from(EXAMPLES["4.2"].answer);
  const { outcome, log } = await play({
    replies: [],
    store: { answer: { status: 200, body, receivedAt: 1 } },
  });
  assert.deepEqual([outcome.outcome, outcome.bucket, log], ["reported", "500", []]);
});

test("what cannot be kept is not sent on", async () => {
  const full = async () => {
    throw new CerError("CER_WRITE", "disk full");
  };
  const answer = await play({
    replies: [reply(200, EXAMPLES["4.4"].answer)],
    store: { keepAnswer: full },
  });
  assert.deepEqual([answer.log, answer.outcome.error?.code], [["POST"], "CER_WRITE"]);
  const archive = await play({
    replies: [reply(200, EXAMPLES["4.4"].answer)],
    store: { keepArchive: full },
  });
  assert.deepEqual(
    [archive.log, archive.outcome.error?.code, archive.outcome.bucket],
    [["POST", "answer kept", "built"], "CER_WRITE", "502"],
  );
  const build = await play({
    replies: [reply(200, EXAMPLES["4.4"].answer)],
    build: async () => {
      throw new CerError("CER_ARCHIVE", "no room");
    },
  });
  assert.deepEqual(
    [build.log, build.outcome.outcome, build.outcome.error?.code],
    [["POST", "answer kept", "built"], "failed", "CER_ARCHIVE"],
  );
});

test("warnings of the answer come before those of the archive", async () => {
  const body = `BUCKET=5\r\n${EXAMPLES["4.4"].answer.replace("Bucket = 502", "Bucket = 0")}`;
  const { outcome } = await play({ replies: [reply(200, body), reply(200)] });
  assert.deepEqual(outcome.warnings, [
    'The server sent Bucket="0", which is not a positive decimal number; ignored.',
    "packed with a warning",
  ]);
});
