/** The whole exchange with nginx: plain, with TLS under an authority of one's own, and where it refuses. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { parseReceipt } from "../../src/journal/entry/receipt.ts";
import { assertKept } from "../support/archives/kept-upload.ts";
import { filesBelow, hashOf } from "../support/files.ts";
import { openPlace, type Place, runCer } from "../support/run-cer.ts";
import { type Authority, makeAuthority } from "../support/servers/certificates.ts";
import { type Nginx, type NginxOptions, startNginx } from "../support/servers/nginx.ts";
import { attach, submit } from "../support/submit.ts";

const run = promisify(execFile);
const lines = (...all: string[]) => `${all.join("\r\n")}\r\n`;
const DUMP_FILE = "\\PersistedCabs\\Generic\\Foreign\\here\\dump.cab";
const ANSWER = lines("Bucket=502", "BucketTable=5", "iData=1", `DumpFile=${DUMP_FILE}`);

let place: Place;
let authority: Authority;
before(async () => {
  place = await openPlace();
  authority = await makeAuthority(place.directory);
});
after(() => place.remove());

let count = 0;

/** An nginx in a fresh directory, stopped when the callback ends. */
async function withNginx(
  options: Partial<NginxOptions>,
  use: (nginx: Nginx) => Promise<void>,
): Promise<void> {
  const directory = join(place.directory, `nginx-${++count}`);
  await mkdir(directory);
  const nginx = await startNginx({ directory, answer: ANSWER, ...options });
  try {
    await use(nginx);
  } finally {
    await nginx.stop();
  }
}

describe("nginx with its DAV module", () => {
  test("takes both levels; what it keeps is what was reported, and opens in two other programs", async () => {
    await withNginx({}, async (nginx) => {
      const log = await attach(place, "setup.log", Buffer.from("Error 1603\n".repeat(30_000)));
      const dump = await attach(place, "setup.dmp", randomBytes(3_000_000));
      const url = `http://127.0.0.1:${nginx.port}`;
      const sent = await submit(place, ["--server", url, "--file", log, "--minidump", dump]);
      assert.equal(sent.stderr.replace(/Reported[\s\S]*/, ""), "");
      assert.equal(sent.code, 0);
      const { outcome } = sent;
      assert.equal(outcome.outcome, "uploaded");
      assert.deepEqual([outcome.bucket, outcome.bucketTable, outcome.error], ["502", "5", null]);
      assert.equal(outcome.level2?.url, `${url}/PersistedCabs/Generic/Foreign/here/dump.cab`);
      assert.equal(outcome.level2?.status, 201);

      await assertKept(nginx, "PersistedCabs/Generic/Foreign/here/dump.cab", outcome);
    });
  });

  test("a DumpFile with blanks, signs and letters of code page 1252 is the path it says", async () => {
    const dumpFile = "\\PersistedCabs\\Generic\\Müller & Söhne\\100% #1?\\a+b;c=d €.cab";
    // In code page 1252, which differs from latin1 in the euro sign.
    const answer = lines("Bucket=1", "iData=1", `DumpFile=${dumpFile.replace("€", "\u0080")}`);
    await withNginx({ answer }, async (nginx) => {
      const log = await attach(place, "small.log", Buffer.from("once"));
      const { outcome } = await submit(place, ["--server", `127.0.0.1:${nginx.port}`, "--file", log]);
      assert.equal(outcome.error, null);
      assert.deepEqual(await filesBelow(nginx.stored), [join(nginx.stored, dumpFile.replaceAll("\\", "/"))]);
    });
  });

  test("an answer that asks for nothing is delivered without a PUT", async () => {
    await withNginx({ answer: lines("Bucket=7") }, async (nginx) => {
      const sent = await submit(place, ["--server", `127.0.0.1:${nginx.port}`]);
      assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.level2], [0, "reported", null]);
      assert.deepEqual(await filesBelow(nginx.stored), []);
    });
  });

  test("a retry after a 503 puts the very bytes, and posts nothing again", async () => {
    const directory = join(place.directory, "twice");
    await mkdir(directory);
    const gate = join(directory, "shut");
    await writeFile(gate, "");
    const level2 = `if (-f ${gate}) { return 503; }`;
    const nginx = await startNginx({ directory, answer: ANSWER, level2 });
    try {
      const log = await attach(place, "kept.log", randomBytes(200_000));
      const server = ["--server", `127.0.0.1:${nginx.port}`, "--retries", "0"];
      const first = await submit(place, [...server, "--file", log, "--no-flush"]);
      assert.deepEqual([first.code, first.outcome.outcome], [75, "deferred"]);
      assert.deepEqual(first.outcome.error, {
        code: "CER_STATUS",
        message: `http://127.0.0.1:${nginx.port}/PersistedCabs/Generic/Foreign/here/dump.cab answered 503 and did not take the archive.`,
        hint: "The server has trouble. Try again later.",
      });
      await Promise.all([rm(gate), rm(log)]);
      const id = first.outcome.journal?.id ?? "";
      assert.equal((await runCer(place, ["queue", "retry", id])).code, 0);
      const flushed = await runCer(place, ["flush", "--json"]);
      assert.deepEqual([flushed.code, JSON.parse(flushed.stdout).outcomes[0].outcome], [0, "uploaded"]);
      assert.equal((await filesBelow(nginx.posted)).length, 1);
      const kept = join(nginx.stored, "PersistedCabs/Generic/Foreign/here/dump.cab");
      assert.equal(await hashOf(kept), first.outcome.level2?.archive.sha256);
    } finally {
      await nginx.stop();
    }
  });
});

