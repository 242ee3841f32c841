/**
 * The collectors in a real Windows Node under Wine: reg.exe and wmic are Wine's, the registry is real. What Wine
 * cannot show: PowerShell (its powershell.exe does nothing, so wmic answers here), wmic's list format and its
 * `get` of all properties, and the texts of Microsoft's own reg.exe.
 */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { tooSlow } from "../support/foreign-program.ts";
import { bundle, openWine, type Wine } from "../support/wine.ts";
import type { Question } from "./windows-probe.ts";

type RegistryAnswer = {
  ok: boolean;
  /** In base64. */
  files: string[];
  cut: boolean;
  note: string | null;
};

let wine: Wine;

before(async () => {
  wine = await openWine();
  await bundle(join(import.meta.dirname, "windows-probe.ts"), join(wine.directory, "probe.cjs"));
  const file = await writeRegistryFile("made.reg", MADE);
  for (const view of ["/reg:64", "/reg:32"]) await reg("delete", "HKLM\\Software\\CerTest", "/f", view);
  assert.equal((await reg("import", file)).code, 0);
  await reg("add", "HKLM\\Software\\CerTest", "/v", "bits", "/d", "sixty-four", "/f", "/reg:64");
  await reg("add", "HKLM\\Software\\CerTest", "/v", "bits", "/d", "thirty-two", "/f", "/reg:32");
});

after(() => wine.close());

const KEY = "HKEY_CURRENT_USER\\Software\\CerTest";
const MADE = [
  `[${KEY}]`,
  '@="the default"',
  '"text"="Gr\u00fc\u00dfe \\"x\\" \\\\y \u20ac \u4e2d"',
  '"empty"=""',
  '"number"=dword:fffffffe',
  '"long"=hex(b):01,02,03,04,05,06,07,88',
  '"binary"=hex:00,ff,10,80',
  '"nothing"=hex(0):',
  '"expand"=hex(2):25,00,50,00,41,00,54,00,48,00,25,00,00,00',
  '"many"=hex(7):61,00,00,00,62,00,63,00,00,00,00,00',
  '"of type 8"=hex(8):01,02,03',
  '"of type 4660"=hex(1234):01',
  `"large"=hex:${Array.from({ length: 3000 }, (_, index) => (index % 256).toString(16).padStart(2, "0")).join(",")}`,
  '"odd \\"name\\" \\\\ = [x]"="v"',
  "",
  `[${KEY}\\Sub Key]`,
  '"a"="b"',
  "",
  `[${KEY}\\Sub Key\\Deep]`,
  "",
  `[${KEY}\\Sub Key\\Deep\\Deeper]`,
  '"c"="d"',
].join("\r\n");

async function writeRegistryFile(name: string, text: string): Promise<string> {
  const path = join(wine.directory, name);
  const whole = `\ufeffWindows Registry Editor Version 5.00\r\n\r\n${text}\r\n\r\n`;
  await writeFile(path, whole, "utf16le");
  return wine.windowsPath(path);
}

function reg(...args: string[]) {
  return wine.run("reg", args);
}

async function ask(questions: readonly Question[]): Promise<unknown[]> {
  const [asked, answered] = [join(wine.directory, "questions.json"), join(wine.directory, "answers.json")];
  await writeFile(asked, JSON.stringify(questions));
  const script = join(wine.directory, "probe.cjs");
  const paths = [asked, answered].map((path) => wine.windowsPath(path));
  const { code, stderr } = await wine.node(script, paths, { timeoutMs: 300_000 });
  assert.equal(code, 0, stderr.toString());
  const answers = await readFile(answered, "utf8");
  // The collectors' own words where reg or wmic is too slow; nothing here asks for that.
  const slow = /took more than (\d+) ms/.exec(answers);
  if (slow !== null) throw tooSlow("wine's reg or wmic", Number(slow[1]));
  return JSON.parse(answers) as unknown[];
}

