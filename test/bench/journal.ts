/** The journal with many entries: what every run does with all of them, beside Node reading their names. */

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildModule } from "../support/build-module.ts";
import { type Figures, formatFigures, runCommand } from "./command.ts";

const ENTRIES = 10_000;

/** One operation: its best times of several, and the resident memory after it. */
export type Measured = Figures & { readonly what: string };

export async function measure(print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "cer-bench-journal-"));
  try {
    await mkdir(join(folder, "driver"));
    const source = join(import.meta.dirname, "journal-driver.ts");
    const driver = await buildModule(source, join(folder, "driver"));
    const command = [process.execPath, driver, join(folder, "journal"), `${ENTRIES}`];
    const { stdout } = await runCommand(command, folder);
    const measured = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Measured);
    const [base] = measured;
    if (base === undefined) throw new Error("nothing was measured");
    print(`a journal of ${ENTRIES} entries; x is the time against ${base.what}`);
    for (const each of measured) print(formatFigures(each.what, each, base));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
