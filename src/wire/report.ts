/**
 * The level 1 report ([MS-CER2] 2.2.1) in both directions: from an event to the bytes that are POSTed, and from the
 * bytes a server received back to the report. Hides the XML: its order, its escapes, its line ends, its bounds.
 *
 * The only importer of xmlbuilder2 and of saxes. Of xmlbuilder2 it uses the serializer alone: the whole library builds
 * a DOM and costs 50 ms to load where the serializer costs 1 ms, and its own escaping neither keeps tabs and line ends
 * in an attribute nor a value that happens to read `&lt;`.
 */

import { isUtf8 } from "node:buffer";
import { SaxesParser } from "saxes";
import { XMLCBWriter } from "xmlbuilder2/lib/writers/XMLCBWriter.js";
import { CerError } from "../errors.ts";
import type { Event, Parameter, ReportType } from "../event.ts";
import { quote, stripControls } from "../foreign-text.ts";
import { decodeReportText, encodeUtf16 } from "./text.ts";

/** What travels of an event. Attached files are named, not sent, at this level. */
export type Level1Report = Omit<Event, "files"> & { readonly files: readonly ReportedFile[] };

export type ReportedFile = {
  readonly name: string;
  /** WER_FILE_TYPE: 1-5 when we write; newer Windows versions know up to 10. */
  readonly type: number;
};

/** What XML 1.0 cannot carry, not even as a character reference. */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff\p{Surrogate}]/gu;

/**
 * The report of an event. Characters that XML 1.0 cannot carry (control characters other than tab, line feed and
 * carriage return; lone surrogates; U+FFFE and U+FFFF) become U+FFFD.
 * @returns the report, and how many characters were replaced
 */
export function buildReport(event: Event): { report: Level1Report; replacedCharacters: number } {
  let replacedCharacters = 0;
  const clean = (text: string) =>
    text.replace(NOT_XML, () => {
      replacedCharacters++;
      return "\ufffd";
    });
  const cleanOptional = (text: string | null) => (text === null ? null : clean(text));
  const { machine, user, application } = event;
  const report: Level1Report = {
    machine: {
      name: clean(machine.name),
      os: clean(machine.os),
      lcid: machine.lcid,
      oem: cleanOptional(machine.oem),
    },
    user: { name: clean(user.name) },
    application: application && {
      name: clean(application.name),
      path: clean(application.path),
      company: cleanOptional(application.company),
    },
    reportType: event.reportType,
    eventTime: event.eventTime,
    eventType: clean(event.eventType),
    friendlyEventName: cleanOptional(event.friendlyEventName),
    eventDescription: cleanOptional(event.eventDescription),
    parameters: event.parameters.map(({ id, name, value }) => ({
      id,
      name: cleanOptional(name),
      value: clean(value),
    })),
    secondaryParameters: event.secondaryParameters.map(({ name, value }) => ({
      name: clean(name),
      value: clean(value),
    })),
    files: event.files.map(({ name, type }) => ({ name: clean(name), type })),
  };
  return { report, replacedCharacters };
}

type Element = {
  readonly name: string;
  readonly attributes: readonly (readonly [name: string, value: string | null])[];
  readonly children: readonly Element[];
};

/** What the serializer itself reads of the builder's many options. */
const ONE_ELEMENT_PER_LINE = {
  prettyPrint: true,
  indent: "",
  newline: "\n",
  offset: 0,
  width: 0,
  allowEmptyTags: false,
  spaceBeforeSlash: false,
} as ConstructorParameters<typeof XMLCBWriter>[0];

/**
 * The bytes of a report whose texts hold only what XML can carry, as `buildReport` makes them: FF FE, then UTF-16LE
 * ([MS-CER2] 2.2.1 and 4.1-4.4). As in the specification's examples one element stands on each line, not indented, in
 * the examples' order; each line, the last one too, ends in a line feed. Tabs and line ends within a value are written
 * as character references and so survive.
 */
export function encodeReport(report: Level1Report): Buffer {
  const writer = new XMLCBWriter(ONE_ELEMENT_PER_LINE);
  const declaration = writer.declaration("1.0", "UTF-16");
  writer.hasData = true;
  return encodeUtf16(`${declaration}${encodeElement(writer, reportElement(report))}\n`);
}