async function collect(item: string, kind: "RegKey" | "RegTree", limits = {}): Promise<RegistryAnswer> {
  const [answer] = (await ask([{ ask: "registry", item, kind, limits }])) as RegistryAnswer[];
  assert.ok(answer?.ok, JSON.stringify(answer));
  return answer;
}

function textOf(answer: RegistryAnswer, index = 0): string {
  return Buffer.from(answer.files[index] ?? "", "base64").toString("utf16le");
}

const HEADER = "\ufeffWindows Registry Editor Version 5.00\r\n";

test("a tree of every type of value, imported back, is what reg query showed before", async () => {
  const before = await reg("query", KEY, "/s");
  assert.equal(before.code, 0);
  const answer = await collect("HKCU\\Software\\CerTest", "RegTree");
  assert.deepEqual([answer.files.length, answer.cut, answer.note], [1, false, null]);
  const file = join(wine.directory, "collected.reg");
  await writeFile(file, Buffer.from(answer.files[0] ?? "", "base64"));
  assert.equal((await reg("delete", KEY, "/f")).code, 0);
  assert.equal((await reg("query", KEY)).code, 1);
  assert.equal((await reg("import", wine.windowsPath(file))).code, 0);
  assert.deepEqual(await reg("query", KEY, "/s"), before);
  assert.deepEqual(await collect("HKCU\\Software\\CerTest", "RegTree"), answer);
});

test("RegKey takes a key's own values, or the one value that it names", async () => {
  const key = await collect("hkcu\\Software\\CerTest\\Sub Key\\", "RegKey");
  assert.equal(textOf(key), `${HEADER}\r\n[HKEY_CURRENT_USER\\Software\\CerTest\\Sub Key]\r\n"a"="b"\r\n`);
  assert.equal(key.cut, false);
  const value = await collect("HKEY_CURRENT_USER\\Software\\CerTest\\NUMBER", "RegKey");
  assert.equal(textOf(value), `${HEADER}\r\n[${KEY}]\r\n"number"=dword:fffffffe\r\n`);
});

test("both views of the registry are collected where they differ, each to be imported where it belongs", async () => {
  const answer = await collect("HKLM\\Software\\CerTest", "RegTree");
  assert.equal(answer.files.length, 2);
  const section = "\r\n[HKEY_LOCAL_MACHINE\\Software\\CerTest]\r\n";
  const comment = "; The 32-bit view of the registry: to import it, say reg import FILE /reg:32\r\n";
  assert.equal(textOf(answer, 0), `${HEADER}${section}"bits"="sixty-four"\r\n`);
  assert.equal(textOf(answer, 1), `${HEADER}${comment}${section}"bits"="thirty-two"\r\n`);
});

test("limits of depth and size are kept and told", async () => {
  const shallow = await collect("HKCU\\Software\\CerTest", "RegTree", { maxDepth: 1 });
  assert.deepEqual(
    [shallow.cut, shallow.note],
    [true, "Keys more than 1 below the item's own are left out."],
  );
  assert.deepEqual(textOf(shallow).match(/^\[.*\]/gm), [`[${KEY}]`, `[${KEY}\\Sub Key]`]);
  const small = await collect("HKLM\\Software", "RegTree", { maxBytes: 20_000 });
  assert.deepEqual([small.cut, small.note], [true, "What goes beyond 20000 bytes is left out."]);
  for (const body of small.files) {
    const size = Buffer.from(body, "base64").length;
    assert.ok(size > 15_000 && size <= 20_000, `${size}`);
  }
  // A key's own values come before its subkeys: a huge tree below costs RegKey nothing.
  assert.equal((await collect("HKLM\\Software\\Microsoft", "RegKey", { maxBytes: 2000 })).cut, false);
});

test("a key that is closed is left out of a tree, and the note says so", async () => {
  const [answer] = (await ask([
    { ask: "registry", item: "HKCU\\Software\\CerTest\\Sub Key", kind: "RegTree", closed: "\\Deeper" },
  ])) as RegistryAnswer[];
  assert.ok(answer?.ok, JSON.stringify(answer));
  assert.deepEqual([answer.cut, answer.note], [true, "Keys that are denied on this machine are left out."]);
  assert.deepEqual(textOf(answer).match(/^\[.*\]/gm), [`[${KEY}\\Sub Key]`, `[${KEY}\\Sub Key\\Deep]`]);
});

