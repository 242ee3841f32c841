/** Consent "ask" at a real terminal, which tmux plays: what is shown, what each answer does, and how one leaves. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { unpack } from "../support/archives/cabinet.ts";
import { openPlace, PROGRAM } from "../support/run-cer.ts";
import { ok, startScripted } from "../support/scripted-server.ts";
import { asking } from "../support/submit.ts";

const place = await openPlace();
after(() => place.remove());
const { directory, home } = place;
for (const [name, bytes] of [
  ["a.log", 8000],
  ["b.log", 4],
  ["c.log", 5],
] as const)
  writeFileSync(join(directory, name), "x".repeat(bytes));
const files = ["a.log", "b.log"].map((name) => ({ path: join(directory, name) }));
writeFileSync(join(directory, "e.json"), JSON.stringify({ eventType: "Asked", files }));

function tmux(...args: readonly string[]): string {
  return execFileSync("tmux", ["-L", `cer-${process.pid}`, ...args], { encoding: "utf8" });
}

/** What is on the screen once it matches. */
async function screen(pattern: RegExp): Promise<string> {
  for (let tries = 0; tries < 300; tries++) {
    const shown = tmux("capture-pane", "-p", "-J", "-t", "cer");
    if (pattern.test(shown)) return shown;
    await sleep(100);
  }
  return assert.fail(`${pattern} is not on the screen:\n${tmux("capture-pane", "-p", "-J", "-t", "cer")}`);
}

/** The whole of one conversation: each answer is typed once the next question is there. */
async function converse(keys: readonly string[]) {
  const journal = mkdtempSync(join(directory, "journal-"));
  const server = await startScripted([ok(asking(`GetFile=${join(directory, "c.log")};/etc/shadow`)), ok()]);
  const env = `env HOME=${home} CER_JOURNAL=${journal}`;
  const run = `${process.execPath} ${PROGRAM} submit e.json --server ${server.url} --consent ask`;
  const size = ["-x", "200", "-y", "50"];
  tmux("new-session", "-d", "-s", "cer", ...size, "-c", directory, `${env} ${run}; echo EXIT=$?; sleep 60`);
  try {
    for (const [asked, key] of keys.entries()) {
      await screen(new RegExp(`(?:Send it\\?[^]*){${asked + 1}}`));
      tmux("send-keys", "-t", "cer", ...(key.startsWith("C-") ? [key] : [key, "Enter"]));
    }
    const shown = await screen(/EXIT=\d+/);
    const put = server.requests.find(({ method }) => method === "PUT");
    const sent = put === undefined ? null : (await unpack(put.body)).map(([name]) => name);
    return {
      shown,
      sent,
      exit: /EXIT=(\d+)/.exec(shown)?.[1],
      methods: server.requests.map(({ method }) => method),
    };
  } finally {
    tmux("kill-session", "-t", "cer");
    await server.close();
  }
}

test("the plan is shown with sizes before the first question; only what was agreed to is sent", async () => {
  const { shown, sent, exit } = await converse(["y", "n", "yes"]);
  for (const line of [
    "ask   File a.log (7.8 KiB)",
    "ask   File b.log (4 bytes)",
    `ask   GetFile ${directory}/c.log (5 bytes)`,
    "keep  GetFile /etc/shadow: account databases are not sent unless the policy allows this very file by name",
    "Not sent: File b.log: the user did not agree",
  ])
    assert.ok(shown.includes(line), `${line}\n--\n${shown}`);
  assert.deepEqual([sent, exit], [["report.xml", "a.log", "c.log", "manifest.json"], "0"]);
});

test("all and none answer for the rest, and so does Ctrl-D, which is no", async () => {
  const { sent: all } = await converse(["n", "all"]);
  assert.deepEqual(all, ["report.xml", "b.log", "c.log", "manifest.json"]);
  const { sent: some } = await converse(["y", "none"]);
  assert.deepEqual(some, ["report.xml", "a.log", "manifest.json"]);
  const { sent: one, exit } = await converse(["y", "C-d"]);
  assert.deepEqual([one, exit], [["report.xml", "a.log", "manifest.json"], "0"]);
  const { methods } = await converse(["maybe", "", "o"]);
  assert.deepEqual(methods, ["POST"]);
});

test("Ctrl-C sends nothing more, whatever was agreed to, and keeps the report", async () => {
  const { shown, methods, exit } = await converse(["y", "C-c"]);
  assert.deepEqual([methods, exit], [["POST"], "130"]);
  assert.match(shown, /Not delivered yet: Stopped by SIGINT\./);
});
