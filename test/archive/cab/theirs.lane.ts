/** We read what programs that are not ours write. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { openSource } from "../../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../../src/archive/cab/read/tables.ts";
import { contentsOf, makeFolder } from "../../support/archives/cabinet.ts";
import { ENVIRONMENT } from "../../support/archives/foreign-readers.ts";
import { dumpBytes, logText, randomBytes } from "../../support/archives/inputs.ts";
import { sha256 } from "../../support/bytes.ts";
import { runForeign } from "../../support/foreign-program.ts";
import { WINE_LOADER } from "../../support/wine.ts";

const contents: [string, Buffer][] = [
  ["log.txt", logText(1_000_001, 1)],
  ["random.bin", randomBytes(200_000, 2)],
  ["dump.dmp", dumpBytes(2_000_000, 3)],
  ["zeros", Buffer.alloc(100_000)],
  ["empty", Buffer.alloc(0)],
  ["one", Buffer.from("1")],
];
const names = contents.map(([name]) => name);

/** The command that makes `it.cab` of `names` in the folder it runs in. */
const commands: Record<string, { command: string[]; compression: string }> = {
  "gcab, MSZIP": { command: ["gcab", "-c", "-z", "it.cab", ...names], compression: "mszip" },
  "gcab, stored": { command: ["gcab", "-c", "it.cab", ...names], compression: "none" },
  "Wine's cabarc, MSZIP": {
    command: [WINE_LOADER, "cabarc.exe", "-m", "mszip", "N", "it.cab", ...names],
    compression: "mszip",
  },
  "Wine's cabarc, stored": {
    command: [WINE_LOADER, "cabarc.exe", "-m", "none", "N", "it.cab", ...names],
    compression: "none",
  },
};

for (const [title, { command, compression }] of Object.entries(commands)) {
  test(`what ${title} writes is read`, async (t) => {
    const folder = await makeFolder(t);
    for (const [name, body] of contents) await writeFile(join(folder, name), body);
    const [program = "", ...args] = command;
    await runForeign(program, args, { cwd: folder, env: ENVIRONMENT });
    const source = await openSource(join(folder, "it.cab"));
    const cabinet = await readCabinet(source);
    assert.deepEqual(cabinet.warnings, []);
    assert.ok(cabinet.folders.every((each) => each.compression === compression));
    const found = new Map((await contentsOf(source, cabinet)).map(([name, body]) => [name, sha256(body)]));
    await source.close();
    assert.deepEqual(found, new Map(contents.map(([name, body]) => [name, sha256(body)])));
  });
}

test("names in folders and in Unicode, as gcab writes them, are read", async (t) => {
  const folder = await makeFolder(t);
  const given = ["sub/deep/a.txt", "größe.txt", "日本.txt"];
  for (const name of given) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), name);
  }
  await runForeign("gcab", ["-c", "-z", "it.cab", ...given], { cwd: folder, env: ENVIRONMENT });
  const source = await openSource(join(folder, "it.cab"));
  const found = await contentsOf(source, await readCabinet(source));
  await source.close();
  assert.deepEqual(
    found.map(([name, body]) => [name.replaceAll("\\", "/"), body.toString()]).sort(),
    given.map((name) => [name, name]).sort(),
  );
});
