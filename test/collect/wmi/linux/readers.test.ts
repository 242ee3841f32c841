/** Machines that this one is not, as trees of the files their kernels would show. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { type ClassName, classNames, type ObjectOf } from "../../../../src/collect/wmi/cim/classes.ts";
import { LINUX_READERS } from "../../../../src/collect/wmi/linux/readers.ts";
import { type LinuxSource, systemTree } from "../../../../src/collect/wmi/linux/tree.ts";

/** A file's content, or where a link points to. */
type Tree = Readonly<Record<string, string | Buffer | { readonly link: string }>>;

async function read<Name extends ClassName>(
  tree: Tree,
  className: Name,
  source: Partial<LinuxSource> = {},
): Promise<readonly ObjectOf<Name>[]> {
  const root = await mkdtemp(join(tmpdir(), "cer-tree-"));
  try {
    for (const [path, content] of Object.entries(tree)) {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      if (typeof content === "object" && "link" in content) await symlink(content.link, file);
      else await writeFile(file, content);
    }
    const reader = LINUX_READERS[className];
    assert.ok(reader !== undefined);
    return await reader({
      tree: systemTree(root),
      hostName: "build7",
      release: "6.8.0-41-generic",
      arch: "x64",
      now: new Date("2026-03-14T09:26:53Z"),
      signal: new AbortController().signal,
      timeoutMs: 1000,
      ...source,
    });
  } finally {
    await rm(root, { recursive: true });
  }
}

function cpu(number: number, socket: number): string {
  return [
    `processor\t: ${number}`,
    "vendor_id\t: GenuineIntel",
    "cpu family\t: 6",
    "model\t\t: 85",
    "model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
    "stepping\t: 4",
    "cpu MHz\t\t: 2095.078",
    `physical id\t: ${socket}`,
    "cpu cores\t: 16",
    "flags\t\t: fpu vme hypervisor lm",
  ].join("\n");
}

const CACHES = (number: number, shared: string): Tree => ({
  [`sys/devices/system/cpu/cpu${number}/cache/index2/level`]: "2\n",
  [`sys/devices/system/cpu/cpu${number}/cache/index2/size`]: "1024K\n",
  [`sys/devices/system/cpu/cpu${number}/cache/index2/shared_cpu_list`]: `${number}\n`,
  [`sys/devices/system/cpu/cpu${number}/cache/index3/level`]: "3\n",
  [`sys/devices/system/cpu/cpu${number}/cache/index3/size`]: "22528K\n",
  [`sys/devices/system/cpu/cpu${number}/cache/index3/shared_cpu_list`]: `${shared}\n`,
});

test("a machine with two sockets has two processors, each with its own caches", async () => {
  const processor = {
    AddressWidth: 64,
    Architecture: 9,
    Caption: "Intel64 Family 6 Model 85 Stepping 4",
    CurrentClockSpeed: 2095,
    DataWidth: 64,
    Description: "Intel64 Family 6 Model 85 Stepping 4",
    DeviceID: "CPU0",
    Family: 6,
    L2CacheSize: 2048,
    L3CacheSize: 22528,
    Level: 6,
    Manufacturer: "GenuineIntel",
    MaxClockSpeed: 3700,
    Name: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
    NumberOfCores: 16,
    NumberOfLogicalProcessors: 2,
    Revision: 21764,
    Stepping: "4",
    SystemName: "build7",
  };
  const tree = {
    "proc/cpuinfo": `${[cpu(0, 0), cpu(1, 1), cpu(2, 0), cpu(3, 1)].join("\n\n")}\n`,
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3700000\n",
    ...CACHES(0, "0,2"),
    ...CACHES(2, "0,2"),
  };
  assert.deepEqual(await read(tree, "Win32_Processor"), [
    processor,
    { ...processor, DeviceID: "CPU1", L2CacheSize: null, L3CacheSize: null, MaxClockSpeed: null },
  ]);
});

