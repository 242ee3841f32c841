import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeCabinet } from "../../src/archive/cab/write/write.ts";
import { type CollectOptions, collectEntries } from "../../src/collect/collect.ts";
import { type Manifest, type ManifestItem, notCollected, parseManifest } from "../../src/collect/manifest.ts";
import { queryWmi } from "../../src/collect/wmi/query.ts";
import { planCollection } from "../../src/consent/plan.ts";
import { type Consent, DEFAULT_POLICY, type Policy } from "../../src/consent/policy.ts";
import type { AttachedFile, Event, FileType } from "../../src/event.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { unpack } from "../support/archives/cabinet.ts";
import { readAll, sha256 as sha256Of } from "../support/bytes.ts";
import { eventWith } from "../support/events.ts";

const dir = mkdtempSync(join(tmpdir(), "cer-collect-"));
after(() => rmSync(dir, { recursive: true, force: true }));

/** What must never leave, wherever it is planted. */
const PLANTED = "planted-7Rz9secretQ";
const home = join(dir, "bob");
const logs = join(dir, "logs");
mkdirSync(join(home, ".ssh"), { recursive: true });
mkdirSync(logs);

function put(name: string, text: string | Buffer): string {
  const path = join(logs, name);
  writeFileSync(path, text);
  return path;
}

