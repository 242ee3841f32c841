/** Runs whole commands and measures them: wall time, processor time and peak memory. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Seconds, seconds of user and system together, MiB. */
export type Figures = { readonly wall: number; readonly cpu: number; readonly peak: number };

/** The shell tells wall time to the microsecond, GNU time the rest; each in a line at the end of standard error. */
const TIMED = 'TIMEFORMAT=%6R; time /usr/bin/time -f "%U %S %M" "$@"';

/** Node reads the certificates that this names before it does anything: a bare Node would look slower than it is. */
const { NODE_EXTRA_CA_CERTS: _, ...ENVIRONMENT } = process.env;

/** One run of a command; its output is thrown away. */
export async function measureCommand(command: readonly string[], cwd: string): Promise<Figures> {
  const { stderr } = await run("bash", ["-c", TIMED, "measure", ...command], {
    cwd,
    env: ENVIRONMENT,
    encoding: "buffer",
    maxBuffer: 1024 * 1024 * 1024,
  });
  const [rest = "", wall = ""] = stderr.toString().trim().split("\n").slice(-2);
  const [user = 0, system = 0, kilobytes = 0] = rest.split(" ").map(Number);
  return { wall: Number(wall), cpu: user + system, peak: kilobytes / 1024 };
}

/**
 * Runs the commands in turn, `rounds` times, so that what else the machine does hits all of them; the best wall time,
 * the best processor time and the highest peak of each.
 */
export async function compareCommands<Name extends string>(
  commands: Record<Name, readonly string[]>,
  cwd: string,
  rounds: number,
): Promise<Record<Name, Figures>> {
  const best = {} as Record<Name, Figures>;
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(commands) as Name[]) {
      const now = await measureCommand(commands[name], cwd);
      const before = best[name] ?? now;
      best[name] = {
        wall: Math.min(before.wall, now.wall),
        cpu: Math.min(before.cpu, now.cpu),
        peak: Math.max(before.peak, now.peak),
      };
    }
  }
  return best;
}
