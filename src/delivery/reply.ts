/**
 * What a reply means: delivered, or which error. Delivered needs a positive acknowledgement: at level 1 a success status
 * and a body that is a CER answer, at level 2 a success status ([MS-CER2] 4.1-4.4 show 200 for both).
 */

import { CerError } from "../errors.ts";
import { quote, stripControls } from "../printable.ts";
import type { Reply } from "../wire/exchange.ts";
import { type ParsedResponse, parseResponse } from "../wire/response.ts";

/** @throws CerError CER_REDIRECT, CER_AUTH, CER_STATUS, CER_NOT_CER */
export function judgeLevel1(reply: Reply, url: string): ParsedResponse {
  judgeStatus(reply, url, "the report");
  return parseAnswerBody(reply.body, url, reply.truncated);
}

/** @throws CerError CER_REDIRECT, CER_AUTH, CER_STATUS */
export function judgeLevel2(reply: Reply, url: string): void {
  judgeStatus(reply, url, "the archive");
}

/**
 * A body as a CER answer. An empty one is an answer that asks for nothing; a page or any other text without a single
 * key of the protocol is none, whatever the status.
 * @throws CerError CER_NOT_CER
 */
export function parseAnswerBody(body: Buffer, url: string, truncated: boolean): ParsedResponse {
  const refuse = (what: string): never => {
    throw new CerError("CER_NOT_CER", `${url} answered with ${what}, which is not a CER answer.`, {
      hint: "A login page, a proxy or another web server may be in the way; check host, port and path.",
    });
  };
  if (truncated) refuse("more than 4 MiB of text");
  const text = body.toString("latin1").trim();
  if (/^(?:\u00ef\u00bb\u00bf)?\s*</.test(text)) refuse(describePage(text));
  const parsed = parseResponse(body);
  if (parsed.keysFound === 0 && text !== "") refuse(`text that begins ${quote(text)}`);
  return parsed;
}

function describePage(text: string): string {
  const title = /<title[^<>]{0,100}>([^<]{1,200})/i.exec(text)?.[1]?.trim();
  return title ? `a page titled ${quote(title)}` : "a page";
}

function judgeStatus(reply: Reply, url: string, what: string): void {
  const { status, headers } = reply;
  if (status >= 200 && status < 300) return;
  const said = serverWords(reply);
  const { location } = headers;
  if (status >= 300 && status < 400)
    throw new CerError(
      "CER_REDIRECT",
      `${url} answered ${status} and points ${location === undefined ? "nowhere" : `to ${quote(location)}`}.`,
      {
        hint: "Redirects are never followed. If the new address is right, give it with --server and --path.",
      },
    );
  if (status === 401 || status === 407) {
    const header = headers[status === 401 ? "www-authenticate" : "proxy-authenticate"] ?? "";
    const schemes = parseSchemes(header);
    throw new CerError(
      "CER_AUTH",
      `${url} answered ${status}: the ${status === 401 ? "server" : "proxy"} wants authentication (${schemes}).`,
      {
        hint:
          status === 401
            ? "cer sends no credentials to a server. Its administrator can exempt this path or this network."
            : "Put name and password into the proxy's address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT.",
      },
    );
  }
  throw new CerError("CER_STATUS", `${url} answered ${status} and did not take ${what}${said}.`, {
    hint: hintFor(status),
  });
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

function hintFor(status: number): string {
  if (status === 404 || status === 405) return "Is this the CER server? Check host, port and path (--path).";
  if (status === 413) return "The server limits the size of what it takes. Attach less.";
  if (status === 429 || status >= 500) return "The server has trouble. Try again later.";
  return "Look at the server's log.";
}

/** The first words of a plain answer, for a message; a page's are not shown. */
function serverWords({ body }: Reply): string {
  const text = stripControls(body.subarray(0, 400).toString("latin1")).trim();
  return text === "" || text.startsWith("<") ? "" : `: ${quote(text)}`;
}
