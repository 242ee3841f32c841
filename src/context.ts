/** What `main.ts` hands to a command: the process, as far as a command may see it. */

import type { Terminal } from "./cli/terminal.ts";

export type Surroundings = {
  readonly platform: NodeJS.Platform;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  readonly cwd: string;
  /** Where temporary files go. */
  readonly tempDir: string;
  readonly now: () => number;
  /** From 0 to less than 1. */
  readonly random: () => number;
  /** False when the program is to stop before the time (milliseconds) has passed. */
  sleep(time: number): Promise<boolean>;
  readonly process: {
    readonly pid: number;
    /** Null on Windows. */
    readonly uid: number | null;
    /** Runs as root, or on Windows as SYSTEM. */
    readonly isRoot: boolean;
    isRunning(pid: number): boolean;
  };
  /** Aborted, with a CerError as its reason, when the user or the system wants the program to stop. */
  readonly signal: AbortSignal;
  readonly terminal: Terminal;
  readStdin(): Promise<Buffer>;
  /** This program's own. */
  readonly version: string;
};
