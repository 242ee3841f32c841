/**
 * `cer smoke`: the event of [MS-CER2] 4.4 carried through its nine steps against a server, or without one against the
 * embedded one, and what really went over the wire shown beside each step.
 */

import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { verifyArchive } from "../archive/verify.ts";
import { measure } from "../bytes.ts";
import type { SmokeCommand } from "../cli/command.ts";
import { resolveDestination } from "../config/destination.ts";
import { type Source, strongestSetting } from "../config/settings.ts";
import { readSources } from "../config/sources.ts";
import { resolveTerms } from "../config/terms.ts";
import type { Context } from "../context.ts";
import { attempt } from "../delivery/attempts.ts";
import { describeError, exitCodeFor, type Outcome } from "../delivery/outcome.ts";
import { CerError, type ExitCode, Leniency } from "../errors.ts";
import type { Event } from "../event.ts";
import type { Answer } from "../journal/entry/documents.ts";
import { MemoryStore } from "../journal/report.ts";
import { formatBytes, stripControls } from "../printable.ts";
import { startServer } from "../server/listen.ts";
import { formatUrl } from "../wire/exchange.ts";
import { encodeReport } from "../wire/report.ts";
import { decodeAnswerText, decodeReportText } from "../wire/text.ts";
import { printResult } from "./print-result.ts";

/** [MS-CER2] 4.4, step 4. */
const EXAMPLE: Event = {
  reportType: 1,
  eventType: "MikeTest",
  friendlyEventName: "MikeTest",
  eventDescription: null,
  eventTime: 128_497_001_160_460_289n,
  machine: { name: "client-machine.corp.cliendomain.com", os: "6.1.6561.2.0.0.256.1", lcid: 1033, oem: null },
  user: { name: "Username" },
  application: { name: "Test", path: "E:\\tools\\wersample.exe", company: "Test Corporation" },
  parameters: [
    { id: 0, name: "Problem Signature 01", value: "1000" },
    { id: 1, name: "Problem Signature 02", value: "2000" },
    { id: 2, name: "Problem Signature 03", value: "3000" },
  ],
  secondaryParameters: [],
  files: [],
};

export async function runSmoke(command: SmokeCommand, context: Context): Promise<ExitCode> {
  // A test ends with whatever is wrong with its own settings.
  const leniency = new Leniency({ isStrict: true });
  const sources = await readSources(command.target, context, leniency);
  const isEmbedded = strongestSetting(sources, "server") === undefined;
  const { outcome, steps } = isEmbedded
    ? await smokeEmbedded(sources, command, context)
    : await smoke(sources, command, context, null);
  show(outcome, steps, command, context);
  return exitCodeFor(outcome);
}

/** One of the nine steps, with what was seen of it. */
type Step = { readonly number: number; readonly title: string; readonly seen: readonly string[] };

/** What the embedded server says it keeps, to be compared with what was sent. */
type Arrived = { path: string | null };

