/**
 * The command line as a value: argv in, a Command out, with help and complaints as text. Nothing runs here. The only
 * importer of commander; the option groups in cli/ know its type alone.
 */

import { CommanderError, Command as Parser } from "commander";
import { CerError } from "../errors.ts";
import { COMMANDS, type Command } from "./command.ts";

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
    { hint: `See cer${known} --help.` },
  );
}

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
  const names = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];
  for (const name of Object.hasOwn(COMMANDS, first) ? names.filter((known) => known === first) : names)
    for (const { command, make } of COMMANDS[name](parser)) {
      const made = make as (...words: unknown[]) => object;
      command.action((...words) => onCommand({ name, ...made(...words) } as Command));
    }
  return parser;
}
