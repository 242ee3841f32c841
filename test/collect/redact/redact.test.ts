import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  redactBuffer,
  redactStream,
  SNIFF_LENGTH,
  sniffText,
  type TextEncoding,
  TextRedactor,
} from "../../../src/collect/redact/redact.ts";

const ENCODINGS: readonly TextEncoding[] = ["bytes", "utf-16le", "utf-16be"];

function encode(text: string, encoding: TextEncoding): Buffer {
  if (encoding === "bytes") return Buffer.from(text, "latin1");
  const bytes = Buffer.from(text, "utf16le");
  return encoding === "utf-16be" ? bytes.swap16() : bytes;
}

async function inChunks(bytes: Buffer, sizes: readonly number[], encoding: TextEncoding) {
  const redactor = new TextRedactor(encoding);
  async function* source() {
    let at = 0;
    for (let turn = 0; at < bytes.length; turn++) {
      const size = sizes[turn % sizes.length] ?? bytes.length;
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }
  const out: Buffer[] = [];
  for await (const chunk of redactStream(source(), redactor)) out.push(chunk);
  return { out: Buffer.concat(out), counts: redactor.counts };
}

const KEY = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACBXb2x0ZXJzIHNlY3JldCBrZXkgbWF0ZXJpYWwgISEhAAAAAAAAAAAAAAAA
-----END OPENSSH PRIVATE KEY-----`;

const TEXT = `﻿start\r\nDB_PASSWORD=hunter2\r\nno secret\r\n${KEY}\nafter\n{"apiKey": "abcdef123456"}\n"P\
assword"=hex:68,75,6e,\\\r\n  74,65,72\r\nend`;

const REDACTED = `﻿start\r\nDB_PASSWORD=[redacted]\r\nno secret\r\n-----BEGIN OPENSSH PRIVATE KEY-----\n[redacted]
-----END OPENSSH PRIVATE KEY-----\nafter\n{"apiKey": "[redacted]"}\n"Password"=[redacted]\r\nend`;

for (const encoding of ENCODINGS)
  test(`a text in ${encoding} is redacted alike in chunks of any size`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
        async (sizes) => {
          const { out, counts } = await inChunks(encode(TEXT, encoding), sizes, encoding);
          assert.deepEqual(out, encode(REDACTED, encoding));
          assert.deepEqual(counts, { assignment: 3, "private-key": 1 });
        },
      ),
      { numRuns: 60 },
    );
  });

test("bytes that hold no secret come through as they are, in every encoding", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 3000 }),
      fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1 }),
      fc.constantFrom(...ENCODINGS),
      async (bytes, sizes, encoding) => {
        const { out, counts } = await inChunks(Buffer.from(bytes), sizes, encoding);
        assert.deepEqual(out, Buffer.from(bytes));
        assert.deepEqual(counts, {});
      },
    ),
    { numRuns: 150 },
  );
});

test("secrets in a line without end are found wherever the windows fall", async () => {
  const filler = '"name":"value of some length","list":[1,2,3],';
  const places = [0, 1000, 1400, 1458, 1459, 1460, 1820, 2900, 5000];
  const parts = Array.from({ length: 6000 }, (_, index) =>
    places.includes(index) ? `"password":"hunter2-${"x".repeat(index)}",` : filler,
  );
  const clean = parts.map((part) => part.replace(/"hunter2-x*"/, '"[redacted]"')).join("");
  for (const size of [1, 7].map((n) => n * 9973)) {
    const { out, counts } = await inChunks(Buffer.from(parts.join("")), [size], "bytes");
    assert.equal(out.toString(), clean);
    assert.deepEqual(counts, { assignment: places.length });
  }
});

test("a secret of megabytes is replaced without being held in memory, and what follows comes through", async () => {
  for (const after of [0, 1000, 10_000, 40_000, 70_000, 200_000]) {
    const rest = `","b":"${"x".repeat(after)}"}`;
    const text = `{"a":1,"password":"${"hunter2".repeat(100_000)}${rest}`;
    const { out, counts } = await inChunks(Buffer.from(text), [65_536], "bytes");
    assert.equal(out.toString(), `{"a":1,"password":"[redacted]${rest}`);
    assert.deepEqual(counts, { assignment: 1 });
  }
});

test("a private key whose end never comes ends where its lines end", () => {
  const redactor = new TextRedactor("bytes");
  const text =
    "x\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow==\nthe log goes on here.\nMIIEow==\n";
  assert.equal(
    redactBuffer(Buffer.from(text), redactor).toString(),
    "x\n-----BEGIN RSA PRIVATE KEY-----\n[redacted]\nthe log goes on here.\nMIIEow==\n",
  );
  assert.deepEqual(redactor.counts, { "private-key": 1 });
});

