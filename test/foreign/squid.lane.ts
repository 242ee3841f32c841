/** The whole exchange through squid: in the open and by CONNECT, with a password, and where the proxy is in the way. */

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { everythingBelow } from "../support/files.ts";
import { openPlace, type Place, runCer } from "../support/run-cer.ts";
import { makeAuthority } from "../support/servers/certificates.ts";
import { freePorts } from "../support/servers/daemon.ts";
import { type Nginx, startNginx } from "../support/servers/nginx.ts";
import { type Squid, type SquidOptions, startSquid } from "../support/servers/squid.ts";
import { submit } from "../support/submit.ts";

const DUMP_FILE = "/PersistedCabs/Generic/Foreign/here/dump.cab";
const ANSWER = ["Bucket=502", "iData=1", `DumpFile=${DUMP_FILE.replaceAll("/", "\\")}`, ""].join("\r\n");
/** With every character that an address has to escape. */
const ACCOUNT = { name: "corp\\clerk", password: "p@ss:w/rd 100%" };
const WRITTEN = `${encodeURIComponent(ACCOUNT.name)}:${encodeURIComponent(ACCOUNT.password)}`;
const BASIC = Buffer.from(`${ACCOUNT.name}:${ACCOUNT.password}`).toString("base64");

let place: Place;
let nginx: Nginx;
let plain = "";
let secure = "";
let trust: Record<string, string> = {};
let log = "";

before(async () => {
  place = await openPlace();
  const authority = await makeAuthority(place.directory);
  const directory = join(place.directory, "nginx");
  await mkdir(directory);
  nginx = await startNginx({ directory, answer: ANSWER, certificate: await authority.sign("DNS:localhost") });
  plain = `http://localhost:${nginx.port}`;
  secure = `https://localhost:${nginx.tlsPort}`;
  trust = { NODE_EXTRA_CA_CERTS: authority.certificate };
  log = join(place.directory, "setup.log");
  await writeFile(log, "Error 1603\n".repeat(10_000));
});
after(async () => {
  await nginx.stop();
  await place.remove();
});

/** A squid, stopped when the callback ends. */
async function withSquid(options: SquidOptions, use: (squid: Squid) => Promise<void>) {
  const squid = await startSquid(options);
  try {
    await use(squid);
  } finally {
    await squid.stop();
  }
}

/** The event with a log attached, to one of nginx's two addresses. */
function send(server: string, env: Record<string, string>, ...more: string[]) {
  const args = ["--server", server, "--file", log, "--retries", "0", "--no-flush", ...more];
  return submit(place, args, { env: { ...trust, ...env } });
}

describe("through squid", () => {
  test("plain http is asked for by its whole URL, at both levels", async () => {
    await withSquid({}, async (squid) => {
      const sent = await send(plain, { HTTP_PROXY: `http://127.0.0.1:${squid.port}` });
      assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
      assert.deepEqual(await squid.requests(), [`POST ${plain}/stage2.htm`, `PUT ${plain}${DUMP_FILE}`]);
    });
  });

  test("https goes by CONNECT, once for both levels", async () => {
    await withSquid({}, async (squid) => {
      const sent = await send(secure, { https_proxy: `127.0.0.1:${squid.port}` });
      assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
      assert.deepEqual(await squid.requests(), [`CONNECT localhost:${nginx.tlsPort}`]);
    });
  });

  test("a server that NO_PROXY names is reached past the proxy", async () => {
    await withSquid({}, async (squid) => {
      const proxy = `http://127.0.0.1:${squid.port}`;
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: ".example, localhost" };
      for (const server of [plain, secure]) assert.equal((await send(server, env)).code, 0);
      assert.deepEqual(await squid.requests(), []);
    });
  });
});

describe("a proxy that wants a password", () => {
  test("gets the one in its address, percent-decoded; it is shown and kept nowhere", async () => {
    await withSquid({ account: ACCOUNT }, async (squid) => {
      const proxy = `http://${WRITTEN}@127.0.0.1:${squid.port}`;
      const receipt = join(place.directory, "receipt.json");
      const seen: string[] = [];
      for (const server of [plain, secure]) {
        const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
        const sent = await send(server, env, "--verbose", "--receipt", receipt);
        assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
        const shown = await runCer(place, ["queue", "show", sent.outcome.journal?.id ?? "", "--json"], {
          env,
        });
        assert.equal(shown.code, 0);
        seen.push(sent.stdout, sent.stderr, shown.stdout, await readFile(receipt, "latin1"));
      }
      assert.equal((await squid.requests()).length, 3);
      assertNoSecret(`${seen.join("\n")}\n${await everythingBelow(place.journal)}`);
    });
  });

  test("and does not get it is named, with what to do", async () => {
    await withSquid({ account: ACCOUNT }, async (squid) => {
      const proxy = `http://127.0.0.1:${squid.port}`;
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
      const open = await send(plain, env);
      assert.deepEqual([open.code, open.outcome.journal?.state], [75, "pending"]);
      assert.deepEqual(open.outcome.error, {
        code: "CER_PROXY",
        message: `${plain} through the proxy 127.0.0.1:${squid.port}: the proxy answered 407.`,
        hint: "Check the proxy's address and rules, and put name and password into HTTP_PROXY if it wants them.",
      });
      const tunnel = await send(secure, env);
      assert.equal(tunnel.code, 75);
      assert.deepEqual(tunnel.outcome.error, {
        code: "CER_PROXY",
        message: `${secure} through the proxy 127.0.0.1:${squid.port}: the proxy answered 407 to CONNECT.`,
        hint: "Check the proxy's address and rules, and put name and password into HTTPS_PROXY if it wants them.",
      });
    });
  });

  test("and gets a wrong one: refused, and that one is shown nowhere either", async () => {
    await withSquid({ account: { ...ACCOUNT, password: "another" } }, async (squid) => {
      const proxy = `http://${WRITTEN}@127.0.0.1:${squid.port}`;
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
      const [open, tunnel] = [await send(plain, env, "--verbose"), await send(secure, env, "--verbose")];
      assert.deepEqual([open.outcome.error?.code, tunnel.outcome.error?.code], ["CER_PROXY", "CER_PROXY"]);
      assertNoSecret([open.stdout, open.stderr, tunnel.stdout, tunnel.stderr].join("\n"));
      assertNoSecret(await everythingBelow(place.journal));
    });
  });

  /** In no form: as typed, as written in the address, as sent. */
  function assertNoSecret(text: string): void {
    const secrets = [ACCOUNT.password, encodeURIComponent(ACCOUNT.password), WRITTEN, BASIC];
    assert.deepEqual(
      secrets.filter((secret) => text.includes(secret)),
      [],
    );
    assert.match(text, /localhost/);
  }
});

