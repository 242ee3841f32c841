/** The event's flags: what was typed, and what it means. A value that means nothing is left out and told. */

import { CerError, type Leniency } from "../errors.ts";
import {
  type EventInput,
  type FileType,
  MAX_PARAMETERS,
  type Parameter,
  type SecondaryParameter,
} from "../event.ts";
import { present } from "../json.ts";
import { asSecondary, parsed, parseEventTime, parseReportType } from "./json.ts";

type Word = string | null;

/** As typed; null or empty where a flag was not. Paths are relative to the current directory. */
export type EventFlags = {
  readonly reportType: Word;
  readonly eventTime: Word;
  readonly lcid: Word;
  readonly eventType: Word;
  readonly friendlyEventName: Word;
  readonly eventDescription: Word;
  readonly appName: Word;
  readonly appPath: Word;
  readonly appCompany: Word;
  readonly machineName: Word;
  readonly os: Word;
  readonly oem: Word;
  readonly user: Word;
  readonly parameters: readonly string[];
  readonly secondary: readonly string[];
  readonly files: readonly string[];
  readonly minidumps: readonly string[];
  readonly heapdumps: readonly string[];
  readonly documents: readonly string[];
};

/** What was typed, as far as it makes sense. Files are `attachedBy`'s. @throws CerError CER_EVENT_INVALID when strict */
export function inputOf(flags: EventFlags, leniency: Leniency): EventInput {
  const meaning = <T>(word: Word, where: string, parse: (word: string, where: string) => T) =>
    word === null ? null : parsed(word, where, parse, leniency);
  const parameters = flags.parameters.map(parameterOf);
  const surplus = parameters.splice(MAX_PARAMETERS);
  if (surplus.length > 0)
    leniency.tolerate(
      new CerError(
        "CER_EVENT_INVALID",
        `There are ${flags.parameters.length} parameters, the bound is ${MAX_PARAMETERS}.`,
        { hint: "Further values go into --secondary NAME=VALUE." },
      ),
      "The others go as secondary parameters.",
    );
  const secondary = flags.secondary.flatMap((word) => meaning(word, "--secondary", secondaryOf) ?? []);
  return {
    ...present({
      reportType: meaning(flags.reportType, "--report-type", parseReportType),
      eventTime: meaning(flags.eventTime, "--event-time", parseEventTime),
      eventType: flags.eventType,
      friendlyEventName: flags.friendlyEventName,
      eventDescription: flags.eventDescription,
      parameters: parameters.length === 0 ? null : parameters,
    }),
    machine: present({
      name: flags.machineName,
      os: flags.os,
      lcid: meaning(flags.lcid, "--lcid", parseLcid),
      oem: flags.oem,
    }),
    user: present({ name: flags.user }),
    application: present({ name: flags.appName, path: flags.appPath, company: flags.appCompany }),
    secondaryParameters: [...surplus.map(asSecondary), ...secondary],
  };
}

/** The paths of the attached files as typed, with their types: those that matter most first. */
export function attachedBy(flags: EventFlags): readonly { readonly path: string; readonly type: FileType }[] {
  return [
    ...flags.minidumps.map((path) => ({ path, type: 2 as const })),
    ...flags.heapdumps.map((path) => ({ path, type: 3 as const })),
    ...flags.documents.map((path) => ({ path, type: 4 as const })),
    ...flags.files.map((path) => ({ path, type: 5 as const })),
  ];
}

/** `[NAME=]VALUE`, ids in order; a value that holds `=` and has no name begins with one. */
function parameterOf(word: string, id: number): Parameter {
  const at = word.indexOf("=");
  return at < 0
    ? { id, name: null, value: word }
    : { id, name: word.slice(0, at) || null, value: word.slice(at + 1) };
}

function secondaryOf(word: string, where: string): SecondaryParameter {
  const at = word.indexOf("=");
  if (at < 1) throw refuse(where, word, "NAME=VALUE");
  return { name: word.slice(0, at), value: word.slice(at + 1) };
}

function parseLcid(word: string, where: string): number {
  const number = /^[0-9]{1,10}$/.test(word) ? Number(word) : 0;
  if (number < 1 || number > 0xffff_ffff) throw refuse(where, word, "a number, 1033 for example");
  return number;
}

function refuse(where: string, word: string, takes: string): CerError {
  return new CerError("CER_EVENT_INVALID", `${where} is ${JSON.stringify(word)}.`, {
    hint: `It takes ${takes}.`,
  });
}
