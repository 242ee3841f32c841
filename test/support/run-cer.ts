/**
 * The one way to start the program: the built one as a process of its own, which knows nothing of this machine but PATH
 * and has a home, a temporary directory and a journal of its own.
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256Of } from "../../src/bytes.ts";

/** What an installer's hook would start; `npm run build` makes what it loads. */
export const PROGRAM = join(import.meta.dirname, "..", "..", "bin", "cer.js");

export type Place = {
  /** Private and empty at first but for `home` and `tmp`. */
  readonly directory: string;
  readonly home: string;
  /** Below it; the program makes it. */
  readonly journal: string;
  /** PATH, HOME, TMPDIR and CER_JOURNAL. */
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
};

/** A directory of its own, and the environment of a process that knows of nothing else. */
export async function openPlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), "cer-place-"));
  const home = join(directory, "home");
  const temporary = join(directory, "tmp");
  const journal = join(directory, "journal");
  for (const path of [home, temporary]) await mkdir(path, { mode: 0o700 });
  return {
    directory,
    home,
    journal,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: temporary, CER_JOURNAL: journal },
    remove: async () => {
      for (const path of [directory, refugeOf(journal)]) await rm(path, { recursive: true, force: true });
    },
  };
}

/** Where reports go that a journal named so cannot take. */
export function refugeOf(journal: string): string {
  return `/var/tmp/cer-journal-${process.getuid?.()}-${sha256Of(journal).slice(0, 12)}`;
}

/** A place that is removed afterwards. */
export async function inPlace<T>(use: (place: Place) => Promise<T>): Promise<T> {
  const place = await openPlace();
  try {
    return await use(place);
  } finally {
    await place.remove();
  }
}

export type CerOptions = {
  /** The place's directory when left out. */
  readonly cwd?: string;
  /** Added to the place's own; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** All of standard input, which is empty when left out; null leaves it open. */
  readonly stdin?: string | Buffer | null;
  /** The user to run as. */
  readonly uid?: number;
  /** Another Node than this one. */
  readonly node?: string;
  /** Another script than the built program. */
  readonly script?: string;
  /** Milliseconds after which it is ended. */
  readonly timeout?: number;
};

/** How a process ended, and all that it wrote. */
export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type Started = {
  readonly process: ChildProcessWithoutNullStreams;
  /** Rejects where it could not be started. */
  readonly ended: Promise<Ended>;
};

/** Starts `cer` with these arguments at that place. */
export function startCer(
  { directory, env: own }: Place,
  args: readonly string[],
  options: CerOptions = {},
): Started {
  const { cwd = directory, env = {}, stdin = "", uid, node = process.execPath, script = PROGRAM } = options;
  const user = uid === undefined ? {} : { uid, gid: uid };
  const child = spawn(node, [script, ...args], {
    cwd,
    env: { ...own, ...env },
    timeout: options.timeout,
    ...user,
  });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  child.stdin.on("error", () => {});
  if (stdin !== null) child.stdin.end(stdin);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...texts }));
  });
  return { process: child, ended };
}

/** A run that takes longer hangs. */
const LIMIT = 300_000;

/** Runs `cer` with these arguments at that place to its end. */
export function runCer(place: Place, args: readonly string[], options: CerOptions = {}): Promise<Ended> {
  return startCer(place, args, { timeout: LIMIT, ...options }).ended;
}

export type Serve = {
  readonly url: string;
  /** Where reports and archives are kept. */
  readonly directory: string;
  /** What it has printed of exchanges so far: "report", "archive" or "refused" each. */
  exchanges(): string[];
  stop(): Promise<void>;
};

/** `cer serve` on a free port; what arrives is kept at that place under this name. */
export async function startServe(
  place: Place,
  name: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Serve> {
  const directory = join(place.directory, name);
  const { process: server, ended } = startCer(place, ["serve", "--port", "0", "--dir", directory, ...args], {
    env,
  });
  server.stderr.pipe(process.stderr, { end: false });
  let printed = "";
  server.stdout.on("data", (text: string) => {
    printed += text;
  });
  while (!printed.includes("\n")) {
    const end = await Promise.race([once(server.stdout, "data"), ended]);
    if ("code" in end) throw new Error(`cer serve ended with ${end.code}`);
  }
  return {
    url: /http:\S+/.exec(printed)?.[0] ?? "",
    directory,
    exchanges: () =>
      printed.split("\n").flatMap((line) => /^(report|archive|refused)\b/.exec(line)?.[1] ?? []),
    stop: async () => {
      server.kill("SIGTERM");
      await ended;
    },
  };
}
