/**
 * What a reply means: delivered, or which error. Delivered needs a positive acknowledgement: at level 1 a success status
 * and a body that is a CER answer, at level 2 a success status and no page ([MS-CER2] 4.1-4.4 show 200 for both).
 */

import { CerError } from "../errors.ts";
import { formatBytes, quote, stripControls } from "../printable.ts";
import type { Reply } from "../wire/exchange.ts";
import { isCutShort, type ParsedResponse, parseResponse } from "../wire/response.ts";

/** @throws CerError CER_REDIRECT, CER_AUTH, CER_STATUS, CER_NOT_CER, CER_CONNECTION_LOST */
export function judgeLevel1(reply: Reply, url: string): ParsedResponse {
  judgeStatus(reply, url, (said) => refuseReport(reply, url, said));
  refuseEncoded(reply, url);
  refusePage(reply, url, "which is not a CER answer");
  if (!reply.isEndKnown && isCutShort(reply.body))
    throw new CerError("CER_CONNECTION_LOST", `${url}: the connection ended in the middle of the answer.`, {
      hint: "The server or something on the way closed it. Try again; look at the server's log.",
    });
  return parseAnswerBody(reply.body, url, reply.truncated);
}

/**
 * @param size bytes of the archive
 * @throws CerError CER_REDIRECT, CER_AUTH, CER_STATUS, CER_NOT_CER
 */
export function judgeLevel2(reply: Reply, url: string, size: number): void {
  judgeStatus(reply, url, (said) => refuseArchive(reply, url, said, size));
  // Apache and IIS say with a page what they created.
  if (reply.status === 201 && !reply.truncated) return;
  refuseEncoded(reply, url);
  refusePage(reply, url, "which acknowledges no archive");
  const type = reply.headers["content-type"] ?? "";
  if (reply.body.length > 0 && /^text\/html\b/i.test(type))
    throw notCer(url, "with a page (text/html), which acknowledges no archive");
}

/** Nobody asked for an encoded body: what it says is not read, and a page may be in it. */
function refuseEncoded({ headers, body }: Reply, url: string): void {
  const coding = headers["content-encoding"] ?? "identity";
  if (body.length > 0 && !/^\s*(identity)?\s*$/i.test(coding))
    throw notCer(url, `with a body encoded as ${quote(coding)}, for which nobody asked`);
}

/**
 * A body as a CER answer. An empty one is an answer that asks for nothing; a page or any other text that has not at
 * least one key of the protocol with a value of use is none, whatever the status.
 * @throws CerError CER_NOT_CER
 */
export function parseAnswerBody(body: Buffer, url: string, truncated: boolean): ParsedResponse {
  refusePage({ body, truncated }, url, "which is not a CER answer");
  const parsed = parseResponse(body);
  if (!parsed.isAnswer)
    throw notCer(url, `with text that begins ${quote(textOf(body))}, which is not a CER answer`);
  return parsed;
}

function refusePage({ body, truncated }: Pick<Reply, "body" | "truncated">, url: string, so: string): void {
  if (truncated) throw notCer(url, `with more than 4 MiB of text, ${so}`);
  if (isPage(body)) throw notCer(url, `with ${describePage(body)}, ${so}`);
}

/** What no page has before its `<`, whatever its encoding: no blank, no byte of a byte-order mark, no zero of UTF-16. */
const FIRST_OF_TEXT = /[^\s\0\u00bb\u00bf\u00ef\u00fe\u00ff]/;

function isPage(body: Buffer): boolean {
  const text = body.toString("latin1");
  return text[text.search(FIRST_OF_TEXT)] === "<";
}

function notCer(url: string, what: string): CerError {
  return new CerError("CER_NOT_CER", `${url} answered ${what}.`, {
    hint: "A login page, a proxy or another web server may be in the way; check host, port and path.",
  });
}

function textOf(body: Buffer): string {
  return body.toString("latin1").trim();
}

function describePage(body: Buffer): string {
  const text = textOf(body).replaceAll("\0", "");
  const title = /<title[^<>]{0,100}>([^<]{1,200})/i.exec(text)?.[1]?.trim();
  return title ? `a page titled ${quote(title)}` : "a page";
}

/** Successes of part of something, of several things, or of something else: no PUT or POST is acknowledged by them. */
const OF_SOMETHING_ELSE = new Set([206, 207, 208, 226]);

