/**
 * The command line as a value: argv in, a Command out, with help and complaints as text. Nothing runs here. The only
 * importer of commander; the option groups in cli/ know its type alone.
 */

import { CommanderError, Command as Parser } from "commander";
import { DEFAULT_PORT } from "../config/destination.ts";
import { parsePort, type Settings } from "../config/settings.ts";
import { CerError } from "../errors.ts";
import type { Command } from "./command.ts";
import { addEventOptions, collect, type EventOptions, eventFlags } from "./event-options.ts";
import {
  type ArchiveOptions,
  addArchiveOptions,
  addConsentOptions,
  addJournalOptions,
  addKeepingOptions,
  addOutputOptions,
  addTargetOptions,
  addTimeOptions,
  archiveFlags,
  type ConsentOptions,
  consentSettings,
  type JournalOptions,
  journalFlags,
  type KeepingOptions,
  keepingFlags,
  keepingSettings,
  type OutputOptions,
  outputFlags,
  type TargetOptions,
  type TimeOptions,
  targetFlags,
  timeFlags,
} from "./options.ts";

/**
 * What the arguments ask for. Help and version are a command like any other: a text to print.
 * @throws CerError CER_USAGE, and what a value's own parser throws
 */
export function parseCommandLine(args: readonly string[], version: string): Command {
  let command: Command | undefined;
  let text = "";
  let complaint = "";
  const parser = buildParser(args, version, (parsed) => {
    command = parsed;
  });
  for (const one of [parser, ...parser.commands, ...parser.commands.flatMap((command) => command.commands)])
    one.exitOverride().configureOutput({
      writeOut: (words) => {
        text += words;
      },
      writeErr: (words) => {
        complaint += words;
      },
    });
  try {
    parser.parse(args, { from: "user" });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return { name: "text", text };
    // No command was named: the help, which commander takes for a complaint.
    if (thrown.code === "commander.help") return { name: "text", text: complaint };
    throw asUsageError(thrown, args);
  }
  if (command === undefined)
    throw new CerError("CER_USAGE", "No command was given.", { hint: "See cer --help." });
  return command;
}

function asUsageError(thrown: CommanderError, args: readonly string[]): CerError {
  const message = thrown.message.replace(/^error: /, "").replace(/\n/g, " ");
  const word = args.find((arg) => !arg.startsWith("-")) ?? "";
  const known = Object.hasOwn(COMMANDS, word) ? ` ${word}` : "";
  return new CerError(
    "CER_USAGE",
    `${message.charAt(0).toUpperCase()}${message.slice(1).replace(/\.?$/, ".")}`,
    {
      hint: `See cer${known} --help.`,
    },
  );
}

type AddCommand = (parser: Parser, onCommand: (command: Command) => void) => void;

/** In the order that the help lists them. */
const COMMANDS: Readonly<Record<string, AddCommand>> = {
  submit: addSubmit,
  preview: addPreview,
  flush: addFlush,
  queue: addQueue,
  verify: addVerify,
  inspect: addInspect,
  serve: addServe,
  smoke: addSmoke,
  schema: addSchema,
};

/** Knows the command that is named first, or all of them: making the options of nine takes longer than parsing. */
function buildParser(
  [first = ""]: readonly string[],
  version: string,
  onCommand: (command: Command) => void,
): Parser {
  const parser = new Parser("cer")
    .description("Reports errors to a Corporate Error Reporting server ([MS-CER2]).")
    .version(version)
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .showSuggestionAfterError();
  const wanted = Object.hasOwn(COMMANDS, first) ? [COMMANDS[first]] : Object.values(COMMANDS);
  for (const add of wanted) add?.(parser, onCommand);
  return parser;
}

function addSubmit(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("submit")
    .description("report an event: level 1, and level 2 when the server asks for it")
    .argument("[event]", "event file in JSON, or - for standard input; flags win over it");
  addReportOptions(command);
  addTimeOptions(command);
  addKeepingOptions(command);
  command
    .optionsGroup("Trying out:")
    .option("--dry-run", "send nothing; show the report and what level 2 could hold")
    .option("--out <dir>", "with --dry-run: write the exact bytes that would be POSTed there");
  addOutputOptions(command);
  command.action((event: string | undefined, options: SubmitOptions) => {
    if (options.out !== undefined && options.dryRun !== true)
      throw new CerError("CER_USAGE", "--out goes with --dry-run.");
    onCommand({
      name: "submit",
      ...reportFlags(event, options, keepingSettings(options)),
      times: timeFlags(options),
      keeping: keepingFlags(options),
      dryRun: options.dryRun === true ? { out: options.out ?? null } : null,
    });
  });
}

