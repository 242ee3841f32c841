/**
 * The level 1 report ([MS-CER2] 2.2.1), from an event to the bytes that are POSTed; report-reader.ts is the way back.
 * Hides the XML: its order, its escapes, its line ends.
 *
 * The only importer of xmlbuilder2, of which it uses the serializer alone: the whole library builds a DOM and costs
 * 50 ms to load where the serializer costs 1 ms, and its own escaping neither keeps tabs and line ends in an attribute
 * nor a value that happens to read `&lt;`.
 */

import { XMLCBWriter } from "xmlbuilder2/lib/writers/XMLCBWriter.js";
import type { Event } from "../event.ts";
import { encodeUtf16 } from "./text.ts";

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
