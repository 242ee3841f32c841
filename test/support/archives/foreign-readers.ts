/** Other people's cabinet programs, as Debian packages them: what each makes of a cabinet, by name and hash. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { WINE_LOADER } from "../wine.ts";

const run = promisify(execFile);

/** `C.UTF-8` makes bsdtar and cabextract keep names in UTF-8; WINEDEBUG keeps Wine from chattering. */
export const ENVIRONMENT = { ...process.env, LC_ALL: "C.UTF-8", WINEDEBUG: "-all", DISPLAY: "" };

/** Extracts `cabinet` into the existing folder `target`. */
export type Extract = (cabinet: string, target: string) => Promise<unknown>;

const options = { env: ENVIRONMENT, maxBuffer: 64 * 1024 * 1024 };

/** Readers by name. Wine keeps names in its own code page, so only contents can be compared there. */
export const READERS: Record<"cabextract" | "gcab" | "7z" | "bsdtar", Extract> = {
  cabextract: (cabinet, target) => run("cabextract", ["-q", "-d", target, cabinet], options),
  gcab: (cabinet, target) => run("gcab", ["-x", "-C", target, cabinet], options),
  "7z": (cabinet, target) => run("7z", ["x", "-y", "-bso0", `-o${target}`, cabinet], options),
  bsdtar: (cabinet, target) => run("bsdtar", ["-xf", cabinet, "-C", target], options),
};

/** Wine's extrac32: file names only, from the folder they are in. */
export const extractWithWine: Extract = (cabinet, target) =>
  run(
    WINE_LOADER,
    ["extrac32.exe", "/Y", "/E", "/L", relative(dirname(cabinet), target), basename(cabinet)],
    {
      ...options,
      cwd: dirname(cabinet),
    },
  );

/** Every file below `folder`: its path with `/`, and the hash of its content. */
export async function hashesIn(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const hashes = new Map<string, string>();
  for (const file of files.filter((each) => each.isFile())) {
    const path = join(file.parentPath, file.name);
    hashes.set(relative(folder, path), await hashOf(path));
  }
  return new Map([...hashes].sort());
}

/** Bytes up to which a file is read at once: a stream for each of sixty thousand takes minutes. */
const SMALL = 1024 * 1024;

export async function hashOf(path: string): Promise<string> {
  if (statSync(path).size <= SMALL) return createHash("sha256").update(readFileSync(path)).digest("hex");
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}

/** The hash of what a command writes to its standard output. */
export async function hashOfOutput(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, { env: ENVIRONMENT, stdio: ["ignore", "pipe", "ignore"] });
  const hash = createHash("sha256");
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  await pipeline(child.stdout, hash);
  const code = await exited;
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  return hash.digest("hex");
}

export async function makeTarget(folder: string, name: string): Promise<string> {
  const target = join(folder, name);
  await mkdir(target);
  return target;
}
