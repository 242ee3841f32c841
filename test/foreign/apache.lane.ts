/** The whole exchange with Apache httpd: mod_dav takes the archive, over one connection or two, and where it refuses. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertKept } from "../support/archives/kept-upload.ts";
import { filesBelow, hashOf } from "../support/files.ts";
import { openPlace, type Place, runCer } from "../support/run-cer.ts";
import { type Apache, type ApacheOptions, startApache } from "../support/servers/apache.ts";
import { attach, type Submission, submit } from "../support/submit.ts";

const lines = (...all: string[]) => `${all.join("\r\n")}\r\n`;
const FOLDER = "/PersistedCabs/Generic/Foreign/here";
const DUMP_FILE = `${FOLDER}/dump.cab`;
const ANSWER = lines("Bucket=502", "BucketTable=5", "iData=1", `DumpFile=${DUMP_FILE.replaceAll("/", "\\")}`);

let place: Place;
let log = "";
before(async () => {
  place = await openPlace();
  log = await attach(place, "setup.log", Buffer.from("Error 1603\n".repeat(30_000)));
});
after(() => place.remove());

/** An Apache, stopped when the callback ends. */
async function withApache(options: Partial<ApacheOptions>, use: (apache: Apache) => Promise<void>) {
  const apache = await startApache({ answer: ANSWER, folder: FOLDER, ...options });
  try {
    await use(apache);
  } finally {
    await apache.stop();
  }
}

/** The event with a log attached, once. */
function send(apache: Apache, ...more: string[]) {
  const args = ["--server", siteOf(apache), "--file", log, "--retries", "0", "--no-flush", ...more];
  return submit(place, args);
}

const TAKES = "The server takes reports but not this upload:";
const siteOf = ({ port }: Apache) => `http://127.0.0.1:${port}`;

describe("Apache with mod_dav", () => {
  test("takes both levels over one connection; what it keeps is what was reported, and opens in two other programs", async () => {
    await withApache({ server: "KeepAliveTimeout 60" }, async (apache) => {
      const dump = await attach(place, "setup.dmp", randomBytes(3_000_000));
      const sent = await send(apache, "--minidump", dump);
      const { outcome } = sent;
      assert.deepEqual([sent.code, outcome.outcome, outcome.error], [0, "uploaded", null]);
      assert.deepEqual([outcome.bucket, outcome.bucketTable], ["502", "5"]);
      assert.deepEqual([outcome.level1?.url, outcome.level1?.status], [`${siteOf(apache)}/stage2.htm`, 200]);
      assert.deepEqual([outcome.level2?.url, outcome.level2?.status], [`${siteOf(apache)}${DUMP_FILE}`, 201]);
      await assertKept(apache, DUMP_FILE, outcome);
      // The first and the second of a connection, neither with `Expect`, which Apache would answer by itself.
      assert.deepEqual(await apache.requests(2), [
        "0 POST /stage2.htm HTTP/1.1 200 -",
        `1 PUT ${DUMP_FILE} HTTP/1.1 201 -`,
      ]);
    });
  });

  test("an archive of that name is replaced, which it answers with 204 and no body", async () => {
    await withApache({}, async (apache) => {
      const first = await send(apache);
      const again = await send(apache, "--file", await attach(place, "another.log", randomBytes(50_000)));
      assert.deepEqual(
        [first, again].map(({ code, outcome }) => [code, outcome.outcome, outcome.level2?.status]),
        [
          [0, "uploaded", 201],
          [0, "uploaded", 204],
        ],
      );
      const [told, toldAgain] = [first, again].map(({ outcome }) => outcome.level2?.archive.sha256);
      assert.notEqual(told, toldAgain);
      assert.equal(await hashOf(join(apache.stored, DUMP_FILE)), toldAgain);
    });
  });

  test("a DumpFile with blanks, signs and letters of code page 1252 is the path it says", async () => {
    const folder = "/PersistedCabs/Generic/Müller & Söhne/100% #1?%41";
    const name = "a+b;c=d €‰.cab";
    // In code page 1252, which differs from latin1 in the last two.
    const dumpFile = `${folder}/${name}`.replaceAll("/", "\\").replace("€‰", "\u0080\u0089");
    const answer = lines("Bucket=1", "iData=1", `DumpFile=${dumpFile}`);
    await withApache({ answer, folder }, async (apache) => {
      const sent = await send(apache);
      assert.deepEqual(
        [sent.code, sent.outcome.outcome, sent.outcome.error, sent.outcome.level2?.status],
        [0, "uploaded", null, 201],
      );
      await assertKept(apache, `${folder}/${name}`, sent.outcome);
    });
  });
});

