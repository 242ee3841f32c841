/**
 * The command line as a value: argv in, a Command out, with help and complaints as text. Nothing runs here. The only
 * importer of commander.
 */

import { CommanderError, InvalidArgumentError, Option, Command as Parser } from "commander";
import type { Compression } from "./archive/cab/entry.ts";
import { DEFAULT_PORT, parsePort, type Settings } from "./config.ts";
import { CerError } from "./errors.ts";
import type { EventInput, FileType, Parameter, SecondaryParameter } from "./event.ts";
import { parseEventTime, parseReportType } from "./event-json.ts";

/** What the event's flags say. Paths are as typed. */
export type EventFlags = EventInput & {
  readonly attach: readonly { readonly path: string; readonly type: FileType }[];
};

export type TargetFlags = { readonly config: string | null; readonly settings: Settings };

export type OutputFlags = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
};

/** Milliseconds. */
export type TimeFlags = { readonly idleTimeout: number; readonly maxTime: number | null };

export type ArchiveFlags = {
  readonly format: "cab" | "tar";
  readonly compression: Compression | null;
  readonly splitLarge: boolean;
};

export type SubmitCommand = {
  readonly name: "submit";
  /** The event file, "-" for standard input, null for flags alone. */
  readonly event: string | null;
  readonly flags: EventFlags;
  readonly truncate: boolean;
  readonly target: TargetFlags;
  readonly times: TimeFlags;
  readonly archive: ArchiveFlags;
  readonly dryRun: { readonly out: string | null } | null;
  readonly output: OutputFlags;
};

/** What an answer would make this client do; `response` is the file that holds it, null for no answer yet. */
export type PreviewCommand = Omit<SubmitCommand, "name" | "dryRun" | "times"> & {
  readonly name: "preview";
  readonly response: string | null;
  readonly out: string | null;
};

export type Command =
  | SubmitCommand
  | PreviewCommand
  | {
      readonly name: "serve";
      readonly port: number;
      readonly host: string;
      readonly dir: string | null;
      readonly requests: readonly string[];
    }
  | {
      readonly name: "smoke";
      readonly target: TargetFlags;
      readonly times: TimeFlags;
      readonly output: OutputFlags;
    }
  | { readonly name: "schema" }
  | { readonly name: "text"; readonly text: string };

/**
 * What the arguments ask for. Help and version are a command like any other: a text to print.
 * @throws CerError CER_USAGE, and what a value's own parser throws
 */
export function parseCommandLine(args: readonly string[], version: string): Command {
  let command: Command | undefined;
  let text = "";
  const parser = buildParser(version, (parsed) => {
    command = parsed;
  });
  for (const one of [parser, ...parser.commands])
    one.exitOverride().configureOutput({
      writeOut: (words) => {
        text += words;
      },
      writeErr: () => {},
    });
  try {
    parser.parse(args, { from: "user" });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return { name: "text", text };
    if (thrown.code === "commander.help") return { name: "text", text: parser.helpInformation() };
    throw asUsageError(thrown, args);
  }
  return command ?? { name: "text", text: parser.helpInformation() };
}

function asUsageError(thrown: CommanderError, args: readonly string[]): CerError {
  const message = thrown.message.replace(/^error: /, "").replace(/\n/g, " ");
  const word = args.find((arg) => !arg.startsWith("-"));
  const known = /^(submit|preview|serve|smoke|schema)$/.test(word ?? "") ? ` ${word}` : "";
  return new CerError(
    "CER_USAGE",
    `${message.charAt(0).toUpperCase()}${message.slice(1).replace(/\.?$/, ".")}`,
    {
      hint: `See cer${known} --help.`,
    },
  );
}

function buildParser(version: string, onCommand: (command: Command) => void): Parser {
  const parser = new Parser("cer")
    .description("Reports errors to a Corporate Error Reporting server ([MS-CER2]).")
    .version(version)
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .showSuggestionAfterError();
  addSubmit(parser, onCommand);
  addPreview(parser, onCommand);
  addServe(parser, onCommand);
  addSmoke(parser, onCommand);
  parser
    .command("schema")
    .description("print the JSON Schema of the event file")
    .action(() => onCommand({ name: "schema" }));
  return parser;
}

