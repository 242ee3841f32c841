/** The documents of the protocol and of this program, for people: a level 1 report, a manifest, a receipt. */

import { MANIFEST_FORMAT, type Manifest, parseManifest } from "../../collect/manifest.ts";
import { CerError } from "../../errors.ts";
import { FILE_TYPES, fromFileTime, REPORT_TYPES } from "../../event.ts";
import { formatReceipt, parseReceipt } from "../../journal/entry/receipt.ts";
import { formatBytes, quote, stripControls } from "../../printable.ts";
import { type ParsedReport, parseReport } from "../../wire/report-reader.ts";
import { decodeReportText } from "../../wire/text.ts";

/** What a file holds, as lines for people and as one object for programs. */
export type Described = { readonly lines: readonly string[]; readonly json: unknown };

/** @throws CerError CER_UNKNOWN_FORMAT, CER_NOT_A_REPORT, CER_DAMAGED */
export function describeDocument(bytes: Buffer, shown: string): Described {
  const { text } = decodeReportText(bytes);
  const start = text.replace(/^\ufeff/, "").trimStart();
  if (start.startsWith("<")) return describeReport(parseReport(bytes));
  if (!start.startsWith("{"))
    throw new CerError(
      "CER_UNKNOWN_FORMAT",
      `${shown} is no cabinet, tar, level 1 report, manifest or receipt.`,
    );
  if (start.includes(`"${MANIFEST_FORMAT}"`)) return describeManifest(parseManifest(text));
  const receipt = parseReceipt(bytes.toString(), shown);
  return {
    lines: formatReceipt(receipt, quote).trimEnd().split("\n"),
    json: { kind: "receipt", ...receipt },
  };
}

function describeReport({ report, encoding, warnings }: ParsedReport): Described {
  const { machine, user, application, parameters, secondaryParameters, files } = report;
  const fields: (readonly [string, string | number | null | undefined])[] = [
    ["event", report.eventType],
    ["called", report.friendlyEventName],
    ["description", report.eventDescription],
    ["type", `${report.reportType} (${REPORT_TYPES[report.reportType] ?? "unknown"})`],
    ["time", `${fromFileTime(report.eventTime).toISOString()} (${report.eventTime})`],
    ["application", application?.name],
    ["path", application?.path],
    ["company", application?.company],
    ["machine", machine.name],
    ["os", machine.os],
    ["lcid", machine.lcid],
    ["oem", machine.oem],
    ["user", user.name],
    ...parameters.map(
      ({ id, name, value }) => [`parameter ${id}`, name === null ? value : `${name} = ${value}`] as const,
    ),
    ...secondaryParameters.map(({ name, value }) => ["secondary", `${name} = ${value}`] as const),
    ...files.map(
      ({ name, type }) => ["file", `${name} (${FILE_TYPES[type - 1] ?? `type ${type}`})`] as const,
    ),
  ];
  return {
    lines: [
      `Level 1 report in ${encoding}`,
      ...fields.flatMap(([name, value]) =>
        value === null || value === undefined ? [] : [`${name.padEnd(12)} ${stripControls(String(value))}`],
      ),
      ...warnings.map((warning) => `warning: ${stripControls(warning)}`),
    ],
    json: { kind: "report", encoding, ...report, warnings },
  };
}

function describeManifest(manifest: Manifest): Described {
  const { report, consent, redaction, items } = manifest;
  const counts = Object.entries(redaction.counts).map(([rule, count]) => `${rule} ${count}`);
  return {
    lines: [
      `Manifest of ${stripControls(report.eventType)}, bucket ${report.bucket ?? "unknown"}, consent ${consent}`,
      `redaction    ${redaction.enabled ? counts.join(", ") || "nothing found" : "off"}`,
      ...items.flatMap(({ kind, item, state, reason, files }) => [
        `${state.padEnd(12)} ${kind} ${stripControls(item)}${reason === null ? "" : `: ${stripControls(reason)}`}`,
        ...files.map(({ name, bytes }) => `${"".padEnd(12)}   ${stripControls(name)}, ${formatBytes(bytes)}`),
      ]),
    ],
    json: { kind: "manifest", ...manifest },
  };
}