/** `refuse` is what an error status comes to, with what the server said to it. */
function judgeStatus(reply: Reply, url: string, refuse: (said: string) => CerError): void {
  const { status, headers } = reply;
  if (status === 101) throw notCer(url, "101 and wants another protocol, for which nobody asked");
  if (status < 200 || status >= 600) {
    const shown = `${status}`.padStart(3, "0");
    throw notCer(url, `with the status ${shown}, which HTTP does not know`);
  }
  if (OF_SOMETHING_ELSE.has(status)) throw notCer(url, `${status}, which acknowledges nothing`);
  if (status < 300) return;
  if (status < 400) throw redirected(status, headers["location"], url);
  if (status === 401 || status === 407) throw challenged(status, headers, url);
  throw refuse(serverWords(reply));
}

function redirected(status: number, location: string | undefined, url: string): CerError {
  const place = location === undefined ? "nowhere" : `to ${quote(location)}`;
  return new CerError("CER_REDIRECT", `${url} answered ${status} and points ${place}.`, {
    hint: "Redirects are never followed. If the new address is right, give it with --server and --path.",
  });
}

function challenged(status: 401 | 407, headers: Reply["headers"], url: string): CerError {
  const isServer = status === 401;
  const schemes = parseSchemes(headers[isServer ? "www-authenticate" : "proxy-authenticate"] ?? "");
  const who = isServer ? "server" : "proxy";
  return new CerError(
    "CER_AUTH",
    `${url} answered ${status}: the ${who} wants authentication (${schemes}).`,
    {
      hint: isServer
        ? "cer sends no credentials to a server. Its administrator can exempt this path or this network."
        : "Put name and password into the proxy's address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT.",
    },
  );
}

/** The scheme names of a challenge header: a word at its start or after a comma that is no `name=value`. */
function parseSchemes(header: string): string {
  const schemes = [
    ...header
      .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
      .matchAll(/(?:^|,)\s*([a-z][a-z0-9_-]*)(?=\s+[^=\s]|\s*,|\s*$)/gi),
  ].map(([, name]) => name);
  return schemes.length === 0 ? "it names no scheme" : `offered: ${[...new Set(schemes)].join(", ")}`;
}

function refuseReport({ status }: Reply, url: string, said: string): CerError {
  const isWrongPlace = status === 404 || status === 405;
  const hint = isWrongPlace ? "Is this the CER server? Check host, port and path (--path)." : hintFor(status);
  return new CerError("CER_STATUS", `${url} answered ${status} and did not take the report${said}.`, {
    hint,
  });
}

/** Host, port and path are right: level 1 was taken there. */
function refuseArchive({ status, headers }: Reply, url: string, said: string, size: number): CerError {
  const hint = uploadHint(status, headers["allow"], formatBytes(size)) ?? hintFor(status);
  return new CerError("CER_STATUS", `${url} answered ${status} and did not take the archive${said}.`, {
    hint,
  });
}

function uploadHint(status: number, allow: string | undefined, size: string): string | null {
  const takes = "The server takes reports but not this upload:";
  switch (status) {
    case 404:
      return `${takes} the folder is missing there, or ${size} is more than it takes (IIS says 404 to both).`;
    case 405: {
      const allowed = allow === undefined ? "" : ` It allows ${quote(allow)}.`;
      return `${takes} PUT is not allowed there.${allowed} Its administrator can allow it; on IIS the WebDAV module is often in the way.`;
    }
    case 409:
      return `${takes} the folder is missing there. Its administrator has to make it.`;
    case 413:
      return `${takes} ${size} is more than it takes. Attach less, or have its limit raised.`;
    case 423:
      return `${takes} the file or its folder is locked there. That passes, or its administrator unlocks it.`;
    default:
      return null;
  }
}

function hintFor(status: number): string {
  if (status === 413) return "The server limits the size of what it takes. Attach less.";
  if (status === 423) return "It is locked there. That passes, or the server's administrator unlocks it.";
  if (status === 501) return "The server cannot do this yet; its administrator has to set it up.";
  if (status === 429 || status >= 500) return "The server has trouble. Try again later.";
  return "Look at the server's log.";
}

/** The first words of a plain answer, for a message; a page's are not shown. */
function serverWords({ body }: Reply): string {
  const text = stripControls(body.subarray(0, 400).toString("latin1")).trim();
  return text === "" || text.startsWith("<") ? "" : `: ${quote(text)}`;
}
