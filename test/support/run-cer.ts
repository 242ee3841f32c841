/** The built program as a process of its own: nothing of this machine's environment, a home and a journal of its own. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { filesBelow } from "./archives/kept-upload.ts";

/** What an installer's hook would start; `npm run build` makes what it loads. */
export const PROGRAM = join(import.meta.dirname, "..", "..", "bin", "cer.js");

export type Place = {
  /** Private and empty at first but for `home` and `journal`. */
  readonly directory: string;
  readonly journal: string;
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
};

/** A directory of its own, and the environment of a process that knows of nothing else. */
export async function openPlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), "cer-foreign-"));
  const home = join(directory, "home");
  const journal = join(directory, "journal");
  const temporary = join(directory, "tmp");
  for (const path of [home, journal, temporary]) await mkdir(path, { mode: 0o700 });
  return {
    directory,
    journal,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: temporary, CER_JOURNAL: journal },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** A file at that place, for a report to carry; its path. */
export async function attach(place: Place, name: string, content: Buffer): Promise<string> {
  const path = join(place.directory, name);
  await writeFile(path, content);
  return path;
}

export type Run = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly node?: string;
};

/** Runs `cer` with these arguments at that place, standard input closed. */
export async function cer(place: Place, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = spawn(options.node ?? process.execPath, [PROGRAM, ...args], {
    cwd: place.directory,
    env: { ...place.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { exitCode, stdout, stderr };
}

export type Submission = Run & { readonly outcome: Outcome };

/** `cer submit --json` of an event, nothing else. */
export async function submit(
  place: Place,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Submission> {
  const event = ["--event-type", "Foreign", "--app-name", "Test", "-p", "Where=here", "--force"];
  const run = await cer(place, ["submit", ...event, "--json", ...args], options);
  assert.notEqual(run.stdout, "", `nothing on standard output, but on standard error: ${run.stderr}`);
  return { ...run, outcome: JSON.parse(run.stdout) as Outcome };
}

/** Every file below a directory as text of one byte a character: its path, then its content. */
export async function everythingBelow(directory: string): Promise<string> {
  const files = await filesBelow(directory);
  const texts = await Promise.all(files.map(async (path) => `${path}\n${await readFile(path, "latin1")}`));
  return texts.join("\n");
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
  const server = spawn(process.execPath, [PROGRAM, "serve", "--port", "0", "--dir", directory, ...args], {
    env: { ...place.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  server.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    printed += chunk;
  });
  const ended = once(server, "exit");
  while (!printed.includes("\n"))
    if (server.exitCode === null) await Promise.race([once(server.stdout, "data"), ended]);
    else throw new Error(`cer serve ended with ${server.exitCode}`);
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
