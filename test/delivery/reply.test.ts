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

/** Bytes of an archive. */
const SIZE = 31_000_000;

test("level 1 is delivered by a success status and a CER answer, an empty one too", () => {
  for (const status of [200, 201, 202, 203, 204, 205, 299]) {
    assert.equal(judgeLevel1(reply(status, EXAMPLES["4.1"].answer), URL1).response.bucket, "500");
    assert.deepEqual(judgeLevel1(reply(status), URL1).keysFound, 0);
  }
  assert.equal(judgeLevel1(reply(200, " \r\n\r\n"), URL1).response.iData, false);
  assert.equal(judgeLevel1(reply(200, "Something=1\r\nBucket=7"), URL1).response.bucket, "7");
  assert.equal(judgeLevel1(reply(200, Buffer.from("\ufeffBucket=7")), URL1).response.bucket, "7");
});

test("level 2 is delivered by a success status and a body that is no page", () => {
  for (const status of [200, 201, 202, 203, 204, 205, 299])
    for (const body of ["", "OK", "stored a.cab\r\n", "\r\n", "a < b"])
      judgeLevel2(reply(status, body), URL2, SIZE);
  const created = "<!DOCTYPE HTML PUBLIC><html><head><title>201 Created</title></head></html>";
  judgeLevel2(reply(201, created), URL2, SIZE);
});

