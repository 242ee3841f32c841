/** How much the journal may hold, and what gives way. Pure decisions over what is listed. */

import { type Listed, parseTime } from "./entry/layout.ts";

export type Limits = {
  /** Entries that wait to be sent. */
  readonly maxEntries: number;
  /** Bytes of all entries, what was given up among them. */
  readonly maxBytes: number;
  /** Milliseconds for which a report is tried before it is given up (age.ts), and what was set aside is kept. */
  readonly maxAge: number;
  /** Milliseconds a receipt is kept. */
  readonly keepReceipts: number;
};

const DAY = 86_400_000;

export const LIMITS: Limits = {
  maxEntries: 50,
  maxBytes: 1024 * 1024 * 1024,
  maxAge: 30 * DAY,
  keepReceipts: 7 * DAY,
};

/** Waiting, and in nobody's hands. */
const GIVABLE: ReadonlySet<string> = new Set(["unaddressed", "pending"]);

/** Bytes a receipt is counted as. */
const RECEIPT_SIZE = 4096;

/** What a new report of so many bytes needs. */
export type Room =
  /** Fits, after these were removed, receipts first, and these waiting reports given up, in this order. */
  | { readonly fits: true; readonly remove: readonly Listed[]; readonly giveUp: readonly Listed[] }
  | { readonly fits: false; readonly why: string };

/**
 * What gives way: the oldest receipts first, then the oldest given-up reports, and waiting ones only when the caller
 * said so, whatever their age: that is not told by their names.
 */
export function planRoom(
  listed: readonly Listed[],
  bytes: number,
  limits: Limits,
  { dropOldest }: { dropOldest: boolean },
): Room {
  if (bytes > limits.maxBytes)
    return { fits: false, why: `it is ${bytes} bytes, more than the journal's ${limits.maxBytes} in all` };
  const waiting = listed.filter(({ state }) => state === "claimed" || GIVABLE.has(state));
  const givable = oldestFirst(waiting.filter(({ state }) => GIVABLE.has(state)));
  const surplus = Math.max(0, waiting.length + 1 - limits.maxEntries);
  const giveUp = dropOldest ? givable.slice(0, surplus) : [];
  const young = givable.slice(giveUp.length);
  if (waiting.length - giveUp.length + 1 > limits.maxEntries)
    return { fits: false, why: `${waiting.length} reports wait already, the bound is ${limits.maxEntries}` };

  const removable = [
    ...oldestFirst(listed.filter(({ state }) => state === "done")),
    ...giveUp,
    ...oldestFirst(listed.filter(({ state }) => state === "abandoned")),
    ...(dropOldest ? young : []),
  ];
  const total = listed.reduce((sum, entry) => sum + sizeOf(entry), 0);
  let excess = total + bytes - limits.maxBytes;
  const remove: Listed[] = [];
  for (const entry of removable) {
    if (excess <= 0) break;
    remove.push(entry);
    excess -= sizeOf(entry);
  }
  if (excess > 0)
    return {
      fits: false,
      why: `${total} bytes wait already, the bound is ${limits.maxBytes} and this one has ${bytes}`,
    };
  return { fits: true, remove, giveUp: giveUp.filter((entry) => !remove.includes(entry)) };
}

function sizeOf({ state, label }: Listed): number {
  return state === "removed" ? 0 : label.bytes + (state === "done" ? RECEIPT_SIZE : 0);
}

function oldestFirst(entries: readonly Listed[]): Listed[] {
  return [...entries].sort((a, b) => a.createdAt - b.createdAt);
}

/**
 * Whether a receipt has been kept long enough. One from the future (the clock went back) has not.
 * @param since when the clock has been steady (age.ts): the days count from then on
 */
export function isOldReceipt({ state, label }: Listed, now: number, since: number, limits: Limits): boolean {
  const settledAt = parseTime(label.mark);
  return state === "done" && settledAt !== null && now - Math.max(settledAt, since) > limits.keepReceipts;
}
