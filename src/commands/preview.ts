/**
 * What would be sent, without sending it: `cer submit --dry-run` before there is an answer, `cer preview` for a given
 * one. With --out the very bytes are written, so that whoever approves them approves bytes.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PreviewCommand, SubmitCommand } from "../cli/command.ts";
import { resolveDestination } from "../config/destination.ts";
import { readSources, type Source } from "../config/sources.ts";
import { resolvePolicy } from "../config/terms.ts";
import type { CollectionPlan } from "../consent/plan.ts";
import type { Surroundings } from "../context.ts";
import { pack, planFor } from "../delivery/build-archive.ts";
import type { Packed } from "../delivery/protocol.ts";
import { parseAnswer } from "../delivery/reply.ts";
import { CerError, EXIT, type ExitCode } from "../errors.ts";
import { makeReport } from "../event/read.ts";
import { formatUrl } from "../wire/exchange.ts";
import { decodeReportText } from "../wire/text.ts";
import { formatPlan } from "./plan-text.ts";

/** `cer submit --dry-run`. */
export async function showDryRun(command: SubmitCommand, around: Surroundings): Promise<ExitCode> {
  return preview({ ...command, name: "preview", response: null, out: command.dryRun?.out ?? null }, around);
}

/** `cer preview`. */
export async function preview(command: PreviewCommand, around: Surroundings): Promise<ExitCode> {
  const sources = await readSources(command.target.settings, command.target.config, around);
  const { event, level1, warnings } = await makeReport(command, around);
  const options = { event, level1, rules: resolvePolicy(sources), archive: command.archive, around };
  const answer = command.response === null ? null : await readAnswer(command.response, around);
  warnings.push(...(answer?.warnings ?? []));
  const plan = planFor(answer?.response ?? null, options);
  const out = command.out === null ? null : resolve(around.cwd, command.out);
  const written: string[] = [];
  if (out !== null) {
    await openFolder(out);
    written.push(await writeBytes(out, "level1.xml", level1));
  }
  if (out !== null && answer !== null) {
    const packed = await pack(answer.response, { ...options, confirm: async () => new Map() });
    written.push(...(await writePacked(out, packed, command.archive.format)));
  }
  const shown = { url: urlOf(sources), bytes: level1.length, xml: decodeReportText(level1).text };
  await show({ shown, plan, warnings, written }, command, around);
  return EXIT.ok;
}

function urlOf(sources: readonly Source[]): string | null {
  if (sources.every(({ settings }) => settings.server === undefined)) return null;
  const { origin, path } = resolveDestination(sources);
  return formatUrl(origin, path);
}

async function readAnswer(path: string, around: Surroundings) {
  const bytes = await readFile(resolve(around.cwd, path)).catch((cause: NodeJS.ErrnoException) => {
    throw new CerError("CER_FILE", `The answer ${path} cannot be read (${cause.code}).`, {
      hint: "--response names a file with the text of a level 1 answer, lines of KEY=VALUE.",
      cause,
    });
  });
  return parseAnswer(bytes, path, false);
}

async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause) => refuseToWrite(folder, cause));
}

async function writeBytes(folder: string, name: string, bytes: Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes, { mode: 0o600 }).catch((cause) => refuseToWrite(path, cause));
  return path;
}

async function writePacked(folder: string, packed: Packed, format: "cab" | "tar"): Promise<string[]> {
  if (packed.archive === null) return [];
  try {
    const path = join(folder, `archive.${format}`);
    await writeFile(path, packed.archive.open(), { mode: 0o600 }).catch((cause) =>
      refuseToWrite(path, cause),
    );
    return [path, await writeBytes(folder, "manifest.json", packed.manifest)];
  } finally {
    await packed.dispose();
  }
}

function refuseToWrite(path: string, cause: NodeJS.ErrnoException): never {
  throw new CerError("CER_WRITE", `${path} cannot be written (${cause.code ?? cause.message}).`, {
    hint: "Name another directory with --out.",
    cause,
  });
}

type Preview = {
  readonly shown: { readonly url: string | null; readonly bytes: number; readonly xml: string };
  readonly plan: CollectionPlan;
  readonly warnings: readonly string[];
  readonly written: readonly string[];
};

async function show(
  { shown, plan, warnings, written }: Preview,
  { output }: PreviewCommand,
  { terminal }: Surroundings,
): Promise<void> {
  const { print, say, paint } = terminal;
  if (output.json) {
    const items = plan.items.map(({ kind, item, decision, rule, reason }) => ({
      kind,
      item,
      decision,
      rule,
      reason,
    }));
    const level2 = { runs: plan.level2, reason: plan.level2Reason, items };
    print(
      JSON.stringify({ outcome: "dry-run", level1: shown, level2, written, warnings, error: null }, null, 2),
    );
    return;
  }
  if (!output.quiet) for (const warning of warnings) say(`warning: ${warning}`);
  if (output.quiet) return;
  print(`Level 1: ${shown.bytes} bytes to ${shown.url ?? "no server (none is set)"}`);
  print(shown.xml.trimEnd());
  for (const line of await formatPlan(plan, paint)) print(line);
  for (const path of written) print(`Wrote ${path}`);
  print("Nothing was sent.");
}
