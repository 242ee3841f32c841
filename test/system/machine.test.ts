import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as os from "node:os";
import { test } from "node:test";
import { type MachineSource, readMachine, thisMachine } from "../../src/system/machine.ts";

const LINUX: MachineSource = {
  platform: "linux",
  env: {},
  hostName: () => "build7",
  release: () => "6.8.0-41-generic",
  version: () => "#41-Ubuntu SMP PREEMPT_DYNAMIC",
  userName: () => "ann",
  locale: () => "en-US",
  readText: async () => null,
  isInDns: async () => false,
  primaryDnsSuffix: async () => null,
};
const WINDOWS: MachineSource = {
  ...LINUX,
  platform: "win32",
  hostName: () => "CLIENT7",
  release: () => "10.0.19045",
  version: () => "Windows 10 Pro",
  primaryDnsSuffix: async () => "corp.example.com",
};

test("a Windows machine's facts are those Windows itself reports", async () => {
  assert.deepEqual(await readMachine({ ...WINDOWS, locale: () => "de-AT" }), {
    name: "CLIENT7.corp.example.com",
    os: "10.0.19045.2.0.0.256.48",
    lcid: 3079,
    user: "ann",
  });
});

test("a machine on macOS reports its kernel's version under .NET's platform number", async () => {
  const mac: MachineSource = {
    ...LINUX,
    platform: "darwin",
    hostName: () => "Anns-Mac.local",
    release: () => "23.5.0",
    env: { LANG: "fr_CH.UTF-8" },
  };
  assert.deepEqual(await readMachine(mac), {
    name: "Anns-Mac.local",
    os: "23.5.0.6.0.0.0.0",
    lcid: 4108,
    user: "ann",
  });
});

test("suite and product numbers are those of Report.wer files of the same editions", async () => {
  // Seen in public Report.wer files (ms-cer2.md section 3.3); the rest from GetProductInfo's documentation.
  const editions: [release: string, version: string, os: string][] = [
    ["10.0.19043", "Windows 10 Pro", "10.0.19043.2.0.0.256.48"],
    ["10.0.20348", "Windows Server 2022 Standard", "10.0.20348.2.0.0.272.7"],
    ["6.1.7601", "Windows Server 2008 R2 Standard Service Pack 1", "6.1.7601.2.1.0.272.7"],
    ["10.0.22631", "Windows 11 Home", "10.0.22631.2.0.0.768.101"],
    ["10.0.22631", "Windows 11 Pro N", "10.0.22631.2.0.0.256.49"],
    ["10.0.22631", "Windows 11 Enterprise", "10.0.22631.2.0.0.256.4"],
    ["10.0.17763", "Windows 10 Enterprise LTSC 2019", "10.0.17763.2.0.0.256.125"],
    ["10.0.17763", "Windows Server 2019 Datacenter", "10.0.17763.2.0.0.400.8"],
    ["10.0.17763", "Windows Server 2019 Datacenter Evaluation", "10.0.17763.2.0.0.400.80"],
    ["10.0.99999", "Windows Next Something", "10.0.99999.2.0.0.256.0"],
    ["10.0.99999", "", "10.0.99999.2.0.0.256.0"],
  ];
  for (const [release, version, expected] of editions) {
    const { os } = await readMachine({ ...WINDOWS, release: () => release, version: () => version });
    assert.equal(os, expected, version);
  }
});

test("a kernel version with fewer or odd parts still makes eight numbers", async () => {
  for (const [release, expected] of [
    ["6.8.0-41-generic", "6.8.0.4.0.0.0.0"],
    ["6.18", "6.18.0.4.0.0.0.0"],
    ["", "0.0.0.4.0.0.0.0"],
    ["nightly", "0.0.0.4.0.0.0.0"],
  ] as const)
    assert.equal((await readMachine({ ...LINUX, release: () => release })).os, expected);
});

test("LC_ALL wins over LC_MESSAGES, which wins over LANG", async () => {
  const lcid = async (env: Record<string, string>) => (await readMachine({ ...LINUX, env })).lcid;
  assert.equal(await lcid({ LC_ALL: "fr_FR.UTF-8", LC_MESSAGES: "it_IT", LANG: "de_DE" }), 1036);
  assert.equal(await lcid({ LC_ALL: "", LC_MESSAGES: "it_IT", LANG: "de_DE" }), 1040);
  assert.equal(await lcid({ LANG: "de_DE" }), 1031);
});

