/** A process that may open few files: what an installer with a leak, or a limit of its own, leaves to its hook. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openSource } from "../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../src/archive/cab/read/tables.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { filesBelow } from "../support/files.ts";
import { inPlace, runCer, startServe } from "../support/run-cer.ts";

/** Node alone takes some eighteen of them, and ends with a segmentation fault when it has fewer. */
const DESCRIPTORS = 24;

test("hostile 6: a whole submit with 24 descriptors: three attached files, a journal, both levels", () =>
  inPlace(async (place) => {
    const node = join(place.directory, "node");
    const script = `#!/bin/sh\nulimit -n ${DESCRIPTORS}\nexec '${process.execPath}' "$@"\n`;
    await writeFile(node, script, { mode: 0o755 });
    const names = ["setup.log", "install.log", "mini.dmp"];
    for (const name of names) await writeFile(join(place.directory, name), Buffer.alloc(100_000, name));
    // What the server asks for is loaded only then, while the connection and the journal are open.
    const version = `GetFileVersion=${join(place.directory, "mini.dmp")}`;
    const asked = [version, "RegKey=HKLM\\Software", "WQL=SELECT Name FROM Win32_Processor"];
    const server = await startServe(
      place,
      "received",
      asked.flatMap((request) => ["--request", request]),
    );
    try {
      const attached = ["--file", "setup.log", "--file", "install.log", "--minidump", "mini.dmp"];
      const args = ["submit", "--event-type", "X", "--server", server.url, "--consent", "all", "--json"];
      const { code, stdout, stderr } = await runCer(place, [...args, ...attached], { node });
      assert.equal(code, 0, stderr);
      const { outcome, journal } = JSON.parse(stdout) as Outcome;
      assert.deepEqual([outcome, journal?.state], ["uploaded", "done"]);
      assert.deepEqual(server.exchanges(), ["report", "archive"]);
      const [cabinet = ""] = (await filesBelow(server.directory)).filter((path) => path.endsWith(".cab"));
      const source = await openSource(cabinet);
      const { files } = await readCabinet(source).finally(() => source.close());
      const sizes = new Map(files.map(({ name, size }) => [name, size]));
      assert.deepEqual(
        names.map((name) => sizes.get(name)),
        names.map(() => 100_000),
      );
    } finally {
      await server.stop();
    }
  }));
