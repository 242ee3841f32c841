import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { encodeRegistryFile, parseRegistryText } from "../../../src/collect/registry/reg-file.ts";
import { collectRegistry, type RegistryOptions } from "../../../src/collect/registry/registry.ts";
import { formatRegistryPath, parseRegistryPath, splitLastName } from "../../../src/consent/registry-path.ts";

test("short and long roots, in any case, with or without a back-slash at the end", () => {
  const paths: Record<string, string> = {
    "HKLM\\Software\\Microsoft": "HKEY_LOCAL_MACHINE\\Software\\Microsoft",
    "hklm\\SOFTWARE\\": "HKEY_LOCAL_MACHINE\\SOFTWARE",
    "HKEY_current_USER\\Control Panel\\Desktop": "HKEY_CURRENT_USER\\Control Panel\\Desktop",
    "HKCR\\*\\shell": "HKEY_CLASSES_ROOT\\*\\shell",
    HKU: "HKEY_USERS",
    "HKCC\\": "HKEY_CURRENT_CONFIG",
  };
  for (const [item, expected] of Object.entries(paths)) {
    const parsed = parseRegistryPath(item);
    assert.equal(parsed.ok && formatRegistryPath(parsed.path), expected, item);
  }
});

test("what names no place in this registry is refused with the reason", () => {
  const reasons: Record<string, string> = {
    "": '"" begins with "", which is no root of the registry.',
    Software: '"Software" begins with "Software", which is no root of the registry.',
    "HKLM/Software": '"HKLM/Software" begins with "HKLM/Software", which is no root of the registry.',
    "HKLMX\\a": '"HKLMX\\a" begins with "HKLMX", which is no root of the registry.',
    "constructor\\a": '"constructor\\a" begins with "constructor", which is no root of the registry.',
    "\\\\server\\HKLM\\Software": '"\\\\server\\HKLM\\Software" names another machine.',
    "HKLM\\a\\\\b": '"HKLM\\a\\\\b" has an empty name between two back-slashes.',
    "HKLM\\a\nb": '"HKLM\\ab" holds a control character.',
    [`HKLM\\${"a".repeat(256)}`]: `"HKLM\\${"a".repeat(75)}…" has a name of 256 characters; Windows allows 255.`,
    [`HKLM${"\\a".repeat(513)}`]: `"HKLM${"\\a".repeat(38)}…" is 513 keys deep; Windows allows 512.`,
    [`HKLM\\${"a".repeat(1_048_576)}`]: `"HKLM\\${"a".repeat(75)}…" is 1048581 characters long; 2048 are read.`,
  };
  for (const [item, reason] of Object.entries(reasons))
    assert.deepEqual(parseRegistryPath(item), { ok: false, reason }, item.slice(0, 60));
});

test("the last name of a path may be a value's", () => {
  const root = "HKEY_LOCAL_MACHINE";
  assert.deepEqual(splitLastName({ root, key: "A\\B\\v" }), { parent: { root, key: "A\\B" }, name: "v" });
  assert.deepEqual(splitLastName({ root, key: "A" }), { parent: { root, key: "" }, name: "A" });
  assert.equal(splitLastName({ root, key: "" }), null);
});

const EXPORT = [
  "\ufeffWindows Registry Editor Version 5.00",
  "",
  "[HKEY_CURRENT_USER\\Software\\CerTest]",
  '@="the default"',
  '"text"="Gr\u00fc\u00dfe \\"x\\" \\\\y"',
  '"number"=dword:0000002a',
  '"long"=hex(b):01,02,\\',
  "  03,04,05,06,07,08",
  '"nothing"=hex(0):',
  '"many"=hex(7):61,00,00,00,\\',
  "  62,00,00,00,\\",
  "  00,00",
  '"an \\"odd\\\\ = [name]"="v"',
  '"lines"="one',
  "[HKEY_NOT\\\\A\\\\Heading]",
  'two"',
  "",
  "[HKEY_CURRENT_USER\\Software\\CerTest\\Sub [key]]",
  "",
  "[HKEY_CURRENT_USER\\Software\\CerTest\\Sub [key]\\Deep]",
  '"x"=hex:00,ff',
  "",
  "",
].join("\r\n");

