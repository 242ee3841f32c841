import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  isAlive,
  LEASE,
  type Owner,
  openOwners,
  type Processes,
  parseProcessStart,
} from "../../../src/journal/disk/owner.ts";
import { mustOpen, sampleDeps } from "../../support/journal/samples.ts";

const SELF: Owner = {
  pid: 100,
  started: "5000",
  hostName: "host",
  machine: "machine-1",
  boot: "boot-1",
  space: "pid:[1]",
};

/** Process 100 and 200 run, 200 since tick 7000. */
function processes(self: Owner = SELF): Processes {
  const starts = new Map([
    [100, "5000"],
    [200, "7000"],
  ]);
  return { self, startOf: async (pid) => starts.get(pid) ?? null, isRunning: (pid) => starts.has(pid) };
}

test("an owner lives as long as its process, and dies at once with it", async () => {
  const verdict = (change: Partial<Owner>, silence = 0) =>
    isAlive({ ...SELF, ...change }, async () => silence, processes());
  assert.equal(await verdict({ pid: 200, started: "7000" }), true);
  assert.equal(await verdict({ pid: 200, started: "7000" }, 99 * LEASE), true, "stopped, not dead");
  assert.equal(await verdict({ pid: 300, started: "7000" }), false, "no such process");
  assert.equal(await verdict({ pid: 200, started: "6999" }), false, "its number is used again");
  assert.equal(
    await verdict({ pid: 200, started: "7000", boot: "boot-0" }),
    false,
    "the machine was restarted",
  );
});

test("where its process cannot be looked at, the heartbeat decides, by a clock that may go back", async () => {
  const elsewhere: Record<string, Partial<Owner>> = {
    "another host on a shared home": { hostName: "other", machine: "machine-2", boot: "boot-2", pid: 300 },
    "another host with the same image": { hostName: "other", pid: 300 },
    "a container of its own": { space: "pid:[2]", pid: 300 },
    "a machine without an id, restarted or not": { machine: null, boot: "boot-2", pid: 300 },
  };
  for (const [name, change] of Object.entries(elsewhere)) {
    const verdict = (silence: number) => isAlive({ ...SELF, ...change }, async () => silence, processes());
    assert.deepEqual(
      await Promise.all([0, LEASE, LEASE + 1, -LEASE, -LEASE - 1].map(verdict)),
      [true, true, false, true, false],
      name,
    );
  }
});

test("where a process's start is not told, both its number and its heartbeat have to hold", async () => {
  const bare = { started: null, machine: null, boot: null, space: null };
  const verdict = (pid: number, silence: number) =>
    isAlive({ ...SELF, ...bare, pid }, async () => silence, processes({ ...SELF, ...bare }));
  assert.deepEqual(
    [await verdict(200, 0), await verdict(200, LEASE + 1), await verdict(300, 0)],
    [true, false, false],
  );
});

test("the start of a process is found behind a name with brackets and blanks", () => {
  const fields = Array.from({ length: 50 }, (_, index) => `${index + 3}`).join(" ");
  assert.equal(parseProcessStart(`77 (a) b) ${fields}`), "22");
  assert.equal(parseProcessStart(""), null);
});

const directory = await mkdtemp(join(tmpdir(), "cer-owner-"));
after(() => rm(directory, { recursive: true, force: true }));

test("a real process: alive, then killed, then a number used again", async () => {
  const deps = await sampleDeps();
  await mustOpen(directory, deps);
  const child = spawn("sleep", ["60"]);
  const pid = child.pid ?? 0;
  const { processes } = deps;
  const started = await processes.startOf(pid);
  const one = openOwners(deps.disk, join(directory, "v1/owners"), {
    ...processes,
    self: { ...processes.self, pid, started },
  });
  const reused = openOwners(deps.disk, join(directory, "v1/owners"), {
    ...processes,
    self: { ...processes.self, pid, started: "1" },
  });
  const two = openOwners(deps.disk, join(directory, "v1/owners"), processes);
  await Promise.all([one.enter(), reused.enter(), two.enter()]);
  assert.deepEqual([await two.isAlive(one.token), await two.isAlive(reused.token)], [true, false]);
  assert.deepEqual([await two.isAlive(two.token), await one.isAlive(two.token)], [true, true]);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(await two.isAlive(one.token), false);
  await Promise.all([one.leave(), reused.leave(), two.leave()]);
  assert.equal(await two.isAlive(one.token), false, "one that has left holds nothing");
  assert.deepEqual(await readdir(join(directory, "v1/owners")), []);
});

test("a record that is torn lives as long as its last heartbeat", async () => {
  const deps = await sampleDeps();
  await mustOpen(directory, deps);
  const owners = openOwners(deps.disk, join(directory, "v1/owners"), deps.processes);
  const path = join(directory, "v1/owners/0123456789ab.json");
  await writeFile(path, '{"pid": 1');
  assert.equal(await owners.isAlive("0123456789ab"), true);
  const old = (Date.now() - 2 * LEASE) / 1000;
  await utimes(path, old, old);
  assert.equal(await owners.isAlive("0123456789ab"), false);
  await owners.leave();
});
