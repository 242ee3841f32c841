/** Win32_VideoController and Win32_PnPSignedDriver on Linux: the PCI and USB devices in /sys. Hides its links. */

import type { ObjectsOf } from "../cim/classes.ts";
import type { LinuxSource, SystemTree } from "./tree.ts";

const PCI = "sys/bus/pci/devices";
const USB = "sys/bus/usb/devices";
const DISPLAY_CLASS = "0x03";

/** Names come from the system's own pci.ids, where it has one. */
export async function readVideoControllers({ tree }: LinuxSource): ObjectsOf<"Win32_VideoController"> {
  const devices = (await readPciDevices(tree)).filter((device) => device.classCode.startsWith(DISPLAY_CLASS));
  return devices.map((device, index) => ({
    AdapterCompatibility: device.vendor,
    Caption: device.name,
    Description: device.name,
    DeviceID: `VideoController${index + 1}`,
    DriverVersion: device.driver?.version ?? null,
    InstalledDisplayDrivers: device.driver?.name ?? null,
    Name: device.name,
    PNPDeviceID: `${device.hardwareId}\\${device.address}`,
    VideoProcessor: device.name,
  }));
}

/** The devices that have a driver. IsSigned is null for a driver that is no module, or where no signature is looked at. */
export async function readDrivers({ tree }: LinuxSource): ObjectsOf<"Win32_PnPSignedDriver"> {
  const devices = [...(await readPciDevices(tree)), ...(await readUsbDevices(tree))];
  return devices.flatMap(({ driver, ...device }) =>
    driver === null
      ? []
      : [
          {
            Description: device.name,
            DeviceID: `${device.hardwareId}\\${device.address}`,
            DeviceName: device.name,
            DriverName: driver.name,
            DriverVersion: driver.version,
            HardWareID: device.hardwareId,
            IsSigned: driver.isSigned,
            Manufacturer: device.vendor,
          },
        ],
  );
}

type Driver = { readonly name: string; readonly version: string | null; readonly isSigned: boolean | null };

type Device = {
  readonly address: string;
  /** In Windows' spelling: `PCI\VEN_8086&DEV_1234&SUBSYS_…&REV_…`. */
  readonly hardwareId: string;
  readonly classCode: string;
  readonly vendor: string | null;
  readonly name: string | null;
  readonly driver: Driver | null;
};

async function readPciDevices(tree: SystemTree): Promise<Device[]> {
  const addresses = await tree.names(PCI);
  if (addresses.length === 0) return [];
  const names = (await tree.text("usr/share/hwdata/pci.ids")) || (await tree.text("usr/share/misc/pci.ids"));
  return Promise.all(addresses.map((address) => readPciDevice(tree, address, names)));
}

async function readPciDevice(tree: SystemTree, address: string, names: string): Promise<Device> {
  const files = ["vendor", "device", "subsystem_device", "subsystem_vendor", "revision", "class"];
  const texts = await tree.texts(`${PCI}/${address}`, files);
  const [vendor = "", device = "", subDevice = "", subVendor = "", revision = ""] = texts.map((text) =>
    text.replace(/^0x/, ""),
  );
  const found = nameInIds(names, vendor, device);
  return {
    address,
    hardwareId:
      `PCI\\VEN_${vendor}&DEV_${device}&SUBSYS_${subDevice}${subVendor}&REV_${revision}`.toUpperCase(),
    classCode: texts[5] ?? "",
    vendor: found.vendor,
    name: found.device,
    driver: await readDriver(tree, `${PCI}/${address}/driver`),
  };
}

/** In pci.ids a vendor's line begins with its number; its devices follow, a tab before theirs. */
function nameInIds(
  ids: string,
  vendor: string,
  device: string,
): { vendor: string | null; device: string | null } {
  const start = ids.startsWith(`${vendor}  `) ? 0 : ids.indexOf(`\n${vendor}  `) + 1;
  if (vendor === "" || (start === 0 && !ids.startsWith(`${vendor}  `))) return { vendor: null, device: null };
  const block = /^.*(?:\n(?:[\t#].*)?)*/.exec(ids.slice(start, start + 400_000))?.[0] ?? "";
  const line = block.split("\n").find((candidate) => candidate.startsWith(`\t${device}  `));
  return {
    vendor: block.slice(vendor.length, block.indexOf("\n")).trim() || null,
    device: line?.slice(device.length + 1).trim() ?? null,
  };
}

/** Devices alone: their interfaces, which have drivers of their own, carry a colon in their names. */
async function readUsbDevices(tree: SystemTree): Promise<Device[]> {
  const addresses = (await tree.names(USB)).filter((name) => !name.includes(":"));
  return Promise.all(
    addresses.map(async (address) => {
      const files = ["idVendor", "idProduct", "bcdDevice", "manufacturer", "product"];
      const texts = await tree.texts(`${USB}/${address}`, files);
      const [vendorId, productId, revision, vendor, name] = texts;
      return {
        address,
        hardwareId: `USB\\VID_${vendorId}&PID_${productId}&REV_${revision}`.toUpperCase(),
        classCode: "",
        vendor: vendor || null,
        name: name || null,
        driver: await readDriver(tree, `${USB}/${address}/driver`),
      };
    }),
  );
}

async function readDriver(tree: SystemTree, path: string): Promise<Driver | null> {
  const name = await tree.link(path);
  if (name === null) return null;
  const module = await tree.link(`${path}/module`);
  if (module === null) return { name, version: null, isSigned: null };
  const [version, taint, sigEnforce] = await Promise.all([
    tree.text(`sys/module/${module}/version`),
    tree.text(`sys/module/${module}/taint`),
    tree.text("sys/module/module/parameters/sig_enforce"),
  ]);
  // The kernel marks an unsigned module with E, if it looks at signatures at all.
  return { name, version: version || null, isSigned: sigEnforce === "" ? null : !taint.includes("E") };
}
