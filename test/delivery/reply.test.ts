import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { judgeLevel1, judgeLevel2, parseAnswerBody } from "../../src/delivery/reply.ts";
import { MAX_REPLY_SIZE, type Reply } from "../../src/wire/exchange.ts";
import { EXAMPLES } from "../support/spec-examples.ts";
import { complaintOf } from "../support/thrown-error.ts";

const URL1 = "http://h:1273/stage2.htm";
const URL2 = "http://h:1273/a.cab";

function reply(status: number, body: string | Buffer = "", headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers,
    body: Buffer.from(body),
    truncated: false,
    isEndKnown: true,
    peer: { address: null, tlsFingerprint: null },
  };
}

test("level 1 is delivered by a success status and a CER answer, an empty one too", () => {
  for (const status of [200, 201, 202, 203, 204, 206, 299]) {
    assert.equal(judgeLevel1(reply(status, EXAMPLES["4.1"].answer), URL1).response.bucket, "500");
    assert.deepEqual(judgeLevel1(reply(status), URL1).keysFound, 0);
  }
  assert.equal(judgeLevel1(reply(200, " \r\n\r\n"), URL1).response.iData, false);
  assert.equal(judgeLevel1(reply(200, "Something=1\r\nBucket=7"), URL1).response.bucket, "7");
  assert.equal(judgeLevel1(reply(200, Buffer.from("\ufeffBucket=7")), URL1).response.bucket, "7");
});

test("level 2 is delivered by any success status, whatever its body", () => {
  for (const status of [200, 201, 204, 226]) judgeLevel2(reply(status, "<html>"), URL2);
});

const NOT_CER_HINT =
  "A login page, a proxy or another web server may be in the way; check host, port and path.";

test("a success status with anything else is no delivery", async () => {
  const cases: [body: string | Buffer, what: string][] = [
    ["<!DOCTYPE html><html><head><title>Please log in</title>", 'a page titled "Please log in"'],
    ["  \r\n<html><TITLE lang='en'>\n A \u0007B </TITLE>", 'a page titled "A B"'],
    ["<html>Bucket=5\r\n</html>", "a page"],
    ["\ufeff<html>", "a page"],
    ["<?xml version='1.0'?><x/>", "a page"],
    ["<title></title>", "a page"],
    [`<title>${"t".repeat(300)}</title>`, `a page titled "${"t".repeat(80)}…"`],
    ["It works!", 'text that begins "It works!"'],
    ['{"Bucket":5}', 'text that begins "{"Bucket":5}"'],
    ["ok", 'text that begins "ok"'],
    ["a\u001b[2Jb", 'text that begins "a[2Jb"'],
    ["x".repeat(100), `text that begins "${"x".repeat(80)}…"`],
  ];
  for (const [body, what] of cases)
    assert.deepEqual(await complaintOf(() => judgeLevel1(reply(200, body), URL1)), {
      code: "CER_NOT_CER",
      message: `${URL1} answered with ${what}, which is not a CER answer.`,
      hint: NOT_CER_HINT,
    });
});

test("an answer that was longer than is read is none, whatever it began with", async () => {
  const long = { ...reply(200, "Bucket=5\r\n".repeat(100)), truncated: true };
  assert.deepEqual(await complaintOf(() => judgeLevel1(long, URL1)), {
    code: "CER_NOT_CER",
    message: `${URL1} answered with more than 4 MiB of text, which is not a CER answer.`,
    hint: NOT_CER_HINT,
  });
});

test("a redirect is reported with its place and never followed", async () => {
  const redirected = (status: number, place: string) => ({
    code: "CER_REDIRECT",
    message: `${URL1} answered ${status} and points to "${place}".`,
    hint: "Redirects are never followed. If the new address is right, give it with --server and --path.",
  });
  for (const status of [301, 302, 303, 307, 308])
    assert.deepEqual(
      await complaintOf(() =>
        judgeLevel1(reply(status, "Bucket=5", { location: "https://x/\u0007y" }), URL1),
      ),
      redirected(status, "https://x/y"),
    );
  assert.deepEqual(
    await complaintOf(() => judgeLevel2(reply(302, "", { location: "/z" }), URL1)),
    redirected(302, "/z"),
  );
  assert.deepEqual(await complaintOf(() => judgeLevel1(reply(304), URL1)), {
    ...redirected(304, ""),
    message: `${URL1} answered 304 and points nowhere.`,
  });
});

