/**
 * The event: what happened, to whom, on which machine, as one complete value from which the level 1 report is made.
 * What the user said (`EventInput`) is partial; `completeEvent` fills it from the machine and holds it to the bounds of
 * the level 1 schema ([MS-CER2] 2.2.1.2).
 */

import { CerError, type Leniency } from "./errors.ts";
import type { MachineFacts } from "./system/machine.ts";

/** WER_REPORT_TYPE, by number ([MS-CER2] 2.2.1.2.5). */
export const REPORT_TYPES = [
  "NonCritical",
  "Critical",
  "ApplicationCrash",
  "ApplicationHang",
  "Kernel",
] as const;
export type ReportType = 0 | 1 | 2 | 3 | 4;

/** WER_FILE_TYPE, by number less one ([MS-CER2] 2.2.1.2.6). */
export const FILE_TYPES = ["Microdump", "Minidump", "Heapdump", "UserDocument", "Other"] as const;
export type FileType = 1 | 2 | 3 | 4 | 5;

export type AttachedFile = {
  /** Absolute path. */
  readonly path: string;
  /** The name the report and the archive give it: the path's last part unless the event names another. */
  readonly name: string;
  readonly type: FileType;
};

export type Parameter = {
  /** 0-9, unique. */
  readonly id: number;
  readonly name: string | null;
  readonly value: string;
};

export type SecondaryParameter = { readonly name: string; readonly value: string };

/** Complete: what the user left out has been filled in from the machine. */
export type Event = {
  readonly reportType: ReportType;
  readonly eventType: string;
  readonly friendlyEventName: string | null;
  readonly eventDescription: string | null;
  /** FILETIME: 100-nanosecond ticks since 1601-01-01 UTC. */
  readonly eventTime: bigint;
  readonly machine: {
    readonly name: string;
    readonly os: string;
    readonly lcid: number;
    readonly oem: string | null;
  };
  readonly user: { readonly name: string };
  readonly application: {
    readonly name: string;
    readonly path: string;
    readonly company: string | null;
  } | null;
  /** At most ten, in the order of their ids. */
  readonly parameters: readonly Parameter[];
  readonly secondaryParameters: readonly SecondaryParameter[];
  readonly files: readonly AttachedFile[];
};

/** A value of which any part may be missing; its lists are whole. */
type Partly<T> = T extends object
  ? T extends readonly unknown[]
    ? T
    : { readonly [K in keyof T]?: Partly<NonNullable<T[K]>> }
  : T;

/** What the user said, from a file, from flags, or both. */
export type EventInput = Partly<Event>;

/** maxpathstring and string32 ([MS-CER2] 2.2.1.2.1, 2.2.1.2.7), in characters. */
const MAX_PATH_STRING = 256;
const MAX_OEM = 32;

/** PARAMETER elements, ids 0 to 9 ([MS-CER2] 2.2.1.3). */
export const MAX_PARAMETERS = 10;

/** The schema bounds neither; the journal reads lists of so many items, and a cabinet holds 65,535 files. */
const MAX_SECONDARY = 100_000;
const MAX_FILES = 10_000;

/** 1601-01-01 to 1970-01-01 in 100-nanosecond ticks. */
const UNIX_EPOCH = 116_444_736_000_000_000n;

const MAX_FILE_TIME = 2n ** 64n - 1n;

/** Milliseconds since 1970 as a FILETIME; negative before 1601. */
export function toFileTime(milliseconds: number): bigint {
  return BigInt(Math.trunc(milliseconds)) * 10_000n + UNIX_EPOCH;
}

/** What a clock says as the nearest FILETIME: one that stands before 1601, or after 60056, still gives a report. */
function fileTimeOf(now: number): bigint {
  const ticks = toFileTime(now);
  if (ticks < 0n) return 0n;
  return ticks > MAX_FILE_TIME ? MAX_FILE_TIME : ticks;
}

/** A FILETIME as a Date, clamped to what a Date can hold. */
export function fromFileTime(ticks: bigint): Date {
  const milliseconds = ticks / 10_000n - UNIX_EPOCH / 10_000n;
  const bound = 8_640_000_000_000_000n;
  return new Date(Number(milliseconds > bound ? bound : milliseconds));
}

