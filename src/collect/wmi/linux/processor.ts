/** Win32_Processor on Linux: /proc/cpuinfo and the caches in /sys. Hides how the kernel lists logical processors. */

import type { ObjectOf, ObjectsOf } from "../cim/classes.ts";
import { type LinuxSource, parseFields, parseWhole, type SystemTree } from "./tree.ts";

/** WMI's Architecture, the width, and how WMI's own texts spell it, by Node's name. */
export const ARCHITECTURES: Readonly<Record<string, { number: number; bits: 32 | 64; name: string }>> = {
  ia32: { number: 0, bits: 32, name: "x86" },
  arm: { number: 5, bits: 32, name: "ARM" },
  x64: { number: 9, bits: 64, name: "x64" },
  arm64: { number: 12, bits: 64, name: "ARM64" },
};

/**
 * One object per socket, as WMI has it. Family and Level are the kernel's "cpu family", which is CPUID's; WMI's own
 * Family is a number out of SMBIOS' list, which only root can read.
 */
export async function readProcessors(source: LinuxSource): ObjectsOf<"Win32_Processor"> {
  const sockets = groupBySocket(parseCpus(await source.tree.text("proc/cpuinfo")));
  return Promise.all(sockets.map((socket, index) => readProcessor(source, socket, index)));
}

/** How many sockets and logical processors there are, and whether a hypervisor is beneath; null where nothing says. */
export async function countProcessors(
  tree: SystemTree,
): Promise<{ sockets: number | null; logical: number | null; isVirtual: boolean | null }> {
  const cpus = parseCpus(await tree.text("proc/cpuinfo"));
  const flags = cpus[0]?.get("flags");
  return {
    sockets: groupBySocket(cpus).length || null,
    logical: cpus.length || null,
    isVirtual: flags === undefined ? null : ` ${flags} `.includes(" hypervisor "),
  };
}

type Cpu = ReadonlyMap<string, string>;

function parseCpus(cpuInfo: string): Cpu[] {
  return cpuInfo
    .split(/\n\s*\n/)
    .map((block) => parseFields(block, ":"))
    .filter((cpu) => cpu.has("processor"));
}

function groupBySocket(cpus: readonly Cpu[]): Cpu[][] {
  const sockets = new Map<string, Cpu[]>();
  for (const cpu of cpus) {
    const id = cpu.get("physical id") ?? "0";
    const socket = sockets.get(id);
    if (socket === undefined) sockets.set(id, [cpu]);
    else socket.push(cpu);
  }
  return [...sockets.values()];
}

async function readProcessor(
  { tree, hostName, arch }: LinuxSource,
  cpus: readonly Cpu[],
  index: number,
): Promise<ObjectOf<"Win32_Processor">> {
  const first: Cpu = cpus[0] ?? new Map();
  const numbers = cpus.map((cpu) => cpu.get("processor") ?? "");
  const description = describe(first, arch);
  const [family, model, stepping] = ["cpu family", "model", "stepping"].map((key) =>
    parseWhole(first.get(key)),
  );
  const architecture = ARCHITECTURES[arch];
  const maxKhz = parseWhole(
    await tree.text(`sys/devices/system/cpu/cpu${numbers[0]}/cpufreq/cpuinfo_max_freq`),
  );
  return {
    AddressWidth: architecture?.bits ?? null,
    Architecture: architecture?.number ?? null,
    Caption: description,
    CurrentClockSpeed: parseMegahertz(first.get("cpu MHz")),
    DataWidth: architecture?.bits ?? null,
    Description: description,
    DeviceID: `CPU${index}`,
    Family: family ?? null,
    L2CacheSize: await readCacheSize(tree, numbers, "2"),
    L3CacheSize: await readCacheSize(tree, numbers, "3"),
    Level: family ?? null,
    Manufacturer: first.get("vendor_id") ?? null,
    MaxClockSpeed: maxKhz === null ? null : Math.round(maxKhz / 1000),
    Name: first.get("model name") ?? null,
    NumberOfCores: parseWhole(first.get("cpu cores")),
    NumberOfLogicalProcessors: cpus.length,
    Revision: model == null || stepping == null ? null : model * 256 + stepping,
    Stepping: first.get("stepping") ?? null,
    SystemName: hostName,
  };
}

/** As Windows words it: `Intel64 Family 6 Model 158 Stepping 10`. */
function describe(cpu: Cpu, arch: string): string | null {
  const [family, model, stepping] = [cpu.get("cpu family"), cpu.get("model"), cpu.get("stepping")];
  if (family === undefined || model === undefined || stepping === undefined) return null;
  const maker = /AMD/.test(cpu.get("vendor_id") ?? "") ? "AMD64" : "Intel64";
  return `${arch === "x64" ? maker : "x86"} Family ${family} Model ${model} Stepping ${stepping}`;
}

function parseMegahertz(text: string | undefined): number | null {
  const megahertz = Number.parseFloat(text ?? "");
  return Number.isFinite(megahertz) ? Math.round(megahertz) : null;
}

/** KiB of all caches of a level that these logical processors have, those that several share once. */
async function readCacheSize(
  tree: SystemTree,
  cpus: readonly string[],
  level: string,
): Promise<number | null> {
  const sizes = new Map<string, number>();
  for (const cpu of cpus) {
    const caches = `sys/devices/system/cpu/cpu${cpu}/cache`;
    for (const name of await tree.names(caches)) {
      if (!name.startsWith("index") || (await tree.text(`${caches}/${name}/level`)) !== level) continue;
      const size = /^(\d+)K$/.exec(await tree.text(`${caches}/${name}/size`))?.[1];
      if (size !== undefined) sizes.set(await tree.text(`${caches}/${name}/shared_cpu_list`), Number(size));
    }
  }
  return sizes.size === 0 ? null : [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