test("401 and 407 name the schemes that were offered", async () => {
  const cases: [header: string, schemes: string][] = [
    ["NTLM", "offered: NTLM"],
    ["Negotiate, NTLM", "offered: Negotiate, NTLM"],
    ['Basic realm="cer"', "offered: Basic"],
    ['Basic realm="Acme, Inc Europe, NTLM", Negotiate', "offered: Basic, Negotiate"],
    ['Basic realm="a \\", NTLM"', "offered: Basic"],
    ['Digest realm="a", qop="auth, auth-int", nonce="x==", NTLM', "offered: Digest, NTLM"],
    ["Digest realm = a, nonce = b", "offered: Digest"],
    ["Negotiate oYG2MIGz==, NTLM TlRMTVNTUAAC", "offered: Negotiate, NTLM"],
    ["NTLM, NTLM", "offered: NTLM"],
    ["", "it names no scheme"],
    ["\u001b[31m", "it names no scheme"],
  ];
  for (const [header, schemes] of cases) {
    assert.deepEqual(
      await complaintOf(() => judgeLevel1(reply(401, "", { "www-authenticate": header }), URL1)),
      {
        code: "CER_AUTH",
        message: `${URL1} answered 401: the server wants authentication (${schemes}).`,
        hint: "cer sends no credentials to a server. Its administrator can exempt this path or this network.",
      },
    );
    const fromProxy = reply(407, "", { "www-authenticate": "Basic", "proxy-authenticate": header });
    assert.deepEqual(await complaintOf(() => judgeLevel2(fromProxy, URL2)), {
      code: "CER_AUTH",
      message: `${URL2} answered 407: the proxy wants authentication (${schemes}).`,
      hint: "Put name and password into the proxy's address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT.",
    });
  }
});

test("every other status is a refusal with what the server said and what to do", async () => {
  const WRONG = "Is this the CER server? Check host, port and path (--path).";
  const TROUBLE = "The server has trouble. Try again later.";
  const LOG = "Look at the server's log.";
  const cases: [status: number, body: string, said: string, hint: string][] = [
    [400, "Bucket=5", ': "Bucket=5"', LOG],
    [403, "", "", LOG],
    [404, "<html>no</html>", "", WRONG],
    [404, "no such\r\nthing\u001b[0m", ': "no suchthing[0m"', WRONG],
    [405, "", "", WRONG],
    [413, "", "", "The server limits the size of what it takes. Attach less."],
    [429, "", "", TROUBLE],
    [500, "x".repeat(500), `: "${"x".repeat(80)}…"`, TROUBLE],
    [503, " busy ", ': "busy"', TROUBLE],
    [599, "", "", TROUBLE],
    [600, "", "", TROUBLE],
  ];
  for (const [status, body, said, hint] of cases) {
    const refusal = (url: string, what: string) => ({
      code: "CER_STATUS",
      message: `${url} answered ${status} and did not take ${what}${said}.`,
      hint,
    });
    assert.deepEqual(
      await complaintOf(() => judgeLevel1(reply(status, body), URL1)),
      refusal(URL1, "the report"),
    );
    assert.deepEqual(
      await complaintOf(() => judgeLevel2(reply(status, body), URL2)),
      refusal(URL2, "the archive"),
    );
  }
});

test("the largest answers of any shape are judged in no time", async () => {
  const words = ["<title", "<title>", "<", " ", "<title ", "<title a", "\u00ef\u00bb\u00bf", "\n<"];
  for (const word of words) {
    const start = performance.now();
    const body = Buffer.from(`<${word.repeat(MAX_REPLY_SIZE / word.length)}`, "latin1");
    assert.equal((await complaintOf(() => parseAnswerBody(body, URL1, false))).code, "CER_NOT_CER");
    assert.ok(performance.now() - start < 20_000, word);
  }
  for (const word of ['"', "a ", ", ", ",a", '\\"', "a=", '"\\'])
    assert.equal(
      (await complaintOf(() => judgeLevel1(reply(401, "", { "www-authenticate": word.repeat(8000) }), URL1)))
        .code,
      "CER_AUTH",
    );
});

test("no body is delivered by accident: without a key of the protocol there is no answer", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (text) => {
      if (text.trim() === "" || /=/.test(text)) return;
      assert.throws(() => parseAnswerBody(Buffer.from(text), URL1, false), { code: "CER_NOT_CER" });
    }),
  );
});
