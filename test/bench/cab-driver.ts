/**
 * The cabinet alone as a program, for measuring; bundled as the program itself is:
 *
 *   cab-driver write LEVEL OUT FILE ...   (a folder stands for the files in it)
 *   cab-driver verify CABINET
 *   cab-driver idle
 */
import { readdirSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { verifyCabinet } from "../../src/archive/cab/read/contents.ts";
import { openSource } from "../../src/archive/cab/read/source.ts";
import { readCabinet } from "../../src/archive/cab/read/tables.ts";
import { writeCabinet } from "../../src/archive/cab/write/write.ts";
import type { Compression } from "../../src/archive/entries/entry.ts";
import { openFile } from "../support/archives/opened-file.ts";

const [command, ...args] = process.argv.slice(2);
const time = new Date(Date.UTC(2026, 0, 1));

async function write([level = "4", out = "", ...paths]: string[]): Promise<void> {
  const files = paths.flatMap((path) =>
    statSync(path).isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [path],
  );
  const entries = files.map((path) => ({ name: path, time, open: () => openFile(path) }));
  const compression = Number(level) as Compression;
  const archive = await writeCabinet(entries, { compression, spoolDir: dirname(out) });
  await writeFile(out, archive.open());
  await archive.dispose();
}

async function verify([path = ""]: string[]): Promise<void> {
  const source = await openSource(path);
  await verifyCabinet(source, await readCabinet(source));
  await source.close();
}

if (command === "write") await write(args);
else if (command === "verify") await verify(args);
