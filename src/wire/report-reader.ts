/**
 * The level 1 report ([MS-CER2] 2.2.1) as a server reads it, from the bytes it received. Hides the XML: its parser,
 * whose only importer this is, and the bounds on what strangers may send.
 */

import { isUtf8 } from "node:buffer";
import { SaxesParser } from "saxes";
import { CerError } from "../errors.ts";
import type { Event, Parameter, ReportType } from "../event.ts";
import { count, quote, stripControls } from "../printable.ts";
import { SchemaCheck } from "./report-schema.ts";
import { decodeReportText } from "./text.ts";

/** Bytes of a report that are read at most. */
export const MAX_REPORT_SIZE = 4 * 1024 * 1024;
const MAX_DEPTH = 16;
const MAX_ELEMENTS = 10_000;
/** Attributes of one element. */
const MAX_ATTRIBUTES = 64;
const MAX_WARNINGS = 20;

/** What travels of an event. Attached files are named, not sent, at this level. */
export type Level1Report = Omit<Event, "files"> & {
  /** The type is a WER_FILE_TYPE: 1-5 as `cer` writes it; newer Windows versions know up to 10. */
  readonly files: readonly { readonly name: string; readonly type: number }[];
};

export type ParsedReport = {
  readonly report: Level1Report;
  /** What the bytes were, whatever the XML declaration says: "utf-16le", "utf-16be" or "utf-8". */
  readonly encoding: string;
  /** What in it breaks the schema, was ignored or looks wrong, one sentence each. */
  readonly warnings: readonly string[];
};

/**
 * Reads a report: UTF-16 in either order or UTF-8, each with or without a byte-order mark, elements in any order,
 * unknown elements and attributes skipped. What the schema calls required must be there, and what it calls a number
 * must be one; whatever else breaks it (report-schema.ts) is read and warned of. Document types and the entities they
 * define are refused.
 * @throws CerError CER_NOT_A_REPORT with the reason, and with line and column when it is not well-formed XML
 */
export function parseReport(bytes: Buffer): ParsedReport {
  if (bytes.length > MAX_REPORT_SIZE)
    refuse(`it is ${bytes.length} bytes long, the bound is ${MAX_REPORT_SIZE}`);
  if (bytes.length === 0) refuse("it is empty");
  const warnings: string[] = [];
  let untold = 0;
  const warn = (warning: string) => {
    if (warnings.length < MAX_WARNINGS) warnings.push(warning);
    else untold++;
  };
  const { text, encoding } = decodeReportText(bytes);
  if (encoding === "utf-8" ? !isUtf8(bytes) : bytes.length % 2 !== 0)
    warn(`The report holds bytes that are not ${encoding.toUpperCase()}.`);
  const report = readReport(collectElements(replaceLoneSurrogates(text, warn), warn), warn);
  if (untold > 0) warnings.push(`And ${count(untold, "more warning")}.`);
  return { report, encoding, warnings };
}

function refuse(reason: string, cause?: unknown): never {
  throw new CerError("CER_NOT_A_REPORT", `This is not a level 1 report: ${reason}.`, {
    hint: "A level 1 report is the XML document of [MS-CER2] 2.2.1, its root element WERREPORT, in UTF-16 or UTF-8.",
    cause,
  });
}

type Warn = (warning: string) => void;

/** The parser takes a lone surrogate and whatever follows it for one character, even if that is a `<`. */
function replaceLoneSurrogates(text: string, warn: Warn): string {
  const wellFormed = text.toWellFormed();
  if (wellFormed !== text) warn("The report holds lone surrogates; each was read as U+FFFD.");
  return wellFormed;
}

type Element = { readonly name: string; readonly attributes: Readonly<Record<string, string>> };

/** The paths of the schema's elements, in the words of 2.2.1.3. */
const KNOWN_PATHS = [
  "/WERREPORT/MACHINEINFO",
  "/WERREPORT/USERINFO",
  "/WERREPORT/APPLICATIONINFO",
  "/WERREPORT/EVENTINFO",
  "/WERREPORT/SIGNATURE/PARAMETER",
  "/WERREPORT/SIGNATURE/SECONDARYPARAMETER",
  "/WERREPORT/FILES/FILE",
] as const;

type KnownPath = (typeof KNOWN_PATHS)[number];
type Elements = ReadonlyMap<KnownPath, readonly Element[]>;