function attached(path: string, type: FileType, name = path.replace(/^.*\//, "")): AttachedFile {
  return { path, name, type };
}

type Setup = Partial<CollectOptions> & { rules?: Partial<Policy>; consent?: Consent; event?: Event };

const UNUSED = async () => assert.fail("there is no registry here");

/** Plans, collects and packs into a real cabinet, and reads it back. */
async function pack(lines: readonly string[], setup: Setup = {}) {
  const { consent = "all", rules = {}, event = eventWith(), ...options } = setup;
  const policy: Policy = { ...DEFAULT_POLICY, consent, ...rules };
  const facts = { platform: process.platform, env: { HOME: home, TMPDIR: dir }, home };
  const { response } = parseResponse(Buffer.from(["iData=1", ...lines].join("\r\n"), "latin1"));
  const collection = collectEntries(planCollection(response, event, policy, facts), {
    event,
    policy,
    facts,
    stored: event.files.map(({ path }) => path),
    maxEntrySize: null,
    report: Buffer.from("\ufeff<WERREPORT/>", "utf16le"),
    bucket: "502",
    bucketTable: "5",
    version: "0.1.0",
    redact: { anonymize: null },
    signal: new AbortController().signal,
    itemTimeMs: 5000,
    totalTimeMs: 20_000,
    collectRegistry: UNUSED,
    queryWmi: (query, limits) =>
      queryWmi(
        query,
        {
          platform: process.platform,
          arch: process.arch,
          env: {},
          hostName: "m",
          release: "6",
          now: new Date(0),
          root: "/",
        },
        limits,
      ),
    ...options,
  });
  const archive = await writeCabinet(collection.entries, { spoolDir: dir });
  const files = new Map(await unpack(await readAll(archive.open())));
  await archive.dispose();
  const manifest = parseManifest(files.get("manifest.json")?.toString() ?? "");
  checkTruth(manifest, files);
  assert.deepEqual(collection.items(), manifest.items);
  return { files, manifest, items: manifest.items };
}

/** Every file the manifest names is in the archive with that size and hash, and the archive holds no other. */
function checkTruth(manifest: Manifest, files: ReadonlyMap<string, Buffer>): void {
  const named = [manifest.report.file, ...manifest.items.flatMap((item) => item.files)].filter(
    (file) => file !== null,
  );
  for (const { name, bytes, sha256 } of named) {
    const content = files.get(name);
    assert.ok(content !== undefined, `${name} is in the archive`);
    assert.deepEqual({ bytes: content.length, sha256: sha256Of(content) }, { bytes, sha256 });
  }
  assert.deepEqual(
    [...new Set(named.map(({ name }) => name)), "manifest.json"].sort(),
    [...files.keys()].sort(),
  );
}

function shown(items: readonly ManifestItem[]): string[] {
  return items.map(({ kind, item, state, rule, reason, files }) => {
    const names = files.map(({ name, redaction, redacted }) => ` ${name}(${redaction}${redacted || ""})`);
    return `${kind} ${item.replace(dir, "DIR")}: ${state} (${rule})${reason === null ? "" : ` ${reason}`}${names.join("")}`;
  });
}

test("a whole collection: every item in order, with its files, sizes and hashes", async () => {
  const event = eventWith(
    attached(put("app.log", "started\nDB_PASSWORD=hunter2\n"), 5),
    attached(put("core.dmp", Buffer.from("MDMP\0\0\0\0\0\0\0\0\0\0", "latin1")), 2),
    attached(put("letter.txt", "Dear all\n"), 4),
    attached(join(logs, "gone.log"), 5),
  );
  put("collected.log", "a line\n");
  const { files, manifest, items } = await pack(
    [
      "MemoryDump=1",
      "RegKey=HKLM\\SOFTWARE\\X",
      "WQL=SELECT OSArchitecture FROM Win32_OperatingSystem;SELECT X FROM",
      `GetFile=${logs}/collected.log;${logs}/none.log;${logs}/COLLECTED.LOG`,
      `GetFileVersion=${logs}/collected.log;${logs}/none.dll`,
    ],
    { event },
  );
  assert.deepEqual(shown(items), [
    "File app.log: collected (attached) app.log(text1)",
    "File core.dmp: collected (attached) core.dmp(binary)",
    "File letter.txt: declined (request) a document goes only if the server asks for fDoc=1",
    "File gone.log: missing (attached) there is no such file",
    "MemoryDump 1: collected (attached) core.dmp(binary)",
    "RegKey HKLM\\SOFTWARE\\X: declined (system) there is no registry on this system",
    "WQL SELECT OSArchitecture FROM Win32_OperatingSystem: collected (consent) wql-1-Win32_OperatingSystem.txt(text) wql-1-Win32_OperatingSystem.json(text)",
    "WQL SELECT X FROM: declined (syntax) the query should have a class where the query ends",
    "GetFile DIR/logs/collected.log: collected (consent) collected.log(text)",
    "GetFile DIR/logs/none.log: missing (consent) there is no such file",
    "GetFile DIR/logs/COLLECTED.LOG: missing (consent) there is no such file",
    "GetFileVersion DIR/logs/collected.log: collected (consent) file-versions.txt(text) file-versions.json(text)",
    "GetFileVersion DIR/logs/none.dll: missing (consent) there is no such file",
  ]);
  assert.deepEqual(
    [...files.keys()],
    [
      "core.dmp",
      "report.xml",
      "app.log",
      "wql-1-Win32_OperatingSystem.txt",
      "wql-1-Win32_OperatingSystem.json",
      "collected.log",
      "file-versions.txt",
      "file-versions.json",
      "manifest.json",
    ],
  );
  assert.equal(files.get("app.log")?.toString(), "started\nDB_PASSWORD=[redacted]\n");
  const { items: _, report, ...rest } = manifest;
  assert.deepEqual(rest, {
    format: "cer-manifest",
    version: 1,
    generator: { name: "cer", version: "0.1.0" },
    consent: "all",
    redaction: { enabled: true, anonymized: false, counts: { assignment: 1 } },
  });
  assert.deepEqual(
    { ...report, file: report.file?.name },
    {
      eventType: "MikeTest",
      eventTime: "133496477153022430",
      application: "App",
      bucket: "502",
      bucketTable: "5",
      file: "report.xml",
    },
  );
  assert.deepEqual(notCollected(items.slice(2, 4)), [
    { kind: "File", item: "letter.txt", reason: "a document goes only if the server asks for fDoc=1" },
    { kind: "File", item: "gone.log", reason: "there is no such file" },
  ]);
});

test("the same event and files give the same bytes", async () => {
  const event = eventWith(attached(put("same.log", "x\n"), 5));
  const all = async () => [...(await pack([`GetFile=${logs}/same.log`], { event })).files];
  assert.deepEqual(await all(), await all());
});

test("attached files that bear the names of the archive's own entries do not displace them", async () => {
  const event = eventWith(
    attached(put("a", "1"), 5, "manifest.json"),
    attached(put("b", "2"), 5, "Report.XML"),
    attached(put("c", "3"), 5, " manifest.json."),
    attached(put("d", "4"), 5, "..\\..\\manifest.json"),
  );
  const { files } = await pack([], { event });
  assert.deepEqual(
    [...files.keys()],
    [
      "report.xml",
      "file-manifest.json",
      "file-Report.XML",
      "file-manifest (2).json",
      "file-manifest (3).json",
      "manifest.json",
    ],
  );
});

test("an attached link is followed, since the user named it, and an attached pipe is no file", async () => {
  put("target.log", "through the link\n");
  symlinkSync(join(logs, "target.log"), join(logs, "current.log"));
  execFileSync("mkfifo", [join(logs, "pipe")]);
  const { files, items } = await pack([], {
    event: eventWith(attached(join(logs, "current.log"), 5), attached(join(logs, "pipe"), 5)),
  });
  assert.equal(files.get("current.log")?.toString(), "through the link\n");
  assert.deepEqual(shown(items).slice(1), ["File pipe: declined (system) it is no regular file"]);
});

test("sizes bound one item and all of them together, and what the user attached not at all", async () => {
  const body = "a line of text\n".repeat(1000);
  for (const name of ["1.log", "2.log", "3.log", "own.log"]) put(name, body);
  const { files, items } = await pack(
    [`GetFile=${["1", "2", "3"].map((n) => `${logs}/${n}.log`).join(";")}`],
    {
      event: eventWith(attached(join(logs, "own.log"), 5)),
      rules: { maxFileSize: 8192, maxTotalSize: 14_000 },
    },
  );
  assert.deepEqual(shown(items), [
    "File own.log: collected (attached) own.log(text)",
    "GetFile DIR/logs/1.log: cut (consent) its middle is left out, since it has 15000 bytes and 8192 may be sent 1.log(text)",
    "GetFile DIR/logs/2.log: cut (consent) its middle is left out, since it has 15000 bytes and 5808 may be sent 2.log(text)",
    "GetFile DIR/logs/3.log: declined (limit) what was asked for before it has used up the size agreed for all",
  ]);
  assert.equal(files.get("own.log")?.toString(), body);
});

test("a collector that throws or fails does so alone, and an error's own words stay here", async () => {
  put("fine.log", "fine\n");
  const queries = ["Throw", "Refuse"].map((name) => `SELECT a FROM ${name}`);
  const { items } = await pack([`WQL=${queries.join(";")}`, `GetFile=${logs}/fine.log`], {
    queryWmi: async ({ className }) => {
      if (className === "Throw") throw new Error(`${PLANTED} in a message`);
      return { ok: false, reason: `The class ${className} is not known.` };
    },
  });
  assert.deepEqual(shown(items), [
    "WQL SELECT a FROM Throw: failed (consent) it could not be read",
    "WQL SELECT a FROM Refuse: failed (consent) the class Refuse is not known",
    "GetFile DIR/logs/fine.log: collected (consent) fine.log(text)",
  ]);
});

test("once the time for all is over, what was asked for fails and what the user attached still goes", async () => {
  const event = eventWith(attached(put("mine.log", "mine\n"), 5));
  const { items } = await pack([`GetFile=${logs}/fine.log`, "WQL=SELECT Family FROM Win32_Processor"], {
    event,
    totalTimeMs: 0,
    queryWmi: UNUSED,
  });
  assert.deepEqual(shown(items), [
    "File mine.log: collected (attached) mine.log(text)",
    "WQL SELECT Family FROM Win32_Processor: failed (limit) it took longer than was agreed",
    "GetFile DIR/logs/fine.log: failed (limit) it took longer than was agreed",
  ]);
});

test("the caller's signal stops everything", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped");
  stop.abort(reason);
  const event = eventWith(attached(put("x.log", "x"), 5));
  const policy = DEFAULT_POLICY;
  const facts = { platform: process.platform, env: {}, home };
  const { response } = parseResponse(Buffer.from("iData=1"));
  const { entries } = collectEntries(planCollection(response, event, policy, facts), {
    event,
    policy,
    facts,
    stored: event.files.map(({ path }) => path),
    maxEntrySize: null,
    report: Buffer.alloc(0),
    bucket: null,
    bucketTable: null,
    version: "0",
    redact: null,
    signal: stop.signal,
    itemTimeMs: 1,
    totalTimeMs: 1,
    queryWmi: UNUSED,
    collectRegistry: UNUSED,
  });
  for (const entry of entries.slice(0, -1)) await assert.rejects(async () => entry.open([]), reason);
});

