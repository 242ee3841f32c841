/**
 * The command line as a value: argv in, a Command out, with help and complaints as text. Nothing runs here. The only
 * importer of commander; the option groups in cli/ know its type alone.
 */

import { CommanderError, Command as Parser } from "commander";
import { DEFAULT_PORT } from "../config/destination.ts";
import { parsePort } from "../config/settings.ts";
import { CerError } from "../errors.ts";
import type { Command, QueueAction } from "./command.ts";
import { addEvent } from "./event-options.ts";
import { addFlags, toggle, word, words } from "./flag.ts";
import {
  addArchive,
  addConsent,
  addJournal,
  addKeeping,
  addOutput,
  addRetries,
  addServer,
  addTimes,
  targetOf,
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

const EVENT_ARGUMENT = ["[event]", "event file in JSON, or - for standard input; flags win over it"] as const;

function addSubmit(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("submit")
    .description("report an event: level 1, and level 2 when the server asks for it")
    .argument(...EVENT_ARGUMENT);
  const report = addReportFlags(command);
  const times = addTimes(command);
  const retries = addRetries(command);
  const keeping = addKeeping(command);
  const trial = addFlags(command, "Trying out:", {
    dryRun: toggle("--dry-run", "send nothing; show the report and what level 2 could hold"),
    out: word("--out <dir>", "with --dry-run: write the exact bytes that would be POSTed there"),
  });
  const output = addOutput(command);
  command.action((event: string | null = null) => {
    const { dryRun, out } = trial();
    if (out !== null && !dryRun) throw new CerError("CER_USAGE", "--out goes with --dry-run.");
    const { settings, ...given } = report();
    onCommand({
      name: "submit",
      event,
      ...given,
      target: targetOf({ ...settings, ...retries() }),
      times: times(),
      keeping: keeping(),
      dryRun: dryRun ? { out } : null,
      output: output(),
    });
  });
}

function addPreview(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("preview")
    .description("show what a server's answer would make cer collect and send; nothing is sent")
    .argument(...EVENT_ARGUMENT)
    .requiredOption("--response <file>", "the text of a level 1 answer, lines of KEY=VALUE");
  const place = addFlags(command, null, {
    out: word("--out <dir>", "write the report, the archive and its manifest there"),
  });
  const report = addReportFlags(command);
  const output = addOutput(command);
  command.action((event: string | null = null, { response }: { response: string }) => {
    const { settings, ...given } = report();
    onCommand({
      name: "preview",
      event,
      ...given,
      target: targetOf(settings),
      response,
      ...place(),
      output: output(),
    });
  });
}

/** What submit and preview have in common. */
function addReportFlags(command: Parser) {
  const event = addEvent(command);
  const server = addServer(command);
  const consent = addConsent(command);
  const archive = addArchive(command);
  const length = addFlags(command, null, {
    truncate: toggle("--truncate", "cut values that are longer than the report's schema allows"),
  });
  return () => ({
    flags: event(),
    ...length(),
    settings: { ...server(), ...consent() },
    archive: archive(),
  });
}

function addFlush(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser.command("flush").description("send the reports that wait and are due");
  const journal = addJournal(command);
  const times = addTimes(command);
  command.action(() => onCommand({ name: "flush", ...journal(), times: times() }));
}

function addQueue(parser: Parser, onCommand: (command: Command) => void): void {
  const queue = parser
    .command("queue")
    .description("look at the journal and act on single reports")
    .helpCommand(false);
  const add = (usage: string, about: string, actionOf: (...words: string[]) => QueueAction) => {
    const command = queue.command(usage).description(about);
    const journal = addJournal(command);
    command.action((...words: string[]) => onCommand({ name: "queue", ...actionOf(...words), ...journal() }));
  };
  add("list", "list what waits, was delivered or given up", () => ({ action: "list" }));
  add("show <id>", "show a report: its receipt, or why it waits", (id) => ({ action: "show", id }));
  add("retry <id>", "make a report due at once, its tries counted anew", (id) => ({ action: "retry", id }));
  add("drop <id>", "remove a report, delivered or not", (id) => ({ action: "drop", id }));
  add(
    "export <id> <file>",
    "write a waiting report to a tar, to be sent from another machine and no more from here",
    (id, file) => ({ action: "export", id, file }),
  );
  add("import <file>", "take in a report that was exported elsewhere", (file) => ({
    action: "import",
    file,
  }));
}

function addVerify(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("verify <receipt>")
    .description("check a receipt, and an archive against it");
  const given = addFlags(command, null, {
    archive: word("--archive <file>", "the archive that was sent, or arrived"),
  });
  const output = addOutput(command);
  command.action((receipt: string) => onCommand({ name: "verify", receipt, ...given(), output: output() }));
}

function addInspect(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("inspect <file>")
    .description("show what is in a cabinet, a tar, a level 1 report, a manifest or a receipt");
  const given = addFlags(command, null, {
    extract: word("--extract <dir>", "extract an archive's files there"),
    verify: toggle("--verify", "read all of an archive and check it"),
  });
  const output = addOutput(command);
  command.action((file: string) => onCommand({ name: "inspect", file, ...given(), output: output() }));
}

function addServe(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("serve")
    .description("run the embedded CER server, for trying out and for tests");
  const given = addFlags(command, null, {
    port: word(
      "--port <number>",
      "port to listen on; 0 takes a free one (1273 when left out)",
      (word, where) => (word === "0" ? 0 : parsePort(word, where)),
      DEFAULT_PORT,
    ),
    host: word("--host <address>", "address to listen on", String, "127.0.0.1"),
    dir: word("--dir <dir>", "where reports and archives are kept; a temporary directory when left out"),
    requests: words("--request <key=value>", "what it asks for, WQL='SELECT …' for example (repeatable)"),
  });
  command.action(() => onCommand({ name: "serve", ...given() }));
}

function addSmoke(parser: Parser, onCommand: (command: Command) => void): void {
  const command = parser
    .command("smoke")
    .description("test a server, or without one this program itself, with the example of [MS-CER2] 4.4");
  const server = addServer(command);
  const times = addTimes(command);
  const output = addOutput(command);
  command.action(() =>
    onCommand({ name: "smoke", target: targetOf(server()), times: times(), output: output() }),
  );
}

function addSchema(parser: Parser, onCommand: (command: Command) => void): void {
  parser
    .command("schema")
    .description("print the JSON Schema of the event file")
    .action(() => onCommand({ name: "schema" }));
}
