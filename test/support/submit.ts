/**
 * `cer submit` of an event: to any server, with the outcome it tells; or to a scripted one, with everything that came out
 * of the run: the streams, the PUT, what is in its cabinet, the receipt, the journal.
 */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Manifest, parseManifest } from "../../src/collect/manifest.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { unpack } from "./archives/cabinet.ts";
import { filesBelow } from "./files.ts";
import { type CerOptions, type Ended, type Place, runCer } from "./run-cer.ts";
import { ok, type RawRequest, startScripted } from "./scripted-server.ts";

/** A file at that place, for a report to carry; its path. */
export async function attach(place: Place, name: string, content: Buffer): Promise<string> {
  const path = join(place.directory, name);
  await writeFile(path, content);
  return path;
}

export type Submission = Ended & { readonly outcome: Outcome };

/** `cer submit --json` of an event, nothing else. */
export async function submit(
  place: Place,
  args: readonly string[],
  options: CerOptions = {},
): Promise<Submission> {
  const event = ["--event-type", "Foreign", "--app-name", "Test", "-p", "Where=here", "--force"];
  const run = await runCer(place, ["submit", ...event, "--json", ...args], options);
  assert.notEqual(run.stdout, "", `nothing on standard output, but on standard error: ${run.stderr}`);
  return { ...run, outcome: JSON.parse(run.stdout) as Outcome };
}

export type Submitted = Ended & {
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
  /** Below it `e.json`, the configuration and the journal get a directory of their own. */
  readonly place: Place;
  readonly args?: readonly string[];
  readonly event?: object;
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
  const cwd = await mkdtemp(join(place.directory, "run-"));
  const [journal, temporary] = [join(cwd, "journal"), join(cwd, "tmp")];
  await mkdir(temporary);
  await writeFile(join(cwd, "e.json"), JSON.stringify({ eventType: "Hostile", ...event }));
  await writeFile(join(cwd, "cer.json"), JSON.stringify(config));
  const server = await startScripted([ok(answer), ok()]);
  const words = [
    "submit",
    "e.json",
    "--server",
    server.url,
    "--config",
    "cer.json",
    ...(json ? ["--json"] : []),
  ];
  const run = await runCer(place, [...words, "--receipt", "receipt.json", ...args], {
    cwd,
    env: { CER_JOURNAL: journal, TMPDIR: temporary, ...env },
  });
  await server.close();
  const archive = server.whole("PUT")[0]?.body ?? Buffer.alloc(0);
  const files = new Map(archive.length === 0 ? [] : await unpack(archive));
  const manifest = files.get("manifest.json");
  const kept = (await filesBelow(cwd)).filter((path) => !["e.json", "cer.json"].includes(basename(path)));
  return {
    ...run,
    requests: server.requests,
    archive,
    files,
    manifest: manifest === undefined ? null : parseManifest(manifest.toString()),
    receipt: await readFile(join(cwd, "receipt.json"), "utf8").catch(() => ""),
    everything: Buffer.concat([
      Buffer.from(run.stdout + run.stderr),
      ...server.requests.map(({ head, body }) => Buffer.concat([Buffer.from(head), body])),
      ...files.values(),
      ...(await Promise.all(kept.map((path) => readFile(path)))),
    ]),
  };
}
