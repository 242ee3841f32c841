/** `cer inspect`: what is in a cabinet, a tar of ours, a level 1 report, a manifest or a receipt, for people. */

import { createReadStream } from "node:fs";
import { mkdir, open, readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import { extractCabinet, verifyCabinet } from "../archive/cab/read/contents.ts";
import { openSource } from "../archive/cab/read/source.ts";
import { readCabinet } from "../archive/cab/read/tables.ts";
import { extractTar, readTar, type TarFile } from "../archive/tar.ts";
import { asDamage } from "../archive/verify.ts";
import type { InspectCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { CerError, EXIT, type ExitCode } from "../errors.ts";
import { formatBytes, stripControls } from "../printable.ts";
import { describeDocument } from "./inspect-document.ts";
import { printResult, type Result } from "./print-result.ts";

export async function runInspect(command: InspectCommand, context: Context): Promise<ExitCode> {
  const path = resolve(context.cwd, command.file);
  const kind = await sniff(path, command.file);
  if (kind === "document" && (command.extract !== null || command.verify))
    throw new CerError(
      "CER_USAGE",
      `${command.file} is no archive; --extract and --verify are for archives.`,
    );
  const out = command.extract === null ? null : resolve(context.cwd, command.extract);
  const described = await describe(kind, path, command, out).catch((thrown: unknown) => {
    throw asDamage(thrown);
  });
  printResult(described, command.output, context.terminal);
  return EXIT.ok;
}

type Kind = "cab" | "tar" | "document";

/** Bytes that tell the kinds apart: a tar's magic stands at 257. */
const SNIFFED = 512;

async function sniff(path: string, shown: string): Promise<Kind> {
  const handle = await open(path).catch((cause: NodeJS.ErrnoException) => {
    throw new CerError("CER_FILE", `${shown} cannot be read (${cause.code}).`, { cause });
  });
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

async function describe(
  kind: Kind,
  path: string,
  command: InspectCommand,
  out: string | null,
): Promise<Result> {
  if (kind === "document") return describeDocument(await readDocument(path, command.file), command.file);
  if (out !== null) await mkdir(out, { recursive: true, mode: 0o700 });
  const contents = await (kind === "cab"
    ? lookIntoCabinet(path, command.verify, out)
    : lookIntoTar(path, out));
  return tell(contents, command.verify || out !== null, out);
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

type Contents = {
  readonly kind: "cabinet" | "tar";
  /** What the archive is, in words. */
  readonly head: string;
  /** Bytes of the archive. */
  readonly bytes: number;
  readonly files: readonly { readonly name: string; readonly size: number; readonly time: Date | null }[];
  readonly warnings: readonly string[];
};

async function lookIntoCabinet(path: string, verify: boolean, out: string | null): Promise<Contents> {
  const source = await openSource(path);
  try {
    const cabinet = await readCabinet(source);
    if (out !== null) await extractCabinet(source, cabinet, out);
    else if (verify) await verifyCabinet(source, cabinet);
    const methods = [...new Set(cabinet.folders.map(({ compression }) => compression))].join(", ") || "none";
    const files = cabinet.files.map(({ name, size, time }) => ({ name, size, time }));
    const head = `Cabinet ${cabinet.version}, ${methods}`;
    return { kind: "cabinet", head, bytes: source.size, files, warnings: cabinet.warnings };
  } finally {
    await source.close();
  }
}

/** A tar can be listed only by reading all of it, which also shows that it is whole. */
async function lookIntoTar(path: string, out: string | null): Promise<Contents> {
  const bytes = createReadStream(path);
  const files = out === null ? await listTar(bytes) : await extractTar(bytes, out);
  return { kind: "tar", head: "Tar", bytes: (await stat(path)).size, files, warnings: [] };
}

async function listTar(bytes: Readable) {
  const files: TarFile[] = [];
  for await (const { file, content } of readTar(bytes)) {
    for await (const _ of content);
    files.push(file);
  }
  return files;
}

function tell(
  { kind, head, bytes, files, warnings }: Contents,
  isChecked: boolean,
  out: string | null,
): Result {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const ratio = bytes === 0 ? 0 : total / bytes;
  return {
    lines: [
      `${head}, ${formatBytes(bytes)}: ${files.length} files, ${formatBytes(total)}, ${ratio.toFixed(1)}:1`,
      ...files.map(
        (file) =>
          `${String(file.size).padStart(12)}  ${file.time === null ? "no time".padEnd(19) : file.time.toISOString().slice(0, 19).replace("T", " ")}  ${stripControls(file.name)}`,
      ),
      ...warnings.map((warning) => `warning: ${stripControls(warning)}`),
      ...(isChecked ? ["Everything was read and is whole."] : []),
      ...(out === null ? [] : [`Extracted to ${out}`]),
    ],
    json: { kind, bytes, contents: total, files, warnings, verified: isChecked, extracted: out },
  };
}
