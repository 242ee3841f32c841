import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readlink, stat } from "node:fs/promises";
import { test } from "node:test";
import { Spool } from "../../../src/archive/entries/spool.ts";
import { makeFolder } from "../../support/archives/cabinet.ts";
import { readAll } from "../../support/bytes.ts";

const chunk = (size: number, fill: number): Buffer => Buffer.alloc(size, fill);

/** What this process has open below `folder`, as Linux tells it. */
async function openFilesIn(folder: string): Promise<string[]> {
  const links = await readdir("/proc/self/fd");
  const targets = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return targets.filter((target) => target.startsWith(folder));
}

test("what is appended is read back, in memory and in a file, as often as wanted", async (t) => {
  const folder = await makeFolder(t);
  for (const limit of [10_000_000, 1_000_000, 300_000, 0]) {
    const spool = new Spool(folder, limit);
    const pieces = [chunk(300_000, 1), chunk(1, 2), chunk(0, 3), chunk(900_001, 4)];
    for (const piece of pieces) await spool.append(piece);
    const whole = Buffer.concat(pieces);
    assert.equal(spool.size, whole.length);
    const [first, second] = await Promise.all([readAll(spool.read()), readAll(spool.read())]);
    assert.ok(first.equals(whole) && second.equals(whole), `limit ${limit}`);
    await spool.dispose();
  }
});

test("a chunk may be reused as soon as it is appended", async (t) => {
  const spool = new Spool(await makeFolder(t), 2);
  const reused = Buffer.from("ab");
  for (const text of ["ab", "cd", "ef"]) {
    reused.write(text);
    await spool.append(reused);
  }
  assert.equal((await readAll(spool.read())).toString(), "abcdef");
  await spool.dispose();
});

test("the file has no name from the start, and is closed by disposing, once or twice", async (t) => {
  const folder = await makeFolder(t);
  const spool = new Spool(folder, 10);
  await spool.append(chunk(10, 1));
  assert.deepEqual(await openFilesIn(folder), []);
  await spool.append(chunk(1, 1));
  assert.deepEqual(await readdir(folder), []);
  const [open] = await openFilesIn(folder);
  assert.match(open ?? "", /\/cab-[0-9a-f]{24}\.tmp \(deleted\)$/);
  await Promise.all([spool.dispose(), spool.dispose()]);
  await spool.dispose();
  assert.deepEqual(await openFilesIn(folder), []);
});

test("disposing while it is read ends the reading with an error and still closes the file", async (t) => {
  const folder = await makeFolder(t);
  const spool = new Spool(folder, 0);
  await spool.append(chunk(2_000_000, 7));
  const reading = spool.read();
  await reading.next();
  const pending = reading.next();
  await spool.dispose();
  await assert.rejects(
    async () => {
      await pending;
      await reading.next();
    },
    { code: "CAB_WRITE_FAILED", message: "the archive was disposed of while it was in use" },
  );
  assert.deepEqual(await openFilesIn(folder), []);
});

test("a folder that is not there is a clear error, not before it is needed", async () => {
  const spool = new Spool("/nowhere/at/all", 4);
  await spool.append(Buffer.from("abcd"));
  await assert.rejects(spool.append(Buffer.from("e")), {
    code: "CAB_WRITE_FAILED",
    message:
      /^cannot write the temporary file in \/nowhere\/at\/all: ENOENT: no such file or directory, open /,
  });
  await spool.dispose();
});

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  test(`${signal} while the file is in use leaves nothing behind`, async (t) => {
    const folder = await makeFolder(t);
    const script = `
      import { Spool } from ${JSON.stringify(new URL("../../../src/archive/entries/spool.ts", import.meta.url).href)};
      const spool = new Spool(${JSON.stringify(folder)}, 0);
      spool.append(Buffer.alloc(1000)).then(() => process.stdout.write("spooled"));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill(signal);
    await once(child, "close");
    assert.equal(child.signalCode, signal);
    assert.deepEqual(await readdir(folder), []);
    assert.equal((await stat(folder)).isDirectory(), true);
  });
}
