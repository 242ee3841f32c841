/** `cer queue export` and `cer queue import`: a waiting report carried across an air gap as a tar. */

import { createReadStream } from "node:fs";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readTar, writeTar } from "../archive/tar.ts";
import type { QueueCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { CerError } from "../errors.ts";
import { complainOf } from "../journal/claimed-report.ts";
import { openDisk } from "../journal/disk/disk.ts";
import type { Journal } from "../journal/journal.ts";
import { exportParts, importReport, type Part, type TarEntry } from "../journal/transfer.ts";
import { formatBytes } from "../printable.ts";
import { formatUrl } from "../wire/exchange.ts";
import type { Result } from "./print-result.ts";

type TransferCommand = Extract<QueueCommand, { action: "export" | "import" }>;

/** Bytes of an imported report, all its parts together. */
const MAX_IMPORT = 16 * 1024 ** 3;

export async function transfer(
  command: TransferCommand,
  journal: Journal,
  context: Context,
): Promise<Result> {
  const file = resolve(context.cwd, command.file);
  return command.action === "export"
    ? exportTo(file, command.id, journal, context)
    : importFrom(file, journal, context);
}

async function exportTo(file: string, word: string, journal: Journal, context: Context): Promise<Result> {
  const listed = await journal.find(word);
  const { id } = listed.label;
  if (listed.state === "unaddressed")
    throw new CerError("CER_NO_SERVER", `Report ${id} has no server yet.`, {
      hint: "Set one and run cer flush: the report is given it, and can be exported if it does not get through.",
    });
  const { time } = await journal.show(listed);
  const claimed = await journal.claim(listed);
  if (claimed === null)
    throw new CerError(
      "CER_ENTRY_BUSY",
      `Report ${id} is not waiting (${listed.state}); it cannot be exported.`,
      { hint: "cer queue retry ID makes a report that was given up wait again." },
    );
  let size: number;
  try {
    const parts = await exportParts(openDisk(context.platform), claimed);
    for (const said of claimed.attachments.flatMap(complainOf)) context.terminal.say(`warning: ${said}`);
    size = await writeAside(file, parts, context);
  } catch (thrown) {
    await claimed.settle({ state: "pending", due: time, reason: claimed.reason });
    throw thrown;
  }
  // Given up here, so that the two machines cannot both send it.
  await claimed.settle({ state: "abandoned", reason: "exported" });
  return {
    lines: [
      `${id} is written to ${file} (${formatBytes(size)}), to be sent where it is imported.`,
      `It is no longer sent from here; cer queue retry ${id} brings it back should the file be lost.`,
    ],
    json: { id, file, bytes: size, state: "abandoned" },
  };
}

/** The whole tar, or none: written beside the file and moved into place. */
async function writeAside(
  file: string,
  parts: readonly Part[],
  { tempDir, signal }: Context,
): Promise<number> {
  const entries = parts.map((part) => ({ name: part.name, time: new Date(0), open: () => part.open() }));
  const archive = await writeTar(entries, { spoolDir: tempDir, signal });
  const aside = `${file}.part`;
  try {
    await writeFile(aside, archive.open(), { mode: 0o600, signal });
    await rename(aside, file);
    return archive.size;
  } catch (cause) {
    await rm(aside, { force: true });
    if (signal.aborted) throw cause;
    throw new CerError("CER_WRITE", `${file} cannot be written (${(cause as NodeJS.ErrnoException).code}).`, {
      cause,
    });
  } finally {
    await archive.dispose();
  }
}

async function importFrom(file: string, journal: Journal, context: Context): Promise<Result> {
  const found = await stat(file).catch(() => null);
  if (found?.isFile() !== true) throw new CerError("CER_FILE", `${file} is not a file that can be read.`);
  const listed = await importReport(journal, openDisk(context.platform), entriesOf(file), MAX_IMPORT);
  const { record } = await journal.show(listed);
  const to = record?.destination ?? null;
  const server = to === null ? null : formatUrl(to.origin, to.path);
  const { id } = listed.label;
  return {
    lines: [`${id} is taken in and waits; cer flush sends it to ${server ?? "the server that is set then"}.`],
    json: { id, state: "pending", server },
  };
}

async function* entriesOf(file: string): AsyncGenerator<TarEntry> {
  for await (const { file: entry, content } of readTar(createReadStream(file)))
    yield { name: entry.name, size: entry.size, type: "file", content };
}
