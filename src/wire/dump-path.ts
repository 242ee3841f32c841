/**
 * DumpFile as a URL path ([MS-CER2] 2.2.3). The value comes from a server that may be wrong or hostile; the result is
 * always a path on the configured server. `new URL` is not used on purpose: it lets `\\evil\x` and `//evil/x` choose
 * another host, and interprets `?`, `#`, `..` and `%5c`.
 */

import { CerError } from "../errors.ts";
import { quote } from "../printable.ts";

/** Characters of a path that are used at most. */
const MAX_PATH = 2048;

/**
 * The request path for a DumpFile: back-slashes become slashes, each segment is percent-encoded.
 * @throws CerError CER_DUMP_PATH for what names another host, a scheme or a drive, climbs with `..`, holds control
 *   characters, or is empty or too long
 */
export function parseDumpPath(dumpFile: string): string {
  const refuse = (why: string) => {
    throw new CerError("CER_DUMP_PATH", `The server sent DumpFile=${quote(dumpFile)}: ${why}.`, {
      hint: "Nothing was uploaded. The server's administrator has to correct the DumpFile it hands out.",
    });
  };
  if (/[\u0000-\u001f\u007f]/.test(dumpFile)) refuse("it holds control characters");
  const path = dumpFile.replaceAll("\\", "/");
  if (path === "" || path === "/") refuse("it names no file");
  if (path.length > MAX_PATH) refuse(`it is ${path.length} characters long, the bound is ${MAX_PATH}`);
  if (path.startsWith("//")) refuse("it names another host");
  if (/^\/?[a-z]:/i.test(path)) refuse("it names a drive");
  if (/^\/?[a-z][a-z0-9+.-]*:/i.test(path)) refuse("it holds a scheme");
  const segments = path.split("/").filter((segment) => segment !== "");
  if (segments.some((segment) => /^[. ]+$/.test(segment))) refuse('it holds a segment like ".." or "."');
  return `/${segments.map(encodeSegment).join("/")}`;
}

/** RFC 3986: what a segment may hold stays, all else is percent-encoded as UTF-8, `%` and lone surrogates among it. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed()).replace(
    /%(?:24|26|2B|2C|3B|3D|3A|40)/g,
    decodeURIComponent,
  );
}
