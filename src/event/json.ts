/**
 * The event's JSON form: its schema, its reader, and the complaints of both. Every complaint names the place as a JSON
 * path, or as line and column where the text is no JSON at all.
 */

import { resolve } from "node:path";
import * as v from "valibot";
import { asCerError, CerError, type Leniency } from "../errors.ts";
import {
  baseName,
  type EventInput,
  FILE_TYPES,
  type FileType,
  MAX_PARAMETERS,
  type Parameter,
  REPORT_TYPES,
  type ReportType,
  type SecondaryParameter,
  toFileTime,
} from "../event.ts";
import { parseJson, parseShape, present } from "../json.ts";
import { decodeWrittenText } from "../wire/text.ts";

const MAX_FILETIME = 2n ** 64n - 1n;

const text = (description: string) => v.pipe(v.string(), v.description(description));
const optionalText = (description: string) => v.exactOptional(text(description));

/** A name of the list or its number. */
function oneOf(names: readonly string[], first: number, description: string) {
  const last = first + names.length - 1;
  return v.pipe(
    v.union(
      [
        v.pipe(v.number(), v.integer(), v.minValue(first), v.maxValue(last)),
        v.picklist(names as readonly [string, ...string[]]),
      ],
      `must be a number from ${first} to ${last} or one of ${names.join(", ")}`,
    ),
    v.description(description),
  );
}

const boundedParameter = v.strictObject({
  id: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_PARAMETERS - 1)),
  name: v.exactOptional(v.string()),
  value: v.string(),
});

/** As it is read: where one of them finds no place among the ten, it has one elsewhere. */
const anyParameter = v.strictObject({
  ...boundedParameter.entries,
  id: v.exactOptional(v.pipe(v.number(), v.integer())),
});

/** The whole, but for the parameters. */
const eventSchema = <P extends v.GenericSchema>(parameters: P) =>
  v.pipe(
    v.strictObject({
      $schema: optionalText("Where this schema is, for editors; cer does not read it."),
      reportType: v.exactOptional(oneOf(REPORT_TYPES, 0, "WER_REPORT_TYPE; 1 (Critical) when left out.")),
      eventType: optionalText("What kind of event, APPCRASH for example. Required here or as --event-type."),
      friendlyEventName: optionalText("The event's name as people say it."),
      eventDescription: optionalText("What happened, in words."),
      eventTime: v.exactOptional(
        v.pipe(
          v.union(
            [v.string(), v.number()],
            "must be a FILETIME (a decimal string, or a number below 2^53) or an ISO 8601 time",
          ),
          v.description("FILETIME as a decimal string, or an ISO 8601 time; now when left out."),
        ),
      ),
      machine: v.exactOptional(
        v.strictObject({
          name: optionalText("Fully qualified name of the machine, at most 256 characters."),
          os: optionalText("major.minor.build.platform.spMajor.spMinor.suite.product"),
          lcid: v.exactOptional(
            v.pipe(
              v.number(),
              v.integer(),
              v.minValue(1),
              v.maxValue(0xffff_ffff),
              v.description("Locale, as a Windows LCID."),
            ),
          ),
          oem: optionalText("The machine's maker, at most 32 characters."),
        }),
      ),
      user: v.exactOptional(v.strictObject({ name: optionalText("The user the report is for.") })),
      application: v.exactOptional(
        v.strictObject({
          name: optionalText("At most 256 characters."),
          path: optionalText("At most 256 characters."),
          company: optionalText("At most 256 characters."),
        }),
      ),
      parameters: v.exactOptional(parameters),
      secondaryParameters: v.exactOptional(v.array(v.strictObject({ name: v.string(), value: v.string() }))),
      files: v.exactOptional(
        v.array(
          v.strictObject({
            path: text("Relative to the event file, or to the current directory on standard input."),
            name: optionalText("The name in the report; the path's last part when left out."),
            type: v.exactOptional(oneOf(FILE_TYPES, 1, "WER_FILE_TYPE; 5 (Other) when left out.")),
          }),
        ),
      ),
    }),
    v.title("cer event"),
    v.description("An event that `cer submit` reports."),
  );

const EventSchema = eventSchema(v.array(anyParameter));

/** The JSON Schema of the event file (draft 7), for editors and validators. */
export async function eventJsonSchema(): Promise<object> {
  const { toJsonSchema } = await import("@valibot/to-json-schema");
  const parameters = v.pipe(
    v.array(boundedParameter),
    v.maxLength(MAX_PARAMETERS),
    v.description("The problem signature: at most ten, ids 0 to 9, each once."),
  );
  return toJsonSchema(eventSchema(parameters), { errorMode: "ignore" });
}

/**
 * Reads an event file's bytes: UTF-8, UTF-16 as Windows PowerShell writes it, or code page 1252, which is told. A field that is
 * not as the schema has it is left out and told.
 * @param where the file's name as messages call it
 * @param directory what relative file paths are relative to
 * @throws CerError CER_EVENT_JSON for what is no JSON object; CER_EVENT_INVALID for the first wrong field when strict
 */