test("a body that is encoded, or is told to be a page, acknowledges no archive and is no answer", async () => {
  const gzip = { "content-encoding": "gzip" };
  const html = { "content-type": "text/html; charset=utf-8" };
  judgeLevel2(reply(200, "", gzip), URL2, SIZE);
  judgeLevel2(reply(201, "Created", html), URL2, SIZE);
  judgeLevel2(reply(200, "", html), URL2, SIZE);
  judgeLevel2(reply(200, "OK", { "content-encoding": "identity" }), URL2, SIZE);
  for (const [answered, what] of [
    [reply(200, "\x1f\x8b", gzip), 'with a body encoded as "gzip", for which nobody asked'],
    [reply(200, "Access denied. <a href=/>", html), "with a page (text/html), which acknowledges no archive"],
  ] as const) {
    const { code, message } = await complaintOf(() => judgeLevel2(answered, URL2, SIZE));
    assert.deepEqual([code, message], ["CER_NOT_CER", `${URL2} answered ${what}.`]);
  }
  const { code } = await complaintOf(() => judgeLevel1(reply(200, "Bucket=1\r\n", gzip), URL1));
  assert.equal(code, "CER_NOT_CER");
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
    ["Welcome!\r\nresponse=x", 'text that begins "Welcome!response=x"'],
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

test("hostile 2: a page in answer to the archive is no delivery, nor a text longer than is read", async () => {
  const so = "which acknowledges no archive";
  const page = "<html><title>Session expired</title>";
  const utf16 = Buffer.from(`\ufeff${page}`, "utf16le");
  const cases: [reply: Reply, what: string][] = [
    [reply(200, page), 'a page titled "Session expired"'],
    [reply(204, "<p>"), "a page"],
    [reply(202, `\ufeff\r\n\t ${page}`), 'a page titled "Session expired"'],
    [reply(200, `${"\r\n".repeat(5000)}${page}`), 'a page titled "Session expired"'],
    [reply(200, utf16), 'a page titled "Session expired"'],
    [reply(200, utf16.subarray(2)), 'a page titled "Session expired"'],
    [reply(200, Buffer.from(utf16).swap16()), 'a page titled "Session expired"'],
    [reply(200, "<?xml version='1.0'?><fault/>"), "a page"],
    [{ ...reply(200, "ok"), truncated: true }, "more than 4 MiB of text"],
    [{ ...reply(201, page), truncated: true }, "more than 4 MiB of text"],
  ];
  for (const [answered, what] of cases)
    assert.deepEqual(await complaintOf(() => judgeLevel2(answered, URL2, SIZE)), {
      code: "CER_NOT_CER",
      message: `${URL2} answered with ${what}, ${so}.`,
      hint: NOT_CER_HINT,
    });
});

test("a success of something else, and a status that HTTP does not know, are a wrong answer at either level", async () => {
  const cases: [status: number, what: string][] = [
    ...[206, 207, 208, 226].map((status): [number, string] => [
      status,
      `${status}, which acknowledges nothing`,
    ]),
    [101, "101 and wants another protocol, for which nobody asked"],
    [0, "with the status 000, which HTTP does not know"],
    [99, "with the status 099, which HTTP does not know"],
    [600, "with the status 600, which HTTP does not know"],
    [999, "with the status 999, which HTTP does not know"],
  ];
  for (const [status, what] of cases) {
    const answered = reply(status, EXAMPLES["4.1"].answer);
    const expected = (url: string) => ({
      code: "CER_NOT_CER",
      message: `${url} answered ${what}.`,
      hint: NOT_CER_HINT,
    });
    assert.deepEqual(await complaintOf(() => judgeLevel1(answered, URL1)), expected(URL1));
    assert.deepEqual(await complaintOf(() => judgeLevel2(answered, URL2, SIZE)), expected(URL2));
  }
});

test("hostile 27: an answer that ended with the connection in the middle is a lost connection", async () => {
  const cut = (body: string) => ({ ...reply(200, body), isEndKnown: false });
  assert.deepEqual(await complaintOf(() => judgeLevel1(cut("Bucket=1\r\niData=1\r\nDumpFi"), URL1)), {
    code: "CER_CONNECTION_LOST",
    message: `${URL1}: the connection ended in the middle of the answer.`,
    hint: "The server or something on the way closed it. Try again; look at the server's log.",
  });
  assert.equal(judgeLevel1(cut("Bucket=1\r\niData=0"), URL1).response.bucket, "1");
  assert.equal(judgeLevel1(cut(EXAMPLES["4.1"].answer.trimEnd()), URL1).response.iData, true);
  assert.equal(judgeLevel1(reply(200, "Bucket=1\r\niDat"), URL1).response.bucket, "1", "its end was stated");
  for (const page of ["<html>\nBucket=5\niDat", "It works!"])
    assert.equal((await complaintOf(() => judgeLevel1(cut(page), URL1))).code, "CER_NOT_CER");
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
    await complaintOf(() => judgeLevel2(reply(302, "", { location: "/z" }), URL1, SIZE)),
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
    assert.deepEqual(await complaintOf(() => judgeLevel2(fromProxy, URL2, SIZE)), {
      code: "CER_AUTH",
      message: `${URL2} answered 407: the proxy wants authentication (${schemes}).`,
      hint: "Put name and password into the proxy's address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT.",
    });
  }
});

const TROUBLE = "The server has trouble. Try again later.";
const LOG = "Look at the server's log.";

test("every other status is a refusal with what the server said and what to do", async () => {
  const WRONG = "Is this the CER server? Check host, port and path (--path).";
  const cases: [status: number, body: string, said: string, hint: string][] = [
    [400, "Bucket=5", ': "Bucket=5"', LOG],
    [403, "", "", LOG],
    [404, "<html>no</html>", "", WRONG],
    [404, "no such\r\nthing\u001b[0m", ': "no suchthing[0m"', WRONG],
    [405, "", "", WRONG],
    [409, "", "", LOG],
    [413, "", "", "The server limits the size of what it takes. Attach less."],
    [423, "", "", "It is locked there. That passes, or the server's administrator unlocks it."],
    [429, "", "", TROUBLE],
    [500, "x".repeat(500), `: "${"x".repeat(80)}…"`, TROUBLE],
    [501, "", "", "The server cannot do this yet; its administrator has to set it up."],
    [503, " busy ", ': "busy"', TROUBLE],
    [599, "", "", TROUBLE],
  ];
  for (const [status, body, said, hint] of cases)
    assert.deepEqual(await complaintOf(() => judgeLevel1(reply(status, body), URL1)), {
      code: "CER_STATUS",
      message: `${URL1} answered ${status} and did not take the report${said}.`,
      hint,
    });
});

test("A13: a refused archive is told apart from a wrong server: level 1 was taken there", async () => {
  const TAKES = "The server takes reports but not this upload:";
  const ALLOW = "Its administrator can allow it; on IIS the WebDAV module is often in the way.";
  const cases: [status: number, headers: Record<string, string>, hint: string][] = [
    [
      404,
      {},
      `${TAKES} the folder is missing there, or 30 MiB is more than it takes (IIS says 404 to both).`,
    ],
    [405, {}, `${TAKES} PUT is not allowed there. ${ALLOW}`],
    [
      405,
      { allow: "GET, HEAD, \u001bOPTIONS, TRACE", server: "Microsoft-IIS/10.0" },
      `${TAKES} PUT is not allowed there. It allows "GET, HEAD, OPTIONS, TRACE". ${ALLOW}`,
    ],
    [409, {}, `${TAKES} the folder is missing there. Its administrator has to make it.`],
    [413, {}, `${TAKES} 30 MiB is more than it takes. Attach less, or have its limit raised.`],
    [
      423,
      {},
      `${TAKES} the file or its folder is locked there. That passes, or its administrator unlocks it.`,
    ],
    [403, {}, LOG],
    [500, {}, TROUBLE],
  ];
  for (const [status, headers, hint] of cases)
    assert.deepEqual(await complaintOf(() => judgeLevel2(reply(status, "no", headers), URL2, SIZE)), {
      code: "CER_STATUS",
      message: `${URL2} answered ${status} and did not take the archive: "no".`,
      hint,
    });
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
