import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BodyNotes, bodyOfFile } from "../../../src/collect/files/body.ts";
import { type Opened, openRegular } from "../../../src/collect/files/open.ts";
import type { Decision } from "../../../src/consent/judge.ts";
import type { ParsedPath } from "../../../src/consent/local-path.ts";

const dir = mkdtempSync(join(tmpdir(), "cer-files-"));
after(() => rmSync(dir, { recursive: true, force: true }));

const YES: Decision = { decision: "collect", rule: "consent", reason: null };
const NO: Decision = { decision: "decline", rule: "built-in", reason: "private keys are not sent" };

/** Opens, closes, and says what came of it. */
async function attempt(
  path: string,
  judge: (real: Extract<ParsedPath, { ok: true }>) => Decision = () => YES,
) {
  const opened = await openRegular(path, process.platform, judge);
  if (!opened.ok) return opened;
  await opened.file.handle.close();
  return { ok: true, size: opened.file.size };
}

function declined(reason: string) {
  return { ok: false, state: "declined", rule: "system", reason };
}

test("a regular file is opened with its size", async () => {
  writeFileSync(join(dir, "plain.txt"), "twelve bytes");
  assert.deepEqual(await attempt(join(dir, "plain.txt")), { ok: true, size: 12 });
});

test("what is not there is missing, what is no file is declined, and neither waits", async () => {
  mkdirSync(join(dir, "sub"));
  execFileSync("mkfifo", [join(dir, "fifo")]);
  assert.deepEqual(await attempt(join(dir, "none")), {
    ok: false,
    state: "missing",
    rule: null,
    reason: "there is no such file",
  });
  assert.deepEqual(await attempt(join(dir, "plain.txt", "below")), {
    ok: false,
    state: "missing",
    rule: null,
    reason: "there is no such file",
  });
  assert.deepEqual(await attempt(join(dir, "sub")), declined("it is a directory"));
  assert.deepEqual(await attempt(join(dir, "fifo")), declined("it is no regular file"));
  assert.deepEqual(await attempt("/dev/zero"), declined("it is no regular file"));
  assert.deepEqual(await attempt("/proc/self/environ"), declined("it is no regular file"));
  assert.deepEqual(await attempt("/sys/kernel/notes"), declined("it is no regular file"));
});

test("a link at the end of a path is not followed", async () => {
  symlinkSync(join(dir, "plain.txt"), join(dir, "link"));
  assert.deepEqual(await attempt(join(dir, "link")), declined("it is a symbolic link"));
});

test("a linked directory leads to the path that is judged, and the file is closed when that is denied", async () => {
  mkdirSync(join(dir, "secret"));
  writeFileSync(join(dir, "secret", "id_rsa"), "key");
  symlinkSync(join(dir, "secret"), join(dir, "logs"));
  const seen: string[] = [];
  const result = await attempt(join(dir, "logs", "id_rsa"), (real) => {
    seen.push(real.path);
    return NO;
  });
  assert.deepEqual(result, {
    ok: false,
    state: "declined",
    rule: "built-in",
    reason: "private keys are not sent",
  });
  assert.deepEqual(seen, [join(dir, "secret", "id_rsa")]);
});

test("a hard link is judged by the path it has", async () => {
  linkSync(join(dir, "secret", "id_rsa"), join(dir, "hard"));
  const seen: string[] = [];
  await attempt(join(dir, "hard"), (real) => {
    seen.push(real.path);
    return YES;
  });
  assert.deepEqual(seen, [join(dir, "hard")]);
});

type Collected = { readonly bytes: Buffer; readonly notes: BodyNotes };

async function collect(
  path: string,
  options: { limit?: number; redact?: boolean; meanwhile?: () => void } = {},
): Promise<Collected> {
  const opened: Opened = await openRegular(path, process.platform, () => YES);
  assert.ok(opened.ok);
  const { body, notes } = await bodyOfFile(opened.file, {
    limit: options.limit ?? null,
    redact: options.redact === false ? null : { anonymize: null },
    signal: new AbortController().signal,
  });
  options.meanwhile?.();
  if (Buffer.isBuffer(body)) return { bytes: body, notes };
  const chunks: Uint8Array[] = [];
  if ("handle" in body) {
    const { bytesRead, buffer } = await body.handle.read(Buffer.alloc(body.size), 0, body.size, 0);
    chunks.push(buffer.subarray(0, bytesRead));
    await body.handle.close();
  } else for await (const chunk of body) chunks.push(chunk);
  return { bytes: Buffer.concat(chunks), notes };
}

