import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Decision,
  judgeKey,
  judgePath,
  judgeQuery,
  makeJudge,
  prefixesOf,
} from "../../src/consent/judge.ts";
import { type PathFacts, parseLocalPath } from "../../src/consent/local-path.ts";
import { type Consent, DEFAULT_POLICY, type Patterns } from "../../src/consent/policy.ts";
import { keySegments } from "../../src/consent/registry-path.ts";
import { parseWql } from "../../src/wql/parse.ts";

const LINUX: PathFacts = { platform: "linux", env: { HOME: "/home/bob" }, home: "/home/bob" };
const MAC: PathFacts = { platform: "darwin", env: { HOME: "/Users/bob" }, home: "/Users/bob" };
const WINDOWS: PathFacts = { platform: "win32", env: { SystemRoot: "C:\\Windows" }, home: "C:\\Users\\bob" };

type Setup = { consent?: Consent; allow?: Patterns; deny?: Patterns; real?: ReadonlyMap<string, string> };

function judgeOf(facts: PathFacts, { consent = "all", allow = {}, deny = {}, real = new Map() }: Setup) {
  return makeJudge({ ...DEFAULT_POLICY, consent, allow, deny }, facts, real);
}

function shown({ decision, rule, reason }: Decision): string {
  return `${decision} (${rule})${reason === null ? "" : `: ${reason}`}`;
}

function file(item: string, facts: PathFacts, setup: Setup = {}): string {
  const parsed = parseLocalPath(item, facts);
  return parsed.ok ? shown(judgePath(judgeOf(facts, setup), "GetFile", parsed)) : `refused: ${parsed.reason}`;
}

const AGREED = "collect (consent)";

test("under all, keys, credentials, profiles, account databases and other homes stay closed", () => {
  const what = (group: string) =>
    `decline (built-in): ${group} are not sent unless the policy allows this very file by name`;
  const [keys, credentials] = ["private keys", "password and credential stores"].map(what);
  const [profiles, accounts, homes] = [
    "browser and mail profiles",
    "account databases",
    "other users' homes",
  ].map(what);
  const none = "decline (system): it is no regular file";
  const cases: readonly (readonly [string, PathFacts, string | undefined])[] = [
    ["/home/bob/.ssh/id_ed25519", LINUX, keys],
    ["/home/bob/.SSH/ID_ED25519", LINUX, keys],
    ["/home/bob/x/../.ssh//./config", LINUX, keys],
    ["/home/bob/.ssh/id_ed25519.pub", LINUX, AGREED],
    ["/srv/tls/server.key", LINUX, keys],
    ["/etc/ssh/ssh_host_rsa_key", LINUX, keys],
    ["/etc/ssh/ssh_host_rsa_key.pub", LINUX, AGREED],
    ["/srv/app/.env", LINUX, credentials],
    ["/srv/app/.env.production", LINUX, credentials],
    ["/home/bob/.aws/credentials", LINUX, credentials],
    ["/home/bob/.bash_history", LINUX, credentials],
    ["/home/bob/.mozilla/firefox/x/logins.json", LINUX, profiles],
    ["/etc/shadow", LINUX, accounts],
    ["/etc/shadow-", LINUX, accounts],
    ["/etc/passwd", LINUX, AGREED],
    ["/home/eve/notes.txt", LINUX, homes],
    ["/root/notes.txt", LINUX, homes],
    ["/home/bob/notes.txt", LINUX, AGREED],
    ["/home/bobby/notes.txt", LINUX, homes],
    ["/dev/zero", LINUX, none],
    ["/proc/self/environ", LINUX, none],
    ["/sys/firmware/x", LINUX, none],
    ["/var/log/app.log", LINUX, AGREED],
    ["/Users/eve/x", MAC, homes],
    ["/Users/Shared/x", MAC, AGREED],
    ["/USERS/BOB/x", MAC, AGREED],
    ["/Users/bob/Library/Keychains/login.keychain-db", MAC, credentials],
    ["C:\\Windows\\System32\\config\\SAM", WINDOWS, accounts],
    ["c:/windows/SYSNATIVE/config/security", WINDOWS, accounts],
    ["\\\\?\\C:\\Windows\\System32\\.\\config\\SYSTEM", WINDOWS, accounts],
    ["D:\\Users\\eve\\x.txt", WINDOWS, homes],
    ["C:\\Users\\Bob\\x.txt", WINDOWS, AGREED],
    ["C:\\Users\\Public\\x.txt", WINDOWS, AGREED],
    ["C:\\Users\\bob\\NTUSER.DAT", WINDOWS, accounts],
    ["C:\\Users\\bob\\AppData\\Local\\Google\\Chrome\\User Data\\Default\\Login Data", WINDOWS, profiles],
    ["C:\\Users\\bob\\AppData\\Roaming\\Microsoft\\Credentials\\x", WINDOWS, credentials],
    ["\\\\server\\share\\x", WINDOWS, "decline (built-in): it is on another computer"],
  ];
  for (const [item, facts, expected] of cases) assert.equal(file(item, facts), expected, item);
});

