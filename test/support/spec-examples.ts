/** The examples of [MS-CER2] section 4: what the event is, what it becomes on the wire, what the server answers. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../src/event.ts";

export type Example = {
  readonly section: "4.1" | "4.2" | "4.3" | "4.4";
  readonly event: Event;
  /** The level 1 report as printed, its lines ending in line feeds. */
  readonly report: string;
  /** The answer as printed, blanks round the equals signs and all, its lines ending in line feeds. */
  readonly answer: string;
};

const SOMEWHERE = {
  machine: {
    name: "client-machine.corp.cliendomain.com",
    os: "6.1.6561.2.0.0.256.1",
    lcid: 1033,
    oem: null,
  },
  user: { name: "Username" },
  eventDescription: null,
} as const;

const APPLICATION_FAULT: Event = {
  ...SOMEWHERE,
  reportType: 2,
  eventType: "APPCRASH",
  friendlyEventName: "Stopped working",
  eventTime: 128496925196486378n,
  application: {
    name: "WER GPF Test Utility",
    path: "E:\\tools\\GPFMe.exe",
    company: "Test Corporation",
  },
  parameters: [
    { id: 0, name: "Application Name", value: "GPFMe.exe" },
    { id: 1, name: "Application Version", value: "6.0.4082.0" },
    { id: 2, name: "Application Timestamp", value: "40ce670d" },
    { id: 3, name: "Fault Module Name", value: "GPFMe.exe" },
    { id: 4, name: "Fault Module Version", value: "6.0.4082.0" },
    { id: 5, name: "Fault Module Timestamp", value: "40ce670d" },
    { id: 6, name: "Exception Code", value: "c0000005" },
    { id: 7, name: "Exception Offset", value: "000031de" },
  ],
  secondaryParameters: [],
  files: [{ path: "/attached/Version.txt", name: "Version.txt", type: 5 }],
};

const KERNEL_FAULT: Event = {
  ...SOMEWHERE,
  reportType: 4,
  eventType: "BlueScreen",
  friendlyEventName: "Shut down unexpectedly",
  eventTime: 128496996179046077n,
  application: {
    name: "Windows",
    path: "C:\\Windows\\System32\\WerFault.exe",
    company: "Test Corporation",
  },
  parameters: [],
  secondaryParameters: [
    { name: "BCCode", value: "f4" },
    { name: "BCP1", value: "00000003" },
    { name: "BCP2", value: "8C387020" },
    { name: "BCP3", value: "8C387184" },
    { name: "BCP4", value: "81BD1A30" },
    { name: "OS Version", value: "6_1_6561" },
    { name: "Service Pack", value: "0_0" },
    { name: "Product", value: "256_1" },
  ],
  files: [
    { path: "/attached/Mini031108-01.dmp", name: "Mini031108-01.dmp", type: 2 },
    { path: "/attached/sysdata.xml", name: "sysdata.xml", type: 5 },
    { path: "/attached/Version.txt", name: "Version.txt", type: 5 },
  ],
};

const GENERIC_ERROR: Event = {
  ...SOMEWHERE,
  reportType: 1,
  eventType: "MikeTest",
  friendlyEventName: "MikeTest",
  eventTime: 128497001160460289n,
  application: { name: "Test", path: "E:\\tools\\wersample.exe", company: "Test Corporation" },
  parameters: [
    { id: 0, name: "Problem Signature 01", value: "1000" },
    { id: 1, name: "Problem Signature 02", value: "2000" },
    { id: 2, name: "Problem Signature 03", value: "3000" },
  ],
  secondaryParameters: [],
  files: [],
};

function example(section: Example["section"], event: Event): Example {
  const read = (name: string) => readFileSync(join(import.meta.dirname, "../fixtures/ms-cer2", name), "utf8");
  return { section, event, report: read(`${section}.report.xml`), answer: read(`${section}.answer.txt`) };
}

export const EXAMPLES = {
  "4.1": example("4.1", APPLICATION_FAULT),
  "4.2": example("4.2", APPLICATION_FAULT),
  "4.3": example("4.3", KERNEL_FAULT),
  "4.4": example("4.4", GENERIC_ERROR),
} as const;
