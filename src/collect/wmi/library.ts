/**
 * What macOS and the BSDs can tell of WMI's classes, through the library systeminformation, of which this is the only
 * importer. It asks the system's own programs; what it fills in where they say nothing (empty texts, zeros) counts as
 * unknown here.
 */

import { type ClassReaders, DRIVES, type ObjectsOf } from "./cim/classes.ts";
import { formatCimTime } from "./cim/time.ts";

type Library = typeof import("systeminformation");

type LibrarySource = {
  readonly library: Library;
  readonly platform: NodeJS.Platform;
  readonly hostName: string;
  readonly now: Date;
};

/** Loads the library: some 700 KiB of it, and only here. */
export async function loadLibrary(): Promise<Library> {
  const { default: library } = await import("systeminformation");
  return library;
}

export const LIBRARY_READERS: ClassReaders<LibrarySource> = {
  Win32_BIOS: readBios,
  Win32_ComputerSystem: readComputerSystem,
  Win32_LogicalDisk: readLogicalDisks,
  Win32_OperatingSystem: readOperatingSystem,
  Win32_PhysicalMemory: readPhysicalMemory,
  Win32_Processor: readProcessors,
  Win32_VideoController: readVideoControllers,
};

/** Where a system says nothing, the library says "", "-" or "unknown". */
function text(value: string | null | undefined): string | null {
  const trimmed = value?.trim() ?? "";
  return /^(-|unknown)?$/i.test(trimmed) ? null : trimmed;
}

function positive(value: number | null | undefined): number | null {
  return typeof value === "number" && value > 0 ? value : null;
}

/** Bytes, or bytes in units of `unit`. */
function size(bytes: number | null | undefined, unit = 1): bigint | null {
  return typeof bytes === "number" && bytes >= 0 ? BigInt(Math.floor(bytes / unit)) : null;
}

function wholeNumber(value: string): number | null {
  return /^\d{1,9}$/.test(value) ? Number(value) : null;
}

async function readProcessors({ library, hostName }: LibrarySource): ObjectsOf<"Win32_Processor"> {
  const cpu = await library.cpu();
  const sockets = Math.max(1, cpu.processors);
  const family = wholeNumber(cpu.family);
  const megahertz = (gigahertz: number) => positive(Math.round(gigahertz * 1000));
  return Array.from({ length: sockets }, (_, index) => ({
    CurrentClockSpeed: megahertz(cpu.speed),
    DeviceID: `CPU${index}`,
    Family: family,
    L2CacheSize: positive(Math.floor(cpu.cache.l2 / 1024)),
    L3CacheSize: positive(Math.floor(cpu.cache.l3 / 1024)),
    Level: family,
    Manufacturer: text(cpu.vendor) ?? text(cpu.manufacturer),
    MaxClockSpeed: megahertz(cpu.speedMax),
    Name: text(`${cpu.manufacturer} ${cpu.brand}`),
    NumberOfCores: positive(cpu.physicalCores / sockets),
    NumberOfLogicalProcessors: positive(cpu.cores / sockets),
    Stepping: text(cpu.stepping),
    SystemName: hostName,
  }));
}

/** CIM_OperatingSystem.OSType's numbers. */
const OS_TYPES: { readonly [platform in NodeJS.Platform]?: number } = {
  darwin: 2,
  freebsd: 42,
  netbsd: 43,
  openbsd: 41,
};

