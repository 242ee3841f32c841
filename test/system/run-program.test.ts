import assert from "node:assert/strict";
import { test } from "node:test";
import { runProgram, windowsProgram } from "../../src/system/run-program.ts";

const LIMITS = { timeoutMs: 10_000, maxBytes: 1000, signal: new AbortController().signal };
const script = (text: string) => ["-e", text];

test("a program's output and verdict are given back", async () => {
  const text =
    "process.stdout.write(process.argv[1] + process.env.X); process.stderr.write('e'); process.exitCode = 3";
  const result = await runProgram(process.execPath, [...script(text), '$(id) `x` ; & | "q"'], LIMITS, {
    X: "!",
  });
  assert.deepEqual(result, {
    end: "exited",
    exitCode: 3,
    stdout: Buffer.from('$(id) `x` ; & | "q"!'),
    stderr: Buffer.from("e"),
  });
});

test("a program that prints too much is ended, and its first bytes are kept", async () => {
  const result = await runProgram("/usr/bin/yes", ["0123456"], LIMITS);
  assert.deepEqual([result.end, result.exitCode, result.stdout.length], ["too much", null, 1000]);
  assert.equal(result.stdout.subarray(0, 8).toString(), "0123456\n");
});

test("a program that never ends is ended after its time, also when its child holds the pipe", async () => {
  const started = performance.now();
  const alone = await runProgram("/bin/sleep", ["60"], { ...LIMITS, timeoutMs: 100 });
  const withChild = await runProgram("/bin/sh", ["-c", "sleep 40 & exec sleep 60"], {
    ...LIMITS,
    timeoutMs: 100,
  });
  assert.deepEqual([alone.end, withChild.end], ["timeout", "timeout"]);
  assert.ok(performance.now() - started < 20_000, `${performance.now() - started} ms`);
});

test("the caller's signal ends a program, and one already given starts none", async () => {
  const stop = new AbortController();
  const running = runProgram("/bin/sleep", ["60"], { ...LIMITS, signal: stop.signal });
  stop.abort();
  assert.equal((await running).end, "aborted");
  const none = await runProgram("/bin/sleep", ["60"], { ...LIMITS, signal: AbortSignal.abort() });
  assert.deepEqual(none, {
    end: "aborted",
    exitCode: null,
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
  });
});

test("a program that is not there, or that cannot be given such arguments, is no exception", async () => {
  const none = { end: "not started", exitCode: null, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  assert.deepEqual(await runProgram("/nowhere/program", [], LIMITS), none);
  assert.deepEqual(await runProgram("/bin/echo", ["a\0b"], LIMITS), none);
});

test("Windows' programs are named in full, whatever the environment says", () => {
  assert.equal(windowsProgram({ SystemRoot: "D:\\Win" }, "reg.exe"), "D:\\Win\\System32\\reg.exe");
  assert.equal(
    windowsProgram({ SYSTEMROOT: "C:\\windows\\" }, "wbem\\wmic.exe"),
    "C:\\windows\\System32\\wbem\\wmic.exe",
  );
  for (const SystemRoot of ["", ".", "\\\\evil\\share", undefined])
    assert.equal(windowsProgram({ SystemRoot }, "reg.exe"), "C:\\Windows\\System32\\reg.exe");
});
