/** The flags that describe an event, as typed: what they mean is event/flags.ts's to say. */

import type { Command as Parser } from "commander";
import type { EventFlags } from "../event/flags.ts";
import { addFlags, word, words } from "./flag.ts";

export function addEvent(command: Parser): () => EventFlags {
  return addFlags(command, "The event:", {
    reportType: word(
      "--report-type <type>",
      "0-4, or NonCritical, Critical, ApplicationCrash, ApplicationHang, Kernel",
    ),
    eventTime: word("--event-time <time>", "FILETIME or ISO 8601; now when left out"),
    lcid: word("--lcid <number>", "locale, as a Windows LCID"),
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
    parameters: words(
      "-p, --param <[name=]value>",
      "the next signature parameter (repeatable; after ten, secondary ones)",
    ),
    secondary: words("--secondary <name=value>", "a secondary parameter (repeatable)"),
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
}