test("what nobody was asked about does not go", async () => {
  const { items } = await pack([`GetFile=${logs}/fine.log`], { consent: "ask" });
  assert.deepEqual(shown(items), ["GetFile DIR/logs/fine.log: declined (consent) the user was not asked"]);
});

test("user name and home go when the user asks for it", async () => {
  const event = eventWith(attached(put("who.log", `bob reads ${home}/x\n`), 5));
  const { files, manifest } = await pack([], { event, redact: { anonymize: { user: "bob", home } } });
  assert.equal(files.get("who.log")?.toString(), "<user> reads <home>/x\n");
  assert.deepEqual(manifest.redaction, { enabled: true, anonymized: true, counts: { home: 1, user: 1 } });
});

const HOSTILE_FILES = [
  "/etc/shadow",
  "$HOME/.ssh/id_ed25519",
  "~/.ssh/id_ed25519",
  "$HOME/.SSH/../.ssh//./id_ed25519",
  "/dev/zero",
  "/dev/stdin",
  "/proc/self/environ",
  "/proc/../proc/self/environ",
  `${logs}/fifo`,
  `${logs}/link.log`,
  `${logs}/linked/id_ed25519`,
  `${logs}/linked/other.txt`,
  `${logs}/settings.txt`,
  `${logs}/wide.txt`,
  `${logs}/key-in-a-log.log`,
  "$SECRET/x",
  "$HOME",
  `/${"x".repeat(1024 * 1024)}`,
];

