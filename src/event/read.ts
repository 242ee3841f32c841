/** The event that a command line names: its file or standard input, the flags on top, the machine for the rest. */

import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Context } from "../context.ts";
import { CerError, type Leniency } from "../errors.ts";
import {
  type AttachedFile,
  baseName,
  completeEvent,
  type Event,
  type EventInput,
  mergeInputs,
} from "../event.ts";
import { readMachine, thisMachine } from "../system/machine.ts";
import { pathOnDisk } from "../system/path-on-disk.ts";
import { encodeReport } from "../wire/report.ts";
import { attachedBy, type EventFlags, inputOf } from "./flags.ts";
import { parseEvent } from "./json.ts";
import { MAX_EVENT_SIZE, readWhole, refuseLong } from "./source.ts";

type NamedEvent = { readonly event: string | null; readonly flags: EventFlags };

type MadeReport = {
  readonly event: Event;
  /** The event named its own time; it was not filled in. */
  readonly timeGiven: boolean;
  /** The exact bytes of level 1. */
  readonly level1: Buffer;
};

/**
 * Reads and completes the event, and makes its report. What is wrong with a value or an attached file is told, and the
 * report is made without it.
 * @param signal ends the reading of the event
 * @throws CerError CER_EVENT_INVALID when nothing says of what type the event is; CER_EVENT_JSON, CER_FILE when its file
 *   cannot be used, or not be read in time, and the flags alone do not say it either; the signal's reason when it is no
 *   time limit; any fault when strict
 */
export async function makeReport(
  { event: file, flags }: NamedEvent,
  context: Context,
  leniency: Leniency,
  signal: AbortSignal,
): Promise<MadeReport> {
  const { cwd, platform, env, now } = context;
  const attached = attachedBy(flags).map(({ path, type }) => ({
    path: path === "" ? "" : resolve(cwd, path),
    name: baseName(path),
    type,
  }));
  const typed = inputOf(flags, leniency);
  const written = file === null ? {} : await readEvent(file, typed, context, leniency, signal);
  const input = mergeInputs(written, { ...typed, files: attached });
  const given = { ...input.machine, user: input.user?.name };
  const facts = await readMachine(thisMachine(platform, env), given);
  const event = completeEvent(input, facts, { now: now(), leniency });
  for (const file of event.files) await checkReadable(file, leniency);
  const { bytes: level1, replacedCharacters } = encodeReport(event);
  if (replacedCharacters > 0)
    leniency.tolerate(
      new CerError(
        "CER_EVENT_INVALID",
        `The event holds ${replacedCharacters} characters that XML cannot carry.`,
      ),
      "They were replaced by U+FFFD.",
    );
  return { event, timeGiven: input.eventTime !== undefined, level1 };
}

/** A file that cannot be used does not matter where the flags alone tell what happened. */
async function readEvent(
  path: string,
  typed: EventInput,
  context: Context,
  leniency: Leniency,
  signal: AbortSignal,
): Promise<EventInput> {
  const read = () => readEventFile(path, context, leniency, signal);
  if (!typed.eventType) return read();
  const codes = ["CER_FILE", "CER_EVENT_JSON", "CER_EVENT_INVALID"] as const;
  return (await leniency.orNull(read, codes, "The report is made of the command line alone.")) ?? {};
}

async function readEventFile(
  path: string,
  context: Context,
  leniency: Leniency,
  signal: AbortSignal,
): Promise<EventInput> {
  const isStdin = path === "-";
  const where = isStdin ? "standard input" : path;
  const absolute = resolve(context.cwd, path);
  const reading = isStdin
    ? context.readStdin(MAX_EVENT_SIZE, signal)
    : readWhole(await pathOnDisk(absolute), signal);
  const bytes = await reading.catch((thrown: unknown) => {
    throw whyUnread(where, thrown);
  });
  refuseLong(bytes.length);
  return parseEvent(bytes, where, isStdin ? context.cwd : dirname(absolute), leniency);
}

function whyUnread(where: string, cause: unknown): unknown {
  const isOwn = cause instanceof CerError;
  if (isOwn && cause.code !== "CER_TIMEOUT") return cause;
  const what = isOwn
    ? "had not come to its end when the time was over"
    : reasonOf(cause as NodeJS.ErrnoException);
  return new CerError("CER_FILE", `The event file ${where} ${what}.`, {
    hint: 'Check the path; "-" reads standard input.',
    cause,
  });
}

/** Opening a pipe without a writer must not hang; Windows has no such flag. */
const READ_ONLY_NON_BLOCKING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

async function checkReadable({ path }: AttachedFile, leniency: Leniency): Promise<void> {
  const complaint = path === "" ? "has no name" : await whyUnreadable(path);
  if (complaint === null) return;
  const what = path === "" ? "An attached file" : `The attached file ${path}`;
  leniency.tolerate(
    new CerError("CER_FILE", `${what} ${complaint}.`, {
      hint: "Nothing was sent. Correct the path, or leave the file out.",
    }),
    "The report goes without it.",
  );
}

async function whyUnreadable(path: string): Promise<string | null> {
  try {
    const handle = await open(await pathOnDisk(path), READ_ONLY_NON_BLOCKING);
    try {
      return complaintOf(await handle.stat());
    } finally {
      await handle.close();
    }
  } catch (error) {
    const reason = reasonOf(error as NodeJS.ErrnoException);
    return /[*?]/.test(baseName(path))
      ? `${reason}; it looks like a pattern that no shell has expanded`
      : reason;
  }
}

function complaintOf(stat: Stats): string | null {
  if (stat.isDirectory()) return "is a directory";
  return stat.isFile() ? null : "is not a regular file";
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return "does not exist";
  if (error.code === "EACCES" || error.code === "EPERM") return "may not be read by this user";
  if (error.code === "EISDIR") return "is a directory";
  return `cannot be opened (${error.code ?? error.message})`;
}