type SubmitOptions = ReportOptions & TimeOptions & KeepingOptions & { dryRun?: boolean; out?: string };

function addFlush(parser: Parser, onCommand: (command: Command) => void): void {
  const command = addJournalOptions(
    parser.command("flush").description("send the reports that wait and are due"),
  );
  addTimeOptions(command);
  command.action((options: JournalOptions & TimeOptions) =>
    onCommand({ name: "flush", ...journalFlags(options), times: timeFlags(options) }),
  );
}

function addQueue(parser: Parser, onCommand: (command: Command) => void): void {
  const queue = parser
    .command("queue")
    .description("look at the journal and act on single reports")
    .helpCommand(false);
  addJournalOptions(queue.command("list").description("list what waits, was delivered or given up")).action(
    (options: JournalOptions) => onCommand({ name: "queue", action: "list", ...journalFlags(options) }),
  );
  const abouts = {
    show: "show a report: its receipt, or why it waits",
    retry: "make a report due at once, its tries counted anew",
    drop: "remove a report, delivered or not",
  } as const;
  for (const action of ["show", "retry", "drop"] as const)
    addJournalOptions(queue.command(action).description(abouts[action]).argument("<id>")).action(
      (id: string, options: JournalOptions) =>
        onCommand({ name: "queue", action, id, ...journalFlags(options) }),
    );
  addJournalOptions(
    queue
      .command("export")
      .description("write a waiting report to a tar, to be sent from another machine and no more from here")
      .argument("<id>")
      .argument("<file>"),
  ).action((id: string, file: string, options: JournalOptions) =>
    onCommand({ name: "queue", action: "export", id, file, ...journalFlags(options) }),
  );
  addJournalOptions(
    queue.command("import").description("take in a report that was exported elsewhere").argument("<file>"),
  ).action((file: string, options: JournalOptions) =>
    onCommand({ name: "queue", action: "import", file, ...journalFlags(options) }),
  );
}

function addVerify(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("verify")
    .description("check a receipt, and an archive against it")
    .argument("<receipt>")
    .option("--archive <file>", "the archive that was sent, or arrived");
  addOutputOptions(command);
  command.action((receipt: string, { archive, ...output }: OutputOptions & { archive?: string }) =>
    onCommand({ name: "verify", receipt, archive: archive ?? null, output: outputFlags(output) }),
  );
}

function addInspect(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("inspect")
    .description("show what is in a cabinet, a tar, a level 1 report, a manifest or a receipt")
    .argument("<file>")
    .option("--extract <dir>", "extract an archive's files there")
    .option("--verify", "read all of an archive and check it");
  addOutputOptions(command);
  command.action((file: string, options: OutputOptions & { extract?: string; verify?: boolean }) =>
    onCommand({
      name: "inspect",
      file,
      extract: options.extract ?? null,
      verify: options.verify === true,
      output: outputFlags(options),
    }),
  );
}

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
  addArchiveOptions(command);
  command.option("--truncate", "cut values that are longer than the report's schema allows");
}

function reportFlags(event: string | undefined, options: ReportOptions, more: Settings = {}) {
  const { config, settings } = targetFlags(options);
  return {
    event: event ?? null,
    flags: eventFlags(options),
    truncate: options.truncate === true,
    target: { config, settings: { ...settings, ...consentSettings(options), ...more } },
    archive: archiveFlags(options),
    output: outputFlags(options),
  };
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
    .option("--request <key=value>", "what it asks for, WQL='SELECT …' for example (repeatable)", collect)
    .action((options: { port?: number; host: string; dir?: string; request?: string[] }) =>
      onCommand({
        name: "serve",
        port: options.port ?? DEFAULT_PORT,
        host: options.host,
        dir: options.dir ?? null,
        requests: options.request ?? [],
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

function addSchema(parser: Parser, onCommand: (command: Command) => void): void {
  parser
    .command("schema")
    .description("print the JSON Schema of the event file")
    .action(() => onCommand({ name: "schema" }));
}