test("an ARM processor has no family, and none is made up", async () => {
  const cpuInfo =
    "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd08\n";
  const [found] = await read({ "proc/cpuinfo": cpuInfo }, "Win32_Processor", { arch: "arm64" });
  assert.deepEqual(found, {
    AddressWidth: 64,
    Architecture: 12,
    Caption: null,
    CurrentClockSpeed: null,
    DataWidth: 64,
    Description: null,
    DeviceID: "CPU0",
    Family: null,
    L2CacheSize: null,
    L3CacheSize: null,
    Level: null,
    Manufacturer: null,
    MaxClockSpeed: null,
    Name: null,
    NumberOfCores: null,
    NumberOfLogicalProcessors: 1,
    Revision: null,
    Stepping: null,
    SystemName: "build7",
  });
});

const SMBIOS: Tree = {
  "sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
  "sys/class/dmi/id/product_name": "Latitude 7440\n",
  "sys/class/dmi/id/product_family": "Latitude\n",
  "sys/class/dmi/id/product_sku": "0C01\n",
  "sys/class/dmi/id/bios_vendor": "Dell Inc.\n",
  "sys/class/dmi/id/bios_version": "1.14.0\n",
  "sys/class/dmi/id/bios_date": "02/06/2024\n",
  "sys/class/dmi/id/bios_release": "1.14\n",
};

test("firmware and model come from SMBIOS, and from the device tree where there is none", async () => {
  assert.deepEqual(await read(SMBIOS, "Win32_BIOS"), [
    {
      Caption: "1.14.0",
      Manufacturer: "Dell Inc.",
      Name: "1.14.0",
      ReleaseDate: "20240206000000.000000+000",
      SerialNumber: null,
      SMBIOSBIOSVersion: "1.14.0",
      SystemBiosMajorVersion: 1,
      SystemBiosMinorVersion: 14,
    },
  ]);
  const dell = { ...SMBIOS, "proc/cpuinfo": cpu(0, 0), "proc/meminfo": "MemTotal:       16303984 kB\n" };
  assert.deepEqual(await read(dell, "Win32_ComputerSystem", { hostName: "build7.corp.example.com" }), [
    {
      Caption: "build7.corp.example.com",
      CurrentTimeZone: -new Date("2026-03-14T09:26:53Z").getTimezoneOffset(),
      DNSHostName: "build7.corp.example.com",
      Domain: "corp.example.com",
      HypervisorPresent: true,
      Manufacturer: "Dell Inc.",
      Model: "Latitude 7440",
      Name: "build7.corp.example.com",
      NumberOfLogicalProcessors: 1,
      NumberOfProcessors: 1,
      SystemFamily: "Latitude",
      SystemSKUNumber: "0C01",
      SystemType: "x64-based PC",
      TotalPhysicalMemory: 16695279616n,
    },
  ]);
  const board = { "sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0" };
  const [pi] = await read(board, "Win32_ComputerSystem");
  assert.equal(pi?.Model, "Raspberry Pi 4 Model B Rev 1.4");
  assert.equal(pi?.HypervisorPresent, null);
});

test("disks: one object per file system, network ones without sizes, views of the kernel not at all", async () => {
  const mounts = [
    "proc /proc proc rw 0 0",
    "tmpfs /run tmpfs rw 0 0",
    "/dev/nvme0n1p2 / ext4 rw 0 0",
    "/dev/nvme0n1p2 /var/lib/docker ext4 rw 0 0",
    "/dev/sdb1 /media/ann/My\\040Stick vfat rw 0 0",
    "/dev/sr0 /mnt/cd iso9660 ro 0 0",
    "/dev/loop3 /snap/core/1 squashfs ro 0 0",
    "/dev/fuse /run/user/1000/doc fuse rw 0 0",
    "portal /run/user/1000/p fuse.portal rw 0 0",
    "filer:/home /home nfs4 rw 0 0",
    "overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0",
  ];
  const tree: Tree = {
    "proc/self/mounts": `${mounts.join("\n")}\n`,
    "sys/class/block/sdb/removable": "1\n",
    "dev/disk/by-label/My\\x20Stick": { link: "../../sdb1" },
    "dev/disk/by-uuid/1234-ABCD": { link: "../../sdb1" },
  };
  const found = await read(tree, "Win32_LogicalDisk");
  const shown = found.map((disk) => [
    disk.DeviceID,
    disk.DriveType,
    disk.Description,
    disk.FileSystem,
    disk.ProviderName,
    disk.VolumeName,
    disk.VolumeSerialNumber,
  ]);
  assert.deepEqual(shown, [
    ["/", 3, "Local Fixed Disk", "ext4", null, null, null],
    ["/media/ann/My Stick", 2, "Removable Disk", "vfat", null, "My Stick", "1234-ABCD"],
    ["/mnt/cd", 5, "CD-ROM Disc", "iso9660", null, null, null],
    ["/home", 4, "Network Connection", "nfs4", "filer:/home", null, null],
  ]);
  assert.equal(typeof found[0]?.Size, "bigint");
  assert.equal(found[3]?.Size, null);
});