function encodeElement(writer: XMLCBWriter, { name, attributes, children }: Element): string {
  const isEmpty = children.length === 0;
  return [
    writer.openTagBegin(name),
    ...attributes.flatMap(([key, value]) =>
      value === null ? [] : [writer.attribute(key, escapeAttribute(value))],
    ),
    writer.openTagEnd(name, isEmpty, false),
    ...children.map((child) => encodeElement(writer, child)),
    isEmpty ? "" : writer.closeTag(name),
  ].join("");
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeAttribute(value: string): string {
  return value.replace(/[&<>"\t\n\r]/g, (char) => ESCAPES[char] ?? `&#${char.charCodeAt(0)};`);
}

function reportElement(report: Level1Report): Element {
  const { machine, user, application } = report;
  const children = [
    element("MACHINEINFO", [
      ["machinename", machine.name],
      ["os", machine.os],
      // The schema's lcidvalue has four digits.
      ["lcid", String(machine.lcid).padStart(4, "0")],
      ["oem", machine.oem],
    ]),
    element("USERINFO", [["username", user.name]]),
  ];
  if (application !== null)
    children.push(
      element("APPLICATIONINFO", [
        ["appname", application.name],
        ["apppath", application.path],
        ["appcompany", application.company],
      ]),
    );
  children.push(eventElement(report), signatureElement(report));
  if (report.files.length > 0) children.push(filesElement(report.files));
  return element("WERREPORT", [["xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"]], children);
}

function eventElement(report: Level1Report): Element {
  return element("EVENTINFO", [
    ["reporttype", String(report.reportType)],
    ["eventtime", String(report.eventTime)],
    ["eventtype", report.eventType],
    ["friendlyeventname", report.friendlyEventName],
    ["eventdescription", report.eventDescription],
  ]);
}

function signatureElement({ parameters, secondaryParameters }: Level1Report): Element {
  return element(
    "SIGNATURE",
    [],
    [
      ...parameters.map(({ id, name, value }) =>
        element("PARAMETER", [
          ["id", String(id)],
          ["name", name],
          ["value", value],
        ]),
      ),
      ...secondaryParameters.map(({ name, value }) =>
        element("SECONDARYPARAMETER", [
          ["name", name],
          ["value", value],
        ]),
      ),
    ],
  );
}

function filesElement(files: readonly ReportedFile[]): Element {
  return element(
    "FILES",
    [],
    files.map(({ name, type }) =>
      element("FILE", [
        ["filetype", String(type)],
        ["filename", name],
      ]),
    ),
  );
}

function element(
  name: string,
  attributes: Element["attributes"],
  children: readonly Element[] = [],
): Element {
  return { name, attributes, children };
}

/** Bytes of a report that are read at most. */
export const MAX_REPORT_SIZE = 4 * 1024 * 1024;
const MAX_DEPTH = 16;
const MAX_ELEMENTS = 10_000;
/** Attributes of one element. */
const MAX_ATTRIBUTES = 64;
const MAX_WARNINGS = 20;

export type ParsedReport = {
  readonly report: Level1Report;
  /** What the bytes were, whatever the XML declaration says: "utf-16le", "utf-16be" or "utf-8". */
  readonly encoding: string;
  /** What was ignored or looks wrong, one sentence each. */
  readonly warnings: readonly string[];
};

/**
 * Reads a report: UTF-16 in either order or UTF-8, each with or without a byte-order mark, elements in any order,
 * unknown elements and attributes skipped. What the schema calls required must be there; its patterns are enforced
 * only where a number would not be one, since the specification's own examples break the others. Document types and
 * the entities they define are refused.
 * @throws CerError CER_NOT_A_REPORT with the reason, and with line and column when it is not well-formed XML
 */
export function parseReport(bytes: Buffer): ParsedReport {
  if (bytes.length > MAX_REPORT_SIZE)
    refuse(`it is ${bytes.length} bytes long, the bound is ${MAX_REPORT_SIZE}`);
  if (bytes.length === 0) refuse("it is empty");
  const warnings: string[] = [];
  const warn = (warning: string) => {
    if (warnings.length < MAX_WARNINGS) warnings.push(warning);
  };
  const { text, encoding } = decodeReportText(bytes);
  if (encoding === "utf-8" ? !isUtf8(bytes) : bytes.length % 2 !== 0)
    warn(`The report holds bytes that are not ${encoding.toUpperCase()}.`);
  const report = readReport(collectElements(replaceLoneSurrogates(text, warn)), warn);
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
  const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
  if (wellFormed !== text) warn("The report holds lone surrogates; each was read as U+FFFD.");
  return wellFormed;
}

type Attributes = Readonly<Record<string, string>>;

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
type Elements = ReadonlyMap<KnownPath, readonly Attributes[]>;

function collectElements(text: string): Elements {
  const found = new Map<KnownPath, Attributes[]>(KNOWN_PATHS.map((path) => [path, []]));
  const open: string[] = [];
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
    found.get(path as KnownPath)?.push(tag.attributes as Attributes);
  });
  parser.on("closetag", () => {
    open.pop();
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
      name: required(machine, "MACHINEINFO", "machinename"),
      os: required(machine, "MACHINEINFO", "os"),
      lcid: Number(requiredNumber(machine, "MACHINEINFO", "lcid", /^[0-9]{1,10}$/)),
      oem: machine.oem ?? null,
    },
    user: { name: required(user, "USERINFO", "username") },
    application: application && {
      name: required(application, "APPLICATIONINFO", "appname"),
      path: required(application, "APPLICATIONINFO", "apppath"),
      company: application.appcompany ?? null,
    },
    reportType: Number(requiredNumber(event, "EVENTINFO", "reporttype", /^[0-4]$/)) as ReportType,
    eventTime: readEventTime(event),
    eventType: required(event, "EVENTINFO", "eventtype"),
    friendlyEventName: event.friendlyeventname ?? null,
    eventDescription: event.eventdescription ?? null,
    parameters: readParameters(elements, warn),
    secondaryParameters: readAll(elements, "/WERREPORT/SIGNATURE/SECONDARYPARAMETER").map((secondary) => ({
      name: required(secondary, "SECONDARYPARAMETER", "name"),
      value: required(secondary, "SECONDARYPARAMETER", "value"),
    })),
    files: readAll(elements, "/WERREPORT/FILES/FILE").map((file) => ({
      name: required(file, "FILE", "filename"),
      type: Number(requiredNumber(file, "FILE", "filetype", /^[0-9]{1,2}$/)),
    })),
  };
}

function readAll(elements: Elements, path: KnownPath): readonly Attributes[] {
  return elements.get(path) ?? [];
}

function readSingle(elements: Elements, path: KnownPath, warn: Warn): Attributes | null {
  const [first, ...others] = readAll(elements, path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (others.length > 0) warn(`The report has ${name} more than once; the first one counts.`);
  return first ?? null;
}

function required(attributes: Attributes, elementName: string, name: string): string {
  return attributes[name] ?? refuse(`${elementName} has no ${name}`);
}

function requiredNumber(attributes: Attributes, elementName: string, name: string, form: RegExp): string {
  const value = required(attributes, elementName, name).trim();
  return form.test(value) ? value : refuse(`${elementName} has ${name}=${quote(value)}`);
}

function readEventTime(event: Attributes): bigint {
  const time = BigInt(requiredNumber(event, "EVENTINFO", "eventtime", /^[0-9]{1,20}$/));
  return time < 2n ** 64n ? time : refuse(`EVENTINFO has eventtime="${time}", which is above 2^64-1`);
}

function readParameters(elements: Elements, warn: Warn): readonly Parameter[] {
  const byId = new Map<number, Parameter>();
  for (const parameter of readAll(elements, "/WERREPORT/SIGNATURE/PARAMETER")) {
    const id = Number(requiredNumber(parameter, "PARAMETER", "id", /^[0-9]$/));
    const value = required(parameter, "PARAMETER", "value");
    if (byId.has(id)) warn(`The report has PARAMETER ${id} more than once; the first one counts.`);
    else byId.set(id, { id, name: parameter.name ?? null, value });
  }
  return [...byId.values()].sort((one, other) => one.id - other.id);
}