function summary({ bytes, notes }: Collected) {
  return {
    text: bytes.toString(),
    redaction: notes.redaction,
    counts: notes.counts(),
    isCut: notes.isCut,
  };
}

test("a file that grows is read up to the size it had, and one that shrinks to its end", async () => {
  const path = join(dir, "growing.log");
  writeFileSync(path, "first line\n");
  assert.deepEqual(summary(await collect(path, { meanwhile: () => appendFileSync(path, "second line\n") })), {
    text: "first line\n",
    redaction: "text",
    counts: {},
    isCut: false,
  });
  assert.deepEqual(summary(await collect(path, { meanwhile: () => truncateSync(path, 5) })), {
    text: "first",
    redaction: "text",
    counts: {},
    isCut: false,
  });
});

test("text is redacted, other data is left alone, and without redaction so is text", async () => {
  const text = join(dir, "text.log");
  writeFileSync(text, "DB_PASSWORD=hunter2\n");
  assert.deepEqual(summary(await collect(text)), {
    text: "DB_PASSWORD=[redacted]\n",
    redaction: "text",
    counts: { assignment: 1 },
    isCut: false,
  });
  assert.deepEqual(summary(await collect(text, { redact: false })), {
    text: "DB_PASSWORD=hunter2\n",
    redaction: "off",
    counts: {},
    isCut: false,
  });
  const dump = join(dir, "app.dmp");
  writeFileSync(dump, Buffer.from("MDMP\0\0\0\x01\0\0\0DB_PASSWORD=hunter2\0\0\0\0\0\0", "latin1"));
  assert.deepEqual(summary(await collect(dump)), {
    text: "MDMP\0\0\0\x01\0\0\0DB_PASSWORD=hunter2\0\0\0\0\0\0",
    redaction: "binary",
    counts: {},
    isCut: false,
  });
});

test("an empty file is an empty text", async () => {
  writeFileSync(join(dir, "empty"), "");
  assert.deepEqual(summary(await collect(join(dir, "empty"))), {
    text: "",
    redaction: "text",
    counts: {},
    isCut: false,
  });
});

test("of a file over the limit head and tail are kept, with a mark between them, from a line's start", async () => {
  const path = join(dir, "large.log");
  const lines = Array.from({ length: 2000 }, (_, index) => `line ${String(index).padStart(4, "0")}\n`);
  writeFileSync(path, lines.join(""));
  const { bytes, notes } = await collect(path, { limit: 8000 });
  const text = bytes.toString();
  assert.equal(
    text,
    `${lines.slice(0, 400).join("")}\r\n[cer left out 12010 bytes here; the limit is 8000 bytes]\r\n${lines.slice(1601).join("")}`,
  );
  assert.equal(notes.isCut, true);
});

test("a UTF-16 text is cut between characters and marked in its own encoding", async () => {
  const path = join(dir, "wide.log");
  const lines = Array.from({ length: 1000 }, (_, index) => `line ${String(index).padStart(4, "0")} é\r\n`);
  writeFileSync(path, Buffer.from(`\ufeff${lines.join("")}`, "utf16le"));
  const { bytes } = await collect(path, { limit: 6002 });
  const text = bytes.toString("utf16le");
  assert.match(
    text,
    /^\ufeffline 0000 é\r\n[\s\S]*\r\n\[cer left out \d+ bytes here; the limit is 6002 bytes\]\r\nline \d{4} é\r\n[\s\S]*line 0999 é\r\n$/,
  );
  assert.ok(bytes.length < 6002 + 200);
});

test("a secret that the cut falls into does not come through by halves", async () => {
  const key = `-----BEGIN PRIVATE KEY-----\n${"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n".repeat(60)}-----END PRIVATE KEY-----\n`;
  const path = join(dir, "cut-key.log");
  for (const before of [2900, 3000, 3400]) {
    writeFileSync(path, `${"a plain line\n".repeat(before)}${key}${"a plain line\n".repeat(200)}`);
    const { bytes } = await collect(path, { limit: 9000 });
    assert.ok(!bytes.toString().includes("MIIE"), `key after ${before} lines`);
  }
});

test("a sparse file of 10 GiB costs no more than its limit", async () => {
  const path = join(dir, "sparse");
  writeFileSync(path, "head");
  truncateSync(path, 10 * 1024 ** 3);
  const before = process.memoryUsage().rss;
  const started = performance.now();
  const { bytes, notes } = await collect(path, { limit: 1024 * 1024 });
  assert.equal(notes.isCut, true);
  assert.ok(bytes.length < 1024 * 1024 + 200);
  assert.equal(bytes.subarray(0, 4).toString(), "head");
  assert.ok(performance.now() - started < 3000);
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
});
