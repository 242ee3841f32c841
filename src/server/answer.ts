/**
 * What the embedded server asks for: `--request KEY=VALUE` as typed, and the lines of the answers it leads to
 * ([MS-CER2] 2.2.2).
 */

import { CerError } from "../errors.ts";
import { quote } from "../printable.ts";
import { findFaults } from "../wire/answer-grammar.ts";
import { encodeResponse, type ResponseKey, type ResponseLine, responseKeyOf } from "../wire/response.ts";
import { decodeAnswerText, encodeAnswerText } from "../wire/text.ts";

/** The keys that can be asked for, in the order in which an answer has them. */
const REQUESTABLE = {
  iData: "flag",
  MemoryDump: "flag",
  fDoc: "flag",
  RegKey: "list",
  RegTree: "list",
  WQL: "list",
  GetFile: "list",
  GetFileVersion: "list",
} as const satisfies Partial<Record<ResponseKey, "flag" | "list">>;

type RequestKey = keyof typeof REQUESTABLE;
const REQUEST_KEYS = Object.keys(REQUESTABLE) as RequestKey[];

/** What every answer of a server says, but for the bucket and the DumpFile. */
export type Requested = {
  /** The value of Response; null leaves the key out. */
  readonly response: string | null;
  readonly iData: boolean;
  /** The lines from iData on. */
  readonly lines: readonly ResponseLine[];
};

/** What section 4.4 asks for. */
const BY_DEFAULT = ["iData=1", "WQL=SELECT Family FROM Win32_Processor"];

/**
 * What a list of `KEY=VALUE` asks for. A list key given again adds items. iData is 1 as soon as anything is asked for,
 * unless it is given; with nothing but a Response (or nothing at all) the server asks for what section 4.4 asks for.
 * @throws CerError CER_USAGE for a word that is no such key or value
 */
export function parseRequests(requests: readonly string[]): Requested {
  const values = collectRequests(requests);
  const response = values.get("Response")?.at(-1) ?? null;
  values.delete("Response");
  const asked = values.size === 0 ? collectRequests(BY_DEFAULT) : values;
  const iData = (asked.get("iData")?.at(-1) ?? "1") === "1";
  const lines = REQUEST_KEYS.flatMap((key): ResponseLine[] => {
    if (key === "iData") return [[key, iData ? "1" : "0"]];
    const given = asked.get(key);
    if (given === undefined) return [];
    return [[key, REQUESTABLE[key] === "flag" ? String(given.at(-1)) : given.join(";")]];
  });
  return { response, iData, lines };
}

function collectRequests(requests: readonly string[]): Map<ResponseKey, string[]> {
  const values = new Map<ResponseKey, string[]>();
  for (const request of requests) {
    const at = request.indexOf("=");
    const key = responseKeyOf(request.slice(0, Math.max(at, 0)));
    if (key === undefined || (key !== "Response" && !isRequestKey(key)))
      throw new CerError("CER_USAGE", `--request ${quote(request)} asks for nothing the protocol knows.`, {
        hint: `Write KEY=VALUE with one of the keys Response, ${REQUEST_KEYS.join(", ")}.`,
      });
    const value = request.slice(at + 1).trim();
    checkValue(key, value);
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  return values;
}

function isRequestKey(key: ResponseKey): key is RequestKey {
  return key in REQUESTABLE;
}

function checkValue(key: ResponseKey, value: string): void {
  const refuse = (what: string) => {
    throw new CerError("CER_USAGE", `--request ${key}=${quote(value)}: ${what}.`);
  };
  const isFlag = isRequestKey(key) && REQUESTABLE[key] === "flag";
  if (isFlag && value !== "0" && value !== "1") refuse("it is 0 or 1");
  if (key !== "Response" && value === "") refuse("it names nothing");
  if (/[\r\n]/.test(value)) refuse("a value ends at its line's end");
  if (decodeAnswerText(encodeAnswerText(value)) !== value)
    refuse("an answer is written in code page 1252, which lacks one of these characters");
}

/** The lines of one answer, in the order of the specification's examples; no DumpFile unless iData asks for data. */
export function answerLines(
  requested: Requested,
  report: { readonly bucket: number; readonly bucketTable: number; readonly dumpFile: string | null },
): readonly ResponseLine[] {
  const lines: ResponseLine[] = requested.response === null ? [] : [["Response", requested.response]];
  lines.push(["Bucket", String(report.bucket)], ["BucketTable", String(report.bucketTable)]);
  lines.push(...requested.lines);
  if (report.dumpFile !== null) lines.push(["DumpFile", report.dumpFile]);
  return lines;
}

/** What in all answers will break the grammar, in sentences: values are given as they were typed. */
export function findRequestFaults(requested: Requested): string[] {
  const sample = { bucket: 1, bucketTable: 1, dumpFile: null };
  return findFaults(encodeResponse(answerLines(requested, sample)));
}
