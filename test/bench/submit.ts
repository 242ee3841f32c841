/** The whole of `cer submit` with a 256 MiB dump, beside a shell script that does the same with curl and gcab. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INPUTS } from "../support/archives/inputs.ts";
import { compareCommands } from "./command.ts";
import { startServe } from "./serve.ts";

const ROUNDS = 3;

/** Level 1 by curl, the DumpFile cut out of the answer, gcab, and the PUT by curl. */
const SCRIPT = `set -eu
answer=$(curl -sSf --data-binary @level1.xml -H 'content-type: text/xml' "$1/stage2.htm")
path=$(printf %s "$answer" | tr -d '\\r' | sed -n 's/^DumpFile=//p' | tr '\\\\' /)
gcab -c -z archive.cab level1.xml mini.dmp
curl -sSf -T archive.cab "$1$path" >/dev/null
`;

export async function measure(print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "cer-bench-submit-"));
  const server = await startServe(join(folder, "received"));
  try {
    INPUTS.dump(folder);
    await writeFile(join(folder, "script.sh"), SCRIPT);
    const url = `http://127.0.0.1:${server.port}`;
    const cer = [process.execPath, join(import.meta.dirname, "../../bin/cer.js")];
    const event = ["--event-type", "BenchTest", "--minidump", "mini.dmp", "--server", url];
    await compareCommands({ made: [...cer, "submit", ...event, "--dry-run", "--out", "."] }, folder, 1);
    const keep = ["--journal", "journal", "--force", "--no-flush", "--quiet"];
    const figures = await compareCommands(
      {
        "curl, gcab -z, curl": ["sh", "script.sh", url],
        "cer submit": [...cer, "submit", ...event, ...keep],
        "cer submit --no-copy": [...cer, "submit", ...event, ...keep, "--no-copy"],
      },
      folder,
      ROUNDS,
    );
    const base = figures["curl, gcab -z, curl"];
    print(`submitting with a 256 MiB dump, best of ${ROUNDS}; x is the time against the shell script's`);
    for (const [name, { wall, cpu, peak }] of Object.entries(figures))
      print(
        `  ${name.padEnd(24)} ${wall.toFixed(2)} s ${(wall / base.wall).toFixed(2)}x, processor ${cpu.toFixed(2)} s, peak ${peak.toFixed(0)} MiB`,
      );
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
