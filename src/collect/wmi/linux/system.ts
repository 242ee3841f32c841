/**
 * Win32_OperatingSystem, Win32_ComputerSystem and Win32_BIOS on Linux: /etc/os-release, /proc and the kernel's copy of
 * the SMBIOS strings.
 */

import type { ObjectsOf } from "../cim/classes.ts";
import { formatCimTime } from "../cim/time.ts";
import { ARCHITECTURES, countProcessors } from "./processor.ts";
import { type LinuxSource, parseFields, parseWhole, type SystemTree } from "./tree.ts";

/** CIM_OperatingSystem.OSType's number for Linux. */
const OS_TYPE_LINUX = 36;

/** Sizes are KiB, as WMI has them; Version is the kernel's, as BuildNumber is its third part. */
export async function readOperatingSystem(source: LinuxSource): ObjectsOf<"Win32_OperatingSystem"> {
  const { tree, hostName, arch, release, now } = source;
  const [distribution, memory, bootTime, processes] = await Promise.all([
    readOsRelease(tree),
    readMemory(tree),
    tree.text("proc/stat").then((text) => parseWhole(/^btime (\d+)/m.exec(text)?.[1])),
    tree.names("proc").then((names) => names.filter((name) => /^\d+$/.test(name)).length),
  ]);
  const free = memory("MemAvailable") ?? memory("MemFree");
  const name = distribution.get("PRETTY_NAME") ?? null;
  return [
    {
      BuildNumber: /^\d+\.\d+\.(\d+)/.exec(release)?.[1] ?? null,
      Caption: name,
      CSName: hostName,
      CurrentTimeZone: -now.getTimezoneOffset(),
      FreePhysicalMemory: free,
      FreeSpaceInPagingFiles: memory("SwapFree"),
      FreeVirtualMemory: sum(free, memory("SwapFree")),
      LastBootUpTime: bootTime === null ? null : formatCimTime(new Date(bootTime * 1000)),
      LocalDateTime: formatCimTime(now),
      Manufacturer: distribution.get("VENDOR_NAME") ?? null,
      Name: name,
      NumberOfProcesses: processes || null,
      OSArchitecture: architectureText(arch),
      OSType: OS_TYPE_LINUX,
      SizeStoredInPagingFiles: memory("SwapTotal"),
      TotalVirtualMemorySize: sum(memory("MemTotal"), memory("SwapTotal")),
      TotalVisibleMemorySize: memory("MemTotal"),
      Version: release,
    },
  ];
}

/** KiB by the kernel's name for it. */
async function readMemory(tree: SystemTree): Promise<(key: string) => bigint | null> {
  const fields = parseFields(await tree.text("proc/meminfo"), ":");
  return (key) => {
    const number = parseWhole(fields.get(key));
    return number === null ? null : BigInt(number);
  };
}

async function readOsRelease(tree: SystemTree): Promise<Map<string, string>> {
  return parseFields((await tree.text("etc/os-release")) || (await tree.text("usr/lib/os-release")), "=");
}

function sum(left: bigint | null, right: bigint | null): bigint | null {
  return left === null || right === null ? null : left + right;
}

function architectureText(arch: string): string | null {
  const bits = ARCHITECTURES[arch]?.bits;
  return bits === undefined ? null : `${bits}-bit`;
}

/** TotalPhysicalMemory is bytes. On boards without SMBIOS the device tree names the model. */
export async function readComputerSystem(source: LinuxSource): ObjectsOf<"Win32_ComputerSystem"> {
  const { tree, hostName, arch, now } = source;
  const [smbios, board, memory, processors] = await Promise.all([
    readSmbios(tree),
    tree.text("sys/firmware/devicetree/base/model"),
    readMemory(tree),
    countProcessors(tree),
  ]);
  const kib = memory("MemTotal");
  const architecture = ARCHITECTURES[arch];
  return [
    {
      Caption: hostName,
      CurrentTimeZone: -now.getTimezoneOffset(),
      DNSHostName: hostName,
      Domain: /\.(.+)$/.exec(hostName)?.[1] ?? null,
      HypervisorPresent: processors.isVirtual,
      Manufacturer: smbios.sys_vendor,
      Model: smbios.product_name ?? (board.replaceAll("\0", "") || null),
      Name: hostName,
      NumberOfLogicalProcessors: processors.logical,
      NumberOfProcessors: processors.sockets,
      SystemFamily: smbios.product_family,
      SystemSKUNumber: smbios.product_sku,
      SystemType: architecture === undefined ? null : `${architecture.name}-based PC`,
      TotalPhysicalMemory: kib === null ? null : kib * 1024n,
    },
  ];
}

/** Nothing where the kernel has no SMBIOS tables. The serial number is there for root alone. */
export async function readBios({ tree }: LinuxSource): ObjectsOf<"Win32_BIOS"> {
  const { bios_vendor, bios_version, bios_date, bios_release, product_serial } = await readSmbios(tree);
  if (bios_vendor === null && bios_version === null) return [];
  const [major, minor] = (bios_release ?? "").split(".");
  const [, month, day, year] = /^(\d\d)\/(\d\d)\/(\d{4})$/.exec(bios_date ?? "") ?? [];
  return [
    {
      Caption: bios_version,
      Manufacturer: bios_vendor,
      Name: bios_version,
      ReleaseDate: year === undefined ? null : `${year}${month}${day}000000.000000+000`,
      SerialNumber: product_serial,
      SMBIOSBIOSVersion: bios_version,
      SystemBiosMajorVersion: parseWhole(major),
      SystemBiosMinorVersion: parseWhole(minor),
    },
  ];
}

const SMBIOS_NAMES = [
  "sys_vendor",
  "product_name",
  "product_family",
  "product_sku",
  "product_serial",
  "bios_vendor",
  "bios_version",
  "bios_date",
  "bios_release",
] as const;

async function readSmbios(tree: SystemTree): Promise<Record<(typeof SMBIOS_NAMES)[number], string | null>> {
  const texts = await tree.texts("sys/class/dmi/id", SMBIOS_NAMES);
  const entries = SMBIOS_NAMES.map((name, index) => [name, texts[index] || null]);
  return Object.fromEntries(entries) as Record<(typeof SMBIOS_NAMES)[number], string | null>;
}