test("a private key in one line of JSON is redacted up to its end", () => {
  const redactor = new TextRedactor("bytes");
  const text =
    '{"pem": "-----BEGIN PRIVATE KEY-----\\nMIIE\\nabc=\\n-----END PRIVATE KEY-----\\n", "x": 1}\n';
  assert.equal(
    redactBuffer(Buffer.from(text), redactor).toString(),
    '{"pem": "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----\\n", "x": 1}\n',
  );
});

test("a private key in a line without end is found wherever the windows fall", async () => {
  const key = `-----BEGIN PRIVATE KEY-----\\n${"MIIEabc/\\\\n".repeat(300)}-----END PRIVATE KEY-----`;
  for (const before of [0, 60_000, 64_000, 70_000, 80_000]) {
    const filler = '"a":[1,2],'.repeat(before / 10);
    const { out } = await inChunks(
      Buffer.from(`${filler}"pem":"${key}",${'"b":3,'.repeat(20_000)}`),
      [65_536],
      "bytes",
    );
    assert.equal(
      out.toString(),
      `${filler}"pem":"-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----",${'"b":3,'.repeat(20_000)}`,
    );
  }
});

test("a private key in one line that is cut off is redacted as far as it goes, from either side", async () => {
  const body = "MIIEabc/\\n".repeat(300);
  const rest = '"b":3,'.repeat(20_000);
  const head = await inChunks(
    Buffer.from(`{"pem":"-----BEGIN PRIVATE KEY-----\\n${body}`),
    [65_536],
    "bytes",
  );
  assert.equal(head.out.toString(), '{"pem":"-----BEGIN PRIVATE KEY-----[redacted]');
  const tail = new TextRedactor("bytes", { isTail: true });
  assert.equal(
    redactBuffer(Buffer.from(`${body}-----END PRIVATE KEY-----",${rest}`), tail).toString(),
    `[redacted]-----END PRIVATE KEY-----",${rest}`,
  );
});

test("a tail that begins within a private key loses what may be the rest of it", () => {
  const redactor = new TextRedactor("bytes", { isTail: true });
  assert.equal(
    redactBuffer(
      Buffer.from("AAAAB3Nz\nC1lZDI1\n-----END PRIVATE KEY-----\nplain words\n"),
      redactor,
    ).toString(),
    "[redacted]\n-----END PRIVATE KEY-----\nplain words\n",
  );
});

test("what words are mentioned for a key in source code is left alone", () => {
  const text = 'if (line === "-----BEGIN PRIVATE KEY-----") { start(); }\nif (line === "x") return;\n';
  const redactor = new TextRedactor("bytes");
  assert.equal(redactBuffer(Buffer.from(text), redactor).toString(), text);
  assert.deepEqual(redactor.counts, {});
});

test("text is told from other data, and UTF-16 by its mark or its zero bytes", () => {
  const cases: readonly (readonly [string, Buffer, TextEncoding | null])[] = [
    ["nothing", Buffer.alloc(0), "bytes"],
    ["ASCII", Buffer.from("plain text\r\n"), "bytes"],
    ["UTF-8", Buffer.from("größer, 大きい\n"), "bytes"],
    ["code page 1252", Buffer.from("caf\xe9", "latin1"), "bytes"],
    ["coloured output", Buffer.from("\x1b[31merror\x1b[0m\n"), "bytes"],
    ["a log with a few zero bytes", Buffer.from(`${"a line of a log\n".repeat(20)}\0\0\0`), "bytes"],
    ["UTF-16 with a mark", Buffer.from("\ufeffWindows Registry", "utf16le"), "utf-16le"],
    ["big-endian UTF-16 with a mark", Buffer.from("\ufeffab", "utf16le").swap16(), "utf-16be"],
    ["UTF-16 without a mark", Buffer.from("MSI (s) (24:5C)\r\n", "utf16le"), "utf-16le"],
    ["big-endian UTF-16 without a mark", Buffer.from("MSI (s)\r\n", "utf16le").swap16(), "utf-16be"],
    ["a minidump", Buffer.from("MDMP\x93\xa7\0\0\x0e\0\0\0\x20\0\0\0\0\0\0\0", "latin1"), null],
    ["zero bytes", Buffer.alloc(SNIFF_LENGTH), null],
    ["an ELF file", Buffer.from("\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0", "latin1"), null],
  ];
  for (const [what, head, expected] of cases) assert.equal(sniffText(head), expected, what);
});
