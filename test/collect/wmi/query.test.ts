import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import * as os from "node:os";
import { test } from "node:test";
import { CLASSES, classNamed, classNames } from "../../../src/collect/wmi/cim/classes.ts";
import { queryWmi, type WmiHost } from "../../../src/collect/wmi/query.ts";
import type { Limits } from "../../../src/system/run-program.ts";
import { parseWql } from "../../../src/wql/parse.ts";

const HOST: WmiHost = {
  platform: "linux",
  arch: process.arch,
  env: {},
  hostName: os.hostname(),
  release: os.release(),
  now: new Date(),
  root: "/",
};
const LIMITS: Limits = { timeoutMs: 20_000, maxBytes: 1_000_000, signal: new AbortController().signal };

async function ask(text: string, host: Partial<WmiHost> = {}, limits: Partial<Limits> = {}) {
  const parsed = parseWql(text);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.reason);
  return queryWmi(parsed.query, { ...HOST, ...host }, { ...LIMITS, ...limits });
}

async function rowsOf(text: string, host: Partial<WmiHost> = {}): Promise<Record<string, unknown>[]> {
  const answer = await ask(text, host);
  assert.ok(answer.ok, answer.ok ? "" : answer.reason);
  return JSON.parse(answer.json) as Record<string, unknown>[];
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    encoding: "utf8",
    maxBuffer: 1e8,
    env: { ...process.env, LC_ALL: "C" },
  }).trim();
}

test("the specification's query has this machine's true value", async () => {
  const family = Number(/^cpu family\s*: (\d+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]);
  assert.deepEqual(await ask("SELECT Family FROM Win32_Processor"), {
    ok: true,
    text: `\r\nFamily=${family}\r\n`,
    json: `[\n{"Family":${family}}\n]\n`,
    cut: false,
    unknownProperties: [],
  });
});

test("the processor is the one lscpu shows", async () => {
  const shown = new Map(
    run("lscpu")
      .split("\n")
      .map((line) => line.split(/:\s*/, 2) as [string, string]),
  );
  const [first] = await rowsOf("SELECT * FROM Win32_Processor");
  assert.deepEqual(Object.keys(first ?? {}), [...CLASSES.Win32_Processor]);
  assert.equal(first?.Name, shown.get("Model name"));
  assert.equal(first?.Manufacturer, shown.get("Vendor ID"));
  assert.equal(first?.NumberOfCores, Number(shown.get("Core(s) per socket")));
  assert.equal(first?.Stepping, shown.get("Stepping"));
  assert.equal(
    first?.NumberOfLogicalProcessors,
    Number(shown.get("CPU(s)")) / Number(shown.get("Socket(s)")),
  );
});

test("memory, kernel and start of the system are what free, uname and uptime say", async () => {
  const [found] = await rowsOf("SELECT * FROM Win32_OperatingSystem");
  const [, total, , , , , available] =
    /^Mem:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)/m.exec(run("free", "-k")) ?? [];
  assert.equal(found?.TotalVisibleMemorySize, total);
  assert.ok(Math.abs(Number(found?.FreePhysicalMemory) - Number(available)) < 2_000_000);
  assert.equal(found?.Version, run("uname", "-r"));
  assert.equal(found?.CSName, run("uname", "-n"));
  assert.equal(found?.Caption, run("sh", "-c", '. /etc/os-release; echo "$PRETTY_NAME"'));
  const since = run("uptime", "-s").replace(/\D/g, "");
  assert.ok(Math.abs(Number(String(found?.LastBootUpTime).slice(0, 14)) - Number(since)) <= 1);
  const [computer] = await rowsOf(
    "SELECT TotalPhysicalMemory, NumberOfLogicalProcessors FROM Win32_ComputerSystem",
  );
  assert.deepEqual(computer, {
    TotalPhysicalMemory: String(Number(total) * 1024),
    NumberOfLogicalProcessors: Number(run("nproc", "--all")),
  });
});

test("the disks are those of df, in bytes", async () => {
  const [, line = ""] = run("df", "-B1", "--output=size,avail,fstype,target", "/").split("\n");
  const [size, available, type, target] = line.trim().split(/\s+/);
  const disks = await rowsOf(
    `SELECT DeviceID, Size, FreeSpace, FileSystem FROM Win32_LogicalDisk WHERE DeviceID = '/'`,
  );
  assert.equal(disks.length, 1);
  assert.equal(disks[0]?.DeviceID, target);
  assert.equal(disks[0]?.Size, size);
  assert.equal(disks[0]?.FileSystem, type);
  assert.ok(Math.abs(Number(disks[0]?.FreeSpace) - Number(available)) < 2e9);
});

test("the packages are those of dpkg-query", async () => {
  const listed = run(
    "dpkg-query",
    "-W",
    "-f",
    `${["db:Status-Status", "binary:Package", "Version"].map((field) => `\${${field}}`).join(" ")}\\n`,
  )
    .split("\n")
    .filter((line) => line.startsWith("installed "))
    .map((line) => line.split(" ").slice(1));
  const found = await rowsOf("SELECT IdentifyingNumber, Version FROM Win32_Product");
  assert.deepEqual(
    found.map((row) => [row.IdentifyingNumber, row.Version]),
    listed,
  );
});