describe("nginx with TLS", () => {
  const send = async (nginx: Nginx, host: string, env: Record<string, string>) =>
    submit(place, ["--server", `https://${host}:${nginx.tlsPort}`, "--no-flush", "--retries", "0"], {
      env,
    });

  test("is trusted under the company's own authority, and the receipt has the certificate's fingerprint", async () => {
    const certificate = await authority.sign("DNS:localhost");
    await withNginx({ certificate }, async (nginx) => {
      const receipt = join(place.directory, "receipt.json");
      const log = await attach(place, "tls.log", randomBytes(100_000));
      const sent = await submit(
        place,
        ["--server", `https://localhost:${nginx.tlsPort}`, "--file", log, "--receipt", receipt],
        { env: { NODE_EXTRA_CA_CERTS: authority.certificate } },
      );
      assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
      const shown = await run("openssl", [
        "x509",
        "-noout",
        "-fingerprint",
        "-sha256",
        "-in",
        certificate.certificate,
      ]);
      const fingerprint = shown.stdout.trim().split("=")[1];
      const { attempts } = parseReceipt(await readFile(receipt, "utf8"));
      assert.deepEqual(
        attempts.map(({ level, status, peer }) => [level, status, peer?.tlsFingerprint]),
        [
          [1, 200, fingerprint],
          [2, 201, fingerprint],
        ],
      );
    });
  });

  test("is not trusted without the authority, nor under another name, and nothing is posted", async () => {
    const certificate = await authority.sign("DNS:cer.example");
    await withNginx({ certificate }, async (nginx) => {
      const stranger = await send(nginx, "localhost", {});
      const site = `https://localhost:${nginx.tlsPort}`;
      assert.deepEqual([stranger.code, stranger.outcome.outcome], [75, "deferred"]);
      assert.deepEqual(stranger.outcome.error, {
        code: "CER_TLS",
        message: `${site}: the server's certificate cannot be verified (UNABLE_TO_VERIFY_LEAF_SIGNATURE).`,
        hint: "To trust the company's own authority, set NODE_EXTRA_CA_CERTS to a file with its certificate in PEM form.",
      });
      const misnamed = await send(nginx, "localhost", { NODE_EXTRA_CA_CERTS: authority.certificate });
      assert.deepEqual([misnamed.code, misnamed.outcome.outcome], [75, "deferred"]);
      assert.deepEqual(misnamed.outcome.error, {
        code: "CER_TLS",
        message: `${site}: the server's certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID).`,
        hint: "Use the name that the certificate was made for.",
      });
      assert.deepEqual(await filesBelow(nginx.posted), []);
    });
  });

  test("http to its port and https to a plain port are told apart", async () => {
    await withNginx({ certificate: await authority.sign("DNS:localhost") }, async (nginx) => {
      const plain = await submit(place, ["--server", `http://localhost:${nginx.tlsPort}`, "--retries", "0"]);
      const secure = await submit(place, ["--server", `https://localhost:${nginx.port}`, "--retries", "0"]);
      assert.deepEqual(plain.outcome.error, {
        code: "CER_STATUS",
        message: `http://localhost:${nginx.tlsPort}/stage2.htm answered 400 and did not take the report.`,
        hint: "Look at the server's log.",
      });
      assert.equal(plain.outcome.journal?.state, "abandoned");
      assert.deepEqual(secure.outcome.error, {
        code: "CER_TLS",
        message: `https://localhost:${nginx.port}: no TLS there (ERR_SSL_WRONG_VERSION_NUMBER).`,
        hint: "Does the server speak plain http on this port? Then leave --https out.",
      });
      assert.equal(secure.outcome.journal?.state, "pending");
    });
  });
});

