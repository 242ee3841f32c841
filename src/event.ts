/**
 * The event: what happened, to whom, on which machine, as one complete value from which the level 1 report is made.
 */

/** WER_REPORT_TYPE, by number ([MS-CER2] 2.2.1.2.5). */
export const REPORT_TYPES = [
  "NonCritical",
  "Critical",
  "ApplicationCrash",
  "ApplicationHang",
  "Kernel",
] as const;
export type ReportType = 0 | 1 | 2 | 3 | 4;

/** WER_FILE_TYPE, by number less one ([MS-CER2] 2.2.1.2.6). */
export const FILE_TYPES = ["Microdump", "Minidump", "Heapdump", "UserDocument", "Other"] as const;
export type FileType = 1 | 2 | 3 | 4 | 5;

export type AttachedFile = {
  /** Absolute path. */
  readonly path: string;
  /** The name the report and the archive give it: the path's last part unless the event names another. */
  readonly name: string;
  readonly type: FileType;
};

export type Parameter = {
  /** 0-9, unique. */
  readonly id: number;
  readonly name: string | null;
  readonly value: string;
};

/** Complete: what the user left out has been filled in from the machine. */
export type Event = {
  readonly reportType: ReportType;
  readonly eventType: string;
  readonly friendlyEventName: string | null;
  readonly eventDescription: string | null;
  /** FILETIME: 100-nanosecond ticks since 1601-01-01 UTC. */
  readonly eventTime: bigint;
  readonly machine: {
    readonly name: string;
    readonly os: string;
    readonly lcid: number;
    readonly oem: string | null;
  };
  readonly user: { readonly name: string };
  readonly application: {
    readonly name: string;
    readonly path: string;
    readonly company: string | null;
  } | null;
  /** At most ten, in the order of their ids. */
  readonly parameters: readonly Parameter[];
  readonly secondaryParameters: readonly { readonly name: string; readonly value: string }[];
  readonly files: readonly AttachedFile[];
};
