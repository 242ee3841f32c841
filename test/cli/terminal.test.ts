import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { openTerminal } from "../../src/cli/terminal.ts";

function stream(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, write: (text: string) => written.push(text) };
}

function open(options: { out?: boolean; err?: boolean; env?: Record<string, string>; color?: boolean } = {}) {
  const stdout = stream(options.out ?? false);
  const stderr = stream(options.err ?? false);
  const stdin = Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream;
  const terminal = openTerminal({ stdout, stderr, stdin }, options.env ?? {}, options.color ?? true);
  return { terminal, stdout, stderr };
}

test("results go to standard output, talk to standard error, a line each", () => {
  const { terminal, stdout, stderr } = open();
  terminal.print("result");
  terminal.say("talk");
  assert.deepEqual([stdout.written, stderr.written], [["result\n"], ["talk\n"]]);
});

test("colour only on a terminal, unless the user, NO_COLOR or a dumb terminal says no", () => {
  const painted = (options: Parameters<typeof open>[0]) => open(options).terminal.paint("good", "x");
  assert.equal(painted({ out: true }), "\u001b[32mx\u001b[0m");
  assert.equal(painted({ out: true, env: { NO_COLOR: "", TERM: "xterm" } }), "\u001b[32mx\u001b[0m");
  assert.equal(open({ out: true }).terminal.paint("bad", "x"), "\u001b[31mx\u001b[0m");
  assert.equal(open({ out: true }).terminal.paint("dim", "x"), "\u001b[2mx\u001b[0m");
  assert.equal(painted({ out: false, err: true }), "x");
  assert.equal(painted({ out: true, color: false }), "x");
  assert.equal(painted({ out: true, env: { NO_COLOR: "1" } }), "x");
  assert.equal(painted({ out: true, env: { TERM: "dumb" } }), "x");
});

test("no progress bar where nobody watches, and none for a short upload", async () => {
  for (const [err, size] of [
    [false, 10_000_000],
    [true, 1000],
  ] as const) {
    const { terminal, stdout, stderr } = open({ err });
    const bar = await terminal.progress(size);
    bar.update(500);
    bar.stop();
    assert.deepEqual([stdout.written, stderr.written], [[], []]);
  }
});
