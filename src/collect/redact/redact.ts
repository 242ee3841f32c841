/**
 * Redaction of a text that streams by: secrets are replaced, every other byte comes out as it went in, whatever the
 * encoding, in bounded memory. Hides encodings, chunk borders and endless lines. What counts as a secret is
 * `redact-rules.ts` and `private-key.ts`.
 */

import type { Finding, RedactionRule } from "./finding.ts";
import { findPrivateKeys, type KeyState } from "./private-key.ts";
import { findSecrets, type Identity, type IdentityPattern, identityPatterns } from "./rules.ts";

/** How a text's characters lie in its bytes: UTF-8 and code pages alike are `bytes`. */
export type TextEncoding = "bytes" | "utf-16le" | "utf-16be";

/** Places redacted, by rule. Never what stood there. */
export type RedactionCounts = Partial<Record<RedactionRule, number>>;

/** Bytes at the start of a file by which `sniffText` knows text from other data. */
export const SNIFF_LENGTH = 4096;

/**
 * The encoding of what begins with these bytes; null for data that is no text. UTF-16 is known by its mark, or by the
 * zero bytes that Latin letters have in it; a text may hold a few control characters, but not one in thirty.
 */
export function sniffText(head: Buffer): TextEncoding | null {
  if (head.length >= 2 && head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head.length >= 2 && head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  const wide = sniffWide(head);
  if (wide !== null) return wide;
  const controls = head.filter((byte) => byte < 0x20 && !TEXT_CONTROLS.has(byte)).length;
  return controls * 30 > head.length ? null : "bytes";
}

/** Tab, line feed, vertical tab, form feed, carriage return, end-of-file of DOS, escape, bell, backspace. */
const TEXT_CONTROLS = new Set([7, 8, 9, 10, 11, 12, 13, 0x1a, 0x1b]);

function sniffWide(head: Buffer): TextEncoding | null {
  const zeros = [0, 0];
  const others = [0, 0];
  for (const [index, byte] of head.entries()) {
    const side = index % 2;
    if (byte === 0) zeros[side] = (zeros[side] ?? 0) + 1;
    else if (byte >= 0x20 || TEXT_CONTROLS.has(byte)) others[side] = (others[side] ?? 0) + 1;
  }
  const pairs = Math.floor(head.length / 2);
  const [evenZeros = 0, oddZeros = 0] = zeros;
  const [evenText = 0, oddText = 0] = others;
  if (pairs < 2) return null;
  if (oddZeros > pairs * 0.7 && evenText > pairs * 0.9) return "utf-16le";
  return evenZeros > pairs * 0.7 && oddText > pairs * 0.9 ? "utf-16be" : null;
}

export type RedactorOptions = {
  /** Whose name and home path are replaced as well. */
  readonly anonymize?: Identity | null;
  /** The text begins somewhere in a larger one: perhaps within a private key. */
  readonly isTail?: boolean;
};

/** Characters of a line that are looked at together; a longer line is looked at in overlapping stretches. */
const WINDOW = 64 * 1024;
/** The overlap: longer than nearly every secret. */
const MARGIN = 16 * 1024;
/** A value longer than this is replaced without waiting for its end. */
const MAX_HELD = 256 * 1024;

/**
 * Redacts text fed to it in chunks of any size. A class, since what a chunk means depends on those before it.
 */
export class TextRedactor {
  readonly counts: RedactionCounts = {};
  readonly #encoding: TextEncoding;
  readonly #identity: readonly IdentityPattern[];
  #key: KeyState;
  /** Inside a value so long that it was replaced before its end was seen. */
  #isInValue = false;
  #oddByte: Buffer = Buffer.alloc(0);
  #carry = "";

  constructor(encoding: TextEncoding, { anonymize = null, isTail = false }: RedactorOptions = {}) {
    this.#encoding = encoding;
    this.#key = isTail ? "inside" : "outside";
    this.#identity = anonymize === null ? [] : identityPatterns(anonymize, encoding === "bytes");
  }

  /** What is decided of the text so far. */
  push(chunk: Buffer): Buffer {
    this.#carry += this.#decode(chunk);
    let out = "";
    const lastLine = lastLineEnd(this.#carry);
    if (lastLine >= 0) {
      out += this.#redactLines(this.#carry.slice(0, lastLine + 1));
      this.#carry = this.#carry.slice(lastLine + 1);
    }
    while (this.#carry.length > WINDOW + MARGIN) {
      const before = this.#carry.length;
      out += this.#redactStretch();
      if (this.#carry.length === before) break;
    }
    return encodeText(out, this.#encoding);
  }

  /** The rest. */
  end(): Buffer {
    const rest = this.#redactLines(this.#carry);
    this.#carry = "";
    const odd = this.#oddByte;
    this.#oddByte = Buffer.alloc(0);
    return Buffer.concat([encodeText(rest, this.#encoding), odd]);
  }

  #redactLines(text: string): string {
    const skipped = this.#isInValue ? this.#skipValue(text) : text;
    if (skipped === "") return "";
    const keys = findPrivateKeys(skipped, this.#key);
    this.#key = keys.state;
    const secrets = findSecrets(skipped, this.#identity);
    return this.#replace(skipped, mergeFindings(keys.findings, secrets), skipped.length);
  }

  /** Part of an endless line: up to a place before which nothing that is found can begin and go on after it. */
  #redactStretch(): string {
    const text = this.#isInValue ? this.#skipValue(this.#carry) : this.#carry;
    this.#carry = text;
    if (text.length <= WINDOW) return "";
    const keys = findPrivateKeys(text, this.#key).findings;
    this.#key = "outside";
    const findings = mergeFindings(keys, findSecrets(text, this.#identity));
    const last = findings.at(-1);
    if (last?.end === text.length && text.length - last.start > MAX_HELD) {
      this.#isInValue = true;
      this.#carry = "";
      return this.#replace(text, findings, text.length);
    }
    const cut = stretchEnd(text, findings);
    this.#carry = text.slice(cut);
    return this.#replace(text, findings, cut);
  }

  #skipValue(text: string): string {
    const end = text.search(/[ \t\r\n"'<>&;]/);
    if (end < 0) return "";
    this.#isInValue = false;
    return text.slice(end);
  }

  #replace(text: string, findings: readonly Finding[], until: number): string {
    let out = "";
    let at = 0;
    for (const finding of findings) {
      if (finding.start >= until) break;
      this.#count(finding);
      out += text.slice(at, finding.start) + finding.replacement;
      at = finding.end;
    }
    return out + text.slice(at, Math.max(at, until));
  }

  #count(finding: Finding): void {
    if (finding.replacement !== "") this.counts[finding.rule] = (this.counts[finding.rule] ?? 0) + 1;
  }

  #decode(chunk: Buffer): string {
    if (this.#encoding === "bytes") return chunk.toString("latin1");
    const whole = this.#oddByte.length === 0 ? chunk : Buffer.concat([this.#oddByte, chunk]);
    const even = whole.length - (whole.length % 2);
    this.#oddByte = Buffer.from(whole.subarray(even));
    const units = whole.subarray(0, even);
    return (this.#encoding === "utf-16be" ? Buffer.from(units).swap16() : units).toString("utf16le");
  }
}

/** Of `bytes`, each character is one. */
export function encodeText(text: string, encoding: TextEncoding): Buffer {
  if (encoding === "bytes") return Buffer.from(text, "latin1");
  const bytes = Buffer.from(text, "utf16le");
  return encoding === "utf-16be" ? bytes.swap16() : bytes;
}

/** Both in one order; what overlaps a key is part of it. */
function mergeFindings(keys: readonly Finding[], others: readonly Finding[]): Finding[] {
  if (keys.length === 0) return [...others];
  const isKey = (finding: Finding) => finding.rule === "private-key";
  const all = [...keys, ...others].sort((a, b) => a.start - b.start || Number(isKey(b)) - Number(isKey(a)));
  const merged: Finding[] = [];
  for (const finding of all) {
    const last = merged.at(-1);
    if (last === undefined || finding.start >= last.end) merged.push(finding);
    else if (isKey(finding)) merged[merged.length - 1] = { ...finding, start: last.start };
  }
  return merged;
}

/**
 * The last line end of a text, but not of a line that goes on in the next one, as values of registry files do. Lone
 * carriage returns count once a line would be endless without them.
 */
function lastLineEnd(text: string): number {
  for (let at = text.lastIndexOf("\n"); at >= 0; at = text.lastIndexOf("\n", at - 1)) {
    const goesOn = text[at - 1] === "\\" || (text[at - 1] === "\r" && text[at - 2] === "\\");
    if (!goesOn) return at;
    if (at === 0 || text.length - at > MARGIN) break;
  }
  return text.length > WINDOW ? text.lastIndexOf("\r", text.length - 2) : -1;
}

function stretchEnd(text: string, findings: readonly Finding[]): number {
  const latest = text.length - MARGIN;
  const gap = text.slice(latest - MARGIN / 2, latest).search(/[\s,;{}[\]](?=[^\s,;{}[\]]*$)/);
  const cut = gap < 0 ? latest : latest - MARGIN / 2 + gap + 1;
  const straddling = findings.find(({ from, end }) => from < cut && end > cut);
  if (straddling === undefined) return cut;
  return straddling.end < text.length ? straddling.end : straddling.from;
}

/**
 * Redacts a stream of bytes whose encoding is known. `counts` of the redactor are complete when the stream has ended.
 */
export async function* redactStream(
  source: AsyncIterable<Buffer>,
  redactor: TextRedactor,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of source) {
    const out = redactor.push(chunk);
    if (out.length > 0) yield out;
  }
  const rest = redactor.end();
  if (rest.length > 0) yield rest;
}

/** Redacts what is in memory as a whole: text of a known encoding, such as a collector's own output. */
export function redactBuffer(body: Buffer, redactor: TextRedactor): Buffer {
  const chunks = Array.from({ length: Math.ceil(body.length / WINDOW) }, (_, index) =>
    redactor.push(body.subarray(index * WINDOW, (index + 1) * WINDOW)),
  );
  return Buffer.concat([...chunks, redactor.end()]);
}

/** The sum of two counts. */
export function addCounts(a: RedactionCounts, b: RedactionCounts): RedactionCounts {
  const sum: RedactionCounts = { ...a };
  for (const [rule, count] of Object.entries(b) as [RedactionRule, number][])
    sum[rule] = (sum[rule] ?? 0) + count;
  return sum;
}
