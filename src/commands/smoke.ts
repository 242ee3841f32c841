/**
 * `cer smoke`: the event of [MS-CER2] 4.4 carried through its nine steps against a server, or without one against the
 * embedded one, and what really went over the wire shown beside each step. The exchange is a client's, which takes much;
 * what it took is then held to the specification.
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
import { findFaults } from "../wire/answer-grammar.ts";
import { formatUrl } from "../wire/exchange.ts";
import { encodeReport } from "../wire/report.ts";
import { parseResponse } from "../wire/response.ts";
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
  const result = isEmbedded
    ? await smokeEmbedded(sources, command, context)
    : await smoke(sources, command, context, null);
  show(result, command, context);
  return exitCodeFor(result.outcome);
}

type SmokeResult = {
  readonly outcome: Outcome;
  /** As far as they were reached. */
  readonly steps: readonly Step[];
  /** The exchange itself failed, after the last of the steps. */
  readonly stopped: boolean;
  /** How far an exchange went that did not fail. */
  readonly extent: string;
};

/** One of the nine steps, with what was seen of it. */
type Step = { readonly number: number; readonly title: string; readonly seen: readonly string[] };

/** What the embedded server says it keeps, to be compared with what was sent. */
type Arrived = { path: string | null };

async function smokeEmbedded(
  sources: readonly Source[],
  command: SmokeCommand,
  context: Context,
): Promise<SmokeResult> {
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
): Promise<SmokeResult> {
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
    const { answer } = store;
    const isOn = terms.policy.level2 && terms.policy.consent !== "parameters";
    const met = arrived === null ? demandLevel2(delivered, answer, isOn) : await compare(delivered, arrived);
    const outcome = holdToGrammar(warnOfOddities(met, answer), answer);
    const from =
      arrived === null ? `set by ${destination.from}` : "the embedded server, started for this test";
    const server = `${formatUrl(destination.origin, "")} (${from})`;
    return {
      outcome,
      steps: tellSteps(outcome, answer, level1, server, arrived !== null),
      stopped: delivered.error !== null,
      extent: extentOf(outcome, isOn),
    };
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
  const message =
    sent === undefined
      ? `Level 2 was not carried out, though the embedded server asks for it.${tellDeclined(outcome)}`
      : `The archive that arrived (SHA-256 ${found ?? "none"}) is not the one that was sent (${sent.sha256}).`;
  const hint = "Is level 2 switched off by --consent, CER_CONSENT or a configuration file?";
  return failed(outcome, new CerError("CER_MISMATCH", message, sent === undefined ? { hint } : {}));
}

/** A server that asks for data has to get some, unless its user switched level 2 off. */
function demandLevel2(outcome: Outcome, answer: Answer | null, isOn: boolean): Outcome {
  const { error, level2 } = outcome;
  if (error !== null || level2 !== null || answer === null || !isOn) return outcome;
  if (!parseResponse(answer.body).response.iData) return outcome;
  const why = tellDeclined(outcome) || " It asks for nothing that this event or this machine has.";
  return failed(
    outcome,
    new CerError("CER_NO_LEVEL2", `The server asks for data (iData=1), and got none.${why}`, {
      hint:
        "Let it ask for what every client has, as [MS-CER2] 4.4 does (WQL=SELECT Family FROM Win32_Processor), " +
        "or agree to what it asks for (CER_CONSENT, or allow in a configuration file).",
    }),
  );
}

function tellDeclined({ declined }: Outcome): string {
  return declined.map(({ kind, item, reason }) => ` ${kind} ${item}: ${reason}.`).join("");
}

/** What no grammar forbids, but the examples of [MS-CER2] 4 do otherwise. */
function warnOfOddities(outcome: Outcome, answer: Answer | null): Outcome {
  const warnings: string[] = [...outcome.warnings];
  if (answer !== null && outcome.bucket === null)
    warnings.push(
      answer.body.length === 0
        ? "The answer is empty: it names no bucket and asks for nothing."
        : "The answer names no bucket.",
    );
  for (const [what, level] of [
    ["POST", outcome.level1],
    ["PUT", outcome.level2],
  ] as const)
    if (level?.status && level.status !== 200 && outcome.error === null)
      warnings.push(`The server answered ${level.status} to the ${what}; the examples show 200.`);
  return { ...outcome, warnings };
}

/** The answer comes before all that may have failed after it. */
function holdToGrammar(outcome: Outcome, answer: Answer | null): Outcome {
  const faults = answer === null ? [] : findFaults(answer.body);
  if (faults.length === 0 || outcome.error?.code === "CER_INTERRUPTED") return outcome;
  const later = outcome.error === null ? [] : [outcome.error.message];
  const error = new CerError(
    "CER_NOT_CER",
    `The answer breaks the grammar of [MS-CER2] 2.2.2. ${faults.join(" ")}`,
    { hint: "A client that is strict need not understand it. The server's answer has to be corrected." },
  );
  const { warnings } = outcome;
  return { ...failed(outcome, error), outcome: "refused", warnings: [...warnings, ...later] };
}

function failed(outcome: Outcome, error: CerError): Outcome {
  return { ...outcome, outcome: "failed", error: describeError(error) };
}

function extentOf({ level2 }: Outcome, isOn: boolean): string {
  if (level2 !== null) return "all nine steps";
  return `level 1; ${isOn ? "the server asks for no data" : "level 2 is switched off here"}`;
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
  { outcome, steps, stopped, extent }: SmokeResult,
  { output }: SmokeCommand,
  { terminal }: Context,
): void {
  const { print, say, paint } = terminal;
  const lines = steps.flatMap(({ number, title, seen }) => [
    `${number}. ${title}`,
    ...seen.map((line) => `   ${paint("dim", line)}`),
  ]);
  printResult({ lines, json: { ...outcome, steps } }, output, terminal);
  if (!output.quiet) for (const warning of outcome.warnings) say(`warning: ${stripControls(warning)}`);
  if (outcome.error !== null) {
    const place = stopped ? ` after step ${steps.at(-1)?.number}` : "";
    say(`${paint("bad", "Failed")}${place}: ${stripControls(outcome.error.message)}`);
    if (outcome.error.hint !== null) say(outcome.error.hint);
  } else if (!output.quiet && !output.json) print(`${paint("good", "OK")}: ${extent}.`);
}
