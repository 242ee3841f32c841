/** A command line as a value: what was typed, checked word by word, and nothing else. */

import type { Settings } from "../config/settings.ts";
import type { ArchiveTerms } from "../config/terms.ts";
import type { EventFlags } from "../event/read.ts";

export type TargetFlags = { readonly config: string | null; readonly settings: Settings };

export type OutputFlags = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
};

/** Milliseconds. */
export type TimeFlags = { readonly idleTimeout: number; readonly maxTime: number | null };

export type SubmitCommand = {
  readonly name: "submit";
  /** The event file, "-" for standard input, null for flags alone. */
  readonly event: string | null;
  readonly flags: EventFlags;
  readonly truncate: boolean;
  readonly target: TargetFlags;
  readonly times: TimeFlags;
  readonly archive: ArchiveTerms;
  readonly dryRun: { readonly out: string | null } | null;
  readonly keeping: KeepingFlags;
  readonly output: OutputFlags;
};

/** How a report is kept and tried again. */
export type KeepingFlags = {
  /** False: attached files are only remembered by path. */
  readonly copy: boolean;
  readonly dropOldest: boolean;
  /** Neither compared with earlier reports nor counted. */
  readonly force: boolean;
  /** Send what waits, after the report itself was delivered. */
  readonly flush: boolean;
  /** Where to write the receipt as well. */
  readonly receipt: string | null;
};

export type FlushCommand = {
  readonly name: "flush";
  readonly target: TargetFlags;
  readonly times: TimeFlags;
  readonly output: OutputFlags;
};

export type QueueCommand = {
  readonly name: "queue";
  readonly target: TargetFlags;
  readonly output: OutputFlags;
} & (
  | { readonly action: "list" }
  | { readonly action: "show" | "retry" | "drop"; readonly id: string }
  | { readonly action: "export"; readonly id: string; readonly file: string }
  | { readonly action: "import"; readonly file: string }
);

export type VerifyCommand = {
  readonly name: "verify";
  readonly receipt: string;
  readonly archive: string | null;
  readonly output: OutputFlags;
};

/** What an answer would make this client do; `response` is the file that holds it, null for no answer yet. */
export type PreviewCommand = Omit<SubmitCommand, "name" | "dryRun" | "times" | "keeping"> & {
  readonly name: "preview";
  readonly response: string | null;
  readonly out: string | null;
};

export type InspectCommand = {
  readonly name: "inspect";
  readonly file: string;
  readonly extract: string | null;
  readonly verify: boolean;
  readonly output: OutputFlags;
};

export type Command =
  | SubmitCommand
  | PreviewCommand
  | FlushCommand
  | QueueCommand
  | VerifyCommand
  | InspectCommand
  | {
      readonly name: "serve";
      readonly port: number;
      readonly host: string;
      readonly dir: string | null;
      readonly requests: readonly string[];
    }
  | {
      readonly name: "smoke";
      readonly target: TargetFlags;
      readonly times: TimeFlags;
      readonly output: OutputFlags;
    }
  | { readonly name: "schema" }
  | { readonly name: "text"; readonly text: string };