describe("a proxy in the way", () => {
  test("is down: the report waits, and the message names the proxy", async () => {
    const [port = 0] = await freePorts(1);
    const proxy = `http://${WRITTEN}@127.0.0.1:${port}`;
    for (const server of [plain, secure]) {
      const sent = await send(server, { HTTP_PROXY: proxy, HTTPS_PROXY: proxy });
      assert.deepEqual([sent.code, sent.outcome.journal?.state], [75, "pending"]);
      assert.deepEqual(sent.outcome.error, {
        code: "CER_UNREACHABLE",
        message: `${server} through the proxy 127.0.0.1:${port}: the connection was refused (ECONNREFUSED).`,
        hint: "Check the server's name and port, and that this machine may reach it.",
      });
    }
  });

  test("refuses by its rules, in the open and by CONNECT: the report waits for other rules", async () => {
    await withSquid({ rules: "http_access deny all" }, async (squid) => {
      const proxy = `http://127.0.0.1:${squid.port}`;
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
      const open = await send(plain, env);
      assert.deepEqual([open.code, open.outcome.journal?.state], [75, "pending"]);
      assert.deepEqual(open.outcome.error, {
        code: "CER_STATUS",
        message: `${plain}/stage2.htm answered 403 and did not take the report.`,
        hint: "Look at the server's log.",
      });
      const tunnel = await send(secure, env);
      assert.equal(tunnel.code, 75);
      assert.deepEqual(tunnel.outcome.error, {
        code: "CER_PROXY",
        message: `${secure} through the proxy 127.0.0.1:${squid.port}: the proxy answered 403 to CONNECT.`,
        hint: "Check the proxy's address and rules, and put name and password into HTTPS_PROXY if it wants them.",
      });
    });
  });

  test("cannot reach the server: the report waits", async () => {
    const [port = 0] = await freePorts(1);
    await withSquid({}, async (squid) => {
      const proxy = `http://127.0.0.1:${squid.port}`;
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
      const open = await send(`http://localhost:${port}`, env);
      assert.deepEqual([open.code, open.outcome.journal?.state], [75, "pending"]);
      assert.deepEqual(open.outcome.error, {
        code: "CER_STATUS",
        message: `http://localhost:${port}/stage2.htm answered 503 and did not take the report.`,
        hint: "The server has trouble. Try again later.",
      });
      const tunnel = await send(`https://localhost:${port}`, env);
      assert.deepEqual([tunnel.code, tunnel.outcome.journal?.state], [75, "pending"]);
      assert.equal(
        tunnel.outcome.error?.message,
        `https://localhost:${port} through the proxy 127.0.0.1:${squid.port}: the proxy answered 503 to CONNECT.`,
      );
    });
  });

  test("A6: has an address that is none: it is passed over, and a password in it is not repeated", async () => {
    for (const address of ["socks5://clerk:hushhush@proxy:1080", "http://clerk:hushhush@proxy:70000"]) {
      const run = await runCer(place, ["submit", "--event-type", "X", "--force", "--server", plain], {
        env: { HTTP_PROXY: address },
      });
      assert.equal(run.code, 0);
      assert.match(run.stderr, /^warning: The variable HTTP_PROXY holds .*; it is passed over\.$/m);
      assert.equal(run.stderr.includes("hushhush"), false);
    }
  });

  test("has a bare percent sign in its password, which is taken as it stands", async () => {
    await withSquid({ account: { name: "clerk", password: "100%" } }, async (squid) => {
      const sent = await send(plain, { HTTP_PROXY: `http://clerk:100%@127.0.0.1:${squid.port}` });
      assert.deepEqual([sent.code, sent.outcome.outcome, sent.outcome.error], [0, "uploaded", null]);
    });
  });
});
