/**
 * The commands: what each takes on the command line, and the value that it makes of it. A `Command` is what was typed,
 * checked word by word, and nothing else.
 */

import type { Command as Parser } from "commander";
import { DEFAULT_PORT } from "../config/destination.ts";
import { parsePort } from "../config/settings.ts";
import { CerError } from "../errors.ts";
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
  type SettingFlags,
  targetOf,
} from "./options.ts";

const EVENT_ARGUMENT = ["[event]", "event file in JSON, or - for standard input; flags win over it"] as const;

function submit(parser: Parser) {
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
  const make = (event: string | null = null) => {
    const { dryRun, out } = trial();
    if (out !== null && !dryRun) throw new CerError("CER_USAGE", "--out goes with --dry-run.");
    return {
      ...report(event, retries()),
      times: times(),
      keeping: keeping(),
      dryRun: dryRun ? { out } : null,
      output: output(),
    };
  };
  return [{ command, make }];
}

function preview(parser: Parser) {
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
  const make = (event: string | null = null, { response }: { response: string | null }) => ({
    ...report(event),
    /** The file that holds the answer; null when there is none yet. */
    response,
    ...place(),
    output: output(),
  });
  return [{ command, make }];
}

/** What submit and preview have in common. */
function addReportFlags(command: Parser) {
  const event = addEvent(command);
  const server = addServer(command);
  const consent = addConsent(command);
  const archive = addArchive(command);
  const manner = addFlags(command, null, {
    /** False: what is wrong with a value, a file or a setting is told, and the report goes without it. */
    strict: toggle("--strict", "let anything that is wrong end it, before anything is kept or sent"),
    truncate: toggle("--truncate", "without effect: values that are too long are always cut"),
  });
  return (file: string | null, settings: SettingFlags = {}) => ({
    /** The event file, "-" for standard input, null for flags alone. */
    event: file,
    flags: event(),
    strict: manner().strict,
    target: targetOf({ ...server(), ...consent(), ...settings }),
    archive: archive(),
  });
}

function flush(parser: Parser) {
  const command = parser.command("flush").description("send the reports that wait and are due");
  const journal = addJournal(command);
  const times = addTimes(command);
  return [{ command, make: () => ({ ...journal(), times: times() }) }];
}

function queue(parser: Parser) {
  const queue = parser
    .command("queue")
    .description("look at the journal and act on single reports")
    .helpCommand(false);
  const add = (usage: string, about: string, actionOf: (...words: string[]) => QueueAction) => {
    const command = queue.command(usage).description(about);
    const journal = addJournal(command);
    return { command, make: (...words: string[]) => ({ ...actionOf(...words), ...journal() }) };
  };
  return [
    add("list", "list what waits, was delivered or given up", () => ({ action: "list" })),
    add("show <id>", "show a report: its receipt, or why it waits", (id) => ({ action: "show", id })),
    add("retry <id>", "make a report due at once, its tries counted anew", (id) => ({ action: "retry", id })),
    add("drop <id>", "remove a report, delivered or not", (id) => ({ action: "drop", id })),
    add(
      "export <id> <file>",
      "write a waiting report to a tar, to be sent from another machine and no more from here",
      (id, file) => ({ action: "export", id, file }),
    ),
    add("import <file>", "take in a report that was exported elsewhere", (file) => ({
      action: "import",
      file,
    })),
  ];
}

type QueueAction =
  | { readonly action: "list" }
  | { readonly action: "show" | "retry" | "drop"; readonly id: string }
  | { readonly action: "export"; readonly id: string; readonly file: string }
  | { readonly action: "import"; readonly file: string };

function verify(parser: Parser) {
  const command = parser
    .command("verify <receipt>")
    .description("check a receipt, and an archive against it");
  const given = addFlags(command, null, {
    archive: word("--archive <file>", "the archive that was sent, or arrived"),
  });
  const output = addOutput(command);
  return [{ command, make: (receipt: string) => ({ receipt, ...given(), output: output() }) }];
}

function inspect(parser: Parser) {
  const command = parser
    .command("inspect <file>")
    .description("show what is in a cabinet, a tar, a level 1 report, a manifest or a receipt");
  const given = addFlags(command, null, {
    extract: word("--extract <dir>", "extract an archive's files there"),
    verify: toggle("--verify", "read all of an archive and check it"),
  });
  const output = addOutput(command);
  return [{ command, make: (file: string) => ({ file, ...given(), output: output() }) }];
}

function serve(parser: Parser) {
  const command = parser
    .command("serve")
    .description("run the embedded CER server, for trying out and for tests");
  const make = addFlags(command, null, {
    port: word(
      "--port <number>",
      "port to listen on; 0 takes a free one (1273 when left out)",
      (word, where) => (word === "0" ? 0 : parsePort(word, where)),
      DEFAULT_PORT,
    ),
    host: word("--host <address>", "address to listen on", String, "127.0.0.1"),
    dir: word("--dir <dir>", "where reports and archives are kept; a temporary directory when left out"),
    requests: words("--request <key=value>", "what it asks for, WQL='SELECT …' for example (repeatable)"),
    strict: toggle("--strict", "refuse a report that breaks the schema, instead of warning of it"),
  });
  return [{ command, make }];
}

function smoke(parser: Parser) {
  const command = parser
    .command("smoke")
    .description("test a server, or without one this program itself, with the example of [MS-CER2] 4.4");
  const server = addServer(command);
  const times = addTimes(command);
  const output = addOutput(command);
  return [{ command, make: () => ({ target: targetOf(server()), times: times(), output: output() }) }];
}

function schema(parser: Parser) {
  const command = parser.command("schema").description("print the JSON Schema of the event file");
  return [{ command, make: () => ({}) }];
}

/** In the order that the help lists them. Each adds itself to the parser, and says what it makes of its words. */
export const COMMANDS = { submit, preview, flush, queue, verify, inspect, serve, smoke, schema };

type Name = keyof typeof COMMANDS;
type Named<N extends Name> = { readonly name: N } & ReturnType<
  ReturnType<(typeof COMMANDS)[N]>[number]["make"]
>;

export type Command = { [N in Name]: Named<N> }[Name] | { readonly name: "text"; readonly text: string };
export type SubmitCommand = Named<"submit">;
export type PreviewCommand = Named<"preview">;
export type FlushCommand = Named<"flush">;
export type QueueCommand = Named<"queue">;
export type VerifyCommand = Named<"verify">;
export type InspectCommand = Named<"inspect">;
export type ServeCommand = Named<"serve">;
export type SmokeCommand = Named<"smoke">;