async function readOperatingSystem(source: LibrarySource): ObjectsOf<"Win32_OperatingSystem"> {
  const { library, platform, hostName, now } = source;
  const [os, memory] = await Promise.all([library.osInfo(), library.mem()]);
  const name = text(`${os.distro} ${os.release}`);
  const uptime = positive(Number(library.time().uptime));
  const kib = (bytes: number) => size(bytes, 1024);
  return [
    {
      BuildNumber: text(os.build),
      Caption: name,
      CSName: hostName,
      CurrentTimeZone: -now.getTimezoneOffset(),
      FreePhysicalMemory: kib(memory.available),
      FreeSpaceInPagingFiles: kib(memory.swapfree),
      FreeVirtualMemory: kib(memory.available + memory.swapfree),
      LastBootUpTime: uptime === null ? null : formatCimTime(new Date(now.getTime() - uptime * 1000)),
      LocalDateTime: formatCimTime(now),
      Name: name,
      OSArchitecture: /64$/.test(os.arch) ? "64-bit" : null,
      OSType: OS_TYPES[platform] ?? null,
      SizeStoredInPagingFiles: kib(memory.swaptotal),
      TotalVirtualMemorySize: kib(memory.total + memory.swaptotal),
      TotalVisibleMemorySize: kib(memory.total),
      Version: text(os.release),
    },
  ];
}

async function readComputerSystem(source: LibrarySource): ObjectsOf<"Win32_ComputerSystem"> {
  const { library, hostName, now } = source;
  const [system, cpu, memory] = await Promise.all([library.system(), library.cpu(), library.mem()]);
  return [
    {
      Caption: hostName,
      CurrentTimeZone: -now.getTimezoneOffset(),
      DNSHostName: hostName,
      Manufacturer: text(system.manufacturer),
      Model: text(system.model),
      Name: hostName,
      NumberOfLogicalProcessors: positive(cpu.cores),
      NumberOfProcessors: positive(cpu.processors),
      SystemSKUNumber: text(system.sku),
      TotalPhysicalMemory: size(memory.total),
    },
  ];
}

async function readBios({ library }: LibrarySource): ObjectsOf<"Win32_BIOS"> {
  const bios = await library.bios();
  if (text(bios.vendor) === null && text(bios.version) === null) return [];
  const date = /^(\d{4})-(\d\d)-(\d\d)/.exec(bios.releaseDate);
  return [
    {
      Caption: text(bios.version),
      Manufacturer: text(bios.vendor),
      Name: text(bios.version),
      ReleaseDate: date === null ? null : `${date.slice(1).join("")}000000.000000+000`,
      SerialNumber: text(bios.serial),
      SMBIOSBIOSVersion: text(bios.version),
    },
  ];
}

async function readLogicalDisks({ library }: LibrarySource): ObjectsOf<"Win32_LogicalDisk"> {
  return (await library.fsSize()).map((disk) => ({
    ...(disk.fs.startsWith("/dev/") ? DRIVES.fixed : DRIVES.network),
    Caption: disk.mount,
    DeviceID: disk.mount,
    FileSystem: text(disk.type),
    FreeSpace: size(disk.available),
    Name: disk.mount,
    ProviderName: disk.fs.startsWith("/dev/") ? null : disk.fs,
    Size: size(disk.size),
  }));
}

/** The library makes up one nameless module of all memory where the system tells of none: it is left out. */
async function readPhysicalMemory({ library }: LibrarySource): ObjectsOf<"Win32_PhysicalMemory"> {
  const modules = (await library.memLayout()).filter(
    ({ type, bank }) => text(type) !== null || text(bank) !== null,
  );
  return modules.map((module, index) => ({
    BankLabel: text(module.bank),
    Capacity: size(module.size),
    Caption: "Physical Memory",
    Manufacturer: text(module.manufacturer),
    Name: "Physical Memory",
    PartNumber: text(module.partNum),
    SerialNumber: text(module.serialNum),
    Speed: positive(module.clockSpeed),
    Tag: `Physical Memory ${index}`,
  }));
}

async function readVideoControllers({ library }: LibrarySource): ObjectsOf<"Win32_VideoController"> {
  const { controllers } = await library.graphics();
  return controllers.map((controller, index) => {
    const name = text(controller.model);
    const megabytes = positive(controller.vram);
    return {
      AdapterCompatibility: text(controller.vendor),
      AdapterRAM: megabytes === null ? null : megabytes * 1_048_576,
      Caption: name,
      Description: name,
      DeviceID: `VideoController${index + 1}`,
      DriverVersion: text(controller.driverVersion),
      Name: name,
      VideoProcessor: name,
    };
  });
}
