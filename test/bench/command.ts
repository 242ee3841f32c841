/** Runs whole commands and measures them: wall time, processor time and peak memory. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Seconds, seconds of user and system together, MiB: of a command and of all processes it waits for. */
export type Figures = { readonly wall: number; readonly cpu: number; readonly peak: number };

/**
 * Runs its arguments as a command and tells the figures in a line at the end of standard error. The kernel counts
 * processor time to the microsecond and tells it by getrusage alone, which GNU time prints in hundredths of a second,
 * bash in thousandths, and Node knows for itself only. Perl asks it directly; git brings Perl along.
 */
const METER = `
use strict;
use Time::HiRes "time";
require "syscall.ph";
my $start = time;
my $child = fork // die "cannot fork: $!";
if ($child == 0) { exec @ARGV or die "cannot run $ARGV[0]: $!" }
waitpid $child, 0;
my ($wall, $failed) = (time - $start, $? != 0);
my $usage = "\\0" x 256;
syscall(SYS_getrusage(), -1, $usage) == 0 or die "no getrusage: $!";
my ($user, $userMicros, $system, $systemMicros, $peak) = unpack "l!5", $usage;
printf STDERR "\\n%.6f %.6f %d\\n", $wall, $user + $system + ($userMicros + $systemMicros) / 1e6, $peak;
exit $failed;
`;

/** Node reads the certificates that this names before it does anything: a bare Node would look slower than it is. */
const { NODE_EXTRA_CA_CERTS: _, ...ENVIRONMENT } = process.env;

/** Runs a command to its end, as all that is measured is run; what it wrote. Rejects when it fails. */
export function runCommand(
  [program = "", ...args]: readonly string[],
  cwd: string,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return run(program, args, { cwd, env: ENVIRONMENT, maxBuffer: 1024 * 1024 * 1024 });
}

/** One run of a command; its output is thrown away. */
export async function measureCommand(command: readonly string[], cwd: string): Promise<Figures> {
  const { stderr } = await runCommand(["perl", "-e", METER, "--", ...command], cwd);
  const [wall = 0, cpu = 0, kilobytes = 0] = (stderr.trimEnd().split("\n").at(-1) ?? "")
    .split(" ")
    .map(Number);
  return { wall, cpu, peak: kilobytes / 1024 };
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

/** A line for people: wall and processor time, each beside what it is times the base's, and the peak. */
export function formatFigures(name: string, { wall, cpu, peak }: Figures, base: Figures): string {
  const ratio = (time: number, other: number) => `${(time / other).toFixed(2)}x`.padStart(6);
  const walls = `${wall.toFixed(4).padStart(8)} s ${ratio(wall, base.wall)}`;
  const processor = `processor ${(cpu * 1e6).toFixed(0).padStart(8)} µs ${ratio(cpu, base.cpu)}`;
  return `  ${name.padEnd(24)} ${walls}  ${processor}  peak ${peak.toFixed(0).padStart(3)} MiB`;
}