function addSubmit(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("submit")
    .description("report an event: level 1, and level 2 when the server asks for it")
    .argument("[event]", "event file in JSON, or - for standard input; flags win over it");
  addReportOptions(command);
  addTimeOptions(command);
  command
    .option("--dry-run", "send nothing; show the report and what level 2 could hold")
    .option("--out <dir>", "with --dry-run: write the exact bytes that would be POSTed there");
  addOutputOptions(command);
  command.action((event: string | undefined, options: SubmitOptions) => {
    if (options.out !== undefined && options.dryRun !== true)
      throw new CerError("CER_USAGE", "--out goes with --dry-run.");
    onCommand({
      name: "submit",
      ...reportFlags(event, options),
      times: timeFlags(options),
      dryRun: options.dryRun === true ? { out: options.out ?? null } : null,
    });
  });
}

type SubmitOptions = ReportOptions & TimeOptions & { dryRun?: boolean; out?: string };

function addPreview(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("preview")
    .description("show what a server's answer would make cer collect and send; nothing is sent")
    .argument("[event]", "event file in JSON, or - for standard input; flags win over it")
    .requiredOption("--response <file>", "the text of a level 1 answer, lines of KEY=VALUE")
    .option("--out <dir>", "write the report, the archive and its manifest there");
  addReportOptions(command);
  addOutputOptions(command);
  command.action((event: string | undefined, options: ReportOptions & { response: string; out?: string }) =>
    onCommand({
      name: "preview",
      ...reportFlags(event, options),
      response: options.response,
      out: options.out ?? null,
    }),
  );
}

/** What submit and preview have in common. */
type ReportOptions = EventOptions &
  TargetOptions &
  ConsentOptions &
  ArchiveOptions &
  OutputOptions & { truncate?: boolean };

function addReportOptions(command: Parser): void {
  addEventOptions(command);
  addTargetOptions(command);
  addConsentOptions(command);
  command
    .optionsGroup("What is sent:")
    .addOption(new Option("--archive <format>", "archive format").choices(["cab", "tar"]).default("cab"))
    .option("--compression <level>", "0 (none) to 9 (smallest); 4 when left out", levelOf)
    .option("--split-large", "split a file that no cabinet can hold into numbered parts")
    .option("--truncate", "cut values that are longer than the report's schema allows");
}

function reportFlags(event: string | undefined, options: ReportOptions) {
  const { config, settings } = targetFlags(options);
  return {
    event: event ?? null,
    flags: eventFlags(options),
    truncate: options.truncate === true,
    target: { config, settings: { ...settings, ...consentSettings(options) } },
    archive: archiveFlags(options),
    output: outputFlags(options),
  };
}

type ArchiveOptions = { archive: "cab" | "tar"; compression?: Compression; splitLarge?: boolean };

function archiveFlags({ archive, compression, splitLarge }: ArchiveOptions): ArchiveFlags {
  return { format: archive, compression: compression ?? null, splitLarge: splitLarge === true };
}

function addServe(parser: Parser, onCommand: (command: Command) => void): void {
  parser
    .command("serve")
    .description("run the embedded CER server, for trying out and for tests")
    .option("--port <number>", "port to listen on; 0 takes a free one (1273 when left out)", (word) =>
      word === "0" ? 0 : parsePort(word, "--port"),
    )
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--dir <dir>", "where reports and archives are kept; a temporary directory when left out")
    .option("--request <key=value>", "what it asks for, WQL='SELECT …' for example (repeatable)", collect, [])
    .action((options: { port?: number; host: string; dir?: string; request: string[] }) =>
      onCommand({
        name: "serve",
        port: options.port ?? DEFAULT_PORT,
        host: options.host,
        dir: options.dir ?? null,
        requests: options.request,
      }),
    );
}

function addSmoke(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("smoke")
    .description("test a server, or without one this program itself, with the example of [MS-CER2] 4.4");
  addTargetOptions(command);
  addTimeOptions(command);
  addOutputOptions(command);
  command.action((options: TargetOptions & TimeOptions & OutputOptions) =>
    onCommand({
      name: "smoke",
      target: targetFlags(options),
      times: timeFlags(options),
      output: outputFlags(options),
    }),
  );
}

