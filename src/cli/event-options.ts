/** The options that describe an event. */

import type { Command as Parser } from "commander";
import { CerError } from "../errors.ts";
import { parseEventTime, parseReportType } from "../event/json.ts";
import type { EventFlags } from "../event/read.ts";
import type { EventInput, Parameter, SecondaryParameter } from "../event.ts";
import { present, refuse } from "./word.ts";

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

export type EventOptions = {
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

export function addEventOptions(command: Parser): void {
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

export function eventFlags(options: EventOptions): EventFlags {
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

/** Gathers a repeatable option. */
export function collect(word: string, words: string[] | undefined): string[] {
  return [...(words ?? []), word];
}

function collectSecondary(word: string, found: SecondaryParameter[] | undefined): SecondaryParameter[] {
  const at = word.indexOf("=");
  if (at < 1) refuse("--secondary", word, "NAME=VALUE");
  return [...(found ?? []), { name: word.slice(0, at), value: word.slice(at + 1) }];
}

function lcidOf(word: string): number {
  const number = /^[0-9]{1,10}$/.test(word) ? Number(word) : 0;
  if (number < 1 || number > 0xffff_ffff) refuse("--lcid", word, "a number, 1033 for example");
  return number;
}
