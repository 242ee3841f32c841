/** The cabinet against gcab, tar, pigz and 7-Zip: time, processor time, size and peak memory. */
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INPUTS } from "../support/archives/inputs.ts";
import { buildModule } from "../support/build-module.ts";
import { compareCommands, type Figures, formatFigures } from "./command.ts";

const MiB = 1024 * 1024;
/** A round of the dump takes as long as three of the others. */
const ROUNDS = { log: 3, random: 3, dump: 2, small: 3 } as const;

/** Makes the inputs and prints every comparison. Takes about three minutes and 4 GiB of temporary files. */
export async function measure(print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "cab-bench-"));
  try {
    const driver = await bundleDriver(folder);
    for (const name of ["log", "random", "dump", "small"] as const) {
      print(await measureWriting(name, folder, driver));
      print(await measureReading(name, folder, driver));
    }
    print(await measureLargest(folder, driver));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bundleDriver(folder: string): Promise<string[]> {
  await mkdir(join(folder, "driver"));
  return [
    process.execPath,
    await buildModule(join(import.meta.dirname, "cab-driver.ts"), join(folder, "driver")),
  ];
}

/** What to hand to a program: the one file, or the folder of the many. */
async function makeInput(
  name: keyof typeof INPUTS,
  folder: string,
): Promise<{ paths: string[]; size: number }> {
  const made = INPUTS[name](folder);
  const sizes = await Promise.all(made.map(async (path) => (await stat(path)).size));
  return {
    paths: made.map((path) => path.slice(folder.length + 1)),
    size: sizes.reduce((sum, size) => sum + size, 0),
  };
}

async function measureWriting(name: keyof typeof ROUNDS, folder: string, driver: string[]): Promise<string> {
  const { paths, size } = await makeInput(name, folder);
  const input = name === "small" ? ["small"] : paths;
  const commands = {
    ours: [...driver, "write", "4", "ours.cab", ...input],
    gcab: ["gcab", "-c", "-z", "gcab.cab", ...paths],
    "tar czf": ["tar", "czf", "it.tgz", ...input],
    "pigz -6": ["sh", "-c", `tar cf - ${input.join(" ")} | pigz -6 > it.pigz`],
    "ours, stored": [...driver, "write", "0", "stored.cab", ...input],
  };
  const figures = await compareCommands(commands, folder, ROUNDS[name]);
  const outputs = {
    ours: "ours.cab",
    gcab: "gcab.cab",
    "tar czf": "it.tgz",
    "pigz -6": "it.pigz",
    "ours, stored": "stored.cab",
  };
  const lines = await Promise.all(
    (Object.keys(commands) as (keyof typeof commands)[]).map(async (each) => {
      const output = (await stat(join(folder, outputs[each]))).size;
      return line(each, figures[each], figures.gcab, size, `${output} bytes`);
    }),
  );
  return [`writing ${name}, ${size} bytes; x is the time against gcab's`, ...lines].join("\n");
}

async function measureReading(name: keyof typeof ROUNDS, folder: string, driver: string[]): Promise<string> {
  const { size } = await stat(join(folder, "stored.cab"));
  const commands = {
    ours: [...driver, "verify", "ours.cab"],
    "7z t": ["7z", "t", "-bso0", "ours.cab"],
    "ours, stored": [...driver, "verify", "stored.cab"],
    "7z t, stored": ["7z", "t", "-bso0", "stored.cab"],
    "ours, idle": [...driver, "idle"],
  };
  const figures = await compareCommands(commands, folder, ROUNDS[name]);
  const lines = (Object.keys(commands) as (keyof typeof commands)[]).map((each) =>
    line(each, figures[each], figures[each.includes("stored") ? "7z t, stored" : "7z t"], size, ""),
  );
  return [`verifying ${name}; x is the time against 7z's`, ...lines].join("\n");
}

/** The largest file: how much memory grows. */
async function measureLargest(folder: string, driver: string[]): Promise<string> {
  for (const name of await readdir(folder)) {
    if (name !== "driver") await rm(join(folder, name), { recursive: true });
  }
  const { paths, size } = await makeInput("big", folder);
  const commands = {
    "ours, idle": [...driver, "idle"],
    "ours, tiny": [...driver, "write", "4", "tiny.cab", "driver/cab-driver.js"],
    ours: [...driver, "write", "4", "ours.cab", ...paths],
    "ours, verifying": [...driver, "verify", "ours.cab"],
  };
  const figures = await compareCommands(commands, folder, 1);
  const lines = (Object.keys(commands) as (keyof typeof commands)[]).map((each) => {
    const growth = figures[each].peak - figures["ours, idle"].peak;
    return line(each, figures[each], figures.ours, size, `memory ${growth.toFixed(1)} MiB over idle`);
  });
  return [`the largest file, ${size} bytes; x is the time against writing it`, ...lines].join("\n");
}

function line(name: string, figures: Figures, base: Figures, size: number, note: string): string {
  const speed = `${(size / MiB / figures.wall).toFixed(0)} MiB/s`;
  return `${formatFigures(name, figures, base)}  ${speed}  ${note}`;
}
