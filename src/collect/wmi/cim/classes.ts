/**
 * The WMI classes that can be answered without WMI, each with the properties that some system can tell, in WMI's
 * spelling and its alphabetical order. A class or property that is not here is reported as unknown, never invented.
 */

import type { CimValue } from "../../../wql/match.ts";

export const CLASSES = {
  Win32_BIOS: words(
    "Caption Manufacturer Name ReleaseDate SerialNumber SMBIOSBIOSVersion SystemBiosMajorVersion SystemBiosMinorVersion",
  ),
  Win32_ComputerSystem: words(
    "Caption CurrentTimeZone DNSHostName Domain HypervisorPresent Manufacturer Model Name NumberOfLogicalProcessors",
    "NumberOfProcessors SystemFamily SystemSKUNumber SystemType TotalPhysicalMemory",
  ),
  Win32_LogicalDisk: words(
    "Caption Description DeviceID DriveType FileSystem FreeSpace Name ProviderName Size VolumeName VolumeSerialNumber",
  ),
  Win32_NetworkAdapterConfiguration: words(
    "Caption DefaultIPGateway Description DNSDomain DNSDomainSuffixSearchOrder DNSHostName DNSServerSearchOrder Index",
    "InterfaceIndex IPAddress IPEnabled IPSubnet MACAddress MTU",
  ),
  Win32_OperatingSystem: words(
    "BuildNumber Caption CSName CurrentTimeZone FreePhysicalMemory FreeSpaceInPagingFiles FreeVirtualMemory",
    "LastBootUpTime LocalDateTime Manufacturer Name NumberOfProcesses OSArchitecture OSType SizeStoredInPagingFiles",
    "TotalVirtualMemorySize TotalVisibleMemorySize Version",
  ),
  Win32_PhysicalMemory: words(
    "BankLabel Capacity Caption ConfiguredClockSpeed ConfiguredVoltage DataWidth DeviceLocator Manufacturer Name",
    "PartNumber SerialNumber SMBIOSMemoryType Speed Tag TotalWidth",
  ),
  Win32_PnPSignedDriver: words(
    "Description DeviceID DeviceName DriverName DriverVersion HardWareID IsSigned Manufacturer",
  ),
  Win32_Processor: words(
    "AddressWidth Architecture Caption CurrentClockSpeed DataWidth Description DeviceID Family L2CacheSize L3CacheSize",
    "Level Manufacturer MaxClockSpeed Name NumberOfCores NumberOfLogicalProcessors Revision Stepping SystemName",
  ),
  Win32_Product: words("Caption Description IdentifyingNumber Name Vendor Version"),
  Win32_QuickFixEngineering: words("Caption CSName Description HotFixID InstalledOn"),
  Win32_Service: words("Caption Description DisplayName Name ProcessId Started StartMode State SystemName"),
  Win32_VideoController: words(
    "AdapterCompatibility AdapterRAM Caption",
    "Description DeviceID DriverVersion InstalledDisplayDrivers Name PNPDeviceID VideoProcessor",
  ),
} as const satisfies Record<string, readonly string[]>;

export type ClassName = keyof typeof CLASSES;

/** One object of a class; a property that is left out cannot be told. */
export type ObjectOf<Name extends ClassName> = {
  readonly [Property in (typeof CLASSES)[Name][number]]?: CimValue;
};

/** All objects of a class that a system has now. */
export type ObjectsOf<Name extends ClassName> = Promise<readonly ObjectOf<Name>[]>;

/** What a system can answer. An absent class cannot be told there. */
export type ClassReaders<Source> = {
  readonly [Name in ClassName]?: (source: Source) => ObjectsOf<Name>;
};

/** WMI's DriveType and the description it goes with. */
export const DRIVES = {
  removable: { Description: "Removable Disk", DriveType: 2 },
  fixed: { Description: "Local Fixed Disk", DriveType: 3 },
  network: { Description: "Network Connection", DriveType: 4 },
  disc: { Description: "CD-ROM Disc", DriveType: 5 },
} as const;

/** The class a query means, in any case; null for one that is not known. */
export function classNamed(name: string): ClassName | null {
  const wanted = name.toLowerCase();
  return classNames().find((known) => known.toLowerCase() === wanted) ?? null;
}

/** All classes, by name. */
export function classNames(): ClassName[] {
  return Object.keys(CLASSES) as ClassName[];
}

type WordIn<Text extends string> = Text extends `${infer First} ${infer Rest}` ? First | WordIn<Rest> : Text;

function words<Line extends string>(...lines: Line[]): readonly WordIn<Line>[] {
  return lines.join(" ").split(" ") as WordIn<Line>[];
}
