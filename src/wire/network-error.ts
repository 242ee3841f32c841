/**
 * What went wrong on the network, in words: which layer failed, on what, and what to check. Node and undici report by
 * code; the codes are theirs, the sentences are ours.
 */

import { CerError, type CerErrorCode } from "../errors.ts";
import { quote } from "../printable.ts";
import { formatUrl, type Origin, type Request } from "./exchange.ts";

type Explanation = readonly [code: CerErrorCode, what: string, hint: string];

const REACH = "Check the server's name and port, and that this machine may reach it.";
const ROOM = "Close programs, or raise the limit (ulimit -n). The report is tried again.";
const LOST = "The server or something on the way closed the connection. Try again; look at the server's log.";
const TRUST =
  "To trust the company's own authority, set NODE_EXTRA_CA_CERTS to a file with its certificate in PEM form.";

const NO_MEMORY: Explanation = [
  "CER_NO_MEMORY",
  "this machine, or the limit set for this process, has too little memory to connect",
  "Close programs, or raise the limit (ulimit -v).",
];

const BY_CODE: Readonly<Record<string, Explanation>> = {
  ENOTFOUND: ["CER_UNREACHABLE", "the name is not known", REACH],
  EAI_AGAIN: ["CER_UNREACHABLE", "the name cannot be looked up now", REACH],
  ECONNREFUSED: ["CER_UNREACHABLE", "the connection was refused", REACH],
  EHOSTUNREACH: ["CER_UNREACHABLE", "no route to the host", REACH],
  ENETUNREACH: ["CER_UNREACHABLE", "no route to the network", REACH],
  EHOSTDOWN: ["CER_UNREACHABLE", "the host is down", REACH],
  EADDRNOTAVAIL: ["CER_UNREACHABLE", "no local address can reach it", REACH],
  ENETDOWN: ["CER_UNREACHABLE", "the network is down", REACH],
  EAI_FAIL: ["CER_UNREACHABLE", "the name cannot be looked up", REACH],
  EAFNOSUPPORT: ["CER_UNREACHABLE", "this machine has no such kind of address", REACH],
  EACCES: ["CER_UNREACHABLE", "this machine does not allow the connection", REACH],
  EPERM: ["CER_UNREACHABLE", "this machine does not allow the connection", REACH],
  EMFILE: ["CER_UNREACHABLE", "this process may open no more files", ROOM],
  ENFILE: ["CER_UNREACHABLE", "this machine can open no more files", ROOM],
  ENOMEM: NO_MEMORY,
  ENOBUFS: NO_MEMORY,
  ERR_MEMORY_ALLOCATION_FAILED: NO_MEMORY,
  ETIMEDOUT: ["CER_TIMEOUT", "the connection timed out", REACH],
  UND_ERR_CONNECT_TIMEOUT: ["CER_TIMEOUT", "no connection in time", REACH],
  ECONNRESET: ["CER_CONNECTION_LOST", "the connection was reset", LOST],
  ECONNABORTED: ["CER_CONNECTION_LOST", "the connection was given up by this machine", LOST],
  ENETRESET: ["CER_CONNECTION_LOST", "the connection was reset by the network", LOST],
  EPIPE: ["CER_CONNECTION_LOST", "the connection was closed while sending", LOST],
  UND_ERR_SOCKET: ["CER_CONNECTION_LOST", "the connection was closed before the answer was whole", LOST],
  UND_ERR_DESTROYED: ["CER_CONNECTION_LOST", "the connection was closed on this side", LOST],
  UND_ERR_HEADERS_OVERFLOW: ["CER_NOT_CER", "the answer's headers are too long", "Is this the CER server?"],
  ERR_ASSERTION: ["CER_NOT_CER", "the answer breaks the rules of HTTP", "Is this the CER server?"],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ["CER_CONNECTION_LOST", "the answer was cut short", LOST],
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: [
    "CER_MISMATCH",
    "the body's length changed while it was sent",
    "Send again.",
  ],
  CERT_HAS_EXPIRED: [
    "CER_TLS",
    "the server's certificate has expired",
    "The server's administrator has to renew it.",
  ],
  CERT_NOT_YET_VALID: ["CER_TLS", "the server's certificate is not valid yet", "Check this machine's clock."],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["CER_TLS", "the server's certificate is self-signed", TRUST],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "CER_TLS",
    "the certificate chain ends in an authority not trusted here",
    TRUST,
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["CER_TLS", "the server's certificate cannot be verified", TRUST],
  UNABLE_TO_GET_ISSUER_CERT: ["CER_TLS", "the certificate's issuer is not known here", TRUST],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["CER_TLS", "the certificate's issuer is not known here", TRUST],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "CER_TLS",
    "the server's certificate is for another name",
    "Use the name that the certificate was made for.",
  ],
};