describe("Apache that ends the connection after the POST", () => {
  for (const [name, server] of [
    ["Connection: close for all", "KeepAlive Off"],
    ["Connection: close for the POST alone", 'SetEnvIf Request_Method "^POST$" nokeepalive'],
    ["a connection that may idle for a tenth of a second", "KeepAliveTimeout 100ms"],
  ] as const)
    test(`${name}: the PUT opens another`, async () => {
      await withApache({ server }, async (apache) => {
        const sent = await send(apache);
        assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
        assert.deepEqual(await apache.requests(2), [
          "0 POST /stage2.htm HTTP/1.1 200 -",
          `0 PUT ${DUMP_FILE} HTTP/1.1 201 -`,
        ]);
        await assertKept(apache, DUMP_FILE, sent.outcome);
      });
    });
});

describe("Apache that refuses", () => {
  test("413 while the body is being sent is understood, and the report itself stands", async () => {
    await withApache({ level2: "LimitRequestBody 1048576" }, async (apache) => {
      const dump = await attach(place, "large.dmp", randomBytes(48 * 1024 * 1024));
      const sent = await send(apache, "--minidump", dump);
      assert.deepEqual(sent.outcome.error, {
        code: "CER_STATUS",
        message: `${siteOf(apache)}${DUMP_FILE} answered 413 and did not take the archive.`,
        hint: `${TAKES} 48 MiB is more than it takes. Attach less, or have its limit raised.`,
      });
      const { outcome } = sent;
      assert.deepEqual(
        [sent.code, outcome.outcome, outcome.bucket, outcome.level1?.status, outcome.level2?.status],
        [3, "refused", "502", 200, 413],
      );
      assert.equal(outcome.journal?.state, "abandoned");
      assert.equal((await filesBelow(apache.posted)).length, 1);
      assert.deepEqual(await filesBelow(apache.stored), []);
    });
  });

  /** The upload was answered so; the report stands, and waits with its archive. */
  function assertWaiting(apache: Apache, sent: Submission, status: number, hint: string): void {
    const { code, outcome } = sent;
    assert.deepEqual(outcome.error, {
      code: "CER_STATUS",
      message: `${siteOf(apache)}${DUMP_FILE} answered ${status} and did not take the archive.`,
      hint,
    });
    assert.deepEqual(
      [code, outcome.outcome, outcome.bucket, outcome.level2?.status, outcome.journal?.state],
      [75, "deferred", "502", status, "pending"],
    );
  }

  /** What waits is sent once more. */
  async function flushed({ outcome }: Submission): Promise<string> {
    assert.equal((await runCer(place, ["queue", "retry", outcome.journal?.id ?? ""])).code, 0);
    const { stdout } = await runCer(place, ["flush", "--json"]);
    return JSON.parse(stdout).outcomes.at(-1).outcome;
  }

  test("a folder that is not there is a 409, since mod_dav makes none: the archive goes once it was made", async () => {
    await withApache({ folder: "/PersistedCabs/Generic" }, async (apache) => {
      const sent = await send(apache);
      const hint = `${TAKES} the folder is missing there. Its administrator has to make it.`;
      assertWaiting(apache, sent, 409, hint);
      assert.deepEqual(await filesBelow(apache.stored), []);
      await makeFolder(join(apache.stored, FOLDER));
      assert.equal(await flushed(sent), "uploaded");
      assert.equal(await hashOf(join(apache.stored, DUMP_FILE)), sent.outcome.level2?.archive.sha256);
    });
  });

  /** For everybody: Apache serves as a user of its own. */
  async function makeFolder(path: string): Promise<void> {
    await mkdir(path, { recursive: true });
    for (let at = path; at.includes("/PersistedCabs/Generic/"); at = join(at, "..")) await chmod(at, 0o777);
  }

  test("A13: without mod_dav PUT is a 405, whose Allow is shown", async () => {
    await withApache({ level2: "Dav Off" }, async (apache) => {
      const sent = await send(apache);
      const allow = 'It allows "[A-Z,]+"\\. Its administrator can allow it;';
      const { hint } = sent.outcome.error ?? {};
      assert.match(hint ?? "", new RegExp(`^${TAKES} PUT is not allowed there\\. ${allow}`));
      assertWaiting(apache, sent, 405, hint ?? "");
    });
  });

  test("A13: what somebody else has locked is a 423, and arrives once it is unlocked", async () => {
    await withApache({}, async (apache) => {
      const url = `${siteOf(apache)}${DUMP_FILE}`;
      const lock =
        '<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>' +
        "<D:locktype><D:write/></D:locktype></D:lockinfo>";
      const locked = await fetch(url, { method: "LOCK", body: lock, headers: { timeout: "Second-600" } });
      const token = locked.headers.get("lock-token") ?? "";
      assert.equal(locked.status < 300 && token !== "", true, await locked.text());
      const sent = await send(apache);
      const hint = `${TAKES} the file or its folder is locked there. That passes, or its administrator unlocks it.`;
      assertWaiting(apache, sent, 423, hint);
      await fetch(url, { method: "UNLOCK", headers: { "lock-token": token } });
      assert.equal(await flushed(sent), "uploaded");
    });
  });

  for (const [offered, directives] of [
    ["Basic", 'AuthType Basic\nAuthName "Contoso, Negotiate"'],
    ["Digest", 'AuthType Digest\nAuthName "CER"'],
    // Two headers, as mod_auth_gssapi sends them.
    ["Negotiate, Basic", 'AuthType Basic\nAuthName "CER"\nHeader always add WWW-Authenticate Negotiate'],
  ] as const)
    for (const [level, path] of [
      ["level1", "/stage2.htm"],
      ["level2", DUMP_FILE],
    ] as const)
      test(`401 names what was offered at ${level}: ${offered}`, async () => {
        await withApache({ [level]: `${directives}\nRequire valid-user` }, async (apache) => {
          const sent = await send(apache);
          assert.deepEqual(sent.outcome.error, {
            code: "CER_AUTH",
            message: `${siteOf(apache)}${path} answered 401: the server wants authentication (offered: ${offered}).`,
            hint: "cer sends no credentials to a server. Its administrator can exempt this path or this network.",
          });
          assert.deepEqual(
            [sent.code, sent.outcome.outcome, sent.outcome.journal?.state],
            [75, "deferred", "pending"],
          );
          assert.equal((await filesBelow(apache.posted)).length, level === "level1" ? 0 : 1);
          assert.deepEqual(await filesBelow(apache.stored), []);
        });
      });
});