test("every form of a locale finds its number, and what is none is en-US", async () => {
  const locales: Record<string, number> = {
    "de_DE.UTF-8": 1031,
    "de_DE.UTF-8@euro": 1031,
    de: 1031,
    "de-AT": 3079,
    de_IT: 1031,
    en_GB: 2057,
    en_AT: 1033,
    "pt_BR.ISO-8859-1": 1046,
    ja_JP: 1041,
    zh: 2052,
    zh_TW: 1028,
    zh_Hant_TW: 1028,
    nb_NO: 1044,
    no_NO: 1044,
    "sr_RS@latin": 9242,
    sr_RS: 10266,
    bs_BA: 5146,
    uz_UZ: 1091,
    es_419: 22538,
    C: 1033,
    "C.UTF-8": 1033,
    POSIX: 1033,
    "": 1033,
    xx_YY: 1033,
    "../../etc": 1033,
    constructor: 1033,
    ["__proto__"]: 1033,
    [`de_${"D".repeat(100_000)}`]: 1031,
  };
  for (const [LANG, expected] of Object.entries(locales))
    assert.equal((await readMachine({ ...LINUX, env: { LANG } })).lcid, expected, LANG.slice(0, 40));
});

test("the name is qualified from /etc/hosts, as hostname -f does", async () => {
  const name = async (hosts: string) =>
    (await readMachine({ ...LINUX, readText: async (path) => (path === "/etc/hosts" ? hosts : null) })).name;
  assert.equal(
    await name("127.0.0.1 localhost\n127.0.1.1 build7.corp.example.com build7\n"),
    "build7.corp.example.com",
  );
  assert.equal(await name("10.0.0.1\tbuild7 build7.corp.example.com. # us\r\n"), "build7.corp.example.com");
  assert.equal(await name("10.0.0.1 build77.corp.example.com\n# 10.0.0.2 build7.x.example\n"), "build7");
  assert.equal(await name(""), "build7");
});

test("DNS is asked only in the domains of resolv.conf, at most two, and believed only when it answers", async () => {
  const asked: string[] = [];
  const name = async (resolvConf: string, known: string | null) => {
    asked.length = 0;
    const machine: MachineSource = {
      ...LINUX,
      readText: async (path) => (path === "/etc/resolv.conf" ? resolvConf : null),
      isInDns: async (name) => {
        asked.push(name);
        return name === known;
      },
    };
    return (await readMachine(machine)).name;
  };
  assert.equal(await name("nameserver 10.0.0.1\n", "build7.corp.example.com"), "build7");
  assert.deepEqual(asked, []);
  assert.equal(
    await name("search a.example corp.example.com.\n", "build7.corp.example.com"),
    "build7.corp.example.com",
  );
  assert.deepEqual(asked, ["build7.a.example", "build7.corp.example.com"]);
  assert.equal(await name("domain x.example\nsearch a.example b.example c.example\n", null), "build7");
  assert.deepEqual(asked, ["build7.a.example", "build7.b.example"]);
});

test("a name that DNS does not have is given up within its time", async () => {
  const machine = thisMachine("linux", {});
  const started = performance.now();
  assert.equal(await machine.isInDns("no-such-host.invalid", 50), false);
  assert.ok(performance.now() - started < 4000, `${performance.now() - started} ms`);
});

test("a user without an entry in the user database is named by the environment", async () => {
  const userName = () => {
    throw new Error("ENOENT: no such file or directory, uv_os_get_passwd");
  };
  assert.equal((await readMachine({ ...LINUX, userName, env: { USER: "1001" } })).user, "1001");
  assert.equal((await readMachine({ ...LINUX, userName })).user, "unknown");
});

test("what is given is not looked for", async () => {
  const never = () => assert.fail("was asked");
  const given = { name: "a", os: "1.2.3.4.5.6.7.8", lcid: 1, user: "u" };
  const machine: MachineSource = {
    ...LINUX,
    hostName: never,
    release: never,
    userName: never,
    readText: never,
  };
  assert.deepEqual(await readMachine(machine, given), given);
});

test("this machine's facts are what its own programs say", async () => {
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: "utf8" }).trim();
  const facts = await readMachine(thisMachine(process.platform, { LANG: "en_US.UTF-8" }));
  const [major, minor, build] = run("uname", "-r").match(/\d+/g) ?? [];
  assert.deepEqual(facts, {
    name: run("hostname", "-f"),
    os: `${major}.${minor}.${build}.4.0.0.0.0`,
    lcid: 1033,
    user: run("id", "-un"),
  });
  assert.equal(facts.name.split(".")[0], os.hostname().split(".")[0]);
});