/** One event of two: where both speak, `over` wins; `over.parameters` replaces, the other lists are joined. */
export function mergeInputs(base: EventInput, over: EventInput): EventInput {
  return {
    ...base,
    ...over,
    machine: { ...base.machine, ...over.machine },
    user: { ...base.user, ...over.user },
    application: { ...base.application, ...over.application },
    secondaryParameters: [...(base.secondaryParameters ?? []), ...(over.secondaryParameters ?? [])],
    files: [...(base.files ?? []), ...(over.files ?? [])],
  };
}

/**
 * The whole event. A value that is not within the schema's bounds is cut, and told.
 * @throws CerError CER_EVENT_INVALID when there is no eventType; when strict also for a line break, and CER_TOO_LONG, in
 *   what the user gave
 */
export function completeEvent(
  input: EventInput,
  facts: MachineFacts,
  { now, leniency }: { now: number; leniency: Leniency },
): Event {
  const bounded = holdToBounds(leniency);
  const path = (field: string, value: string) => bounded(field, value, MAX_PATH_STRING);
  const { machine = {}, user = {}, application = {} } = input;
  return {
    reportType: input.reportType ?? 1,
    eventType: requireEventType(input.eventType),
    friendlyEventName: input.friendlyEventName ?? null,
    eventDescription: input.eventDescription ?? null,
    eventTime: input.eventTime ?? fileTimeOf(now),
    machine: {
      name: bounded("machine.name", machine.name ?? facts.name, MAX_PATH_STRING, machine.name !== undefined),
      os: machine.os ?? facts.os,
      lcid: machine.lcid ?? facts.lcid,
      oem: machine.oem === undefined ? null : bounded("machine.oem", machine.oem, MAX_OEM),
    },
    user: { name: user.name ?? facts.user },
    application: completeApplication(application, path),
    parameters: [...(input.parameters ?? [])].sort((a, b) => a.id - b.id),
    secondaryParameters: holdToCount(
      "secondaryParameters",
      input.secondaryParameters,
      MAX_SECONDARY,
      leniency,
    ),
    files: holdToCount("files", input.files, MAX_FILES, leniency).map((file, at) => ({
      ...file,
      name: path(`files[${at}].name`, file.name),
    })),
  };
}

function requireEventType(eventType: string | undefined): string {
  if (eventType !== undefined && eventType !== "") return eventType;
  throw new CerError("CER_EVENT_INVALID", "The event has no eventType.", {
    hint: 'Give one with --event-type NAME, or as "eventType" in the event file.',
  });
}

function completeApplication(
  application: NonNullable<EventInput["application"]>,
  path: (field: string, value: string) => string,
): Event["application"] {
  const { name, path: where, company } = application;
  if (name === undefined && where === undefined && company === undefined) return null;
  return {
    name: path("application.name", name ?? baseName(where ?? "")),
    path: path("application.path", where ?? name ?? ""),
    company: company === undefined ? null : path("application.company", company),
  };
}

/** The last part of a path of either kind: a report about a Windows program may be made on any system. */
export function baseName(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}

/** As many of a list's first items as a report may have, for the sake of everybody who has to read it. */
function holdToCount<T>(
  field: string,
  items: readonly T[] = [],
  bound: number,
  leniency: Leniency,
): readonly T[] {
  if (items.length <= bound) return items;
  leniency.tolerate(
    new CerError("CER_EVENT_INVALID", `${field} has ${items.length} items, the bound is ${bound}.`),
    "The others are left out.",
  );
  return items.slice(0, bound);
}

/** Makes what gives a value on one line and within its bound. */
function holdToBounds(leniency: Leniency) {
  return (field: string, value: string, bound: number, givenByUser = true): string => {
    const change = (fault: CerError, instead: string) => {
      if (givenByUser) leniency.tolerate(fault, instead);
      else leniency.note(`${fault.message} ${instead}`);
    };
    if (/[\r\n]/.test(value))
      change(
        new CerError("CER_EVENT_INVALID", `${field} holds a line break, which the report's schema forbids.`, {
          hint: "Write it on one line, or leave --strict out: then a space stands there.",
        }),
        "A space stands there.",
      );
    const text = value.replace(/[\r\n]+/g, " ");
    const characters = [...text];
    const { length } = characters;
    if (length <= bound) return text;
    change(
      new CerError("CER_TOO_LONG", `${field} has ${length} characters, the bound is ${bound}.`, {
        hint: "Shorten it, or leave --strict out: then it is cut.",
      }),
      "It was cut.",
    );
    return characters.slice(0, bound).join("");
  };
}