describe("Apache that redirects", () => {
  const redirected = (url: string, status: number, location: string) => ({
    code: "CER_REDIRECT",
    message: `${url} answered ${status} and points to "${location}".`,
    hint: "Redirects are never followed. If the new address is right, give it with --server and --path.",
  });

  test("mod_dir adds a slash to the path of a folder: 301, reported with its place and not followed", async () => {
    await withApache({}, async (apache) => {
      const url = `${siteOf(apache)}/PersistedCabs`;
      const { code, outcome } = await send(apache, "--path", "/PersistedCabs");
      assert.deepEqual(outcome.error, redirected(url, 301, `${url}/`));
      assert.deepEqual([code, outcome.outcome, outcome.level1?.status], [75, "deferred", 301]);
      assert.equal(outcome.journal?.state, "pending");
      assert.deepEqual(await apache.requests(1), ["0 POST /PersistedCabs HTTP/1.1 301 -"]);
    });
  });

  test("and to that of the archive when a folder has its name: the report stands", async () => {
    await withApache({ folder: DUMP_FILE }, async (apache) => {
      const url = `${siteOf(apache)}${DUMP_FILE}`;
      const { code, outcome } = await send(apache);
      assert.deepEqual(outcome.error, redirected(url, 301, `${url}/`));
      assert.deepEqual([code, outcome.outcome, outcome.level2?.status], [75, "deferred", 301]);
      assert.deepEqual([outcome.bucket, outcome.journal?.state], ["502", "pending"]);
      assert.deepEqual(await filesBelow(apache.stored), []);
    });
  });

  // A client that follows repeats the request itself after the last two.
  for (const status of [301, 302, 307, 308])
    test(`${status} of mod_rewrite to where it would be taken is not followed, at either level`, async () => {
      const moved = `${FOLDER}/moved.cab`;
      const server = lines(
        "RewriteEngine On",
        `RewriteRule ^/old$ /stage2.htm [R=${status},L]`,
        `RewriteRule ^${DUMP_FILE}$ ${moved} [R=${status},L]`,
      );
      await withApache({ server }, async (apache) => {
        const site = siteOf(apache);
        const first = await send(apache, "--path", "/old");
        assert.deepEqual(first.outcome.error, redirected(`${site}/old`, status, `${site}/stage2.htm`));
        assert.deepEqual([first.code, first.outcome.journal?.state], [75, "pending"]);
        assert.deepEqual(await filesBelow(apache.posted), []);

        const second = await send(apache);
        assert.deepEqual(second.outcome.error, redirected(`${site}${DUMP_FILE}`, status, `${site}${moved}`));
        assert.deepEqual([second.code, second.outcome.journal?.state], [75, "pending"]);
        assert.deepEqual(await filesBelow(apache.stored), []);
        assert.deepEqual(
          (await apache.requests(3)).map((line) => line.slice(2)),
          [
            `POST /old HTTP/1.1 ${status} -`,
            "POST /stage2.htm HTTP/1.1 200 -",
            `PUT ${DUMP_FILE} HTTP/1.1 ${status} -`,
          ],
        );
      });
    });
});

describe("afterwards", () => {
  test("what was refused has left no temporary file", async () => {
    assert.deepEqual(await readdir(place.env["TMPDIR"] ?? ""), []);
  });
});
