/** The event as the journal's JSON: complete, the 64-bit time as decimal text, read back with suspicion. */

import type { AttachedFile, Event } from "../event.ts";
import type { Fields, Json } from "./record.ts";

export function encodeEvent(event: Event): Json {
  return { ...event, eventTime: event.eventTime.toString() };
}

/** @throws CerError CER_DAMAGED */
export function parseEvent(fields: Fields): Event {
  return {
    reportType: fields.one("reportType", [0, 1, 2, 3, 4]),
    eventType: fields.text("eventType"),
    friendlyEventName: fields.textOrNull("friendlyEventName"),
    eventDescription: fields.textOrNull("eventDescription"),
    eventTime: fields.unsigned64("eventTime"),
    machine: fields.object("machine", (machine) => ({
      name: machine.text("name"),
      os: machine.text("os"),
      lcid: machine.count("lcid"),
      oem: machine.textOrNull("oem"),
    })),
    user: fields.object("user", (user) => ({ name: user.text("name") })),
    application: fields.objectOrNull("application", (application) => ({
      name: application.text("name"),
      path: application.text("path"),
      company: application.textOrNull("company"),
    })),
    parameters: fields.list("parameters", (parameter) => ({
      id: parameter.count("id"),
      name: parameter.textOrNull("name"),
      value: parameter.text("value"),
    })),
    secondaryParameters: fields.list("secondaryParameters", (parameter) => ({
      name: parameter.text("name"),
      value: parameter.text("value"),
    })),
    files: fields.list("files", parseFile),
  };
}

function parseFile(file: Fields): AttachedFile {
  return {
    path: file.text("path"),
    name: file.text("name"),
    type: file.one("type", [1, 2, 3, 4, 5]),
  };
}
