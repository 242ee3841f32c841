/** What a hook pays: `cer submit` of the 4.4 event, journal, both levels and all, against `node -e 0`. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openPlace, PROGRAM, startServe } from "../support/run-cer.ts";
import { EXAMPLES } from "../support/spec-examples.ts";
import { compareCommands, formatFigures } from "./command.ts";

const ROUNDS = 30;

export async function measure(print: (line: string) => void): Promise<void> {
  const place = await openPlace();
  const folder = place.directory;
  const server = await startServe(place, "received");
  try {
    const { eventTime, ...event } = EXAMPLES["4.4"].event;
    const { oem, ...machine } = event.machine;
    const written = { ...event, machine, eventTime: String(eventTime) };
    const plain = JSON.stringify(written, (_, value) => (value === null ? undefined : value));
    await writeFile(join(folder, "event.json"), plain);
    const submit = [process.execPath, PROGRAM, "submit", "event.json"];
    const to = ["--server", server.url, "--force", "--no-flush", "--quiet"];
    const figures = await compareCommands(
      {
        "node -e 0": [process.execPath, "-e", "0"],
        "cer submit": [...submit, ...to, "--journal", join(folder, "journal")],
      },
      folder,
      ROUNDS,
    );
    const base = figures["node -e 0"];
    print(`submitting 4.4, whole process, best of ${ROUNDS}; x is the time against node -e 0`);
    for (const [name, each] of Object.entries(figures)) print(formatFigures(name, each, base));
  } finally {
    await server.stop();
    await place.remove();
  }
}
