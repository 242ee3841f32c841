/**
 * The built program against a scripted server, for tests of what leaves this machine: one home, one journal and one
 * temporary directory of its own per run, and everything that came out of it: the streams, the PUT, what is in its
 * cabinet, the receipt, the journal.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { readContents } from "../../src/archive/cab/read/contents.ts";
import { readCabinet } from "../../src/archive/cab/read/tables.ts";
import { type Manifest, parseManifest } from "../../src/collect/manifest.ts";
import { bytesSource } from "./archives/bytes-source.ts";
import { ok, type RawRequest, startFaults } from "./fault-server.ts";

export const PROGRAM = join(import.meta.dirname, "../../bin/cer.js");

export type Submitted = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly requests: readonly RawRequest[];
  /** The body of the PUT; empty where there was none. */
  readonly archive: Buffer;
  /** What is in it, by name. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly manifest: Manifest | null;
  /** The text of the receipt; empty where there is none. */
  readonly receipt: string;
  /** Every byte that came out of the run, or was kept by it. */
  readonly everything: Buffer;
};

export type SubmitSetup = {
  readonly args?: readonly string[];
  readonly event?: object;
  /** Where `e.json`, the configuration, HOME and the journal go. */
  readonly place: string;
  readonly config?: object;
  readonly env?: Readonly<Record<string, string>>;
  /** False: the outcome is said to people. */
  readonly json?: boolean;
};

/** An answer that asks for a cabinet, then for what the lines say. */
export function asking(...lines: readonly string[]): Buffer {
  const text = ["Bucket=502", "BucketTable=5", "iData=1", "DumpFile=/dump/1.cab", ...lines].join("\r\n");
  return Buffer.from(`${text}\r\n`, "latin1");
}

/** `cer submit` of an event, answered with these bytes. */
export async function submitTo(answer: Buffer, setup: SubmitSetup): Promise<Submitted> {
  const { place, args = [], event = {}, config = {}, env = {}, json = true } = setup;
  const run = await mkdtemp(join(place, "run-"));
  await mkdir(join(run, "journal"), { mode: 0o700 });
  await mkdir(join(run, "tmp"));
  await writeFile(join(run, "e.json"), JSON.stringify({ eventType: "Hostile", ...event }));
  await writeFile(join(run, "cer.json"), JSON.stringify(config));
  const server = await startFaults([ok(answer), ok()]);
  const said = await runProgram(
    [
      "submit",
      "e.json",
      "--server",
      server.url,
      "--config",
      "cer.json",
      ...(json ? ["--json"] : []),
      "--receipt",
      "receipt.json",
      ...args,
    ],
    run,
    { HOME: join(place, "home"), CER_JOURNAL: join(run, "journal"), TMPDIR: join(run, "tmp"), ...env },
  );
  await server.close();
  const archive = server.requests.find(({ method }) => method === "PUT")?.body ?? Buffer.alloc(0);
  const files = await contentsOf(archive);
  const manifest = files.get("manifest.json");
  const kept = await filesBelow(run, ["e.json", "cer.json"]);
  return {
    ...said,
    requests: server.requests,
    archive,
    files,
    manifest: manifest === undefined ? null : parseManifest(manifest.toString()),
    receipt: await readFile(join(run, "receipt.json"), "utf8").catch(() => ""),
    everything: Buffer.concat([
      Buffer.from(said.stdout + said.stderr),
      ...server.requests.map(({ head, body }) => Buffer.concat([Buffer.from(head), body])),
      ...files.values(),
      ...kept,
    ]),
  };
}

/** The program with these arguments and nothing on standard input. */
export async function runProgram(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const [stdout, stderr] = [buffer(child.stdout), buffer(child.stderr)];
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: (await stdout).toString(), stderr: (await stderr).toString() };
}

export async function contentsOf(cabinet: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  if (cabinet.length === 0) return files;
  const source = bytesSource(cabinet);
  for await (const { file, content } of readContents(source, await readCabinet(source)))
    files.set(file.name, await buffer(content));
  return files;
}

async function filesBelow(folder: string, except: readonly string[]): Promise<Buffer[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && !except.includes(entry.name));
  return Promise.all(names.map((entry) => readFile(join(entry.parentPath, entry.name))));
}
