/** Events for tests that need one and care little which; those of the specification are in spec-examples.ts. */

import type { EventFlags } from "../../src/event/flags.ts";
import type { AttachedFile, Event } from "../../src/event.ts";

/** A setup that failed, with everything that an event can have; the value makes it another one. */
export function sampleEvent(value: string, files: readonly AttachedFile[] = []): Event {
  return {
    reportType: 1,
    eventType: "SetupFailed",
    friendlyEventName: "Setup failed",
    eventDescription: null,
    eventTime: 133_000_000_000_000_001n,
    machine: { name: "HOST", os: "6.1.7601.2.1.0.256.1", lcid: 1033, oem: null },
    user: { name: "ann" },
    application: { name: "setup.exe", path: "C:\\setup.exe", company: "Contoso" },
    parameters: [{ id: 0, name: "product", value }],
    secondaryParameters: [{ name: "log", value: "1" }],
    files,
  };
}

/** An event of Bob's with these files and without parameters. */
export function eventWith(...files: readonly AttachedFile[]): Event {
  return {
    reportType: 0,
    eventType: "MikeTest",
    friendlyEventName: null,
    eventDescription: null,
    eventTime: 133_496_477_153_022_430n,
    machine: { name: "m", os: "10.0.0.0.0.0.0.0", lcid: 1033, oem: null },
    user: { name: "bob" },
    application: { name: "App", path: "/opt/app", company: null },
    parameters: [],
    secondaryParameters: [],
    files,
  };
}

/** A command line that says nothing of an event. */
export const NO_FLAGS: EventFlags = {
  reportType: null,
  eventTime: null,
  lcid: null,
  eventType: null,
  friendlyEventName: null,
  eventDescription: null,
  appName: null,
  appPath: null,
  appCompany: null,
  machineName: null,
  os: null,
  oem: null,
  user: null,
  parameters: [],
  secondary: [],
  files: [],
  minidumps: [],
  heapdumps: [],
  documents: [],
};
