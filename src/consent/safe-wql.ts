/**
 * What consent `safe` answers of a WQL query: classes of hardware and of the operating system, and of these the
 * properties that hold no user name, no serial number or other identity, no network address and no path. Data only.
 */

/** Properties by class, both as WMI spells them. What is not here is not safe. */
export const SAFE_WQL: Readonly<Record<string, readonly string[]>> = {
  Win32_Processor: words(`
    AddressWidth Architecture Availability Caption CpuStatus CurrentClockSpeed DataWidth Description Family
    L2CacheSize L3CacheSize Level LoadPercentage Manufacturer MaxClockSpeed Name NumberOfCores NumberOfEnabledCore
    NumberOfLogicalProcessors ProcessorType Revision Role SecondLevelAddressTranslationExtensions SocketDesignation
    Status Stepping ThreadCount Version VirtualizationFirmwareEnabled VMMonitorModeExtensions`),
  Win32_OperatingSystem: words(`
    BuildNumber BuildType Caption CodeSet CountryCode CurrentTimeZone FreePhysicalMemory FreeSpaceInPagingFiles
    FreeVirtualMemory LastBootUpTime Locale LocalDateTime Manufacturer MaxNumberOfProcesses MaxProcessMemorySize
    MUILanguages NumberOfProcesses OperatingSystemSKU OSArchitecture OSLanguage OSProductSuite OSType PortableOperatingSystem
    Primary ProductType ServicePackMajorVersion ServicePackMinorVersion SizeStoredInPagingFiles Status SuiteMask
    TotalSwapSpaceSize TotalVirtualMemorySize TotalVisibleMemorySize Version`),
  Win32_ComputerSystem: words(`
    AdminPasswordStatus AutomaticManagedPagefile BootROMSupported BootupState ChassisBootupState CurrentTimeZone DaylightInEffect
    Description DomainRole EnableDaylightSavingsTime HypervisorPresent InfraredSupported Manufacturer Model
    NetworkServerModeEnabled NumberOfLogicalProcessors NumberOfProcessors PCSystemType PCSystemTypeEx PowerState
    PowerSupplyState Status SystemFamily SystemType ThermalState TotalPhysicalMemory WakeUpType`),
  Win32_BIOS: words(`
    BIOSVersion BuildNumber Caption CurrentLanguage Description EmbeddedControllerMajorVersion
    EmbeddedControllerMinorVersion Manufacturer Name PrimaryBIOS ReleaseDate SMBIOSBIOSVersion SMBIOSMajorVersion
    SMBIOSMinorVersion SMBIOSPresent Status SystemBiosMajorVersion SystemBiosMinorVersion Version`),
  Win32_BaseBoard: words("Caption Description HostingBoard Manufacturer Model Name Product Status Version"),
  Win32_PhysicalMemory: words(`
    BankLabel Capacity Caption ConfiguredClockSpeed ConfiguredVoltage DataWidth Description DeviceLocator FormFactor
    InterleaveDataDepth Manufacturer MaxVoltage MemoryType MinVoltage Name SMBIOSMemoryType Speed TotalWidth TypeDetail`),
  Win32_LogicalDisk: words(`
    Access Caption Compressed Description DeviceID DriveType FileSystem FreeSpace MaximumComponentLength MediaType Name
    Size Status SupportsDiskQuotas SupportsFileBasedCompression`),
  Win32_DiskDrive: words(`
    BytesPerSector Caption Description FirmwareRevision Index InterfaceType Manufacturer MediaType Model Partitions Size
    Status TotalCylinders TotalHeads TotalSectors TotalTracks`),
  Win32_VideoController: words(`
    AdapterCompatibility AdapterDACType AdapterRAM Availability Caption CurrentBitsPerPixel CurrentHorizontalResolution
    CurrentNumberOfColors CurrentRefreshRate CurrentVerticalResolution Description DriverDate DriverVersion
    MaxRefreshRate MinRefreshRate Name Status VideoArchitecture VideoMemoryType VideoModeDescription VideoProcessor`),
  Win32_SoundDevice: words("Caption Description Manufacturer Name ProductName Status StatusInfo"),
  Win32_Battery: words("Availability BatteryStatus Chemistry DesignVoltage EstimatedChargeRemaining Status"),
  Win32_PageFileUsage: words("AllocatedBaseSize CurrentUsage PeakUsage Status TempPageFile"),
  Win32_TimeZone: words("Bias Caption DaylightBias DaylightName Description StandardBias StandardName"),
  Win32_QuickFixEngineering: words(
    "Caption Description FixComments HotFixID InstalledOn ServicePackInEffect Status",
  ),
  Win32_PnPSignedDriver: words(`
    ClassGuid Description DeviceClass DeviceName DriverDate DriverProviderName DriverVersion IsSigned Manufacturer Signer`),
};

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