test("only the very name lifts a built-in denial, and nothing lifts a denial of the policy", () => {
  const key = "/home/bob/.ssh/id_ed25519";
  const closed =
    "decline (built-in): private keys are not sent unless the policy allows this very file by name";
  const allow = (...patterns: string[]) => file(key, LINUX, { allow: { GetFile: patterns } });
  assert.equal(allow("/home/bob/.ssh/*"), closed);
  assert.equal(allow("**"), closed);
  assert.equal(allow("/home/bob/.ssh/id_rsa"), closed);
  assert.equal(allow(key), "collect (allow)");
  assert.equal(allow("$HOME/.ssh/id_ed25519"), "collect (allow)");
  assert.equal(
    file(key, LINUX, { allow: { GetFile: [key] }, deny: { GetFile: ["/home/**"] } }),
    "decline (deny): the policy of this machine denies it",
  );
  assert.equal(
    file("/proc/self/environ", LINUX, { allow: { GetFile: ["/proc/self/environ"] } }),
    "decline (system): it is no regular file",
  );
});

test("another computer needs a pattern that names one", () => {
  const share = (...patterns: string[]) =>
    file("//Server/Share/x.log", WINDOWS, { allow: { GetFile: patterns } });
  assert.equal(share("**"), "decline (built-in): it is on another computer");
  assert.equal(share("\\\\server\\share\\**"), "collect (allow)");
  assert.equal(share("\\\\other\\share\\**"), "decline (built-in): it is on another computer");
});

test("case counts for what is allowed where it does for files, and never for what is denied", () => {
  const allow = { GetFile: ["/var/log/App.log"] };
  assert.equal(file("/var/log/App.log", LINUX, { consent: "safe", allow }), "collect (allow)");
  assert.equal(
    file("/var/log/app.log", LINUX, { consent: "safe", allow }),
    'decline (consent): consent is "safe"',
  );
  assert.equal(file("/var/log/app.log", MAC, { consent: "safe", allow }), "collect (allow)");
  assert.equal(
    file("/VAR/log/app.log", LINUX, { deny: { GetFile: ["/var/log/**"] } }),
    "decline (deny): the policy of this machine denies it",
  );
});

test("a pattern also holds for the directory that its own stands for", () => {
  const policy = {
    ...DEFAULT_POLICY,
    allow: { GetFile: ["/opt/app/logs/*.log"] },
    deny: { GetFile: ["/opt/app/x"] },
  };
  assert.deepEqual(prefixesOf(policy, LINUX), ["/opt/app/logs", "/opt/app", "/home/bob"]);
  const real = new Map([
    ["/opt/app/logs", "/data/logs"],
    ["/opt/app", "/data/app"],
  ]);
  const setup: Setup = { ...policy, consent: "safe", real };
  assert.equal(file("/data/logs/a.log", LINUX, setup), "collect (allow)");
  assert.equal(file("/opt/app/logs/a.log", LINUX, setup), "collect (allow)");
  assert.equal(file("/data/app/x", LINUX, setup), "decline (deny): the policy of this machine denies it");
});

function key(path: string, setup: Setup = {}, kind: "RegKey" | "RegTree" = "RegTree"): string {
  return shown(judgeKey(judgeOf(WINDOWS, setup), kind, keySegments(path)));
}

test("hives and keys that hold secrets stay closed, however they are spelled", () => {
  const closed = (what: string) =>
    `decline (built-in): ${what} are not sent unless the policy allows this very key by name`;
  assert.equal(key("HKLM\\SAM"), closed("account databases"));
  assert.equal(key("hkey_local_machine\\sam\\SAM\\Domains"), closed("account databases"));
  assert.equal(key("HKLM\\SYSTEM\\ControlSet001\\Control\\Lsa\\JD"), closed("account databases"));
  assert.equal(
    key("HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon\\DefaultPassword"),
    closed("password and credential stores"),
  );
  assert.equal(key("HKCU\\Software\\SimonTatham\\PuTTY\\Sessions"), closed("password and credential stores"));
  assert.equal(key("HKCU\\Environment"), closed("environment variables"));
  assert.equal(key("HKU\\S-1-5-21-1-2-3-1001\\Software\\x"), closed("other users' settings"));
  assert.equal(key("HKU\\.DEFAULT\\Software\\x"), AGREED);
  assert.equal(key("HKLM\\SOFTWARE\\Contoso"), AGREED);
  assert.equal(key("HKLM\\SAM", { allow: { RegTree: ["HKLM\\**"] } }), closed("account databases"));
  assert.equal(key("HKLM\\SAM\\SAM", { allow: { RegTree: ["HKLM\\SAM"] } }), "collect (allow)");
  assert.equal(
    key("HKLM\\SAM\\SAM", { allow: { RegKey: ["HKLM\\SAM"] } }, "RegKey"),
    closed("account databases"),
  );
});

