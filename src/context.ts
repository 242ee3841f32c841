/** The process as far as the program may see it: `main.ts` hands it to a command, and the command on. */

export type Context = {
  readonly platform: NodeJS.Platform;
  readonly env: NodeJS.ProcessEnv;
  /** Null where this user has none. */
  readonly home: string | null;
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
  /**
   * Standard input to its end, or `limit` bytes and one more of what is longer.
   * @throws the signal's reason when it fires; the system's error
   */
  readStdin(limit: number, signal: AbortSignal): Promise<Buffer>;
  /** This program's own. */
  readonly version: string;
};

/** Paints a word; the identity where colour is off. */
export type Paint = (style: "good" | "bad" | "dim", text: string) => string;

export type Terminal = {
  /** One line of the result, to standard output. */
  print(line: string): void;
  /** One line of talk, to standard error. */
  say(line: string): void;
  readonly paint: Paint;
  /** Somebody reads standard error and can answer on standard input. */
  readonly isInteractive: boolean;
  /** The line typed in answer, trimmed; null at the end of input. @throws the signal's reason when it fires */
  ask(question: string, signal: AbortSignal): Promise<string | null>;
  /** Shows an upload's progress; the identity where nobody watches. Call `stop` before anything else is said. */
  progress(total: number): Promise<{ update(done: number): void; stop(): void }>;
};
