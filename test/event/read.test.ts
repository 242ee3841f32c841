import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Context } from "../../src/context.ts";
import { CerError, Leniency } from "../../src/errors.ts";
import type { EventFlags } from "../../src/event/flags.ts";
import { makeReport } from "../../src/event/read.ts";
import { MAX_EVENT_SIZE } from "../../src/event/source.ts";
import { withContext } from "../support/context.ts";
import { NO_FLAGS } from "../support/events.ts";
import { complaintOf } from "../support/thrown-error.ts";

const NONE: EventFlags = { ...NO_FLAGS, lcid: "1033", machineName: "m", user: "u" };

type Asked = { event?: string; flags?: Partial<EventFlags>; isStrict?: boolean; signal?: AbortSignal };

/** The event that is made, and what is told. */
async function make(context: Context, { event, flags, isStrict = false, signal }: Asked) {
  const leniency = new Leniency({ isStrict });
  const named = { event: event ?? null, flags: { ...NONE, ...flags } };
  const made = await makeReport(named, context, leniency, signal ?? context.signal);
  return { event: made.event, level1: made.level1, warnings: leniency.warnings };
}

const TYPED = { eventType: "Typed" };

test("A8, G2: an attached file that cannot be read is told, and the report goes without it; --strict refuses it", () =>
  withContext(async ({ context, directory }) => {
    await mkdir(join(directory, "folder"));
    execFileSync("mkfifo", [join(directory, "pipe")]);
    const cases: [path: string, complaint: string][] = [
      ["no.log", `The attached file ${directory}/no.log does not exist.`],
      ["no/such/no.log", `The attached file ${directory}/no/such/no.log does not exist.`],
      ["folder", `The attached file ${directory}/folder is a directory.`],
      ["pipe", `The attached file ${directory}/pipe is not a regular file.`],
      ["/dev/zero", "The attached file /dev/zero is not a regular file."],
      ["%TEMP%\\setup.log", `The attached file ${directory}/%TEMP%\\setup.log does not exist.`],
      [
        "setup*.log",
        `The attached file ${directory}/setup*.log does not exist; it looks like a pattern that no shell has expanded.`,
      ],
      ["", "An attached file has no name."],
    ];
    for (const [path, complaint] of cases) {
      const flags = { ...TYPED, files: [path] };
      const { event, warnings } = await make(context, { flags });
      assert.deepEqual(warnings, [`${complaint} The report goes without it.`]);
      assert.equal(event.files.length, 1);
      const refused = await complaintOf(() => make(context, { flags, isStrict: true }));
      assert.deepEqual([refused.code, refused.message], ["CER_FILE", complaint]);
    }
  }));

test("one file that is missing keeps no other from being attached", () =>
  withContext(async ({ context, directory }) => {
    await writeFile(join(directory, "good.log"), "good");
    const { event, warnings } = await make(context, { flags: { ...TYPED, files: ["good.log", "bad.log"] } });
    assert.deepEqual(
      event.files.map(({ name }) => name),
      ["good.log", "bad.log"],
    );
    assert.equal(warnings.length, 1);
  }));

test("an attached file whose name is not UTF-8 is found by the folder's own bytes", () =>
  withContext(async ({ context, directory }) => {
    const folder = Buffer.concat([Buffer.from(`${directory}/d`), Buffer.of(0xe9)]);
    await mkdir(folder);
    await writeFile(Buffer.concat([folder, Buffer.from("/caf"), Buffer.of(0xe9), Buffer.from(".log")]), "x");
    const { warnings } = await make(context, { flags: { ...TYPED, files: ["d\ufffd/caf\ufffd.log"] } });
    assert.deepEqual(warnings, []);
    const other = await make(context, { flags: { ...TYPED, files: ["d\ufffd/tee\ufffd.log"] } });
    assert.equal(other.warnings.length, 1);
  }));

