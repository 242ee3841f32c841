/**
 * An opened file as the body of an archive entry: redacted when it is text, as it is when not, and cut in the middle,
 * with a mark, when it is larger than was agreed. Hides which of these a file gets.
 */

import type { FileHandle } from "node:fs/promises";
import {
  addCounts,
  encodeText,
  type RedactionCounts,
  type RedactorOptions,
  redactStream,
  SNIFF_LENGTH,
  sniffText,
  type TextEncoding,
  TextRedactor,
} from "../redact/redact.ts";
import { cutMark, cutPoints, type OpenedFile, readAt, readRange } from "./open.ts";

/** What was done to a body; `counts` is complete once the body has been read. */
export type BodyNotes = {
  readonly redaction: "text" | "binary" | "off";
  readonly counts: () => RedactionCounts;
  /** Something is left out in the middle. */
  readonly isCut: boolean;
};

/** Bytes that are this program's own, or not looked into. */
export const UNTOUCHED: BodyNotes = { redaction: "off", counts: () => ({}), isCut: false };

type BodyOptions = {
  /** Bytes of the file that are taken; null for all. */
  readonly limit: number | null;
  /** Null: text is not redacted. */
  readonly redact: Pick<RedactorOptions, "anonymize"> | null;
  /** It is data, whatever it begins with: never redacted. */
  readonly isBinary?: boolean;
  readonly signal: AbortSignal;
};

/**
 * Takes the file over: it is closed when the body has been read, or when this throws. A handle is closed by whoever
 * reads it; a stream closes what it reads from by itself.
 */
export async function bodyOfFile(
  file: OpenedFile,
  options: BodyOptions,
): Promise<{ body: AsyncIterable<Buffer> | OpenedFile; notes: BodyNotes }> {
  try {
    const head = await readAt(file.handle, 0, Math.min(SNIFF_LENGTH, file.size));
    const encoding = options.isBinary === true ? null : sniffText(head);
    return makeBody(file, encoding, options);
  } catch (thrown) {
    await file.handle.close();
    throw thrown;
  }
}

function makeBody(file: OpenedFile, encoding: TextEncoding | null, options: BodyOptions) {
  const cut = options.limit === null ? null : cutPoints(file.size, options.limit);
  const redaction: BodyNotes["redaction"] =
    options.redact === null ? "off" : encoding === null ? "binary" : "text";
  if (cut === null && redaction !== "text") return { body: file, notes: { ...UNTOUCHED, redaction } };
  const redactors: TextRedactor[] = [];
  const through = (range: AsyncIterable<Buffer>, isTail: boolean): AsyncIterable<Buffer> => {
    if (redaction !== "text" || encoding === null) return range;
    const redactor = new TextRedactor(encoding, { ...options.redact, isTail });
    redactors.push(redactor);
    return redactStream(range, redactor);
  };
  const notes: BodyNotes = {
    redaction,
    counts: () => redactors.map(({ counts }) => counts).reduce(addCounts, {}),
    isCut: cut !== null,
  };
  return { body: streamOf(file, cut, encoding, options, through), notes };
}

type Through = (range: AsyncIterable<Buffer>, isTail: boolean) => AsyncIterable<Buffer>;

async function* streamOf(
  { handle, size }: OpenedFile,
  cut: ReturnType<typeof cutPoints>,
  encoding: TextEncoding | null,
  { limit, signal }: BodyOptions,
  through: Through,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    if (cut === null || limit === null) {
      yield* through(readRange(handle, 0, size, signal), false);
      return;
    }
    const tailStart = encoding === null ? cut.tailStart : await lineStart(handle, cut.tailStart, encoding);
    yield* through(readRange(handle, 0, cut.headEnd, signal), false);
    const mark = cutMark(tailStart - cut.headEnd, limit);
    yield encoding === null ? Buffer.from(mark) : encodeText(mark, encoding);
    yield* through(readRange(handle, tailStart, size, signal), true);
  } finally {
    await handle.close();
  }
}

/** How far the next line is looked for, so that a tail does not begin within a secret whose name is cut off. */
const LINE_SEARCH = 4096;

async function lineStart(handle: FileHandle, from: number, encoding: TextEncoding): Promise<number> {
  const bytes = await readAt(handle, from, LINE_SEARCH);
  const width = encoding === "bytes" ? 1 : 2;
  const low = encoding === "utf-16be" ? 1 : 0;
  for (let at = 0; at + width <= bytes.length; at += width) {
    const isWide = width === 1 || bytes[at + 1 - low] === 0;
    if (bytes[at + low] === 0x0a && isWide) return from + at + width;
  }
  return from + bytes.length;
}
