/**
 * What is in a cabinet or a tar, for people: its files, what is odd about their names, and what became of them when they
 * were extracted. An odd name or a damaged part costs nothing but itself.
 */

import { createReadStream } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { extractCabinet, verifyCabinet } from "../../archive/cab/read/contents.ts";
import { openSource } from "../../archive/cab/read/source.ts";
import { type Cabinet, nameFaults, readCabinet } from "../../archive/cab/read/tables.ts";
import { showName, whyOdd } from "../../archive/entries/foreign-name.ts";
import type { Extraction } from "../../archive/entries/target.ts";
import { extractTar, type TarFile } from "../../archive/tar.ts";
import { asDamage } from "../../archive/verify.ts";
import { CerError } from "../../errors.ts";
import { count, formatBytes, stripControls } from "../../printable.ts";
import type { Described } from "./document.ts";

/**
 * Lists an archive, reads all of it when it is to be verified, and extracts it into the folder `out`, unless that is
 * null. `failure` says why this is no success; null when all that was asked for was done, if under other names.
 * @throws CerError CER_DAMAGED when the archive cannot even be listed, or is to be verified and is not whole;
 *   CER_WRITE when the folder cannot be made
 */
export async function describeArchive(
  kind: "cab" | "tar",
  path: string,
  verify: boolean,
  out: string | null,
): Promise<{ readonly result: Described; readonly failure: string | null }> {
  if (out !== null)
    await mkdir(out, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
      throw new CerError("CER_WRITE", `The folder ${out} cannot be made (${cause.code}).`, { cause });
    });
  const lookInto = kind === "cab" ? lookIntoCabinet : lookIntoTar;
  const contents = await lookInto(path, verify, out).catch((thrown: unknown) => {
    throw asDamage(thrown);
  });
  return { result: tell(contents, out), failure: whatFailed(contents, out) };
}

type ListedFile = Pick<TarFile, "name" | "nameBytes" | "size"> & { readonly time: Date | null };

type Contents = {
  readonly kind: "cabinet" | "tar";
  /** What the archive is, in words. */
  readonly head: string;
  /** Bytes of the archive. */
  readonly bytes: number;
  readonly warnings: readonly string[];
  /** All of it was read and nothing is wrong with it. */
  readonly isWhole: boolean;
} & Extraction<ListedFile>;

async function lookIntoCabinet(path: string, verify: boolean, out: string | null): Promise<Contents> {
  const source = await openSource(path);
  try {
    const cabinet = await readCabinet(source);
    if (verify && out === null) await verifyCabinet(source, cabinet);
    const found = out === null ? listCabinet(cabinet) : await extractCabinet(source, cabinet, out);
    const wrongNames = nameFaults(cabinet).map(({ message }) => message);
    const methods = [...new Set(cabinet.folders.map(({ compression }) => compression))].join(", ") || "none";
    return {
      ...found,
      kind: "cabinet",
      head: `Cabinet ${cabinet.version}, ${methods}`,
      bytes: source.size,
      // Other readers refuse a cabinet for such a name, and this one where it is asked for a verdict.
      faults: [...found.faults, ...(verify ? wrongNames : [])],
      warnings: [...cabinet.warnings, ...(verify ? [] : wrongNames)],
      isWhole: (verify || out !== null) && found.faults.length + wrongNames.length === 0,
    };
  } finally {
    await source.close();
  }
}

function listCabinet({ files }: Cabinet): Extraction<ListedFile> {
  return {
    files: files.map((file) => ({ file, writtenAs: null, reason: null })),
    faults: [],
    skipped: [],
  };
}

/** A tar can be listed only by reading all of it, which also shows that it is whole. */
async function lookIntoTar(path: string, verify: boolean, out: string | null): Promise<Contents> {
  const source = createReadStream(path);
  const found = await extractTar(source, out).catch((thrown: unknown) => {
    // What the disk says is no damage of the tar.
    throw source.errored ?? thrown;
  });
  if (source.errored !== null) throw source.errored;
  const { size: bytes } = await stat(path);
  const isWhole = (verify || out !== null) && found.faults.length === 0;
  return { kind: "tar", head: "Tar", bytes, warnings: [], isWhole, ...found };
}

/** Everything about an archive that was found, for people and for programs. */
function tell(contents: Contents, out: string | null): Described {
  const { kind, head, bytes, files, isWhole } = contents;
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const ratio = bytes === 0 ? 0 : total / bytes;
  const warnings = allWarnings(contents, out);
  return {
    lines: [
      `${head}, ${formatBytes(bytes)}: ${files.length} files, ${formatBytes(total)}, ${ratio.toFixed(1)}:1`,
      ...files.map(({ file }) => lineOf(file)),
      ...warnings.map((warning) => `warning: ${stripControls(warning)}`),
      ...(isWhole ? ["Everything was read and is whole."] : []),
      ...(out === null || whatFailed(contents, out) !== null ? [] : [`Extracted to ${out}`]),
    ],
    json: {
      kind,
      bytes,
      contents: total,
      files: files.map(({ file: { name, nameBytes, size, time }, writtenAs, reason }) => ({
        name: name.isWellFormed() ? name : showName(name),
        nameBytes: nameBytes?.toString("hex") ?? null,
        size,
        time,
        writtenAs,
        reason: reason ?? whyOdd(name),
      })),
      warnings,
      verified: isWhole,
      extracted: out,
    },
  };
}

function lineOf({ name, size, time }: ListedFile): string {
  const at = time === null ? "no time".padEnd(19) : time.toISOString().slice(0, 19).replace("T", " ");
  return `${String(size).padStart(12)}  ${at}  ${showName(name)}`;
}

/** What is unusual about the archive, about each file's name, and what became of those that are not as they were called. */
function allWarnings({ warnings, files, faults, skipped }: Contents, out: string | null): string[] {
  const aboutFiles = files.flatMap(({ file: { name }, writtenAs, reason }) => {
    const shown = showName(name);
    const why = reason ?? whyOdd(name);
    if (why === null) return [];
    if (out === null) return [`${shown}: ${why}`];
    return [`${shown} is ${writtenAs === null ? "not extracted" : `extracted as ${writtenAs}`}: ${why}`];
  });
  const told = new Set(files.map(({ reason }) => reason));
  const others = faults.filter((fault) => !told.has(fault));
  return [...warnings, ...aboutFiles, ...skipped, ...others];
}

/** Names of files that a message holds. */
const NAMED = 10;

/** Why this is no success; null when it is one: all that was asked for was done, if under other names. */
function whatFailed({ files, faults, skipped }: Contents, out: string | null): string | null {
  if (out === null) return faults[0] ?? null;
  const missing = files.flatMap(({ file, writtenAs }) => (writtenAs === null ? [showName(file.name)] : []));
  if (missing.length + skipped.length + faults.length === 0) return null;
  const written = `${files.length - missing.length} of ${count(files.length, "file")} written to ${out}`;
  const named = missing.slice(0, NAMED).join(", ");
  const rest = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : "";
  const reasons = missing.length > 0 ? `not ${named}${rest}` : [...skipped, ...faults].join("; ");
  return `${written}; ${reasons}.`;
}
