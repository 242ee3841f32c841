/** Win32_LogicalDisk on Linux: what is mounted, and how full it is. Hides the mount table. */

import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { DRIVES, type ObjectOf, type ObjectsOf } from "../cim/classes.ts";
import type { LinuxSource, SystemTree } from "./tree.ts";

const NETWORK_TYPES =
  /^(nfs4?|cifs|smb3|smbfs|afs|ceph|glusterfs|lustre|9p|fuse\.(sshfs|glusterfs|s3fs|rclone))$/;
/** File systems of blocks or pools of their own; what else is mounted is a view of the kernel or of another one. */
const LOCAL_TYPES = /^(zfs|virtiofs)$/;
/** Images that packages mount, and what a program of the user's shows: asking one that hangs never returns. */
const VIEW_TYPES = /^(squashfs|fuse(\..*)?)$/;

/**
 * One object per file system that holds data, under its first mount point; Size and FreeSpace are bytes, the latter
 * what an ordinary user may still fill, as df's "Available". A network file system is listed without sizes: asking one
 * whose server is gone never returns.
 */
export async function readLogicalDisks({ tree }: LinuxSource): ObjectsOf<"Win32_LogicalDisk"> {
  const mounts = onePerSource(parseMounts(await tree.text("proc/self/mounts")));
  return Promise.all(mounts.map((mount) => readDisk(tree, mount)));
}

type Mount = { readonly source: string; readonly point: string; readonly type: string };

function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [source, point, type] = line.split(" ").map(unescapeOctal);
    return source === undefined || point === undefined || type === undefined ? [] : [{ source, point, type }];
  });
}

/** Blanks and back-slashes in a path are written in octal: `\040`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function onePerSource(mounts: readonly Mount[]): Mount[] {
  const kept = new Map<string, Mount>();
  for (const mount of mounts) {
    if (!holdsData(mount)) continue;
    const key = mount.source.startsWith("/") ? mount.source : `${mount.source} ${mount.point}`;
    if (!kept.has(key)) kept.set(key, mount);
  }
  return [...kept.values()];
}

function holdsData({ source, point, type }: Mount): boolean {
  if (NETWORK_TYPES.test(type) || point === "/") return true;
  if (VIEW_TYPES.test(type)) return false;
  return source.startsWith("/dev/") || LOCAL_TYPES.test(type);
}

async function readDisk(tree: SystemTree, mount: Mount): Promise<ObjectOf<"Win32_LogicalDisk">> {
  const isRemote = NETWORK_TYPES.test(mount.type);
  const drive = isRemote ? DRIVES.network : DRIVES[await driveOf(tree, mount.source)];
  const space = isRemote
    ? null
    : await statfs(join(tree.root, mount.point), { bigint: true }).catch(() => null);
  const [label, uuid] = await Promise.all([
    nameLinkedTo(tree, "by-label", mount.source),
    nameLinkedTo(tree, "by-uuid", mount.source),
  ]);
  return {
    ...drive,
    Caption: mount.point,
    DeviceID: mount.point,
    FileSystem: mount.type,
    FreeSpace: space === null ? null : space.bavail * space.bsize,
    Name: mount.point,
    ProviderName: isRemote ? mount.source : null,
    Size: space === null ? null : space.blocks * space.bsize,
    VolumeName: label,
    VolumeSerialNumber: uuid,
  };
}

async function driveOf(tree: SystemTree, source: string): Promise<"removable" | "fixed" | "disc"> {
  const device = source.replace(/^\/dev\//, "");
  if (/^sr\d+$/.test(device)) return "disc";
  const disk = device.replace(/^(nvme\d+n\d+|mmcblk\d+)p\d+$/, "$1").replace(/^([a-z]+)\d+$/, "$1");
  return (await tree.text(`sys/class/block/${disk}/removable`)) === "1" ? "removable" : "fixed";
}

/** The name udev gives the device in one of its directories, where `\x20` stands for a blank. */
async function nameLinkedTo(tree: SystemTree, directory: string, source: string): Promise<string | null> {
  const device = source.replace(/^\/dev\//, "");
  for (const name of await tree.names(`dev/disk/${directory}`)) {
    if ((await tree.link(`dev/disk/${directory}/${name}`)) !== device) continue;
    return name.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
  }
  return null;
}