test("what is not there is missing, what is no path is declined", async () => {
  const missing = { ok: false, state: "missing", reason: "There is no such key or value." };
  assert.deepEqual(
    await ask([
      { ask: "registry", item: "HKCU\\Software\\CerTest\\none", kind: "RegKey" },
      { ask: "registry", item: "HKCU\\Software\\CerNone\\Sub\\none", kind: "RegKey" },
      { ask: "registry", item: "HKCU\\Software\\CerTest\\number", kind: "RegTree" },
      { ask: "registry", item: "HKLM\\Software\\CerNone", kind: "RegTree" },
      { ask: "registry", item: "C:\\x", kind: "RegKey" },
      { ask: "registry", item: 'HKCU\\Software\\x" /y & calc', kind: "RegKey" },
    ]),
    [
      missing,
      missing,
      missing,
      missing,
      { ok: false, state: "declined", reason: '"C:\\x" begins with "C:", which is no root of the registry.' },
      missing,
    ],
  );
});

test("WQL is answered through wmic with what wmic itself says", async () => {
  const shown = await wine.run("wmic", ["path", "Win32_Processor", "get", "Family"]);
  const family = /\d+/.exec(shown.stdout.toString("utf16le"))?.[0];
  const [processor, disk, none, unknown, bad] = await ask([
    { ask: "wql", text: "SELECT Family FROM Win32_Processor" },
    {
      ask: "wql",
      text: "SELECT DeviceID, FileSystem FROM Win32_LogicalDisk WHERE Size > 0 AND DeviceID LIKE '[a-d]:'",
    },
    { ask: "wql", text: "SELECT DeviceID FROM Win32_LogicalDisk WHERE DeviceID = '\" /node:x \"'" },
    { ask: "wql", text: "SELECT Colour FROM Win32_Processor" },
    { ask: "wql", text: "SELECT * FROM Win32_Product; DROP" },
  ]);
  const whole = { ok: true, cut: false, unknownProperties: [] };
  assert.deepEqual(processor, {
    ...whole,
    text: `\r\nFamily=${family}\r\n`,
    json: `[\n{"Family":"${family}"}\n]\n`,
  });
  // Wine spells this property DeviceId.
  assert.deepEqual(disk, {
    ...whole,
    text: "\r\nDeviceId=C:\r\nFileSystem=NTFS\r\n",
    json: '[\n{"DeviceId":"C:","FileSystem":"NTFS"}\n]\n',
  });
  assert.deepEqual(none, { ...whole, text: "", json: "[]\n" });
  assert.deepEqual(unknown, { ok: false, reason: 'wmic says: "Error: Invalid query".' });
  assert.deepEqual(bad, { ok: false, reason: 'The query has a character that is no part of WQL: ";".' });
});

test("this Windows' own facts", async () => {
  const [facts] = (await ask([{ ask: "machine" }])) as {
    name: string;
    os: string;
    lcid: number;
    user: string;
  }[];
  const shown = await wine.run("wmic", ["path", "Win32_OperatingSystem", "get", "Version"]);
  const version = /\d+\.\d+\.\d+/.exec(shown.stdout.toString("utf16le"))?.[0];
  assert.match(facts?.os ?? "", new RegExp(`^${version}\\.2\\.\\d+\\.0\\.\\d+\\.\\d+$`));
  assert.deepEqual([facts?.lcid, facts?.user], [1033, process.env.USER ?? "root"]);
});

test("a machine that has joined a domain gives its full name", async () => {
  const key = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters";
  await reg("add", key, "/v", "Domain", "/d", "corp.example.com", "/f");
  const [facts] = (await ask([{ ask: "machine" }])) as { name: string }[];
  assert.match(facts?.name ?? "", /^[^.]+\.corp\.example\.com$/);
});
