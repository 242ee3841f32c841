/**
 * The DumpFile a server hands out ([MS-CER2] 2.2.2), shaped as in section 4, and the request targets under which the
 * client may come back with the cabinet. The path is a name to be recognised, never a path on this machine's disk.
 */

import { DEVICE_NAMES } from "../names.ts";
import type { Level1Report } from "../wire/report-reader.ts";

/** Characters of one segment made from a report, and of all of them together: Windows paths end at 260. */
const MAX_SEGMENT = 64;
const MAX_SEGMENTS = 180;
const KERNEL = 4;

/**
 * `\PersistedCabs\Generic\<event type>\<parameter values in id order>\<guid>.cab`, for a kernel fault
 * `\PersistedCabs\Blue\<guid>.cab`. What a report contributes becomes plain ASCII that is a harmless file name on
 * every system; two reports never share a DumpFile, because of the guid.
 */
export function formatDumpFile(report: Level1Report, guid: string): string {
  const values = [report.eventType, ...report.parameters.map(({ value }) => value)];
  const longest = Math.min(MAX_SEGMENT, Math.floor(MAX_SEGMENTS / values.length));
  const folder =
    report.reportType === KERNEL
      ? ["Blue"]
      : ["Generic", ...values.map((value) => safeSegment(value, longest))];
  return `\\${["PersistedCabs", ...folder, `${guid}.cab`].join("\\")}`;
}

/** Names that Windows takes for a device, with any extension. */
const DEVICE = new RegExp(`^${DEVICE_NAMES}(?:\\.|$)`, "i");

function safeSegment(value: string, longest: number): string {
  const plain = value
    .slice(0, longest)
    .replace(/[^A-Za-z0-9 ._+()@-]/g, "_")
    .replace(/^[. ]+|[. ]+$/g, "");
  return plain === "" || DEVICE.test(plain) ? `_${plain}`.slice(0, longest) : plain;
}

/**
 * The DumpFile that a request target means, or null when it cannot be one. Slashes and back-slashes, percent-encoded
 * or not, are the same, and several in front are one: a client that puts DumpFile behind its own `/` has two. A host
 * in front and a query behind are left out; `..` is not resolved, so it never matches.
 */
export function parseDumpTarget(target: string): string | null {
  try {
    return decodeURIComponent(pathOf(target)).replaceAll("/", "\\").replace(/^\\+/, "\\");
  } catch {
    return null;
  }
}

/** The path of a request target: `/path?query`, or `http://host/path?query` as proxies write it (RFC 9112 3.2.2). */
export function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/\\]*/i, "").replace(/[?#].*$/s, "");
}
