/** The event that a command line names: its file or standard input, the flags on top, the machine for the rest. */

import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Context } from "../context.ts";
import { CerError } from "../errors.ts";
import {
  type AttachedFile,
  baseName,
  completeEvent,
  type Event,
  type EventInput,
  type FileType,
  mergeInputs,
} from "../event.ts";
import { readMachine, thisMachine } from "../system/machine.ts";
import { encodeReport } from "../wire/report.ts";
import { parseEvent } from "./json.ts";

/** What the event's flags say. Paths are as typed. */
export type EventFlags = EventInput & {
  readonly attach: readonly { readonly path: string; readonly type: FileType }[];
};

type NamedEvent = { readonly event: string | null; readonly flags: EventFlags; readonly truncate: boolean };

type MadeReport = {
  readonly event: Event;
  /** The event named its own time; it was not filled in. */
  readonly timeGiven: boolean;
  /** The exact bytes of level 1. */
  readonly level1: Buffer;
  readonly warnings: string[];
};

/**
 * Reads and completes the event, and makes its report. Every attached file has been opened once, so that a missing one
 * is known before anything is sent.
 * @throws CerError CER_EVENT_JSON, CER_EVENT_INVALID, CER_TOO_LONG, CER_FILE
 */
export async function makeReport(
  { event: file, flags: { attach, ...flags }, truncate }: NamedEvent,
  context: Context,
): Promise<MadeReport> {
  const { cwd, platform, env, now } = context;
  const attached = attach.map(({ path, type }) => ({ path: resolve(cwd, path), name: baseName(path), type }));
  const written = file === null ? {} : await readEventFile(file, context);
  const input = mergeInputs(written, { ...flags, files: attached });
  const given = { ...input.machine, user: input.user?.name };
  const facts = await readMachine(thisMachine(platform, env), given);
  const { event, warnings } = completeEvent(input, facts, { now: now(), truncate });
  await Promise.all(event.files.map(requireReadable));
  const { bytes: level1, replacedCharacters } = encodeReport(event);
  if (replacedCharacters > 0)
    warnings.push(`${replacedCharacters} characters that XML cannot carry were replaced by U+FFFD.`);
  return { event, timeGiven: input.eventTime !== undefined, level1, warnings };
}

async function readEventFile(path: string, context: Context) {
  if (path === "-") return parseEvent(await context.readStdin(), "standard input", context.cwd);
  const absolute = resolve(context.cwd, path);
  const bytes = await readFile(absolute).catch((cause: NodeJS.ErrnoException) => {
    throw new CerError("CER_FILE", `The event file ${path} ${reasonOf(cause)}.`, {
      hint: 'Check the path; "-" reads standard input.',
      cause,
    });
  });
  return parseEvent(bytes, path, dirname(absolute));
}

/** O_NONBLOCK does not exist on Windows. */
const READ_ONLY_NON_BLOCKING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

async function requireReadable({ path }: AttachedFile): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new CerError("CER_FILE", `The attached file ${path} ${why}.`, {
      hint: "Nothing was sent. Correct the path, or leave the file out.",
      cause,
    });
  };
  // Non-blocking: opening a pipe without a writer must not hang.
  const handle = await open(path, READ_ONLY_NON_BLOCKING).catch((cause: NodeJS.ErrnoException) =>
    refuse(reasonOf(cause), cause),
  );
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) refuse("is a directory");
    if (!stat.isFile()) refuse("is not a regular file");
  } finally {
    await handle.close();
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return "does not exist";
  if (error.code === "EACCES" || error.code === "EPERM") return "may not be read by this user";
  if (error.code === "EISDIR") return "is a directory";
  return `cannot be opened (${error.code ?? error.message})`;
}
