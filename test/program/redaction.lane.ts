/** What the whole program sends of attached files: secrets cut out of text and counted, and no byte of data changed. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { sha256 } from "../support/bytes.ts";
import { openPlace, runCer } from "../support/run-cer.ts";
import { asking, type Submitted, submitTo } from "../support/submit.ts";

const place = await openPlace();
after(() => place.remove());
const { directory, home } = place;

const PLANTED = [
  "hunter2xyz",
  "abcd1234efgh5678ijkl",
  "p4ssw0rdURL",
  "bcdefghijklmnop1234567890",
  "vKEYbodyAAAA",
];
const LOG = `INSTALL_PASSWORD=${PLANTED[0]}
{"apiKey": "${PLANTED[1]}"}
https://bob:${PLANTED[2]}@example.com/x
Authorization: Bearer a${PLANTED[3]}
-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEA${PLANTED[4]}
-----END RSA PRIVATE KEY-----
installed to ${home}/app
`;
const CLEAN = `INSTALL_PASSWORD=[redacted]
{"apiKey": "[redacted]"}
https://bob:[redacted]@example.com/x
Authorization: Bearer [redacted]
-----BEGIN RSA PRIVATE KEY-----
[redacted]
-----END RSA PRIVATE KEY-----
installed to ${home}/app
`;
const BACKTRACE = `#0 0x00007f in ssl_key_exchange (token=0x55d0, key=0x0) at token_parser.c:120
#1 parse_token (tok=<optimized out>, key_len=32) at key.c:10
error: expected ';' before '}' token
key = 42
`.repeat(50);

const random = randomBytes(50_000);
const FILES: Readonly<Record<string, string | Buffer>> = {
  "app.log": LOG,
  "wide.log": Buffer.from(`\ufeff${LOG}`, "utf16le"),
  "trace.txt": BACKTRACE,
  "real.dmp": Buffer.concat([Buffer.from("MDMP\u0093\u00a7\0\0", "latin1"), Buffer.from(LOG), random]),
  "texty.dmp": `MDMP ${"TOKEN_SECRET=looksLikeText9\n".repeat(300)}`,
  "data.bin": random,
};
for (const [name, content] of Object.entries(FILES)) writeFileSync(join(directory, name), content);
const event = {
  eventTime: "2026-01-02T03:04:05Z",
  machine: { name: "m" },
  files: Object.keys(FILES).map((name) => ({
    path: join(directory, name),
    ...(name.endsWith(".dmp") ? { type: "Minidump" } : {}),
  })),
};

function redactionsOf({ manifest }: Submitted) {
  return manifest?.items.map(({ item, files }) => [item, files[0]?.redaction, files[0]?.redacted]);
}

function assertUntouched({ files }: Submitted, names: readonly string[]): void {
  for (const name of names) {
    const [sent, original] = [files.get(name) ?? assert.fail(), Buffer.from(FILES[name] ?? "")];
    assert.ok(sent.equals(original), name);
  }
}

test("secrets are cut out of text, counted the same everywhere, and data is left as it is", async () => {
  const run = await submitTo(asking(), { place, event });
  assert.equal(run.code, 0);
  assert.equal(run.files.get("app.log")?.toString(), CLEAN);
  assert.equal(run.files.get("wide.log")?.toString("utf16le"), `\ufeff${CLEAN}`);
  assertUntouched(run, ["trace.txt", "real.dmp", "texty.dmp", "data.bin"]);
  assert.deepEqual(redactionsOf(run), [
    ["app.log", "text", 5],
    ["wide.log", "text", 5],
    ["trace.txt", "text", 0],
    ["real.dmp", "binary", 0],
    ["texty.dmp", "binary", 0],
    ["data.bin", "binary", 0],
  ]);
  assert.deepEqual(run.manifest?.redaction, {
    enabled: true,
    anonymized: false,
    counts: { assignment: 4, url: 2, header: 2, "private-key": 2 },
  });
  assert.equal(JSON.parse(run.receipt).redacted, 10);
});

test("--no-redact sends all as it is and says so; --anonymize takes the home directory out as well", async () => {
  const plain = await submitTo(asking(), { place, event, args: ["--no-redact"] });
  assertUntouched(plain, Object.keys(FILES));
  assert.deepEqual(
    redactionsOf(plain),
    Object.keys(FILES).map((name) => [name, "off", 0]),
  );
  assert.equal(JSON.parse(plain.receipt).redacted, 0);
  const nameless = await submitTo(asking(), { place, event, args: ["--anonymize"] });
  assert.equal(nameless.files.get("app.log")?.toString(), CLEAN.replace(home, "<home>"));
  assertUntouched(nameless, ["real.dmp", "texty.dmp", "data.bin"]);
});

test("preview writes the very bytes that submit sends for the same event and answer", async () => {
  const answer = asking(
    `GetFile=${join(directory, "app.log")}`,
    "WQL=SELECT NumberOfLogicalProcessors FROM Win32_ComputerSystem",
  );
  writeFileSync(join(directory, "answer.txt"), answer);
  writeFileSync(join(directory, "event.json"), JSON.stringify({ eventType: "Hostile", ...event }));
  writeFileSync(join(directory, "cer.json"), "{}");
  const args = [
    "preview",
    "event.json",
    "--response",
    "answer.txt",
    "--config",
    "cer.json",
    "--consent",
    "all",
  ];
  for (const out of ["first", "second"]) {
    const { code, stderr } = await runCer(place, [...args, "--out", out]);
    assert.deepEqual([code, stderr], [0, ""]);
  }
  const run = await submitTo(answer, { place, event, args: ["--consent", "all"] });
  const shown = [await read("first/archive.cab"), await read("second/archive.cab"), run.archive];
  const hashes = shown.map((bytes) => sha256(bytes));
  assert.deepEqual(hashes, [hashes[0], hashes[0], hashes[0]]);
  assert.deepEqual(await read("first/level1.xml"), run.requests[0]?.body);
  assert.deepEqual(await read("first/manifest.json"), run.files.get("manifest.json"));
});

test("what a terminal would obey comes out of nothing: answer, file names, event", async () => {
  const evil = "a\u001b]0;owned\u0007\u001b[2J\u202egpj.\u009b31m\u2066x";
  const answer = asking(
    `Response=https://example.com/\u001b[2J\u009b31m`,
    `GetFile=/x\u001b[31m\u009b2J;${evil}`,
    `WQL=SELECT \u001b[31m FROM \u009bx`,
  );
  const named = { files: [{ path: join(directory, "trace.txt"), name: evil }], eventType: evil };
  for (const args of [[], ["--verbose"]]) {
    const run = await submitTo(answer, { place, args, event: named, json: false });
    assert.equal(run.code, 0);
    assert.doesNotMatch(
      run.stdout + run.stderr,
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
    );
  }
});

function read(name: string): Promise<Buffer> {
  return readFile(join(directory, name));
}