function plantSecrets(): void {
  const key = `-----BEGIN OPENSSH PRIVATE KEY-----\n${PLANTED}\n-----END OPENSSH PRIVATE KEY-----\n`;
  writeFileSync(join(home, ".ssh", "id_ed25519"), key);
  writeFileSync(join(home, ".ssh", "other.txt"), PLANTED);
  execFileSync("mkfifo", [join(logs, "fifo")]);
  symlinkSync(join(home, ".ssh", "id_ed25519"), join(logs, "link.log"));
  symlinkSync(join(home, ".ssh"), join(logs, "linked"));
  put("settings.txt", `DB_PASSWORD=${PLANTED}\nurl=https://u:${PLANTED}@h/\n{"apiKey": "${PLANTED}"}\n`);
  put(
    "wide.txt",
    Buffer.from(`\ufeffAuthorization: Bearer ${PLANTED}\r\nPassword = ${PLANTED}\r\n`, "utf16le"),
  );
  put(
    "key-in-a-log.log",
    `loading\n-----BEGIN RSA PRIVATE KEY-----\n${PLANTED.replaceAll("-", "+")}\n-----END RSA PRIVATE KEY-----\n`,
  );
  put("sparse.log", "head\n");
  truncateSync(join(logs, "sparse.log"), 10 * 1024 ** 3);
}

plantSecrets();

for (const consent of ["safe", "all"] as const)
  test(`under "${consent}" a hostile list brings out no secret, ends in time, and the manifest tells the truth`, async () => {
    const event = eventWith(
      attached(join(logs, "settings.txt"), 5),
      attached(join(logs, "wide.txt"), 5, "w.txt"),
    );
    const started = performance.now();
    const before = process.memoryUsage().rss;
    const { files, items } = await pack(
      [
        `GetFile=${[...HOSTILE_FILES, `${logs}/sparse.log`].join(";")};${"/var/none;".repeat(100_000)}`,
        `GetFileVersion=${HOSTILE_FILES.slice(0, -1).join(";")}`,
        "RegKey=HKLM\\SAM;HKLM\\SECURITY\\Policy\\Secrets",
        "RegTree=HKLM;HKLM\\SAM",
        `WQL=SELECT * FROM Win32_Product; DROP;SELECT * FROM Win32_Environment;${"x".repeat(1024 * 1024)}`,
        "MemoryDump=1",
        "fDoc=1",
      ],
      { consent, event, rules: { maxFileSize: 1024 * 1024, maxTotalSize: 4 * 1024 * 1024 } },
    );
    assert.ok(performance.now() - started < 20_000);
    assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024);
    for (const [name, content] of files)
      for (const needle of [PLANTED, PLANTED.replaceAll("-", "+")])
        for (const encoding of ["utf8", "utf16le"] as const)
          assert.equal(content.indexOf(Buffer.from(needle, encoding)), -1, `${needle} in ${name}`);
    assert.equal(items.length, 2 + 1 + 2 + 2 + 1 + 4 + 1000 + HOSTILE_FILES.length - 1);
    const gone = items
      .filter(({ files: stored }) => stored.length > 0)
      .map(({ kind, item }) => `${kind} ${item.replace(dir, "DIR")}`);
    const harmless = ["settings.txt", "wide.txt", "key-in-a-log.log"].map((name) => `DIR/logs/${name}`);
    assert.deepEqual(
      gone.filter((line) => !line.startsWith("WQL")),
      [
        "File settings.txt",
        "File w.txt",
        ...(consent === "all" ? [...harmless, "DIR/logs/sparse.log"] : []).map((path) => `GetFile ${path}`),
        ...harmless.map((path) => `GetFileVersion ${path}`),
      ],
    );
    assert.ok((files.get("manifest.json")?.length ?? 0) < 1024 * 1024);
  });

