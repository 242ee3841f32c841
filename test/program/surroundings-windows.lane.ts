/**
 * The README's line for Windows installers as a batch file under Wine, in surroundings that are not what they should be:
 * the report arrives, or it is kept and a later flush sends it. The same for everything else is surroundings.lane.ts.
 */

import assert from "node:assert/strict";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { unpack } from "../support/archives/cabinet.ts";
import { PROGRAM } from "../support/run-cer.ts";
import { startScripted } from "../support/scripted-server.ts";
import { changed, LINES } from "../support/surroundings/readme-lines.ts";
import { openWine, type Wine } from "../support/wine.ts";

let wine: Wine;
/** C:\ on this side. */
let drive = "";

before(async () => {
  wine = await openWine();
  drive = join(wine.directory, "prefix", "drive_c");
});
after(() => wine.close());

const LOG_LINE = "FINAL ERROR 1603";
const WRITE_LOG = `echo ${LOG_LINE}>%TEMP%\\setup.log`;

type OnWindows = {
  readonly name: string;
  /** Lines of the batch file before the README's. */
  readonly lines?: readonly string[];
  /** Up when left out. */
  readonly server?: "none" | "down";
  /** Another program has the log open and shares it with nobody. */
  readonly isLocked?: boolean;
  /** What has to stand in a file of the archive. */
  readonly carries?: string;
};

const LIST: readonly OnWindows[] = [
  { name: "with its log", lines: [WRITE_LOG], carries: LOG_LINE },
  { name: "with its log, server down", lines: [WRITE_LOG], server: "down", carries: LOG_LINE },
  { name: "with its log, no server", lines: [WRITE_LOG], server: "none", carries: LOG_LINE },
  { name: "protocol G2: without its log" },
  { name: "without its log, no server", server: "none" },
  { name: "field A8: a log that another program has locked", isLocked: true },
  { name: "a log that is a folder", lines: ["mkdir %TEMP%\\setup.log"] },
  { name: "no TEMP", lines: ["set TEMP=", "set TMP="] },
  {
    name: "a TEMP that is not there, server down",
    lines: ["set TEMP=Q:\\no", "set TMP=Q:\\no"],
    server: "down",
  },
  {
    name: "none of the user's folders, no server",
    lines: ["APPDATA", "LOCALAPPDATA", "USERPROFILE", "HOMEDRIVE", "HOMEPATH"].map((name) => `set ${name}=`),
    server: "none",
  },
  {
    name: "a proxy as Windows writes it, server down",
    lines: ["set HTTP_PROXY=http=127.0.0.1:9;https=127.0.0.1:9", 'set "NO_PROXY=<local>"'],
    server: "down",
  },
];

/** A clock that is a day and two hours ahead: by then everything that waits is due. */
const LATER = `const Now = Date;
const later = () => Now.now() + 26 * 3600 * 1000;
globalThis.Date = class extends Now {
  constructor(...parts) {
    super(...(parts.length > 0 ? parts : [later()]));
  }
  static now() {
    return later();
  }
};
`;

/** Opens the log with UV_FS_O_EXLOCK and O_RDWR, and runs the hook meanwhile. */
const LOCKED = `const { openSync, writeFileSync } = require("node:fs");
writeFileSync("setup.log", "${LOG_LINE}");
openSync("setup.log", 0x10000002);
const { status } = require("node:child_process").spawnSync("cmd", ["/c", "hook.cmd"], { stdio: "inherit" });
process.exit(status);
`;

/** Runs these lines as `hook.cmd` in a folder of C:\, which has `cer.cmd` and is the one for what is temporary. */
async function runBatch(folder: string, lines: readonly string[], more: { server: string; start?: string }) {
  const cwd = join(drive, folder);
  const places = ["TEMP", "TMP"].map((name) => `set ${name}=C:\\${folder}`);
  const texts = {
    "hook.cmd": ["@echo off", ...places, ...lines],
    "cer.cmd": [`@"${wine.nodeExe}" "${wine.windowsPath(PROGRAM)}" %*`],
    "locked.cmd": [`@"${wine.nodeExe}" locked.cjs`],
    "locked.cjs": [LOCKED],
    "later.cjs": [LATER],
  };
  for (const [name, text] of Object.entries(texts))
    await writeFile(join(cwd, name), `${text.join("\r\n")}\r\n`);
  const env = { CER_SERVER: more.server, NODE_OPTIONS: "" };
  const { code, stdout, stderr } = await wine.run("cmd", ["/c", more.start ?? "hook.cmd"], {
    cwd,
    env,
    timeoutMs: 120_000,
  });
  return { code, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** What one of the list left behind is none of the next one's business. */
async function removeJournals(): Promise<void> {
  for (const user of await readdir(join(drive, "users")))
    await rm(join(drive, "users", user, "AppData", "Local", "cer"), { recursive: true, force: true });
}

LIST.forEach(({ name, lines = [], server: state, isLocked = false, carries }, index) => {
  test(name, async () => {
    const folder = `hook${index}`;
    await mkdir(join(drive, folder));
    const server = await startScripted();
    server.isDown = state === "down";
    try {
      const line = changed(LINES.setup, state === "down" ? { maxTime: 8 } : {});
      const start = isLocked ? "locked.cmd" : "hook.cmd";
      const address = state === "none" ? "" : server.url;
      const hook = await runBatch(folder, [...lines, line], { server: address, start });
      assert.deepEqual([hook.code, hook.stdout], [state === undefined ? 0 : 75, ""], hook.stderr);
      server.isDown = false;
      if (hook.code === 75) {
        const words = ["set NODE_OPTIONS=--require ./later.cjs", "cer flush --max-time 60"];
        const flush = await runBatch(folder, words, { server: server.url });
        assert.equal(flush.code, 0, flush.stdout + flush.stderr);
      }
      const reports = server.whole("POST").map(({ body }) => body.toString("utf16le"));
      assert.equal(reports.length, 1);
      assert.ok(reports[0]?.includes(`eventtype="${LINES.setup.eventType}"`));
      if (carries === undefined) return;
      const contents = await unpack(server.whole("PUT")[0]?.body ?? assert.fail("no archive arrived"));
      assert.ok(contents.some(([, bytes]) => bytes.includes(carries)));
    } finally {
      await server.close();
      await removeJournals();
    }
  });
});
