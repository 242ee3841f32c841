/** The flags that describe an event. */

import type { Command as Parser } from "commander";
import { CerError } from "../errors.ts";
import { parseEventTime, parseReportType } from "../event/json.ts";
import type { EventFlags } from "../event/read.ts";
import type { Parameter, SecondaryParameter } from "../event.ts";
import { addFlags, present, refuse, word, words } from "./flag.ts";

/** @throws CerError CER_EVENT_INVALID, when they are read, for too many parameters */
export function addEvent(command: Parser): () => EventFlags {
  const read = addFlags(command, "The event:", {
    reportType: word(
      "--report-type <type>",
      "0-4, or NonCritical, Critical, ApplicationCrash, ApplicationHang, Kernel",
      parseReportType,
    ),
    eventTime: word("--event-time <time>", "FILETIME or ISO 8601; now when left out", parseEventTime),
    lcid: word("--lcid <number>", "locale, as a Windows LCID", parseLcid),
    eventType: word("--event-type <name>", "what kind of event, APPCRASH for example"),
    friendlyEventName: word("--friendly-name <text>", "the event's name as people say it"),
    eventDescription: word("--description <text>", "what happened"),
    appName: word("--app-name <name>", "the application"),
    appPath: word("--app-path <path>", "where the application is"),
    appCompany: word("--app-company <name>", "who made the application"),
    machineName: word("--machine-name <name>", "this machine's full name"),
    os: word("--os <numbers>", "major.minor.build.platform.spMajor.spMinor.suite.product"),
    oem: word("--oem <name>", "who made the machine"),
    user: word("--user <name>", "the user the report is for"),
    parameters: words("-p, --param <[name=]value>", "the next signature parameter (repeatable, at most ten)"),
    secondary: words("--secondary <name=value>", "a secondary parameter (repeatable)", parseSecondary),
    files: words("--file <path>", "attach a file (repeatable)"),
    minidumps: words("--minidump <path>", "attach a minidump (repeatable)"),
    heapdumps: words(
      "--heapdump <path>",
      "attach a heap dump, sent only when the server asks for memory (repeatable)",
    ),
    documents: words(
      "--document <path>",
      "attach a document, sent only when the server asks for documents (repeatable)",
    ),
  });
  return () => {
    const flags = read();
    const { reportType, eventTime, eventType, friendlyEventName, eventDescription } = flags;
    return {
      ...present({ reportType, eventTime, eventType, friendlyEventName, eventDescription }),
      machine: present({ name: flags.machineName, os: flags.os, lcid: flags.lcid, oem: flags.oem }),
      user: present({ name: flags.user }),
      application: present({ name: flags.appName, path: flags.appPath, company: flags.appCompany }),
      ...(flags.parameters.length === 0 ? {} : { parameters: parametersOf(flags.parameters) }),
      secondaryParameters: flags.secondary,
      attach: [
        ...flags.minidumps.map((path) => ({ path, type: 2 as const })),
        ...flags.heapdumps.map((path) => ({ path, type: 3 as const })),
        ...flags.documents.map((path) => ({ path, type: 4 as const })),
        ...flags.files.map((path) => ({ path, type: 5 as const })),
      ],
    };
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

function parseSecondary(word: string, where: string): SecondaryParameter {
  const at = word.indexOf("=");
  if (at < 1) refuse(where, word, "NAME=VALUE");
  return { name: word.slice(0, at), value: word.slice(at + 1) };
}

function parseLcid(word: string, where: string): number {
  const number = /^[0-9]{1,10}$/.test(word) ? Number(word) : 0;
  if (number < 1 || number > 0xffff_ffff) refuse(where, word, "a number, 1033 for example");
  return number;
}
