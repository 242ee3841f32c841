/**
 * Text as the protocol carries it: UTF-16 for reports ([MS-CER2] 2.2.1), code page 1252 for answers (2.2.2).
 * The only importer of iconv-lite. (Node 20's own windows-1252 decoder reads 0x80-0x9F wrongly.)
 */

import { isUtf8 } from "node:buffer";
import iconv from "iconv-lite";

/** FF FE, then UTF-16LE. */
export function encodeUtf16(text: string): Buffer {
  return iconv.encode(text, "utf-16le", { addBOM: true });
}

/**
 * The text of a level 1 report in any encoding a server meets: UTF-16 in either order and UTF-8, each with or without
 * a byte-order mark. Without one, the zero byte beside the first `<` tells. What the XML declaration says is not
 * asked: it names UTF-16 whatever the bytes are.
 */
export function decodeReportText(bytes: Buffer): { text: string; encoding: string } {
  const encoding = detectReportEncoding(bytes);
  return { text: iconv.decode(bytes, encoding), encoding };
}

function detectReportEncoding(bytes: Buffer): "utf-16le" | "utf-16be" | "utf-8" {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  if (first !== 0 && second === 0) return "utf-16le";
  if (first === 0 && second !== 0) return "utf-16be";
  return "utf-8";
}

/**
 * The text of a file that people or their tools wrote: UTF-16 or UTF-8 as above, or what is neither as code page 1252, in
 * which Windows PowerShell and older editors write.
 */
export function decodeWrittenText(bytes: Buffer): { text: string; isAnsi: boolean } {
  const { text, encoding } = decodeReportText(bytes);
  if (encoding !== "utf-8" || isUtf8(bytes)) return { text, isAnsi: false };
  return { text: iconv.decode(bytes, "windows-1252"), isAnsi: true };
}

/** An answer's text. A UTF-8 byte-order mark, which some editors leave in a server's template, is skipped. */
export function decodeAnswerText(bytes: Buffer): string {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return iconv.decode(hasMark ? bytes.subarray(3) : bytes, "windows-1252");
}

/** An answer as a server writes it. Characters outside code page 1252 become "?". */
export function encodeAnswerText(text: string): Buffer {
  return iconv.encode(text, "windows-1252");
}