function query(text: string, setup: Setup = {}): string {
  const parsed = parseWql(text);
  assert.ok(parsed.ok);
  const { query, ...decision } = judgeQuery(judgeOf(WINDOWS, setup), parsed.query);
  const selected = query === null ? "" : ` ${query.properties === "*" ? "*" : query.properties.join(",")}`;
  return `${shown(decision)}${selected}`;
}

test("under safe a query is narrowed to the safe properties, and its condition may test no other", () => {
  const safe: Setup = { consent: "safe" };
  assert.equal(query("SELECT Family FROM Win32_Processor", safe), "collect (consent) Family");
  assert.equal(query("select NAME from win32_processor", safe), "collect (consent) NAME");
  assert.equal(
    query("SELECT Name, ProcessorId, Family FROM Win32_Processor", safe),
    "collect (consent): without ProcessorId Name,Family",
  );
  assert.equal(
    query("SELECT SerialNumber FROM Win32_BIOS", safe),
    "decline (consent): nothing that it selects of Win32_BIOS is sent",
  );
  assert.equal(
    query("SELECT Model FROM Win32_ComputerSystem WHERE UserName LIKE 'b%'", safe),
    "decline (consent): its condition tests UserName, which is not sent",
  );
  assert.equal(
    query("SELECT Caption FROM Win32_BaseBoard WHERE NOT (Product = 'x' OR SerialNumber > 'a')", safe),
    "decline (consent): its condition tests SerialNumber, which is not sent",
  );
  assert.equal(
    query("SELECT * FROM Win32_BaseBoard", safe),
    "collect (consent): only the properties that are safe to send Caption,Description,HostingBoard,Manufacturer,Model,Name,Product,Status,Version",
  );
  assert.equal(
    query("SELECT * FROM Win32_Product", safe),
    "decline (consent): Win32_Product is not among the classes that are safe to send",
  );
  assert.equal(
    query("SELECT Name FROM Win32_Environment", safe),
    "decline (built-in): environment variables are not sent unless the policy allows this very class by name",
  );
});

test("an allowed class opens all its properties, an allowed property itself, and a denied one never", () => {
  const safe = (allow: string[], deny: string[] = []): Setup => ({
    consent: "safe",
    allow: { WQL: allow },
    deny: { WQL: deny },
  });
  assert.equal(query("SELECT * FROM Win32_Product", safe(["Win32_Product"])), "collect (allow) *");
  assert.equal(
    query("SELECT UserName, Name FROM Win32_ComputerSystem", safe(["Win32_ComputerSystem.UserName"])),
    "collect (allow): without Name UserName",
  );
  assert.equal(
    query("SELECT * FROM Win32_BaseBoard", safe(["Win32_BaseBoard"], ["Win32_BaseBoard.SerialNumber"])),
    "collect (allow): only the properties that are safe to send Caption,Description,HostingBoard,Manufacturer,Model,Name,Product,Status,Version",
  );
  assert.equal(
    query("SELECT SerialNumber FROM Win32_BaseBoard", safe(["Win32_BaseBoard"], ["*.SerialNumber"])),
    "decline (consent): nothing that it selects of Win32_BaseBoard is sent",
  );
});

test("under all a command line is withheld, and with it what would hold it unnamed", () => {
  assert.equal(
    query("SELECT Name, CommandLine FROM Win32_Process"),
    "collect (consent): without CommandLine Name",
  );
  assert.equal(
    query("SELECT Name FROM Win32_Process WHERE CommandLine LIKE '%pass%'"),
    "decline (deny): its condition tests CommandLine, which is not sent",
  );
  assert.equal(
    query("SELECT * FROM Win32_Process"),
    "decline (deny): some properties of Win32_Process are not sent; the others have to be named",
  );
  assert.equal(
    query("SELECT * FROM Win32_Process", { allow: { WQL: ["Win32_Process"] } }),
    "decline (deny): some properties of Win32_Process are not sent; the others have to be named",
  );
  assert.equal(
    query("SELECT CommandLine FROM Win32_Process", { allow: { WQL: ["Win32_Process.CommandLine"] } }),
    "collect (consent) CommandLine",
  );
  assert.equal(
    query("SELECT * FROM CIM_ManagedSystemElement"),
    "decline (built-in): command lines, which may hold passwords are not sent unless the policy allows this very class by name",
  );
  assert.equal(query("SELECT * FROM Win32_Product"), "collect (consent) *");
});