test("an event file that cannot be used does not matter where the flags say what happened", () =>
  withContext(async ({ context, directory }) => {
    await writeFile(join(directory, "broken.json"), "{");
    await mkdir(join(directory, "folder.json"));
    for (const [event, complaint] of [
      ["broken.json", "broken.json is not JSON: close brace expected at line 1, column 2."],
      ["none.json", "The event file none.json does not exist."],
      ["folder.json", "The event file folder.json is a directory."],
      ["-", "standard input is not JSON: it is empty."],
    ] as const) {
      const made = await make(context, { event, flags: TYPED });
      assert.equal(made.event.eventType, "Typed");
      assert.deepEqual(made.warnings, [`${complaint} The report is made of the command line alone.`]);
      for (const asked of [{ event }, { event, flags: TYPED, isStrict: true }])
        assert.equal((await complaintOf(() => make(context, asked))).message, complaint);
    }
  }));

test("an event that says nothing of its type is refused, flags or not", () =>
  withContext(async ({ context, directory }) => {
    await writeFile(join(directory, "e.json"), '{"eventTyp":"E"}');
    const complaint = await complaintOf(() => make(context, { event: "e.json" }));
    assert.deepEqual(
      [complaint.code, complaint.message],
      ["CER_EVENT_INVALID", "The event has no eventType."],
    );
  }));

/** A limit as --max-time sets it, already near its end. */
function timeUp(milliseconds: number): AbortSignal {
  const limit = new AbortController();
  setTimeout(() => limit.abort(new CerError("CER_TIMEOUT", "over")), milliseconds);
  return limit.signal;
}

test("hostile 18: a pipe without a writer ends with the time, and the flags are enough", () =>
  withContext(async ({ context, directory }) => {
    execFileSync("mkfifo", [join(directory, "pipe")]);
    const complaint = "The event file pipe had not come to its end when the time was over.";
    const made = await make(context, { event: "pipe", flags: TYPED, signal: timeUp(50) });
    assert.deepEqual(made.warnings, [`${complaint} The report is made of the command line alone.`]);
    const refused = await complaintOf(() => make(context, { event: "pipe", signal: timeUp(50) }));
    assert.deepEqual([refused.code, refused.message], ["CER_FILE", complaint]);
  }));

test("hostile 18: a signal ends the reading of a pipe, whatever the flags say", () =>
  withContext(async ({ context, directory, stop }) => {
    execFileSync("mkfifo", [join(directory, "pipe")]);
    setTimeout(() => stop.abort(new CerError("CER_INTERRUPTED", "Stopped by SIGTERM.")), 50);
    const { code } = await complaintOf(() => make(context, { event: "pipe", flags: TYPED }));
    assert.equal(code, "CER_INTERRUPTED");
  }));

test("a pipe is read to its end, also when its writer comes later", () =>
  withContext(async ({ context, directory }) => {
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    const script = `sleep 0.2; exec >"$0"; printf '{"eventType":'; sleep 0.2; printf '"Late"}'`;
    const closed = once(spawn("sh", ["-c", script, path]), "close");
    const { event } = await make(context, { event: "pipe" });
    assert.equal(event.eventType, "Late");
    await closed;
  }));

test("hostile 18: what never ends is refused at the bound", () =>
  withContext(async ({ context }) => {
    assert.deepEqual(await complaintOf(() => make(context, { event: "/dev/zero" })), {
      code: "CER_FILE",
      message: `The event is longer than ${MAX_EVENT_SIZE} bytes, the bound.`,
      hint: "What is so long belongs into an attached file (--file).",
    });
    const stdin = { ...context, readStdin: async (limit: number) => Buffer.alloc(limit + 1) };
    assert.equal((await complaintOf(() => make(stdin, { event: "-" }))).code, "CER_FILE");
  }));

test("characters that XML cannot carry are replaced and told; --strict refuses them", () =>
  withContext(async ({ context }) => {
    const flags = { ...TYPED, eventDescription: "a\u0001b" };
    const { warnings, level1 } = await make(context, { flags });
    assert.deepEqual(warnings, [
      "The event holds 1 characters that XML cannot carry. They were replaced by U+FFFD.",
    ]);
    assert.ok(level1.toString("utf16le").includes("a\ufffdb"));
    assert.equal(
      (await complaintOf(() => make(context, { flags, isStrict: true }))).code,
      "CER_EVENT_INVALID",
    );
  }));
