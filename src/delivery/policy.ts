/**
 * What becomes of a report that was not delivered, by what came in place of the acknowledgement: one table, which the
 * README shows row by row. When the next try is made is retry.ts' matter.
 */

import type { CerErrorCode } from "../errors.ts";

/** Why an attempt failed, as far as the table asks. */
export type Fault<Code extends string = CerErrorCode> = {
  readonly code: Code;
  /** Of the last reply; null where there was none. */
  readonly status: number | null;
  /** The level that failed, where one did. */
  readonly level?: 1 | 2;
};

export type Rule = {
  /** As the README says it. */
  readonly what: string;
  readonly codes: readonly CerErrorCode[];
  /** Of these statuses, or classes of them; of any where left out. */
  readonly statuses?: readonly (number | "4xx" | "5xx")[];
  /** At this level only. */
  readonly level?: 2;
  /** Tries between runs that may end so in a row; 1: given up at once. */
  readonly tries: number;
  /** Whether a try within the same run makes sense: seconds may help. */
  readonly isQuick: boolean;
};

/** Tries of one report, whatever each of them ended in. */
export const MOST_TRIES = 200;
/** For a server that is being set up, and for an address that never will be one. */
const FEW = 20;

/** The first row that fits counts. */
export const POLICY: readonly Rule[] = [
  {
    what: "no connection; one that broke or fell silent; an answer cut short; a success told before all was sent",
    codes: ["CER_UNREACHABLE", "CER_CONNECTION_LOST", "CER_TIMEOUT"],
    tries: MOST_TRIES,
    isQuick: true,
  },
  {
    what: "no HTTP, headers too long; a success that is none: a page, an encoded body, other text, 206, 207, 208, 226, 101, a status that HTTP does not know",
    codes: ["CER_NOT_CER"],
    tries: MOST_TRIES,
    isQuick: true,
  },
  { what: "a redirect (3xx)", codes: ["CER_REDIRECT"], tries: MOST_TRIES, isQuick: true },
  { what: "busy", codes: ["CER_STATUS"], statuses: [408, 425, 429], tries: MOST_TRIES, isQuick: true },
  {
    what: "TLS: a certificate or a handshake that is not accepted",
    codes: ["CER_TLS"],
    tries: MOST_TRIES,
    isQuick: false,
  },
  { what: "the proxy refuses, also by CONNECT", codes: ["CER_PROXY"], tries: MOST_TRIES, isQuick: false },
  { what: "authentication wanted (401, 407)", codes: ["CER_AUTH"], tries: MOST_TRIES, isQuick: false },
  { what: "forbidden", codes: ["CER_STATUS"], statuses: [403], tries: MOST_TRIES, isQuick: false },
  {
    what: "not set up yet, or locked",
    codes: ["CER_STATUS"],
    statuses: [404, 405, 423, 501],
    tries: FEW,
    isQuick: false,
  },
  {
    what: "the upload's folder is missing",
    codes: ["CER_STATUS"],
    statuses: [409],
    level: 2,
    tries: FEW,
    isQuick: false,
  },
  {
    what: "the report itself is refused",
    codes: ["CER_STATUS"],
    statuses: [505, "4xx"],
    tries: 1,
    isQuick: false,
  },
  {
    what: "the server has trouble",
    codes: ["CER_STATUS"],
    statuses: ["5xx"],
    tries: MOST_TRIES,
    isQuick: true,
  },
  { what: "a DumpFile that cannot be used", codes: ["CER_DUMP_PATH"], tries: 1, isQuick: false },
  {
    what: "a fault on this machine: no memory, a full disk, an archive that changed, a defect",
    codes: ["CER_NO_MEMORY", "CER_ARCHIVE", "CER_WRITE", "CER_MISMATCH", "CER_INTERNAL"],
    tries: MOST_TRIES,
    isQuick: true,
  },
];

/** What no row names: a report that this program itself cannot read; or a run that was stopped, which judges nothing. */
const GIVEN_UP: Rule = { what: "anything else", codes: [], tries: 1, isQuick: false };

/** How many of the last attempts in a row are under a rule of as many tries as this fault's; the fault's own is one. */
export function countAlike(
  attempts: readonly (Omit<Fault, "code"> & { readonly errorCode: string | null })[],
  fault: Fault,
): number {
  const { tries } = ruleFor(fault);
  const isAlike = ({ errorCode, ...rest }: (typeof attempts)[number]) =>
    errorCode !== null && ruleFor({ code: errorCode, ...rest }).tries === tries;
  const other = attempts.findLastIndex((attempt) => !isAlike(attempt));
  return Math.max(1, attempts.length - 1 - other);
}

export function ruleFor(fault: Fault<string>): Rule {
  return POLICY.find((rule) => fits(rule, fault)) ?? GIVEN_UP;
}

function fits({ codes, statuses, level }: Rule, fault: Fault<string>): boolean {
  if (!codes.some((code) => code === fault.code)) return false;
  if (level !== undefined && level !== fault.level) return false;
  if (statuses === undefined) return true;
  const { status } = fault;
  return status !== null && (statuses.includes(status) || statuses.includes(classOf(status)));
}

function classOf(status: number): "4xx" | "5xx" | number {
  if (status >= 400 && status < 500) return "4xx";
  return status >= 500 && status < 600 ? "5xx" : status;
}
