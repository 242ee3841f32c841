/** A command line as a value: what was typed, checked word by word, and nothing else. */

import type { ArchiveTerms } from "../config/terms.ts";
import type { EventFlags } from "../event/read.ts";
import type { KeepingFlags, OutputFlags, TargetFlags, TimeFlags } from "./options.ts";

/** What submit and preview have in common. */
type ReportCommand = {
  /** The event file, "-" for standard input, null for flags alone. */
  readonly event: string | null;
  readonly flags: EventFlags;
  readonly truncate: boolean;
  readonly target: TargetFlags;
  readonly archive: ArchiveTerms;
  readonly output: OutputFlags;
};

export type SubmitCommand = ReportCommand & {
  readonly name: "submit";
  readonly times: TimeFlags;
  readonly dryRun: { readonly out: string | null } | null;
  readonly keeping: KeepingFlags;
};

/** What an answer would make this client do; `response` is the file that holds it, null for no answer yet. */
export type PreviewCommand = ReportCommand & {
  readonly name: "preview";
  readonly response: string | null;
  readonly out: string | null;
};

export type FlushCommand = {
  readonly name: "flush";
  readonly target: TargetFlags;
  readonly times: TimeFlags;
  readonly output: OutputFlags;
};

export type QueueAction =
  | { readonly action: "list" }
  | { readonly action: "show" | "retry" | "drop"; readonly id: string }
  | { readonly action: "export"; readonly id: string; readonly file: string }
  | { readonly action: "import"; readonly file: string };

export type QueueCommand = {
  readonly name: "queue";
  readonly target: TargetFlags;
  readonly output: OutputFlags;
} & QueueAction;

export type VerifyCommand = {
  readonly name: "verify";
  readonly receipt: string;
  readonly archive: string | null;
  readonly output: OutputFlags;
};

export type InspectCommand = {
  readonly name: "inspect";
  readonly file: string;
  readonly extract: string | null;
  readonly verify: boolean;
  readonly output: OutputFlags;
};

export type ServeCommand = {
  readonly name: "serve";
  readonly port: number;
  readonly host: string;
  readonly dir: string | null;
  readonly requests: readonly string[];
};

export type SmokeCommand = Omit<FlushCommand, "name"> & { readonly name: "smoke" };

export type Command =
  | SubmitCommand
  | PreviewCommand
  | FlushCommand
  | QueueCommand
  | VerifyCommand
  | InspectCommand
  | ServeCommand
  | SmokeCommand
  | { readonly name: "schema" }
  | { readonly name: "text"; readonly text: string };
