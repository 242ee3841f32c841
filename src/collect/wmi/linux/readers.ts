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
import { readFixes, readProducts, readServices } from "./software.ts";
import { readBios, readComputerSystem, readOperatingSystem } from "./system.ts";
import type { LinuxSource } from "./tree.ts";

export const LINUX_READERS: ClassReaders<LinuxSource> = {
  Win32_BIOS: readBios,
  Win32_ComputerSystem: readComputerSystem,
  Win32_LogicalDisk: readLogicalDisks,
  Win32_NetworkAdapterConfiguration: readAdapters,
  Win32_OperatingSystem: readOperatingSystem,
  Win32_PhysicalMemory: readPhysicalMemory,
  Win32_PnPSignedDriver: readDrivers,
  Win32_Processor: readProcessors,
  Win32_Product: readProducts,
  Win32_QuickFixEngineering: readFixes,
  Win32_Service: readServices,
  Win32_VideoController: readVideoControllers,
};
