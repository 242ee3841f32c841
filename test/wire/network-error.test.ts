import assert from "node:assert/strict";
import { test } from "node:test";
import { CerError } from "../../src/errors.ts";
import { explainNetworkError } from "../../src/wire/network-error.ts";
import { bytes } from "../support/exchanges.ts";

const REQUEST = {
  method: "POST",
  origin: { scheme: "https", host: "h", port: 443 },
  path: "/stage2.htm",
  headers: {},
  body: bytes(Buffer.alloc(0)),
} as const;

function explain(error: Error, proxy: string | null = null): string {
  const { code, message } = explainNetworkError(error, REQUEST, { connectTimeout: 1, proxy });
  return `${code} ${message}`;
}

function withCode(code: string, message = "not ours", cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code });
}

test("hostile 30: too little memory is told as that, whoever says it", () => {
  const expected =
    "CER_NO_MEMORY https://h:443: this machine, or the limit set for this process, has too little memory to connect";
  for (const words of [
    "WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance",
    "WebAssembly.Module(): Out of memory",
    "Array buffer allocation failed",
    "could not allocate memory",
  ])
    assert.equal(explain(new RangeError(words)), `${expected}.`);
  assert.equal(explain(withCode("ENOMEM")), `${expected} (ENOMEM).`);
  const { hint } = explainNetworkError(new RangeError("Out of memory"), REQUEST, {
    connectTimeout: 1,
    proxy: null,
  });
  assert.equal(hint, "Close programs, or raise the limit (ulimit -v).");
});

test("hostile 29: what undici asserts, and whatever nobody knows, is never shown as it is", () => {
  const assertion = withCode("ERR_ASSERTION", "The expression evaluated to a falsy value:\n\n  assert(x)\n");
  assert.equal(
    explain(assertion),
    "CER_NOT_CER https://h:443: the answer breaks the rules of HTTP (ERR_ASSERTION).",
  );
  assert.equal(
    explain(withCode("UND_ERR_NEW", `a\nb\u001b[31m${"c".repeat(100)}`)),
    `CER_UNREACHABLE https://h:443: the exchange failed (UND_ERR_NEW, "ab[31m${"c".repeat(74)}…").`,
  );
  assert.equal(explain(new Error("odd")), 'CER_UNREACHABLE https://h:443: the exchange failed ("odd").');
});

test("every fault of TLS is one of TLS, and this machine's limits are its own", () => {
  for (const code of [
    ...["CERT_REVOKED", "CERT_SIGNATURE_FAILURE", "CERT_UNTRUSTED", "CRL_HAS_EXPIRED", "INVALID_CA"],
    ...["UNABLE_TO_GET_CRL", "HOSTNAME_MISMATCH", "ERR_TLS_INVALID_PROTOCOL_VERSION", "INVALID_PURPOSE"],
    ...["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "EPROTO", "CERT_HAS_EXPIRED", "PATH_LENGTH_EXCEEDED"],
  ])
    assert.match(explain(withCode(code)), new RegExp(`^CER_TLS https://h:443: .*\\(${code}\\)\\.$`));
  const hidden = withCode("UND_ERR_PRX_TLS", "x", withCode("CERT_HAS_EXPIRED"));
  assert.match(explain(hidden), /^CER_TLS .*has expired/);
  assert.equal(
    explain(withCode("EMFILE")),
    "CER_UNREACHABLE https://h:443: this process may open no more files (EMFILE).",
  );
  assert.equal(
    explain(withCode("ECONNABORTED"), "http://me:secret@proxy:8080"),
    "CER_CONNECTION_LOST https://h:443 through the proxy proxy:8080: the connection was given up by this machine (ECONNABORTED).",
  );
});

test("an error that is explained already stays", () => {
  const error = new CerError("CER_ARCHIVE", "ours");
  assert.equal(explainNetworkError(error, REQUEST, { connectTimeout: 1, proxy: null }), error);
});
