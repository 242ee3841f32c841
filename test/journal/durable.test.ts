/**
 * What a killed program cannot show and a power cut does: everything that is acknowledged was synced, the file before the
 * name, the name before the acknowledgement. The disk here keeps books of what was not.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Disk } from "../../src/journal/disk/disk.ts";
import { hastyDisk } from "../support/journal/samples.ts";
import { live, prepare } from "../support/journal/whole-life.ts";

/** Paths of files with unsynced bytes, and of names that their directories have not been synced with. */
type Books = { readonly files: Set<string>; readonly names: Set<string>; readonly faults: string[] };

function bookkeeping(disk: Disk, { files, names, faults }: Books): Disk {
  const carry = (paths: Set<string>, from: string, to: string) => {
    for (const path of [...paths])
      if (path.startsWith(`${from}/`)) {
        paths.delete(path);
        paths.add(to + path.slice(from.length));
      }
  };
  const holds = (paths: Set<string>, path: string) =>
    [...paths].some((one) => one === path || one.startsWith(`${path}/`));
  return {
    ...disk,
    makeDirectory: async (path) => {
      names.add(path);
      await disk.makeDirectory(path);
    },
    create: async (path) => {
      names.add(path);
      const file = await disk.create(path);
      return {
        ...file,
        write: async (bytes) => {
          files.add(path);
          await file.write(bytes);
        },
        sync: async () => {
          files.delete(path);
        },
      };
    },
    syncFile: async (path) => {
      files.delete(path);
    },
    syncDirectory: async (path) => {
      for (const name of [...names]) if (dirname(name) === path) names.delete(name);
    },
    rename: async (from, to) => {
      if (!from.includes("/turn/") && holds(files, from))
        faults.push(`${show(to)}: its bytes are not synced`);
      const isStep = /\/v1\/[a-z]+\/[^/]+$/.test(from);
      if (isStep && [...names].some((name) => name.startsWith(`${from}/`)))
        faults.push(`${show(to)}: its names are not synced`);
      await disk.rename(from, to);
      carry(files, from, to);
      carry(names, from, to);
      names.delete(from);
      names.add(to);
    },
    unlink: async (path) => {
      await disk.unlink(path);
      files.delete(path);
      names.delete(path);
    },
    removeDirectory: async (path) => {
      await disk.removeDirectory(path);
      names.delete(path);
    },
  };
}

/** The path below the version, digits of entries left out. */
function show(path: string): string {
  return path.replace(/^.*\/v1\//, "").replace(/[^/]*\.[0-9a-f]{16}\.[^/]*/, "ENTRY");
}

test("bytes are synced before their file is named, names before they are acknowledged", async () => {
  const directory = await mkdtemp(join(tmpdir(), "cer-durable-"));
  const books: Books = { files: new Set(), names: new Set(), faults: [] };
  const open: Record<string, string[]> = {};
  try {
    await prepare(directory);
    await live(directory, { disk: bookkeeping(hastyDisk(), books) }, (what) => {
      const isOurs = (path: string) => !/\/(owners|turn|repeats|set-aside)\//.test(path);
      open[what] = [...books.files, ...books.names].filter(isOurs).map(show);
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  assert.deepEqual(books.faults, []);
  assert.deepEqual(open, {
    past: [],
    kept: [],
    answered: [],
    packed: [],
    // A power cut brings back the name that tells of a payload, and pruning strips it again.
    delivered: ["done/ENTRY"],
    old: ["done/ENTRY"],
  });
});
