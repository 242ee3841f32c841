/** Win32_PhysicalMemory on Linux: the kernel's copy of SMBIOS' memory devices (DSP0134, type 17), which only root can read. */

import type { ObjectOf, ObjectsOf } from "../cim/classes.ts";
import type { LinuxSource } from "./tree.ts";

/** One object per slot that holds memory. */
export async function readPhysicalMemory({ tree }: LinuxSource): ObjectsOf<"Win32_PhysicalMemory"> {
  const entries = "sys/firmware/dmi/entries";
  const names = (await tree.names(entries)).filter((name) => name.startsWith("17-"));
  const tables = await Promise.all(names.map((name) => tree.bytes(`${entries}/${name}/raw`)));
  const devices = tables.flatMap((table) => (table === null ? [] : (parseMemoryDevice(table) ?? [])));
  return devices.map((device, index) => ({ ...device, Tag: `Physical Memory ${index}` }));
}

/** SMBIOS' words for "not known" in a field of 16 bits, and for "see the field of 32 bits". */
const UNKNOWN = 0xffff;
const EXTENDED = 0x7fff;

/** One type 17 structure with its strings; null for an empty slot and for what is no such structure. */
function parseMemoryDevice(table: Buffer): ObjectOf<"Win32_PhysicalMemory"> | null {
  const length = table[1] ?? 0;
  if (table[0] !== 17 || length < 0x15 || table.length < length) return null;
  const strings = table.subarray(length).toString("latin1").split("\0");
  const word = (offset: number) => (offset + 2 <= length ? table.readUInt16LE(offset) : 0);
  const known = (offset: number) => (word(offset) === 0 || word(offset) === UNKNOWN ? null : word(offset));
  const text = (offset: number) => {
    const index = offset < length ? (table[offset] ?? 0) : 0;
    return index === 0 ? null : (strings[index - 1] ?? "").trim() || null;
  };
  const capacity = capacityOf(word(0x0c), length >= 0x20 ? table.readUInt32LE(0x1c) : 0);
  if (capacity === 0n) return null;
  return {
    BankLabel: text(0x11),
    Capacity: capacity,
    Caption: "Physical Memory",
    ConfiguredClockSpeed: known(0x20),
    ConfiguredVoltage: known(0x26),
    DataWidth: known(0x0a),
    DeviceLocator: text(0x10),
    Manufacturer: text(0x17),
    Name: "Physical Memory",
    PartNumber: text(0x1a),
    SerialNumber: text(0x18),
    SMBIOSMemoryType: table[0x12] ?? null,
    Speed: known(0x15),
    TotalWidth: known(0x08),
  };
}

/** Bytes; 0 for an empty slot, null for a size nobody knows. The top bit of a size says KiB instead of MiB. */
function capacityOf(size: number, extended: number): bigint | null {
  if (size === UNKNOWN) return null;
  if (size === EXTENDED) return BigInt(extended) * 1_048_576n;
  return BigInt(size & EXTENDED) * (size > EXTENDED ? 1024n : 1_048_576n);
}