/** A failed exchange as a CerError; one that is a CerError already stays. */
export function explainNetworkError(
  error: Error,
  request: Request,
  options: { readonly connectTimeout: number; readonly proxy: string | null },
): CerError {
  if (error instanceof CerError) return error;
  const { origin } = request;
  const [code, what, hint] = explanationOf(error, origin);
  return new CerError(code, `${formatPlace(origin, options.proxy)}: ${what}.`, { hint, cause: error });
}

function explanationOf(error: Error, { scheme }: Origin): Explanation {
  // Both ways of asking a proxy; undici gives a 407 to plain http no code of its own.
  const byProxy = /Proxy (?:response|Authentication Required) \((\d+)\)/i.exec(error.message);
  if (byProxy !== null) {
    const step = scheme === "https" ? " to CONNECT" : "";
    const hint = `Check the proxy's address and rules, and put name and password into ${scheme.toUpperCase()}_PROXY if it wants them.`;
    return ["CER_PROXY", `the proxy answered ${byProxy[1]}${step}`, hint];
  }
  const codes = codesOf(error);
  const [code = ""] = codes;
  const known = codes.map((each) => BY_CODE[each]).find((explanation) => explanation !== undefined);
  if (known !== undefined) return code === "" ? known : [known[0], `${known[1]} (${code})`, known[2]];
  if (isOutOfMemory(error)) return NO_MEMORY;
  if (code.startsWith("ERR_SSL") || code === "EPROTO") {
    const hint = "Does the server speak plain http on this port? Then leave --https out.";
    return ["CER_TLS", `no TLS there (${code})`, hint];
  }
  if (codes.some((each) => OF_CERTIFICATES.test(each)))
    return ["CER_TLS", `the server's certificate is not accepted (${code})`, TRUST];
  // The parser's words for an end in the middle of the chunks; it gives them no code.
  if (error.name === "HTTPParserError" && /invalid eof state/i.test(error.message))
    return ["CER_CONNECTION_LOST", "the answer was cut short", LOST];
  if (code.startsWith("HPE_") || error.name === "HTTPParserError") {
    const hint = "Is this the CER server's port? A server that wants TLS needs --https.";
    return ["CER_NOT_CER", `the answer is not HTTP (${quote(error.message)})`, hint];
  }
  const said = [code, quote(error.message)].filter((part) => part !== "").join(", ");
  return ["CER_UNREACHABLE", `the exchange failed (${said})`, REACH];
}

/** How OpenSSL and Node name what they have against a certificate or a handshake. */
const OF_CERTIFICATES =
  /^(?:CERT_|CRL_|UNABLE_TO_|ERR_TLS_|ERR_OSSL|INVALID_(?:CA|PURPOSE)$|HOSTNAME_MISMATCH$|PATH_LENGTH_EXCEEDED$|ERROR_IN_CERT|SELF_SIGNED|DEPTH_ZERO)/;

/** V8 says it in words only: of WebAssembly, of a buffer. */
function isOutOfMemory(error: Error): boolean {
  return /\b(?:out of memory|could not allocate|allocation failed|cannot allocate)\b/i.test(error.message);
}

function formatPlace(origin: Origin, proxy: string | null): string {
  const url = formatUrl(origin, "");
  return proxy === null ? url : `${url} through the proxy ${new URL(proxy).host}`;
}

/** The error's own code, then those of its causes and of the attempts it gathers. */
function codesOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 4) return [];
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  return [
    ...(typeof code === "string" ? [code] : []),
    ...codesOf(cause, depth + 1),
    ...(Array.isArray(errors) ? errors.flatMap((one) => codesOf(one, depth + 1)) : []),
  ];
}
