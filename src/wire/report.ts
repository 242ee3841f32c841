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

/**
 * The report of an event: FF FE, then UTF-16LE ([MS-CER2] 2.2.1 and 4.1-4.4). As in the specification's examples one
 * element stands on each line, not indented, in the examples' order; each line, the last one too, ends in a line feed.
 * Tabs and line ends within a value are written as character references and so survive. Characters that XML 1.0 cannot
 * carry (other control characters, lone surrogates, U+FFFE and U+FFFF) become U+FFFD. Attached files are named, not
 * sent, at this level.
 */
export function encodeReport(event: Event): { bytes: Buffer; replacedCharacters: number } {
  const xml = new ReportXml();
  const { machine, user, application } = event;
  const text = xml.document(
    xml.element("WERREPORT", { "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance" }, [
      xml.element("MACHINEINFO", {
        machinename: machine.name,
        os: machine.os,
        // The schema's lcidvalue has four digits.
        lcid: String(machine.lcid).padStart(4, "0"),
        oem: machine.oem,
      }),
      xml.element("USERINFO", { username: user.name }),
      application &&
        xml.element("APPLICATIONINFO", {
          appname: application.name,
          apppath: application.path,
          appcompany: application.company,
        }),
      xml.element("EVENTINFO", {
        reporttype: String(event.reportType),
        eventtime: String(event.eventTime),
        eventtype: event.eventType,
        friendlyeventname: event.friendlyEventName,
        eventdescription: event.eventDescription,
      }),
      xml.element("SIGNATURE", {}, [
        ...event.parameters.map(({ id, name, value }) =>
          xml.element("PARAMETER", { id: String(id), name, value }),
        ),
        ...event.secondaryParameters.map(({ name, value }) =>
          xml.element("SECONDARYPARAMETER", { name, value }),
        ),
      ]),
      event.files.length === 0
        ? null
        : xml.element(
            "FILES",
            {},
            event.files.map(({ name, type }) =>
              xml.element("FILE", { filetype: String(type), filename: name }),
            ),
          ),
    ]),
  );
  return { bytes: encodeUtf16(text), replacedCharacters: xml.replacedCharacters };
}

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

/** What XML 1.0 cannot carry, not even as a character reference. */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff\p{Surrogate}]/gu;

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Writes elements, the inner ones first, and counts what it had to replace. */
class ReportXml {
  readonly #writer = new XMLCBWriter(ONE_ELEMENT_PER_LINE);
  replacedCharacters = 0;

  document(root: string): string {
    return `<?xml version="1.0" encoding="UTF-16"?>${root}\n`;
  }

  /** Attributes and children that are null are left out. */
  element(
    name: string,
    attributes: Readonly<Record<string, string | null>>,
    children: readonly (string | null)[] = [],
  ): string {
    const writer = this.#writer;
    // Each tag on a line of its own: there is something before it.
    writer.hasData = true;
    const isEmpty = children.length === 0;
    return [
      writer.openTagBegin(name),
      ...Object.entries(attributes).map(([key, value]) =>
        value === null ? "" : writer.attribute(key, this.#escape(value)),
      ),
      writer.openTagEnd(name, isEmpty, false),
      ...children,
      isEmpty ? "" : writer.closeTag(name),
    ].join("");
  }

  #escape(value: string): string {
    return value
      .replace(NOT_XML, () => {
        this.replacedCharacters++;
        return "\ufffd";
      })
      .replace(/[&<>"\t\n\r]/g, (char) => ESCAPES[char] ?? `&#${char.charCodeAt(0)};`);
  }
}