/** An SMBIOS type 17 structure of version 3.2, its strings after it. */
function memoryDevice(size: number, extended: number): Buffer {
  const table = Buffer.alloc(0x28);
  table.set([17, 0x28]);
  table.writeUInt16LE(72, 0x08);
  table.writeUInt16LE(64, 0x0a);
  table.writeUInt16LE(size, 0x0c);
  table.set([1, 2], 0x10);
  table[0x12] = 26;
  table.writeUInt16LE(3200, 0x15);
  table.set([3, 4, 0, 5], 0x17);
  table.writeUInt32LE(extended, 0x1c);
  table.writeUInt16LE(2933, 0x20);
  table.writeUInt16LE(1200, 0x26);
  return Buffer.concat([
    table,
    Buffer.from("DIMM A\0BANK 0\0Samsung\x0012345678\0M393A2K43DB3-CWE  \0\0", "latin1"),
  ]);
}

test("memory modules are read from SMBIOS, empty slots and damaged tables are not modules", async () => {
  const module = {
    BankLabel: "BANK 0",
    Capacity: 17179869184n,
    Caption: "Physical Memory",
    ConfiguredClockSpeed: 2933,
    ConfiguredVoltage: 1200,
    DataWidth: 64,
    DeviceLocator: "DIMM A",
    Manufacturer: "Samsung",
    Name: "Physical Memory",
    PartNumber: "M393A2K43DB3-CWE",
    SerialNumber: "12345678",
    SMBIOSMemoryType: 26,
    Speed: 3200,
    Tag: "Physical Memory 0",
    TotalWidth: 72,
  };
  const tree = {
    "sys/firmware/dmi/entries/17-0/raw": memoryDevice(16384, 0),
    "sys/firmware/dmi/entries/17-1/raw": memoryDevice(0, 0),
    "sys/firmware/dmi/entries/17-2/raw": memoryDevice(0x7fff, 65536),
    "sys/firmware/dmi/entries/17-3/raw": memoryDevice(0xffff, 0),
    "sys/firmware/dmi/entries/17-4/raw": memoryDevice(0x8200, 0),
    "sys/firmware/dmi/entries/17-5/raw": Buffer.from([17, 0x28, 1]),
    "sys/firmware/dmi/entries/16-0/raw": memoryDevice(1, 0),
  };
  assert.deepEqual(await read(tree, "Win32_PhysicalMemory"), [
    module,
    { ...module, Capacity: 68719476736n, Tag: "Physical Memory 1" },
    { ...module, Capacity: null, Tag: "Physical Memory 2" },
    { ...module, Capacity: 524288n, Tag: "Physical Memory 3" },
  ]);
});

