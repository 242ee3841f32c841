/**
 * Which of WMI's classes Linux can answer, and by what. Everything is read from files; only packages and services are
 * asked of a program.
 */

import type { ClassReaders } from "../cim/classes.ts";
import { readDrivers, readVideoControllers } from "./devices.ts";
import { readLogicalDisks } from "./disk.ts";
import { readPhysicalMemory } from "./memory.ts";
import { readAdapters } from "./network.ts";
import { readProcessors } from "./processor.ts";
import { readFixes, readProducts, readServices, type SoftwareSource } from "./software.ts";
import { readBios, readComputerSystem, readOperatingSystem, type SystemHost } from "./system.ts";

export type LinuxSource = SystemHost & SoftwareSource;

export const LINUX_READERS: ClassReaders<LinuxSource> = {
  Win32_BIOS: ({ tree }) => readBios(tree),
  Win32_ComputerSystem: (source) => readComputerSystem(source.tree, source),
  Win32_LogicalDisk: ({ tree }) => readLogicalDisks(tree),
  Win32_NetworkAdapterConfiguration: (source) => readAdapters(source.tree, source),
  Win32_OperatingSystem: (source) => readOperatingSystem(source.tree, source),
  Win32_PhysicalMemory: ({ tree }) => readPhysicalMemory(tree),
  Win32_PnPSignedDriver: ({ tree }) => readDrivers(tree),
  Win32_Processor: (source) => readProcessors(source.tree, source),
  Win32_Product: readProducts,
  Win32_QuickFixEngineering: readFixes,
  Win32_Service: readServices,
  Win32_VideoController: ({ tree }) => readVideoControllers(tree),
};
