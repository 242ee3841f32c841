/** The whole of `cer submit` with a 256 MiB dump, beside a shell script that does the same with curl and gcab. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { INPUTS } from "../support/archives/inputs.ts";
import { openPlace, PROGRAM, startServe } from "../support/run-cer.ts";
import { compareCommands, formatFigures } from "./command.ts";

const ROUNDS = 3;

/** Level 1 by curl, the DumpFile cut out of the answer, gcab, and the PUT by curl. */
const SCRIPT = `set -eu
answer=$(curl -sSf --data-binary @level1.xml -H 'content-type: text/xml' "$1/stage2.htm")
path=$(printf %s "$answer" | tr -d '\\r' | sed -n 's/^DumpFile=//p' | tr '\\\\' /)
gcab -c -z archive.cab level1.xml mini.dmp
curl -sSf -T archive.cab "$1$path" >/dev/null
`;

export async function measure(print: (line: string) => void): Promise<void> {
  const place = await openPlace();
  const folder = place.directory;
  const server = await startServe(place, "received");
  try {
    INPUTS.dump(folder);
    await writeFile(join(folder, "script.sh"), SCRIPT);
    const { url } = server;
    const cer = [process.execPath, PROGRAM];
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
    for (const [name, each] of Object.entries(figures)) print(formatFigures(name, each, base));
  } finally {
    await server.stop();
    await place.remove();
  }
}
