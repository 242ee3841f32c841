/**
 * A machine of its own for one test: everything that this one has, as it is, but what is written stays in memory and is
 * gone afterwards. So the program's usual places can be filled, locked and broken for real. Needs root, and a Linux
 * with private mounts, overlays and process numbers.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { PROGRAM } from "../run-cer.ts";

/** Whoever can run something there. The last one is in no list of users and has no home. */
export const USERS = {
  root: { uid: 0, home: "/root" },
  ann: { uid: 1500, home: "/home/ann" },
  bob: { uid: 1501, home: "/home/bob" },
  uid54321: { uid: 54321, home: null },
} as const;

export type User = keyof typeof USERS;

/** Where a machine's programs run unless they go elsewhere; everybody may write there. */
const SETUP_DIRECTORY = "/srv/setup";

/** What all machines have beside this one's files: the built program, as `cer` in PATH. */
export type Installed = {
  /** A file that every machine started later sees below /opt. */
  add(name: string, content: Buffer): Promise<void>;
  /** @param diskSize of everything that is written there, as mount takes it */
  start(diskSize?: string): Promise<Machine>;
  remove(): Promise<void>;
};

export type Run = {
  readonly user?: User;
  /** All of it. */
  readonly env?: Readonly<Record<string, string>>;
  /** The program and its first words, before `sh -c`. */
  readonly wrap?: readonly string[];
  /** Milliseconds after which it is ended with all that it started. */
  readonly limit?: number;
};

export type Ran = {
  /** Null: it was ended because it took too long. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What it wrote to descriptor 3. */
  readonly noted: string;
};

export type Machine = {
  /** Runs these lines with `sh`, in a session without a terminal, standard input empty. */
  run(script: string, options?: Run): Promise<Ran>;
  /** Ends whatever still runs there. */
  stop(): Promise<void>;
};

/** Lays out what the machines share. */
export async function installProgram(): Promise<Installed> {
  const base = await mkdtemp(join(tmpdir(), "cer-machines-"));
  const shared = join(base, "shared");
  const opt = join(shared, "opt");
  await mkdir(join(opt, "cer", "bin"), { recursive: true });
  await mkdir(join(shared, "usr", "bin"), { recursive: true });
  await cp(PROGRAM, join(opt, "cer", "bin", "cer.js"));
  for (const name of ["dist", "package.json"])
    await cp(join(dirname(PROGRAM), "..", name), join(opt, "cer", name), { recursive: true });
  await symlink("/opt/cer/bin/cer.js", join(shared, "usr", "bin", "cer"));
  return {
    add: (name, content) => writeFile(join(opt, name), content),
    start: async (diskSize = "1g") => startMachine(shared, await mkdtemp(join(base, "machine-")), diskSize),
    remove: () => rm(base, { recursive: true, force: true }),
  };
}

/** Everything writable is one disk. The machine's own list of mounts is what the last lines leave. */
const MAKE = `
set -e
umask 022
mount -t tmpfs -o "size=$SIZE,mode=755" tmpfs "$DISK"
cd "$DISK"
mkdir upper work root tmp var home homeroot run shm
cp -a "$SHARED/." upper
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t proc proc root/proc
chmod 1777 tmp var shm
chmod 700 homeroot
for pair in tmp:tmp var:var/tmp home:home homeroot:root run:run shm:dev/shm; do
  mount --bind "\${pair%%:*}" "root/\${pair#*:}"
done
rm -rf root/etc/cer root/var/lib/cer root/usr/bin/node root/etc/ld.so.preload
: >root/usr/bin/node
mount --bind "$NODE" root/usr/bin/node
mkdir -p root${SETUP_DIRECTORY} home/ann home/bob
chmod 1777 root${SETUP_DIRECTORY}
echo 'ann:x:1500:1500::/home/ann:/bin/sh' >>root/etc/passwd
echo 'bob:x:1501:1501::/home/bob:/bin/sh' >>root/etc/passwd
chmod 700 home/ann
chown 1500:1500 home/ann
chown 1501:1501 home/bob
cut -d ' ' -f 4 "$OUTSIDE/self/stat"
exec chroot root sh -c 'cd ${SETUP_DIRECTORY} && echo ready && read -r end'
`;

const SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

async function startMachine(shared: string, disk: string, size: string): Promise<Machine> {
  const words = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", MAKE];
  const env = {
    PATH: SEARCH_PATH,
    SIZE: size,
    DISK: disk,
    SHARED: shared,
    NODE: process.execPath,
    OUTSIDE: "/proc",
  };
  const holder = spawn("/usr/bin/unshare", words, { env, stdio: ["pipe", "pipe", "pipe"] });
  const ended = once(holder, "close");
  const said = text(holder.stderr);
  let printed = "";
  for await (const chunk of holder.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    printed += chunk as string;
    if (printed.endsWith("ready\n")) break;
  }
  if (!printed.endsWith("ready\n")) throw new Error(`no machine could be made: ${await said}`);
  const pid = Number.parseInt(printed, 10);
  return {
    run: (script, options = {}) => runInside(pid, script, options),
    stop: async () => {
      holder.stdin.end();
      holder.kill("SIGKILL");
      await ended;
      await rm(disk, { recursive: true, force: true });
    },
  };
}

/** A run that takes longer hangs. */
const LIMIT = 120_000;

async function runInside(pid: number, script: string, options: Run): Promise<Ran> {
  const { user = "root", env = {}, wrap = [], limit = LIMIT } = options;
  const { uid } = USERS[user];
  const as = uid === 0 ? [] : ["/usr/bin/setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const enter = ["-t", String(pid), "--mount", "--pid", "--root", "--wd"];
  const child = spawn("/usr/bin/nsenter", [...enter, ...as, ...wrap, "/bin/sh", "-c", script], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const patience = setTimeout(() => endGroup(child), limit);
  const streams = [1, 2, 3].map((number) => text(child.stdio[number] as Readable));
  const [stdout = "", stderr = "", noted = ""] = await Promise.all(streams);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  clearTimeout(patience);
  return { code: child.exitCode, stdout, stderr, noted };
}

function endGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}
