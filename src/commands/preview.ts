/**
 * What would be sent, without sending it: `cer submit --dry-run` before there is an answer, `cer preview` for a given
 * one. With --out the very bytes are written, so that whoever approves them approves bytes.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PreviewCommand, SubmitCommand } from "../cli/command.ts";
import { findTarget } from "../config/destination.ts";
import type { Source } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import { resolveTerms } from "../config/terms.ts";
import type { CollectionPlan } from "../consent/plan.ts";
import type { Context } from "../context.ts";
import { limitTime } from "../delivery/attempts.ts";
import { buildArchive, planFor } from "../delivery/build-archive.ts";
import { parseAnswerBody } from "../delivery/reply.ts";
import { CerError, EXIT, type ExitCode, Leniency } from "../errors.ts";
import { makeReport } from "../event/read.ts";
import type { BuiltArchive } from "../journal/report.ts";
import { formatUrl } from "../wire/exchange.ts";
import { decodeReportText } from "../wire/text.ts";
import { formatPlan } from "./plan-text.ts";

/** `cer submit --dry-run`. */
export async function showDryRun(command: SubmitCommand, context: Context): Promise<ExitCode> {
  const { maxTime } = command.times;
  const limit = limitTime(context, maxTime === null ? null : context.now() + maxTime);
  return runPreview(
    { ...command, name: "preview", response: null, out: command.dryRun?.out ?? null },
    { ...context, signal: limit.signal },
  ).finally(limit.clear);
}

/** `cer preview`. */
export async function runPreview(command: PreviewCommand, context: Context): Promise<ExitCode> {
  const leniency = new Leniency({ isStrict: command.strict });
  const sources = await readSources(command.target, context, leniency);
  const { event, level1 } = await makeReport(command, context, leniency, context.signal);
  const terms = resolveTerms(sources, command.archive);
  const report = { event, level1, terms, imported: false, stored: event.files.map(({ path }) => path) };
  const answer = command.response === null ? null : await readAnswer(command.response, context);
  for (const warning of answer?.warnings ?? []) leniency.note(warning);
  const plan = planFor(answer?.response ?? null, report, context);
  const out = command.out === null ? null : resolve(context.cwd, command.out);
  const written: string[] = [];
  if (out !== null) {
    await openFolder(out);
    written.push(await writeBytes(out, "level1.xml", level1));
  }
  if (out !== null && answer !== null) {
    const { archive } = await buildArchive(answer.response, report, context, async () => new Map());
    if (archive !== null) written.push(...(await writeArchive(out, archive, command.archive.format)));
  }
  const sent = { url: urlOf(sources, leniency), bytes: level1.length, xml: decodeReportText(level1).text };
  const { warnings } = leniency;
  const { json, quiet } = command.output;
  const { print, say, paint } = context.terminal;
  if (json) {
    const told = { outcome: "dry-run", level1: sent, level2: asJson(plan), written, warnings, error: null };
    print(JSON.stringify(told, null, 2));
  } else if (!quiet) {
    for (const warning of warnings) say(`warning: ${warning}`);
    print(`Level 1: ${sent.bytes} bytes to ${sent.url ?? "no server (none is set)"}`);
    print(sent.xml.trimEnd());
    for (const line of await formatPlan(plan, paint)) print(line);
    for (const path of written) print(`Wrote ${path}`);
    print("Nothing was sent.");
  }
  return EXIT.ok;
}

function asJson({ level2, level2Reason, items }: CollectionPlan) {
  const shown = items.map(({ kind, item, decision, rule, reason }) => {
    return { kind, item, decision, rule, reason };
  });
  return { runs: level2, reason: level2Reason, items: shown };
}

/** Null when no server is set, or what is set is none. */
function urlOf(sources: readonly Source[], leniency: Leniency): string | null {
  const { destination, noServer } = findTarget(sources, leniency);
  if (destination !== null) return formatUrl(destination.origin, destination.path);
  if (noServer.code !== "CER_NO_SERVER") leniency.note(noServer.message);
  return null;
}

async function readAnswer(path: string, context: Context) {
  const bytes = await readFile(resolve(context.cwd, path)).catch((cause: NodeJS.ErrnoException) => {
    throw new CerError("CER_FILE", `The answer ${path} cannot be read (${cause.code}).`, {
      hint: "--response names a file with the text of a level 1 answer, lines of KEY=VALUE.",
      cause,
    });
  });
  return parseAnswerBody(bytes, path, false);
}

async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause) => refuseToWrite(folder, cause));
}

async function writeBytes(folder: string, name: string, bytes: Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes, { mode: 0o600 }).catch((cause) => refuseToWrite(path, cause));
  return path;
}

async function writeArchive(folder: string, archive: BuiltArchive, format: "cab" | "tar"): Promise<string[]> {
  try {
    const path = join(folder, `archive.${format}`);
    await writeFile(path, archive.open(), { mode: 0o600 }).catch((cause) => refuseToWrite(path, cause));
    return [path, await writeBytes(folder, "manifest.json", archive.manifest)];
  } finally {
    await archive.dispose();
  }
}

function refuseToWrite(path: string, cause: NodeJS.ErrnoException): never {
  throw new CerError("CER_WRITE", `${path} cannot be written (${cause.code ?? cause.message}).`, {
    hint: "Name another directory with --out.",
    cause,
  });
}