const PCI: Tree = {
  "usr/share/misc/pci.ids":
    "# comment\n10de  NVIDIA Corporation\n\t1b80  GP104 [GeForce GTX 1080]\n\t\t1043 85aa  STRIX\n# more\n\t1b81  GP104\n8086  Intel Corporation\n\t15f3  Ethernet Controller I225-V\nC 03  Display controller\n",
  "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
  "sys/bus/pci/devices/0000:01:00.0/device": "0x1b80\n",
  "sys/bus/pci/devices/0000:01:00.0/subsystem_device": "0x85aa\n",
  "sys/bus/pci/devices/0000:01:00.0/subsystem_vendor": "0x1043\n",
  "sys/bus/pci/devices/0000:01:00.0/revision": "0xa1\n",
  "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
  "sys/bus/pci/devices/0000:01:00.0/driver": { link: "../../../bus/pci/drivers/nvidia" },
  "sys/bus/pci/drivers/nvidia/module": { link: "../../../../module/nvidia" },
  "sys/bus/bus/pci/drivers/nvidia/module": { link: "../../../../module/nvidia" },
  "sys/module/nvidia/version": "550.90.07\n",
  "sys/module/nvidia/taint": "POE\n",
  "sys/module/module/parameters/sig_enforce": "N\n",
  "sys/bus/pci/devices/0000:02:00.0/vendor": "0x8086\n",
  "sys/bus/pci/devices/0000:02:00.0/device": "0x15f3\n",
  "sys/bus/pci/devices/0000:02:00.0/class": "0x020000\n",
};

test("display adapters and drivers come from the PCI bus, in Windows' spelling", async () => {
  const name = "GP104 [GeForce GTX 1080]";
  const id = "PCI\\VEN_10DE&DEV_1B80&SUBSYS_85AA1043&REV_A1";
  assert.deepEqual(await read(PCI, "Win32_VideoController"), [
    {
      AdapterCompatibility: "NVIDIA Corporation",
      Caption: name,
      Description: name,
      DeviceID: "VideoController1",
      DriverVersion: "550.90.07",
      InstalledDisplayDrivers: "nvidia",
      Name: name,
      PNPDeviceID: `${id}\\0000:01:00.0`,
      VideoProcessor: name,
    },
  ]);
  assert.deepEqual(await read(PCI, "Win32_PnPSignedDriver"), [
    {
      Description: name,
      DeviceID: `${id}\\0000:01:00.0`,
      DeviceName: name,
      DriverName: "nvidia",
      DriverVersion: "550.90.07",
      HardWareID: id,
      IsSigned: false,
      Manufacturer: "NVIDIA Corporation",
    },
  ]);
});

test("the packages of a system with apk come from its database", async () => {
  const database =
    "C:Q1abc=\nP:musl\nV:1.2.5-r1\nA:x86_64\nT:the musl c library\nm:Ann <ann@example.com>\n\nP:zlib\nV:1.3.1-r1\n\n";
  assert.deepEqual(await read({ "lib/apk/db/installed": database }, "Win32_Product"), [
    {
      Caption: "musl",
      Description: "the musl c library",
      IdentifyingNumber: "musl",
      Name: "musl",
      Vendor: "Ann <ann@example.com>",
      Version: "1.2.5-r1",
    },
    {
      Caption: "zlib",
      Description: null,
      IdentifyingNumber: "zlib",
      Name: "zlib",
      Vendor: null,
      Version: "1.3.1-r1",
    },
  ]);
});

test("updates are those that dpkg's logs remember", async () => {
  const tree = {
    "var/log/dpkg.log.1": "2026-01-02 03:04:05 upgrade libc6:amd64 2.36-8 2.36-9\n",
    "var/log/dpkg.log":
      "2026-03-14 09:26:53 install new:all <none> 1\n2026-03-14 09:26:54 upgrade tzdata:all 2025a 2026a\n",
  };
  const fix = { CSName: "build7", Description: "Update" };
  assert.deepEqual(await read(tree, "Win32_QuickFixEngineering"), [
    { ...fix, Caption: "libc6:amd64", HotFixID: "libc6:amd64 2.36-9", InstalledOn: "1/2/2026" },
    { ...fix, Caption: "tzdata:all", HotFixID: "tzdata:all 2026a", InstalledOn: "3/14/2026" },
  ]);
});

test("a system that shows nothing is answered with nothing", async () => {
  const silent = classNames().filter((name) => !/Operating|Computer/.test(name));
  for (const name of silent) assert.deepEqual(await read({}, name), [], name);
});
