/**
 * Other people's programs get a limited time to answer. One that takes longer is told by an error, and on standard error
 * at once, with a mark that .ci/run looks for: a lane that fails with it is tried once more, no other one is.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** The error to throw where a program took longer than these milliseconds. */
export function tooSlow(program: string, limit: number): Error {
  const message = `ForeignProgramSlow: ${program} took longer than ${limit / 1000} s`;
  process.stderr.write(`${message}\n`);
  return new Error(message);
}

export type ForeignOptions = {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds. */
  readonly limit?: number;
};

const MAX_OUTPUT = 64 * 1024 * 1024;

/**
 * Runs a program to its end.
 * @throws what `tooSlow` makes; the error of execFile where it ends with another exit code than 0
 */
export async function runForeign(
  program: string,
  args: readonly string[],
  { limit = 300_000, ...options }: ForeignOptions = {},
): Promise<{ stdout: string; stderr: string }> {
  try {
    return await execute(program, args, {
      ...options,
      maxBuffer: MAX_OUTPUT,
      timeout: limit,
      killSignal: "SIGKILL",
    });
  } catch (thrown) {
    const { killed, code } = thrown as { killed?: boolean; code?: unknown };
    // With a code, it was ended because it wrote too much.
    if (killed === true && code === null) throw tooSlow([program, ...args].join(" "), limit);
    throw thrown;
  }
}