export async function parseEvent(
  bytes: Buffer,
  where: string,
  directory: string,
  leniency: Leniency,
): Promise<EventInput> {
  const { text, isAnsi } = decodeWrittenText(bytes);
  if (isAnsi)
    leniency.tolerate(
      new CerError("CER_EVENT_JSON", `${where} is not UTF-8.`, { hint: "Save it as UTF-8." }),
      "It is read as code page 1252.",
    );
  const json = await parseJson(text, where, "CER_EVENT_JSON");
  const shape = await parseShape(EventSchema, json, where, "CER_EVENT_INVALID", (fault, instead) =>
    leniency.tolerate(fault, instead),
  );
  const { $schema, reportType, eventTime, parameters, files, ...plain } = shape;
  const time =
    eventTime === undefined ? null : parsed(eventTime, `${where}: eventTime`, parseEventTime, leniency);
  const type =
    reportType === undefined ? null : parsed(reportType, `${where}: reportType`, parseReportType, leniency);
  const settled = settleParameters(parameters ?? [], where, leniency);
  return {
    ...plain,
    ...present({ reportType: type, eventTime: time }),
    ...(settled.surplus.length > 0 && {
      secondaryParameters: [...settled.surplus.map(asSecondary), ...(plain.secondaryParameters ?? [])],
    }),
    ...(parameters && { parameters: settled.ten }),
    ...(files && {
      files: files.map((file, at) => ({
        path: file.path === "" ? "" : resolve(directory, file.path),
        name: file.name ?? baseName(file.path),
        type: parsed(file.type ?? 5, `${where}: files[${at}].type`, parseFileType, leniency) ?? 5,
      })),
    }),
  };
}

/** What a word means; null, and told, when it means nothing. @throws CerError when strict */
export function parsed<W, T>(
  word: W,
  where: string,
  parse: (word: W, where: string) => T,
  leniency: Leniency,
): T | null {
  try {
    return parse(word, where);
  } catch (thrown) {
    leniency.tolerate(asCerError(thrown), "It is left out.");
    return null;
  }
}

/** A parameter that finds no place among the ten, as a secondary one. */
export function asSecondary({ id, name, value }: Parameter): SecondaryParameter {
  return { name: name ?? `Parameter ${id}`, value };
}

/** Of an event's parameters those that are among the ten, and those that cannot be: their id is none of 0 to 9, or taken. */
function settleParameters(
  parameters: readonly v.InferOutput<typeof anyParameter>[],
  where: string,
  leniency: Leniency,
): { ten: Parameter[]; surplus: Parameter[] } {
  const refuse = (at: number, why: string, instead: string) =>
    leniency.tolerate(
      new CerError("CER_EVENT_INVALID", `${where}: parameters[${at}].id ${why}.`, {
        hint: "Each parameter has its own id from 0 to 9.",
      }),
      instead,
    );
  const taken = new Set(parameters.map(({ id }) => id));
  const ten = new Map<number, Parameter>();
  const surplus: Parameter[] = [];
  for (const [at, given] of parameters.entries()) {
    const { name = null, value } = given;
    let { id } = given;
    if (id === undefined) {
      id = at;
      while (taken.has(id)) id++;
      taken.add(id);
      refuse(at, "is missing", `It is taken as ${id}.`);
    }
    const isNone = id < 0 || id >= MAX_PARAMETERS;
    if (!isNone && !ten.has(id)) ten.set(id, { id, name, value });
    else {
      if (given.id !== undefined)
        refuse(at, `is ${id}, which is ${isNone ? "not from 0 to 9" : "taken already"}`, TO_SECONDARY);
      surplus.push({ id, name, value });
    }
  }
  return { ten: [...ten.values()], surplus };
}

const TO_SECONDARY = "It goes as a secondary parameter.";

/** The number of a WER_REPORT_TYPE given as a number or a name. `where` is how a message calls the place. */
export function parseReportType(given: string | number, where: string): ReportType {
  return numberOf(given, REPORT_TYPES, 0, where) as ReportType;
}

function parseFileType(given: string | number, where: string): FileType {
  return numberOf(given, FILE_TYPES, 1, where) as FileType;
}

function numberOf(given: string | number, names: readonly string[], first: number, where: string): number {
  const word = String(given);
  const byName = names.findIndex((name) => name.toLowerCase() === word.toLowerCase());
  const number = byName >= 0 ? byName + first : /^[0-9]$/.test(word) ? Number(word) : -1;
  if (number >= first && number < first + names.length) return number;
  throw new CerError("CER_EVENT_INVALID", `${where} is ${JSON.stringify(given)}.`, {
    hint: `It takes a number from ${first} to ${first + names.length - 1} or one of ${names.join(", ")}.`,
  });
}

/** A FILETIME in decimal, or an ISO 8601 time with a zone. `where` is how a message calls the place. */
export function parseEventTime(given: string | number, where: string): bigint {
  const refuse = (why: string): never => {
    throw new CerError("CER_EVENT_INVALID", `${where} is ${JSON.stringify(given)}: ${why}.`, {
      hint: 'It takes a FILETIME as a decimal string ("128497001160460289") or an ISO 8601 time ("2008-03-11T07:01:59Z").',
    });
  };
  if (typeof given === "number" && Number.isInteger(given) && !Number.isSafeInteger(given))
    refuse("as a JSON number it has lost digits; write it as a string");
  const word = String(given).trim();
  if (/^[0-9]+$/.test(word)) {
    const ticks = BigInt(word);
    return ticks <= MAX_FILETIME ? ticks : refuse("a FILETIME has 64 bits");
  }
  const iso = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(word);
  const [, day = "", time, , fraction = "", zone] = iso ?? [];
  if (time !== undefined && zone === undefined) refuse("it lacks a zone, Z for UTC or +02:00 for example");
  const milliseconds = iso === null ? Number.NaN : Date.parse(word.replace(fraction, ""));
  if (Number.isNaN(milliseconds)) refuse("it is neither");
  if (new Date(day).toISOString().slice(0, 10) !== day) refuse("there is no such day");
  const ticks = toFileTime(milliseconds) + BigInt(fraction.slice(1).padEnd(7, "0").slice(0, 7));
  return ticks >= 0n ? ticks : refuse("a FILETIME begins in 1601");
}
