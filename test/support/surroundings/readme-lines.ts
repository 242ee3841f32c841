/** The lines that the README tells installers to run, taken from the README itself, as sh runs them. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const README = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");

export type Line = {
  /** As it stands there. */
  readonly text: string;
  /** The report's event type when the line itself names it. */
  readonly eventType: string | null;
  /** Nothing but errors; one JSON object on standard output, and what it likes on standard error; lines for people. */
  readonly says: "errors" | "json" | "lines";
  /** The code with which the installer's script ends: what failed decides it, not `cer`. Null: as `cer` does. */
  readonly ends: number | null;
};

/** The one line of a part of the README that matches. */
function find(part: string, pattern: RegExp): string {
  const [, rest = ""] = README.split(`\n## ${part}\n`);
  const lines = rest.split("\n## ", 1).join("").split("\n");
  const found = lines.filter((line) => pattern.test(line));
  assert.equal(found.length, 1, `lines of "${part}" that match ${pattern}: ${found.length}`);
  return found[0] ?? "";
}

function postinstall(): string {
  const line = find("From an installer", /"postinstall"/);
  return (JSON.parse(line) as { scripts: { postinstall: string } }).scripts.postinstall;
}

export const LINES = {
  /** A maintainer script of dpkg or rpm that ends with 42. */
  dpkg: {
    text: `${find("From an installer", /^trap /)}\nexit 42`,
    eventType: "PackageFailed",
    says: "errors",
    ends: 42,
  },
  /** MSI, WiX, NSIS, Inno. `%TEMP%\setup.log` is a name like any other here. */
  setup: {
    text: find("From an installer", /^cer submit .*%TEMP%/),
    eventType: "SetupFailed",
    says: "errors",
    ends: null,
  },
  /** npm, with a setup.js that fails. */
  npm: {
    text: `node() { return 7; }\n${postinstall()}`,
    eventType: "NpmInstallFailed",
    says: "errors",
    ends: 1,
  },
  /** An event file with a dump. */
  file: {
    text: find("Report something", /^cer submit crash\.json/),
    eventType: null,
    says: "lines",
    ends: null,
  },
  /** An event on standard input. */
  stdin: {
    text: find("Report something", /\| cer submit -/),
    eventType: null,
    says: "json",
    ends: null,
  },
} satisfies Record<string, Line>;

export type LineName = keyof typeof LINES;

export type Changes = {
  /** In place of the line's seconds, which are 20; it is added where a line has none. */
  readonly maxTime?: number | undefined;
  /** A word of sh in place of the line's attached file. */
  readonly attached?: string | undefined;
  /** Words right after `cer submit`. */
  readonly more?: string | undefined;
};

/** The line with these changes and no other. */
export function changed({ text }: Line, { maxTime, attached, more }: Changes): string {
  const replace = (from: string, to: string) => (whole: string) => {
    assert.ok(whole.includes(from), `${from} is not in ${whole}`);
    return whole.replace(from, () => to);
  };
  const steps: ((whole: string) => string)[] = [];
  if (attached !== undefined) steps.push(replace('--file "%TEMP%\\setup.log"', `--file ${attached}`));
  if (maxTime !== undefined && text.includes("--max-time"))
    steps.push(replace("--max-time 20", `--max-time ${maxTime}`));
  else if (maxTime !== undefined) steps.push(replace("cer submit", `cer submit --max-time ${maxTime}`));
  if (more !== undefined) steps.push(replace("cer submit", `cer submit ${more}`));
  return steps.reduce((whole, step) => step(whole), text);
}
