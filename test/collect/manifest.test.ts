import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Manifest, notCollected, parseManifest } from "../../src/collect/manifest.ts";
import { CerError } from "../../src/errors.ts";
import { encodeDocument } from "../../src/json.ts";

const HASH = "0123456789abcdef".repeat(4);

const MANIFEST: Manifest = {
  format: "cer-manifest",
  version: 1,
  generator: { name: "cer", version: "0.1.0" },
  report: {
    eventType: "MikeTest",
    eventTime: "133496477153022430",
    application: null,
    bucket: "502",
    bucketTable: "5",
    file: { name: "report.xml", bytes: 12, sha256: HASH },
  },
  consent: "safe",
  redaction: { enabled: true, anonymized: false, counts: { assignment: 2, url: 1 } },
  items: [
    {
      kind: "File",
      item: "app.log",
      state: "collected",
      rule: "attached",
      reason: null,
      files: [{ name: "app.log", bytes: 3, sha256: HASH, redaction: "text", redacted: 3 }],
    },
    { kind: "GetFile", item: "/x", state: "missing", rule: "consent", reason: null, files: [] },
    { kind: "WQL", item: "DROP", state: "declined", rule: "syntax", reason: "no SELECT", files: [] },
  ],
};

function complaint(text: string): string {
  try {
    parseManifest(text);
  } catch (thrown) {
    assert.ok(thrown instanceof CerError);
    return `${thrown.code}: ${thrown.message}`;
  }
  return "none";
}

test("a manifest is read back as it was written, and later keys of version 1 are dropped", () => {
  const text = encodeDocument(MANIFEST).toString();
  assert.deepEqual(parseManifest(text), MANIFEST);
  assert.ok(text.endsWith("}\n"));
  assert.deepEqual(parseManifest(JSON.stringify({ ...MANIFEST, later: 1 })), MANIFEST);
});

test("what is not collected is listed with its reason, or its state", () => {
  assert.deepEqual(notCollected(MANIFEST.items), [
    { kind: "GetFile", item: "/x", reason: "missing" },
    { kind: "WQL", item: "DROP", reason: "no SELECT" },
  ]);
});

test("what is no manifest says so, and a damaged one names the field", () => {
  const [first, ...others] = MANIFEST.items;
  const changed = (changes: object) => JSON.stringify({ ...MANIFEST, ...changes });
  const item = (changes: object) => changed({ items: [...others, { ...first, ...changes }] });
  const cases: readonly (readonly [string, string])[] = [
    ["", "CER_UNKNOWN_FORMAT: This is no manifest: it is not JSON."],
    ["[]", "CER_UNKNOWN_FORMAT: This JSON is no manifest: it is not an object."],
    ["{}", 'CER_UNKNOWN_FORMAT: This JSON is no manifest: format is not "cer-manifest".'],
    [
      changed({ version: 2 }),
      'CER_UNKNOWN_FORMAT: The manifest is of version "2"; this program reads version 1.',
    ],
    [changed({ items: {} }), "CER_DAMAGED: The manifest's items is not a list."],
    [
      changed({ consent: "yes" }),
      "CER_DAMAGED: The manifest's consent is not one of parameters, safe, ask, all.",
    ],
    [changed({ report: null }), "CER_DAMAGED: The manifest's report is not an object."],
    [
      changed({ redaction: { counts: { url: -1 } } }),
      "CER_DAMAGED: The manifest's redaction.counts.url is not a whole number from 0.",
    ],
    [
      item({ kind: "Key" }),
      "CER_DAMAGED: The manifest's items[2].kind is not one of File, GetFile, GetFileVersion, RegKey, RegTree, WQL, MemoryDump, fDoc.",
    ],
    [item({ item: 5 }), "CER_DAMAGED: The manifest's items[2].item is not text."],
    [
      item({ files: [{ name: "x", bytes: 1, sha256: "ABC", redaction: "text", redacted: 0 }] }),
      "CER_DAMAGED: The manifest's items[2].files[0].sha256 is no SHA-256 in hexadecimal.",
    ],
  ];
  for (const [text, expected] of cases) assert.equal(complaint(text), expected);
});

test("any JSON is a manifest or a clear error", () => {
  fc.assert(
    fc.property(
      fc.json(),
      fc.constantFrom("items", "report", "redaction", "generator", "consent"),
      (json, key) => {
        const text = JSON.stringify({ ...MANIFEST, [key]: JSON.parse(json) });
        assert.match(complaint(text), /^(?:none|CER_DAMAGED: )/);
      },
    ),
    { numRuns: 300 },
  );
});