test("a key of the registry is stored as one file, or as one for each view where there are two", async () => {
  const facts = { platform: "win32", env: { SystemRoot: "C:\\Windows" }, home: "C:\\Users\\u" } as const;
  const lines = ["iData=1", "RegKey=HKLM\\Software\\One", "RegTree=HKCU\\Software\\A b\\Two"];
  const { response } = parseResponse(Buffer.from(lines.join("\r\n")));
  const policy: Policy = { ...DEFAULT_POLICY, consent: "all" };
  const event = eventWith();
  const views: Record<string, Buffer[]> = {
    RegKey: [Buffer.from("one", "utf16le")],
    RegTree: [Buffer.from("two", "utf16le"), Buffer.from("two, 32-bit", "utf16le")],
  };
  const collection = collectEntries(planCollection(response, event, policy, facts), {
    event,
    policy,
    facts,
    stored: [],
    maxEntrySize: null,
    report: Buffer.from("report"),
    bucket: null,
    bucketTable: null,
    version: "0.1.0",
    redact: null,
    signal: new AbortController().signal,
    itemTimeMs: 5000,
    totalTimeMs: 20_000,
    queryWmi: UNUSED,
    collectRegistry: async (_, kind) => ({ ok: true, files: views[kind] ?? [], note: null }),
  });
  const archive = await writeCabinet(collection.entries, { spoolDir: dir });
  const files = await unpack(await readAll(archive.open()));
  await archive.dispose();
  const named = files.filter(([name]) => name.endsWith(".reg"));
  assert.deepEqual(
    named.map(([name, body]) => [name, body.toString("utf16le")]),
    [
      ["regkey-1-HKEY_LOCAL_MACHINE_Software_One.reg", "one"],
      ["regtree-1-HKEY_CURRENT_USER_Software_A_b_Two.reg", "two"],
      ["regtree-1-HKEY_CURRENT_USER_Software_A_b_Two.32-bit.reg", "two, 32-bit"],
    ],
  );
});

test("A11: of an attached text that no cabinet can hold head and tail go, with a mark; a dump is never cut", async () => {
  const line = "one line of the log\r\n";
  const text = `FIRST\r\n${line.repeat(1000)}FINAL ERROR 1603\r\n`;
  const event = eventWith(
    attached(put("huge.log", text), 5),
    attached(put("huge.dmp", text), 2),
    attached(put("small.log", "small"), 5),
  );
  const { items, files } = await pack([], { event, maxEntrySize: 20_000, rules: { maxFileSize: 8192 } });
  assert.deepEqual(shown(items), [
    `File huge.log: cut (attached) its middle is left out, since it has ${text.length} bytes and the archive holds 20000 huge.log(text)`,
    "File huge.dmp: collected (attached) huge.dmp(binary)",
    "File small.log: collected (attached) small.log(text)",
  ]);
  const kept = files.get("huge.log")?.toString() ?? "";
  assert.ok(kept.startsWith("FIRST\r\n") && kept.endsWith("FINAL ERROR 1603\r\n"));
  assert.match(kept, /\r\n\[cer left out \d+ bytes here; the limit is 8192 bytes\]\r\n/);
  assert.ok(kept.length < 8400);
  assert.equal(files.get("huge.dmp")?.toString(), text);
});
