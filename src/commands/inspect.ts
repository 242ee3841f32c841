/** `cer inspect`: what is in a cabinet, a tar of ours, a level 1 report, a manifest or a receipt, for people. */

import { constants } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { InspectCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { CerError, EXIT, type ExitCode } from "../errors.ts";
import { stripControls } from "../printable.ts";
import { describeArchive } from "./inspect/archive.ts";
import { describeDocument } from "./inspect/document.ts";
import { printResult } from "./print-result.ts";

export async function runInspect(command: InspectCommand, context: Context): Promise<ExitCode> {
  const path = resolve(context.cwd, command.file);
  const kind = await sniff(path, command.file);
  if (kind === "document" && (command.extract !== null || command.verify))
    throw new CerError(
      "CER_USAGE",
      `${command.file} is no archive; --extract and --verify are for archives.`,
    );
  if (kind === "document") {
    const described = describeDocument(await readDocument(path, command.file), command.file);
    printResult(described, command.output, context.terminal);
    return EXIT.ok;
  }
  const out = command.extract === null ? null : resolve(context.cwd, command.extract);
  const { result, failure } = await describeArchive(kind, path, command.verify, out);
  printResult(result, command.output, context.terminal);
  if (failure === null) return EXIT.ok;
  context.terminal.say(`cer: ${stripControls(failure)}`);
  return EXIT.refused;
}

type Kind = "cab" | "tar" | "document";

/** Bytes that tell the kinds apart: a tar's magic stands at 257. */
const SNIFFED = 512;

async function sniff(path: string, shown: string): Promise<Kind> {
  // A pipe without a writer is opened at once, and then refused.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(
    (cause: NodeJS.ErrnoException) => {
      throw new CerError("CER_FILE", `${shown} cannot be read (${cause.code}).`, { cause });
    },
  );
  try {
    if (!(await handle.stat()).isFile()) throw new CerError("CER_FILE", `${shown} is not a regular file.`);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(SNIFFED), 0, SNIFFED, 0);
    const start = buffer.subarray(0, bytesRead).toString("latin1");
    if (start.startsWith("MSCF") || start.startsWith("ISc(")) return "cab";
    return start.slice(257, 262) === "ustar" ? "tar" : "document";
  } finally {
    await handle.close();
  }
}

/** Bytes of a document that are read: a manifest of an archive as large as any. */
const MAX_DOCUMENT = 64 * 1024 * 1024;

async function readDocument(path: string, shown: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size <= MAX_DOCUMENT) return readFile(path);
  throw new CerError(
    "CER_UNKNOWN_FORMAT",
    `${shown} is no archive, and too long (${size} bytes) to be a report.`,
  );
}
