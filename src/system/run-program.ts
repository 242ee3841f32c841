/**
 * Running one of the system's own programs: without a shell, its arguments as an array, bounded in time and in
 * output, ended with the caller's signal. Hides child processes.
 */

/** Bounds of what is asked of a system: milliseconds until it is given up, bytes that are taken, the caller's signal. */
export type Limits = { readonly timeoutMs: number; readonly maxBytes: number; readonly signal: AbortSignal };

/** At the first byte of standard output more than `maxBytes` the program is ended. */
export type ProgramOptions = Omit<Limits, "signal"> & {
  readonly signal?: AbortSignal;
  /** The program's whole environment; without it, this process's own. */
  readonly env?: NodeJS.ProcessEnv;
};

export type ProgramResult = {
  /** How it ended: by itself, over one of the limits, by the caller's signal, or never begun. */
  readonly end: "exited" | "timeout" | "too much" | "aborted" | "not started";
  /** The program's own verdict; null unless it exited by itself. */
  readonly exitCode: number | null;
  /** At most `maxBytes`. */
  readonly stdout: Buffer;
  /** The first 4 KiB, for messages. */
  readonly stderr: Buffer;
};

const MAX_STDERR = 4096;

/** Runs a program to its end. Never throws: whatever happens is in the result. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  // Most reports run none: Node need not load what that takes.
  const { spawn } = await import("node:child_process");
  if (options.signal?.aborted === true) return emptyResult("aborted");
  const child = startChild(spawn, file, args, options.env);
  if (child === null) return emptyResult("not started");
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let kept = 0;
  let end: ProgramResult["end"] = "exited";
  const stop = (why: ProgramResult["end"]) => {
    if (end === "exited") end = why;
    child.kill("SIGKILL");
    // A grandchild may hold the pipes open for ever; we wait for nobody but our own child.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const onAbort = () => stop("aborted");
  const timer = setTimeout(() => stop("timeout"), options.timeoutMs);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  child.stdout.on("data", (chunk: Buffer) => {
    const room = options.maxBytes - kept;
    if (room > 0) stdout.push(chunk.subarray(0, room));
    kept += chunk.length;
    if (kept > options.maxBytes) stop("too much");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    const have = stderr.reduce((sum, part) => sum + part.length, 0);
    if (have < MAX_STDERR) stderr.push(chunk.subarray(0, MAX_STDERR - have));
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on("error", () => {
      if (child.pid !== undefined) return;
      end = "not started";
      resolve(null);
    });
    child.on("close", resolve);
  });
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", onAbort);
  const exitCode = end === "exited" ? code : null;
  return { end, exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
}

type Spawn = typeof import("node:child_process").spawn;

/** Null for what no program can be given, as a NUL in an argument. */
function startChild(spawn: Spawn, file: string, args: readonly string[], env: NodeJS.ProcessEnv | undefined) {
  try {
    return spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      ...(env === undefined ? {} : { env }),
    });
  } catch {
    return null;
  }
}

/** The full path of one of Windows' own programs, given below System32: nothing on PATH takes its place. */
export function windowsProgram(env: Readonly<Record<string, string | undefined>>, path: string): string {
  const named = Object.entries(env).find(([name]) => name.toUpperCase() === "SYSTEMROOT")?.[1] ?? "";
  const root = /^[A-Za-z]:\\/.test(named) ? named.replace(/\\+$/, "") : "C:\\Windows";
  return `${root}\\System32\\${path}`;
}

function emptyResult(end: ProgramResult["end"]): ProgramResult {
  return { end, exitCode: null, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
}