const EVENT_TEXTS = [
  ["--event-type <name>", "what kind of event, APPCRASH for example"],
  ["--friendly-name <text>", "the event's name as people say it"],
  ["--description <text>", "what happened"],
  ["--app-name <name>", "the application"],
  ["--app-path <path>", "where the application is"],
  ["--app-company <name>", "who made the application"],
  ["--machine-name <name>", "this machine's full name"],
  ["--os <numbers>", "major.minor.build.platform.spMajor.spMinor.suite.product"],
  ["--oem <name>", "who made the machine"],
  ["--user <name>", "the user the report is for"],
] as const;

type EventOptions = {
  reportType?: EventInput["reportType"];
  eventTime?: bigint;
  lcid?: number;
  eventType?: string;
  friendlyName?: string;
  description?: string;
  appName?: string;
  appPath?: string;
  appCompany?: string;
  machineName?: string;
  os?: string;
  oem?: string;
  user?: string;
  param?: string[];
  secondary?: SecondaryParameter[];
  file?: string[];
  minidump?: string[];
  heapdump?: string[];
  document?: string[];
};

function addEventOptions(command: Parser): void {
  command
    .optionsGroup("The event:")
    .option(
      "--report-type <type>",
      "0-4, or NonCritical, Critical, ApplicationCrash, ApplicationHang, Kernel",
      (word) => parseReportType(word, "--report-type"),
    )
    .option("--event-time <time>", "FILETIME or ISO 8601; now when left out", (word) =>
      parseEventTime(word, "--event-time"),
    )
    .option("--lcid <number>", "locale, as a Windows LCID", lcidOf);
  for (const [flags, about] of EVENT_TEXTS) command.option(flags, about);
  command
    .option("-p, --param <[name=]value>", "the next signature parameter (repeatable, at most ten)", collect)
    .option("--secondary <name=value>", "a secondary parameter (repeatable)", collectSecondary)
    .option("--file <path>", "attach a file (repeatable)", collect)
    .option("--minidump <path>", "attach a minidump (repeatable)", collect)
    .option(
      "--heapdump <path>",
      "attach a heap dump, sent only when the server asks for memory (repeatable)",
      collect,
    )
    .option(
      "--document <path>",
      "attach a document, sent only when the server asks for documents (repeatable)",
      collect,
    );
}