test("the network adapters are those of ip", async () => {
  const links = JSON.parse(run("ip", "-json", "address")) as {
    ifname: string;
    ifindex: number;
    mtu: number;
    address?: string;
    addr_info: { local: string }[];
  }[];
  const found = await rowsOf(
    "SELECT Description, InterfaceIndex, MTU, MACAddress, IPAddress FROM Win32_NetworkAdapterConfiguration",
  );
  const byIndex = (rows: Record<string, unknown>[]) =>
    rows.sort((left, right) => Number(left.InterfaceIndex) - Number(right.InterfaceIndex));
  const expected = links
    .filter(({ ifname }) => ifname !== "lo")
    .map((link) => ({
      Description: link.ifname,
      InterfaceIndex: link.ifindex,
      MTU: link.mtu,
      MACAddress: link.address?.toUpperCase() ?? null,
      IPAddress: link.addr_info.length === 0 ? null : link.addr_info.map(({ local }) => local),
    }));
  assert.deepEqual(byIndex(found), byIndex(expected));
});

test("names are found in any case and written in WMI's", async () => {
  const answer = await ask("select FAMILY, numberofcores from win32_PROCESSOR where family > 0");
  assert.ok(answer.ok && /^\r\nFamily=\d+\r\nNumberOfCores=\d+\r\n$/.test(answer.text));
});

test("what is not known is reported, never invented", async () => {
  assert.deepEqual(await ask("SELECT * FROM Win32_Nonsense"), {
    ok: false,
    reason: `The class "Win32_Nonsense" is not known here; known are ${classNames().join(", ")}.`,
  });
  assert.deepEqual(await ask("SELECT Colour FROM Win32_Processor"), {
    ok: false,
    reason: 'Win32_Processor has no property "Colour" here.',
  });
  assert.deepEqual(await ask("SELECT Family FROM Win32_Processor WHERE Colour = 'red'"), {
    ok: false,
    reason: 'Win32_Processor has no property "Colour" here, and WHERE asks for it.',
  });
  const answer = await ask("SELECT Colour, DeviceID, Taste FROM Win32_Processor WHERE DeviceID = 'CPU0'");
  assert.deepEqual(answer, {
    ok: true,
    text: "\r\nDeviceID=CPU0\r\n",
    json: '[\n{"DeviceID":"CPU0"}\n]\n',
    cut: false,
    unknownProperties: ["Colour", "Taste"],
  });
  assert.equal(classNamed("constructor"), null);
});

test("no object meets the condition: an empty answer, not an error", async () => {
  assert.deepEqual(await ask("SELECT Family FROM Win32_Processor WHERE Family = -1"), {
    ok: true,
    text: "",
    json: "[]\n",
    cut: false,
    unknownProperties: [],
  });
});

test("an answer over the limit keeps whole objects and says that it is cut", async () => {
  const answer = await ask("SELECT Name FROM Win32_Product", {}, { maxBytes: 100 });
  assert.ok(answer.ok && answer.cut);
  const { length } = JSON.parse(answer.json) as unknown[];
  assert.ok(length > 0 && Buffer.byteLength(answer.text) <= 100);
  assert.equal(answer.text.match(/^Name=.+\r$/gm)?.length, length);
});

test("time limit and interruption end a query with their reason", async () => {
  assert.deepEqual(await ask("SELECT * FROM Win32_Product", {}, { timeoutMs: 1 }), {
    ok: false,
    reason: "The query took more than 1 ms.",
  });
  const stop = new AbortController();
  const answer = ask("SELECT * FROM Win32_Product", {}, { signal: stop.signal });
  stop.abort();
  assert.deepEqual(await answer, { ok: false, reason: "The query was interrupted." });
  assert.deepEqual(await ask("SELECT * FROM Win32_Product", {}, { signal: AbortSignal.abort() }), {
    ok: false,
    reason: "The query was interrupted.",
  });
});

test("systems other than Linux are answered through the library", async () => {
  // The library runs on Linux, too: what it says of this machine must be what we read ourselves.
  const host = { platform: "freebsd" as const };
  for (const query of [
    "SELECT Family, NumberOfLogicalProcessors, Stepping FROM Win32_Processor",
    "SELECT TotalVisibleMemorySize FROM Win32_OperatingSystem",
    "SELECT Size FROM Win32_LogicalDisk WHERE DeviceID = '/'",
  ])
    assert.deepEqual(await rowsOf(query, host), await rowsOf(query), query);
  assert.deepEqual(await ask("SELECT * FROM Win32_Service", host), {
    ok: false,
    reason: "This system tells nothing of Win32_Service.",
  });
});

test("a Windows without PowerShell and wmic says so", async () => {
  assert.deepEqual(await ask("SELECT Family FROM Win32_Processor", { platform: "win32" }), {
    ok: false,
    reason: "Neither PowerShell nor wmic could be started, and WMI has no other door.",
  });
});
