/** Other people's cabinet programs, as Debian packages them: what each makes of a cabinet. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { runForeign, tooSlow } from "../foreign-program.ts";
import { WINE_LOADER } from "../wine.ts";

/** `C.UTF-8` makes bsdtar and cabextract keep names in UTF-8; WINEDEBUG keeps Wine from chattering. */
export const ENVIRONMENT = { ...process.env, LC_ALL: "C.UTF-8", WINEDEBUG: "-all", DISPLAY: "" };

/** Extracts `cabinet` into the existing folder `target`. */
export type Extract = (cabinet: string, target: string) => Promise<unknown>;

const options = { env: ENVIRONMENT };

/** Readers by name. Wine keeps names in its own code page, so only contents can be compared there. */
export const READERS: Record<"cabextract" | "gcab" | "7z" | "bsdtar", Extract> = {
  cabextract: (cabinet, target) => runForeign("cabextract", ["-q", "-d", target, cabinet], options),
  gcab: (cabinet, target) => runForeign("gcab", ["-x", "-C", target, cabinet], options),
  "7z": (cabinet, target) => runForeign("7z", ["x", "-y", "-bso0", `-o${target}`, cabinet], options),
  bsdtar: (cabinet, target) => runForeign("bsdtar", ["-xf", cabinet, "-C", target], options),
};

/** Wine's extrac32: file names only, from the folder they are in. */
export const extractWithWine: Extract = (cabinet, target) =>
  runForeign(
    WINE_LOADER,
    ["extrac32.exe", "/Y", "/E", "/L", relative(dirname(cabinet), target), basename(cabinet)],
    { ...options, cwd: dirname(cabinet) },
  );

const OUTPUT_LIMIT = 300_000;

/** The hash of what a command writes to its standard output. */
export async function hashOfOutput(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, {
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "ignore"],
    timeout: OUTPUT_LIMIT,
    killSignal: "SIGKILL",
  });
  const hash = createHash("sha256");
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  await pipeline(child.stdout, hash);
  const code = await exited;
  if (child.killed) throw tooSlow([command, ...args].join(" "), OUTPUT_LIMIT);
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  return hash.digest("hex");
}

export async function makeTarget(folder: string, name: string): Promise<string> {
  const target = join(folder, name);
  await mkdir(target);
  return target;
}