function eventFlags(options: EventOptions): EventFlags {
  const { reportType, eventTime, eventType, friendlyName, description, secondary } = options;
  return {
    ...present({
      reportType,
      eventTime,
      eventType,
      friendlyEventName: friendlyName,
      eventDescription: description,
    }),
    machine: present({ name: options.machineName, os: options.os, lcid: options.lcid, oem: options.oem }),
    user: present({ name: options.user }),
    application: present({ name: options.appName, path: options.appPath, company: options.appCompany }),
    ...(options.param === undefined ? {} : { parameters: parametersOf(options.param) }),
    secondaryParameters: secondary ?? [],
    attach: [
      ...(options.minidump ?? []).map((path) => ({ path, type: 2 as const })),
      ...(options.heapdump ?? []).map((path) => ({ path, type: 3 as const })),
      ...(options.document ?? []).map((path) => ({ path, type: 4 as const })),
      ...(options.file ?? []).map((path) => ({ path, type: 5 as const })),
    ],
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The object without the keys whose value is undefined. */
function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Present<T>;
}

/** `[NAME=]VALUE`, ids in order; a value that holds `=` and has no name begins with one. */
function parametersOf(words: readonly string[]): Parameter[] {
  if (words.length > 10)
    throw new CerError("CER_EVENT_INVALID", `There are ${words.length} parameters, the bound is 10.`, {
      hint: "Further values go into --secondary NAME=VALUE.",
    });
  return words.map((word, id) => {
    const at = word.indexOf("=");
    return at < 0
      ? { id, name: null, value: word }
      : { id, name: word.slice(0, at) || null, value: word.slice(at + 1) };
  });
}

function collect(word: string, words: string[] | undefined): string[] {
  return [...(words ?? []), word];
}

function collectSecondary(word: string, found: SecondaryParameter[] | undefined): SecondaryParameter[] {
  const at = word.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It takes NAME=VALUE.");
  return [...(found ?? []), { name: word.slice(0, at), value: word.slice(at + 1) }];
}

function lcidOf(word: string): number {
  const number = /^[0-9]{1,10}$/.test(word) ? Number(word) : 0;
  if (number < 1 || number > 0xffff_ffff)
    throw new InvalidArgumentError("It takes a number, 1033 for example.");
  return number;
}

function levelOf(word: string): Compression {
  if (!/^[0-9]$/.test(word)) throw new InvalidArgumentError("It takes a number from 0 to 9.");
  return Number(word) as Compression;
}

function secondsOf(word: string): number {
  const seconds = /^[0-9]+(\.[0-9]+)?$/.test(word) ? Number(word) : 0;
  if (seconds <= 0 || seconds > 86_400)
    throw new InvalidArgumentError("It takes seconds, more than 0, at most 86400.");
  return seconds * 1000;
}

type TargetOptions = { server?: string; port?: number; https?: boolean; path?: string; config?: string };

type ConsentOptions = { consent?: string; level2: boolean; redact: boolean; anonymize?: boolean };

function addConsentOptions(command: Parser): void {
  command
    .optionsGroup("Consent:")
    .addOption(
      new Option(
        "--consent <level>",
        "what a server may have; also CER_CONSENT (safe when nothing sets it)",
      ).choices(["parameters", "safe", "ask", "all"]),
    )
    .option("--no-level2", "never send more than the level 1 report")
    .option("--no-redact", "send texts as they are, passwords in them too")
    .option("--anonymize", "replace this user's name and home directory in texts");
}

function consentSettings({ consent, level2, redact, anonymize }: ConsentOptions): Settings {
  return present({
    consent,
    level2: level2 ? undefined : false,
    redact: redact ? undefined : false,
    anonymize,
  });
}

function addTargetOptions(command: Parser): void {
  command
    .optionsGroup("The server:")
    .option("--server <address>", "HOST, HOST:PORT or http(s)://HOST[:PORT][/PREFIX]; also CER_SERVER")
    .option("--port <number>", "port; also CER_PORT (1273 when nothing sets one)", (word) =>
      parsePort(word, "--port"),
    )
    .option("--https", "use TLS; also CER_HTTPS=1")
    .option("--path <path>", "path of the level 1 report (/stage2.htm when left out)")
    .option("--config <file>", "configuration file in JSON, in place of the user's own");
}

function targetFlags({ server, port, https, path, config }: TargetOptions): TargetFlags {
  return { config: config ?? null, settings: present({ server, port, https, path }) };
}

/** Milliseconds without a byte in either direction before an exchange is given up. */
const DEFAULT_IDLE_TIMEOUT = 30_000;

type TimeOptions = { timeout: number; maxTime?: number };

function addTimeOptions(command: Parser): void {
  command
    .optionsGroup("Time limits:")
    .option(
      "--timeout <seconds>",
      "give up when nothing moves for this long (30)",
      secondsOf,
      DEFAULT_IDLE_TIMEOUT,
    )
    .option("--max-time <seconds>", "give up when the whole takes longer", secondsOf);
}

function timeFlags({ timeout, maxTime }: TimeOptions): TimeFlags {
  return { idleTimeout: timeout, maxTime: maxTime ?? null };
}

type OutputOptions = { json?: boolean; quiet?: boolean; verbose?: boolean; color: boolean };

function addOutputOptions(command: Parser): void {
  command
    .optionsGroup("Output:")
    .option("--json", "one JSON object on standard output")
    .option("-q, --quiet", "say nothing but errors")
    .option("-v, --verbose", "say what is done, step by step")
    .option("--no-color", "no colour; also NO_COLOR");
}

function outputFlags({ json, quiet, verbose, color }: OutputOptions): OutputFlags {
  return { json: json === true, quiet: quiet === true, verbose: verbose === true, color };
}