test("every kind of value of an export is read, whatever its strings hold", () => {
  const top = "HKEY_CURRENT_USER\\Software\\CerTest";
  const lines = "one\r\n[HKEY_NOT\\A\\Heading]\r\ntwo\0";
  const hex = [...Buffer.from(lines, "utf16le")].map((byte) => byte.toString(16).padStart(2, "0")).join(",");
  assert.deepEqual(parseRegistryText(Buffer.from(EXPORT, "utf16le"), true), [
    {
      key: top,
      values: [
        { name: "", text: '@="the default"' },
        { name: "text", text: '"text"="Gr\u00fc\u00dfe \\"x\\" \\\\y"' },
        { name: "number", text: '"number"=dword:0000002a' },
        { name: "long", text: '"long"=hex(b):01,02,\\\r\n  03,04,05,06,07,08' },
        { name: "nothing", text: '"nothing"=hex(0):' },
        { name: "many", text: '"many"=hex(7):61,00,00,00,\\\r\n  62,00,00,00,\\\r\n  00,00' },
        { name: 'an "odd\\ = [name]', text: '"an \\"odd\\\\ = [name]"="v"' },
        { name: "lines", text: `"lines"=hex(1):${hex}` },
      ],
    },
    { key: `${top}\\Sub [key]`, values: [] },
    { key: `${top}\\Sub [key]\\Deep`, values: [{ name: "x", text: '"x"=hex:00,ff' }] },
  ]);
});

test("an export that ends anywhere gives only values that are whole", () => {
  const whole = parseRegistryText(Buffer.from(EXPORT.replace(/\[HKEY_NOT[^\r]*/, "middle"), "utf16le"), true);
  const values = new Set(
    whole.flatMap((section) => section.values.map(({ text }) => `${section.key} ${text}`)),
  );
  const bytes = Buffer.from(EXPORT.replace(/\[HKEY_NOT[^\r]*/, "middle"), "utf16le");
  for (let length = 0; length <= bytes.length; length++)
    for (const section of parseRegistryText(bytes.subarray(0, length), false))
      for (const { text } of section.values)
        assert.ok(values.has(`${section.key} ${text}`), `${length}: ${text}`);
});

test("a file is UTF-16 with its mark, CRLF, and ends before the value that is too much", () => {
  const sections = [
    {
      key: "HKEY_USERS\\A",
      values: [
        { name: "a", text: '"a"="1"' },
        { name: "b", text: '"b"="2"' },
      ],
    },
    { key: "HKEY_USERS\\A\\B", values: [{ name: "c", text: '"c"="3"' }] },
  ];
  const text =
    '\ufeffWindows Registry Editor Version 5.00\r\n; why\r\n\r\n[HKEY_USERS\\A]\r\n"a"="1"\r\n"b"="2"\r\n\r\n[HKEY_USERS\\A\\B]\r\n"c"="3"\r\n';
  const whole = encodeRegistryFile(sections, "why", { maxBytes: 10_000 });
  assert.deepEqual(whole, { body: Buffer.from(text, "utf16le"), isCut: false });
  for (const maxBytes of [whole.body.length, whole.body.length - 1, 160, 120]) {
    const { body, isCut } = encodeRegistryFile(sections, "why", { maxBytes });
    assert.ok(body.length <= maxBytes);
    assert.equal(isCut, maxBytes < whole.body.length);
    assert.ok(text.startsWith(body.toString("utf16le")) && body.toString("utf16le").endsWith("\r\n"));
  }
});

test("what is written is read back, and no text makes the reader throw or wait", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('"', "\\", "\r\n", "[", "]", "=", "@", "a", "hex:", "\0", ","), {
        maxLength: 200,
      }),
      (pieces) => {
        const sections = parseRegistryText(Buffer.from(pieces.join(""), "utf16le"), true);
        const { body } = encodeRegistryFile(sections, "", { maxBytes: 100_000 });
        assert.deepEqual(parseRegistryText(body, true), sections);
      },
    ),
    { numRuns: 2000 },
  );
  const started = performance.now();
  parseRegistryText(Buffer.from('\r\n"a'.repeat(50_000), "utf16le"), true);
  parseRegistryText(Buffer.from(`\r\n"a"=hex:${"00,\\\r\n  ".repeat(50_000)}`, "utf16le"), true);
  assert.ok(performance.now() - started < 20_000, `${performance.now() - started} ms`);
});

const OPTIONS: RegistryOptions = {
  platform: "win32",
  env: {},
  tmpDir: tmpdir(),
  signal: new AbortController().signal,
  timeoutMs: 5000,
  maxBytes: 100_000,
  maxDepth: 10,
  isOpen: () => true,
};

const SOFTWARE = { root: "HKEY_LOCAL_MACHINE", key: "Software" };

test("elsewhere than on Windows there is no registry", async () => {
  for (const platform of ["linux", "darwin"] as const)
    assert.deepEqual(await collectRegistry(SOFTWARE, "RegTree", { ...OPTIONS, platform }), {
      ok: false,
      state: "declined",
      reason: "There is no registry on this system.",
    });
});

test("a Windows without reg.exe fails, and nothing is left behind", async () => {
  const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("cer-registry-"));
  const before = leftovers();
  assert.deepEqual(await collectRegistry(SOFTWARE, "RegKey", OPTIONS), {
    ok: false,
    state: "failed",
    reason: "reg.exe could not be started.",
  });
  assert.deepEqual(leftovers(), before);
});
