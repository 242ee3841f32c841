/** Disks that are small, full or read-only, mounted for the purpose; needs root. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { sha256 } from "../support/bytes.ts";
import { type Ended, inPlace, refugeOf } from "../support/run-cer.ts";
import { answer, type Script, type ScriptedServer, startScripted } from "../support/scripted-server.ts";
import { bundleProgram, type Program } from "../support/steps/stepped-program.ts";

let program: Program;
before(async () => {
  program = await bundleProgram();
});
after(() => program.remove());

type Cer = (args: readonly string[]) => Promise<Ended>;

/** A journal on a disk of this size. */
async function onDisk(
  size: string,
  play: (cer: Cer, server: ScriptedServer, remount: (options: string) => void) => Promise<void>,
  script?: Script,
): Promise<void> {
  const server = await startScripted(script);
  try {
    await inPlace(async (place) => {
      const { directory } = place;
      const path = join(directory, "disk");
      await mkdir(path, { mode: 0o700 });
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=700`, "tmpfs", path]);
      try {
        // Noise: its archive is as large as itself.
        await writeFile(join(directory, "setup.log"), randomBytes(60_000).toString("base64"));
        const env = { CER_JOURNAL: join(path, "journal"), CER_SERVER: server.url };
        const cer: Cer = (args) => program.run(place, args, { env });
        const remount = (options: string) => void execFileSync("mount", ["-o", `remount,${options}`, path]);
        await play(cer, server, remount);
      } finally {
        execFileSync("umount", [path]);
        await rm(refugeOf(join(path, "journal")), { recursive: true, force: true });
      }
    });
  } finally {
    await server.close();
  }
}

const SUBMIT = [
  "submit",
  "--event-type",
  "X",
  "-p",
  "1",
  "--file",
  "setup.log",
  "--consent",
  "all",
  "--json",
];

function assertUploaded({ stdout, stderr, code }: Ended): Outcome {
  assert.equal(code, 0, stderr);
  const outcome = JSON.parse(stdout) as Outcome;
  assert.equal(outcome.outcome, "uploaded", stderr);
  return outcome;
}

function methodsOf(server: ScriptedServer): string[] {
  return server.requests.map(({ method, complete }) => (complete ? method : `part of ${method}`));
}

test("a full disk: kept in a refuge, with a warning, and sent, exit code 0", () =>
  onDisk("64k", async (cer, server) => {
    const { warnings, journal } = assertUploaded(await cer(SUBMIT));
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0] ?? "",
      /^It is kept in \/var\/tmp\/cer-journal-0-[0-9a-f]{12}, because: The journal cannot be written to: the disk is full \(ENOSPC\)\.$/,
    );
    assert.equal(journal?.state, "done");
    assert.deepEqual(methodsOf(server), ["POST", "PUT"]);
    assert.equal((await cer(["flush"])).stdout, "Nothing waits.\n");
  }));

test("a disk that becomes full by the archive: sent, with a warning, and the receipt is kept", () =>
  onDisk("150k", async (cer, server) => {
    const { warnings, journal } = assertUploaded(await cer(SUBMIT));
    assert.deepEqual(warnings, [
      "From here on this report is not protected against loss: The journal cannot be written to: the disk is full (ENOSPC).",
    ]);
    assert.equal(journal?.state, "done");
    assert.deepEqual(methodsOf(server), ["POST", "PUT"]);
    const shown = JSON.parse((await cer(["queue", "show", journal.id, "--json"])).stdout) as {
      receipt: { archive: { sha256: string } };
    };
    assert.equal(shown.receipt.archive.sha256, sha256(server.whole("PUT")[0]?.body ?? Buffer.alloc(0)));
    assert.equal((await cer(["flush"])).stdout, "Nothing waits.\n");
  }));

test("a disk that is full when level 2 fails: the report waits, level 1 is not sent again", () => {
  let isBusy = true;
  const script: Script = (method) => (isBusy && method === "PUT" ? answer(503) : null);
  return onDisk(
    "150k",
    async (cer, server) => {
      const kept = await cer([...SUBMIT, "--retries", "0"]);
      assert.equal(kept.code, 75, kept.stderr);
      assert.equal((JSON.parse(kept.stdout) as Outcome).journal?.state, "pending");
      isBusy = false;
      await cer(["queue", "retry", "2"]);
      const flushed = await cer(["flush", "--json"]);
      assert.equal(flushed.code, 0, flushed.stderr);
      assert.deepEqual(methodsOf(server), ["POST", "PUT", "PUT"]);
    },
    script,
  );
});

test("a read-only journal: kept in a refuge and sent; what waits there is sent when it can be written to again", () =>
  onDisk("2m", async (cer, server, remount) => {
    server.isDown = true;
    assert.equal((await cer([...SUBMIT, "--retries", "0"])).code, 75);
    server.isDown = false;
    await cer(["queue", "retry", "2"]);
    remount("ro");
    const { warnings } = assertUploaded(await cer([...SUBMIT, "--force"]));
    assert.match(
      warnings.at(-1) ?? "",
      /^It is kept in .*, because: .*the file system is read-only \(EROFS\)\.$/,
    );
    const flushed = await cer(["flush"]);
    assert.deepEqual([flushed.code, flushed.stdout], [75, "Nothing could be sent; 1 waiting.\n"]);
    assert.match(
      flushed.stderr,
      /^warning: Report [0-9a-z-]+ cannot be taken\. The journal cannot be written to: the file system is read-only \(EROFS\)\.$/m,
    );
    remount("rw");
    assert.equal((await cer(["flush"])).code, 0);
    assert.deepEqual(methodsOf(server), ["POST", "PUT", "POST", "PUT"]);
  }));

test("hostile 6: a user without a home: kept in a refuge, with a warning, and sent, exit code 0", async () => {
  const server = await startScripted();
  const args = ["submit", "--server", server.url, "--event-type", "X", "--no-level2", "--json"];
  const env = { HOME: "", TMPDIR: undefined, CER_JOURNAL: undefined };
  const { code, stdout, stderr } = await inPlace((place) =>
    program.run(place, args, { cwd: "/", uid: 65_534, env }),
  );
  await server.close();
  assert.equal(code, 0, stderr);
  const { outcome, warnings } = JSON.parse(stdout) as Outcome;
  assert.deepEqual(
    [outcome, warnings],
    ["reported", ["It is kept in /var/tmp/cer-journal-65534, because: There is no place for a journal."]],
  );
  assert.equal(server.whole("POST").length, 1);
  await rm("/var/tmp/cer-journal-65534", { recursive: true });
});