function collectElements(text: string, warn: Warn): Elements {
  const found = new Map<KnownPath, Element[]>(KNOWN_PATHS.map((path) => [path, []]));
  const open: string[] = [];
  const schema = new SchemaCheck(warn);
  let elements = 0;
  let attributes = 0;
  // XML 1.1 would let control characters in.
  const parser = new SaxesParser({ defaultXMLVersion: "1.0", forceXMLVersion: true });
  parser.on("error", (error) => {
    const reason = error.message.replace(/^\d+:\d+: /, "").replace(/\.$/, "");
    refuse(`line ${parser.line}, column ${parser.column}: ${stripControls(reason).slice(0, 120)}`, error);
  });
  parser.on("doctype", () => refuse("it has a document type declaration"));
  parser.on("opentagstart", () => {
    attributes = 0;
    if (++elements > MAX_ELEMENTS) refuse(`it has more than ${MAX_ELEMENTS} elements`);
  });
  parser.on("attribute", () => {
    if (++attributes > MAX_ATTRIBUTES) refuse(`an element has more than ${MAX_ATTRIBUTES} attributes`);
  });
  parser.on("opentag", (tag) => {
    if (open.length === 0 && tag.name !== "WERREPORT")
      refuse(`its root element is ${quote(tag.name)}, not WERREPORT`);
    open.push(tag.name);
    if (open.length > MAX_DEPTH) refuse(`its elements nest deeper than ${MAX_DEPTH}`);
    const path = `/${open.join("/")}`;
    found.get(path as KnownPath)?.push(tag as Element);
    schema.enter(tag.name, tag.attributes as Element["attributes"]);
  });
  parser.on("text", (chunk) => schema.text(chunk));
  parser.on("cdata", (chunk) => schema.text(chunk));
  parser.on("closetag", () => {
    open.pop();
    schema.leave();
  });
  parser.write(text).close();
  return found;
}

function readReport(elements: Elements, warn: Warn): Level1Report {
  const machine = readSingle(elements, "/WERREPORT/MACHINEINFO", warn) ?? refuse("it has no MACHINEINFO");
  const user = readSingle(elements, "/WERREPORT/USERINFO", warn) ?? refuse("it has no USERINFO");
  const event = readSingle(elements, "/WERREPORT/EVENTINFO", warn) ?? refuse("it has no EVENTINFO");
  const application = readSingle(elements, "/WERREPORT/APPLICATIONINFO", warn);
  return {
    machine: {
      name: required(machine, "machinename"),
      os: required(machine, "os"),
      lcid: Number(requiredNumber(machine, "lcid", /^[0-9]{1,10}$/)),
      oem: machine.attributes.oem ?? null,
    },
    user: { name: required(user, "username") },
    application: application && {
      name: required(application, "appname"),
      path: required(application, "apppath"),
      company: application.attributes.appcompany ?? null,
    },
    reportType: Number(requiredNumber(event, "reporttype", /^[0-4]$/)) as ReportType,
    eventTime: readEventTime(event),
    eventType: required(event, "eventtype"),
    friendlyEventName: event.attributes.friendlyeventname ?? null,
    eventDescription: event.attributes.eventdescription ?? null,
    parameters: readParameters(elements, warn),
    secondaryParameters: readAll(elements, "/WERREPORT/SIGNATURE/SECONDARYPARAMETER").map((secondary) => ({
      name: required(secondary, "name"),
      value: required(secondary, "value"),
    })),
    files: readAll(elements, "/WERREPORT/FILES/FILE").map((file) => ({
      name: required(file, "filename"),
      type: Number(requiredNumber(file, "filetype", /^[0-9]{1,2}$/)),
    })),
  };
}

function readAll(elements: Elements, path: KnownPath): readonly Element[] {
  return elements.get(path) ?? [];
}

function readSingle(elements: Elements, path: KnownPath, warn: Warn): Element | null {
  const [first = null, second] = readAll(elements, path);
  if (second !== undefined) warn(`The report has ${second.name} more than once; the first one counts.`);
  return first;
}

function required(element: Element, name: string): string {
  return element.attributes[name] ?? refuse(`${element.name} has no ${name}`);
}

function requiredNumber(element: Element, name: string, form: RegExp): string {
  const value = required(element, name).trim();
  return form.test(value) ? value : refuse(`${element.name} has ${name}=${quote(value)}`);
}

function readEventTime(event: Element): bigint {
  const time = BigInt(requiredNumber(event, "eventtime", /^[0-9]{1,20}$/));
  return time < 2n ** 64n ? time : refuse(`EVENTINFO has eventtime="${time}", which is above 2^64-1`);
}

function readParameters(elements: Elements, warn: Warn): readonly Parameter[] {
  const byId = new Map<number, Parameter>();
  for (const parameter of readAll(elements, "/WERREPORT/SIGNATURE/PARAMETER")) {
    const id = Number(requiredNumber(parameter, "id", /^[0-9]$/));
    const value = required(parameter, "value");
    if (byId.has(id)) warn(`The report has PARAMETER ${id} more than once; the first one counts.`);
    else byId.set(id, { id, name: parameter.attributes.name ?? null, value });
  }
  return [...byId.values()].sort((one, other) => one.id - other.id);
}
