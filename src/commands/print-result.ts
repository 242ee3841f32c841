/** What a command found, for people and for programs. */

import type { OutputFlags } from "../cli/options.ts";
import type { Terminal } from "../context.ts";
import { bigintAsText } from "../json.ts";

export type Result = { readonly lines: readonly string[]; readonly json: unknown };

/** The object under --json, the lines otherwise, nothing under --quiet. */
export function printResult({ lines, json }: Result, output: OutputFlags, { print }: Terminal): void {
  if (output.json) print(JSON.stringify(json, bigintAsText, 2));
  else if (!output.quiet) for (const line of lines) print(line);
}