describe("nginx that refuses", () => {
  test("413 while the body is being sent is understood, and the report itself stands", async () => {
    await withNginx({ largest: "1m" }, async (nginx) => {
      const dump = await attach(place, "large.dmp", randomBytes(48 * 1024 * 1024));
      const sent = await submit(place, ["--server", `127.0.0.1:${nginx.port}`, "--minidump", dump]);
      assert.deepEqual(sent.outcome.error, {
        code: "CER_STATUS",
        message: `http://127.0.0.1:${nginx.port}/PersistedCabs/Generic/Foreign/here/dump.cab answered 413 and did not take the archive.`,
        hint: "The server takes reports but not this upload: 48 MiB is more than it takes. Attach less, or have its limit raised.",
      });
      assert.deepEqual(
        [sent.code, sent.outcome.bucket, sent.outcome.journal?.state],
        [3, "502", "abandoned"],
      );
      assert.deepEqual(await filesBelow(nginx.stored), []);
    });
  });

  test("401 names the scheme, at either level, and the report waits for an exemption", async () => {
    const passwords = await attach(place, "passwords", Buffer.from("name:{PLAIN}secret\n"));
    const basic = `auth_basic "CER"; auth_basic_user_file ${passwords};`;
    const log = await attach(place, "auth.log", Buffer.from("once"));
    for (const [options, path] of [
      [{ level1: basic }, "/stage2.htm"],
      [{ level2: basic }, "/PersistedCabs/Generic/Foreign/here/dump.cab"],
    ] as const)
      await withNginx(options, async (nginx) => {
        const sent = await submit(place, ["--server", `127.0.0.1:${nginx.port}`, "--file", log]);
        assert.deepEqual([sent.code, sent.outcome.journal?.state], [75, "pending"]);
        assert.deepEqual(sent.outcome.error, {
          code: "CER_AUTH",
          message: `http://127.0.0.1:${nginx.port}${path} answered 401: the server wants authentication (offered: Basic).`,
          hint: "cer sends no credentials to a server. Its administrator can exempt this path or this network.",
        });
        assert.deepEqual(await filesBelow(nginx.stored), []);
      });
  });

  test("what was refused leaves no temporary file", async () => {
    assert.deepEqual(await readdir(place.env["TMPDIR"] ?? ""), []);
    assert.equal((await stat(place.journal)).mode & 0o777, 0o700);
  });
});
