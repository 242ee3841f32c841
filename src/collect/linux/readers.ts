/** Which of WMI's classes Linux can answer, and by what. Everything is read from files; only packages and services start a program. */

import type { ClassReaders } from "../wmi-classes.ts";
import { readLogicalDisks } from "./disk.ts";
import { readProcessors } from "./processor.ts";
import { readBios, readComputerSystem, readOperatingSystem, type SystemHost } from "./system.ts";
import type { SystemTree } from "./tree.ts";

export type LinuxSource = SystemHost & { readonly tree: SystemTree };

export const LINUX_READERS: ClassReaders<LinuxSource> = {
  Win32_BIOS: ({ tree }) => readBios(tree),
  Win32_ComputerSystem: (source) => readComputerSystem(source.tree, source),
  Win32_LogicalDisk: ({ tree }) => readLogicalDisks(tree),
  Win32_OperatingSystem: (source) => readOperatingSystem(source.tree, source),
  Win32_Processor: (source) => readProcessors(source.tree, source),
};