async function smokeEmbedded(sources: readonly Source[], command: SmokeCommand, context: Context) {
  const dir = await mkdtemp(join(context.tempDir, "cer-smoke-"));
  const arrived: Arrived = { path: null };
  try {
    const server = await startServer({
      host: "127.0.0.1",
      port: 0,
      dir,
      requests: [],
      verifyArchive,
      onEvent: (event) => {
        if (event.kind === "archive") arrived.path = event.path;
      },
    });
    const embedded = { name: "the embedded server", settings: { server: server.url, path: "/stage2.htm" } };
    try {
      return await smoke([embedded, ...sources.map(withoutTarget)], command, context, arrived);
    } finally {
      await server.close();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Consent counts wherever it is set; port, scheme and path belong to another server. */
function withoutTarget({ name, settings }: Source): Source {
  const { server, port, https, path, ...rest } = settings;
  return { name, settings: rest };
}

/** @param arrived null: against a server of somebody else's */
async function smoke(
  sources: readonly Source[],
  command: SmokeCommand,
  context: Context,
  arrived: Arrived | null,
): Promise<{ outcome: Outcome; steps: Step[] }> {
  const destination = resolveDestination(sources, new Leniency({ isStrict: true }));
  const terms = resolveTerms(sources, { format: "cab", compression: null, splitLarge: false });
  const { bytes: level1 } = encodeReport(EXAMPLE);
  const report = { event: EXAMPLE, level1, destination, terms, imported: false, stored: [] };
  const { idleTimeout, maxTime } = command.times;
  const store = new MemoryStore();
  try {
    const { outcome: delivered } = await attempt(report, store, {
      context,
      ...(arrived !== null && { proxy: null }),
      idleTimeout,
      until: maxTime === null ? null : context.now() + maxTime,
    });
    const outcome = arrived === null ? delivered : await compare(delivered, arrived);
    const from =
      arrived === null ? `set by ${destination.from}` : "the embedded server, started for this test";
    const server = `${formatUrl(destination.origin, "")} (${from})`;
    return { outcome, steps: tellSteps(outcome, store.answer, level1, server, arrived !== null) };
  } finally {
    await store.dispose();
  }
}

/** Against the embedded server, delivered means that the archive arrived byte for byte. */
async function compare(outcome: Outcome, arrived: Arrived): Promise<Outcome> {
  if (outcome.error !== null) return outcome;
  const sent = outcome.level2?.archive;
  const found = arrived.path === null ? null : (await measure(createReadStream(arrived.path))).sha256;
  if (sent !== undefined && found === sent.sha256) return outcome;
  const reasons = outcome.declined.map(({ kind, item, reason }) => ` ${kind} ${item}: ${reason}.`).join("");
  const message =
    sent === undefined
      ? `Level 2 was not carried out, though the embedded server asks for it.${reasons}`
      : `The archive that arrived (SHA-256 ${found ?? "none"}) is not the one that was sent (${sent.sha256}).`;
  const hint = "Is level 2 switched off by --consent, CER_CONSENT or a configuration file?";
  const error = new CerError("CER_MISMATCH", message, sent === undefined ? { hint } : {});
  return { ...outcome, outcome: "failed", error: describeError(error) };
}

/** The seed document's nine steps, as far as they were reached. */
function tellSteps(
  outcome: Outcome,
  kept: Answer | null,
  level1: Buffer,
  server: string,
  embedded: boolean,
): Step[] {
  const { level1: posted, level2 } = outcome;
  const answer = kept === null ? [] : linesOf(decodeAnswerText(kept.body));
  const steps: (readonly [title: string, seen: readonly string[]])[] = [
    ["An error occurs", [`${EXAMPLE.eventType} in ${EXAMPLE.application?.name}`]],
    ["An error report is created", [`event time ${EXAMPLE.eventTime} (FILETIME)`]],
    ["The destination server is checked", [server]],
    [
      "The level 1 report is made",
      [`${formatBytes(level1.length)}, FF FE and UTF-16LE`, ...linesOf(decodeReportText(level1).text)],
    ],
  ];
  if (posted !== null)
    steps.push(
      ["It is POSTed", [`POST ${posted.url}, ${posted.bytes} bytes`]],
      [`The server answers ${posted.status}`, answer],
    );
  if (level2 !== null) {
    const { bytes, sha256, files } = level2.archive;
    const members = files.map(({ name, bytes }) => `${name}, ${formatBytes(bytes)}`);
    steps.push(
      ["The cabinet is made", [`${bytes} bytes, SHA-256 ${sha256}`, ...members]],
      ["It is PUT to the DumpFile path", [`PUT ${level2.url}`]],
    );
    const checked = embedded && outcome.error === null ? ["what arrived is byte for byte what was sent"] : [];
    if (level2.status !== null) steps.push([`The server answers ${level2.status}`, checked]);
  }
  return steps.map(([title, seen], place) => ({ number: place + 1, title, seen }));
}

function linesOf(text: string): string[] {
  return text
    .split(/\r\n|\r|\n/)
    .filter((line) => line.trim() !== "")
    .map(stripControls);
}

function show(
  outcome: Outcome,
  steps: readonly Step[],
  { output }: SmokeCommand,
  { terminal }: Context,
): void {
  const { print, say, paint } = terminal;
  const lines = steps.flatMap(({ number, title, seen }) => [
    `${number}. ${title}`,
    ...seen.map((line) => `   ${paint("dim", line)}`),
  ]);
  printResult({ lines, json: { ...outcome, steps } }, output, terminal);
  if (outcome.error !== null) {
    say(
      `${paint("bad", "Failed")} after step ${steps.at(-1)?.number}: ${stripControls(outcome.error.message)}`,
    );
    if (outcome.error.hint !== null) say(outcome.error.hint);
  } else if (!output.quiet && !output.json) {
    const whole = steps.length === 9 ? "all nine steps" : "level 1; there was nothing to upload";
    print(`${paint("good", "OK")}: ${whole}.`);
  }
}
