/**
 * The same report twice, and too many of a kind. Pure decisions over what the journal lists: entries carry their
 * identity and signature in their names.
 *
 * Two events are the same when they are of the same type, name the same application, machine and user, hold the same
 * parameters, and happened at the same time. The time counts only if the event gave one: filled in by this program, it
 * would make every run of the same hook a new event. Not looked at: descriptions, friendly names, secondary parameters,
 * attached files, language and system version; the server sorts by none of them, and logs are named anew with each run.
 * The destination belongs to it: what a test server got has not been reported.
 *
 * Two reports are of a kind (a signature) when event type, application name and parameters are the same: what the server
 * makes a bucket of.
 */

import { sha256Of } from "../bytes.ts";
import type { Event } from "../event.ts";
import { type Listed, parseTime } from "./entry/layout.ts";

/** 64 hex digits. @param to the destination's URL; @param timeGiven the event named its own time */
export function eventIdentity(event: Event, { to, timeGiven }: { to: string; timeGiven: boolean }): string {
  return digest([
    to,
    event.reportType,
    event.machine.name,
    event.user.name,
    event.application?.path ?? null,
    event.application?.company ?? null,
    timeGiven ? event.eventTime.toString() : null,
    ...signatureParts(event),
  ]);
}

/** 64 hex digits. */
export function eventSignature(event: Event): string {
  return digest(signatureParts(event));
}

function signatureParts(event: Event): unknown[] {
  const parameters = event.parameters.map(({ id, name, value }) => [id, name, value]);
  return [event.eventType, event.application?.name ?? null, parameters];
}

function digest(parts: unknown[]): string {
  return sha256Of(JSON.stringify(parts));
}

export type AdmissionPolicy = {
  /** Milliseconds for which a delivered report makes the same one a duplicate; 0 for never. */
  readonly window: number;
  /** Reports of one signature in one hour; 0 for any number. */
  readonly perHour: number;
};

const HOUR = 3_600_000;

export const DEFAULT_ADMISSION: AdmissionPolicy = { window: 24 * HOUR, perHour: 10 };

/** Milliseconds a report may seem to come from the future (a clock set back) and still count. */
const CLOCK_TOLERANCE = HOUR;

export type AdmissionResult =
  | { readonly outcome: "admitted" }
  /** The same report is there: delivered at that time, or (null) waiting to be. */
  | { readonly outcome: "duplicate"; readonly of: string; readonly deliveredAt: number | null }
  | { readonly outcome: "suppressed" /** Milliseconds since 1970. */; readonly until: number };

/** @param labelled the shortened identity and signature, as entries' names hold them */
export function admit(
  listed: readonly Listed[],
  labelled: { readonly identity: string; readonly signature: string },
  now: number,
  { window, perHour }: AdmissionPolicy,
): AdmissionResult {
  const same = window > 0 ? listed.filter(({ label }) => label.identity === labelled.identity) : [];
  const delivered = same
    .filter(({ state }) => state === "done")
    .map(({ label }) => ({ of: label.id, deliveredAt: parseTime(label.mark) ?? 0 }))
    .filter(({ deliveredAt }) => isWithin(deliveredAt, now, window))
    .sort((a, b) => b.deliveredAt - a.deliveredAt)[0];
  if (delivered !== undefined) return { outcome: "duplicate", ...delivered };
  const waiting = same.find(({ state }) => WAITING.has(state));
  if (waiting !== undefined) return { outcome: "duplicate", of: waiting.label.id, deliveredAt: null };
  const times = listed
    .filter(({ state, label }) => COUNTED.has(state) && label.signature === labelled.signature)
    .map(({ createdAt }) => createdAt);
  const until = rateLimitedUntil(times, now, perHour);
  return until === null ? { outcome: "admitted" } : { outcome: "suppressed", until };
}

const WAITING: ReadonlySet<string> = new Set(["unaddressed", "pending", "claimed"]);
const COUNTED: ReadonlySet<string> = new Set([...WAITING, "done", "abandoned"]);

function isWithin(time: number, now: number, span: number): boolean {
  return now - time < span && time - now < CLOCK_TOLERANCE;
}

/** When the next report of a kind may be made; null for now. @param times when the others were made */
export function rateLimitedUntil(times: readonly number[], now: number, perHour: number): number | null {
  const recent = times.filter((time) => isWithin(time, now, HOUR)).sort((a, b) => b - a);
  const oldestThatCounts = perHour > 0 ? recent[perHour - 1] : undefined;
  return oldestThatCounts === undefined ? null : oldestThatCounts + HOUR;
}
