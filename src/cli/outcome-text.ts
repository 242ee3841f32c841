/** An outcome as lines for people. */

import type { Paint } from "../context.ts";
import type { Outcome } from "../delivery/outcome.ts";
import type { Declined } from "../journal/entry/documents.ts";
import { count, formatBytes, stripControls } from "../printable.ts";

/** Declined items shown one by one before the rest is only counted. */
const SHOWN_DECLINED = 3;

/** Three to six lines for people. */
export function formatOutcome(outcome: Outcome, paint: Paint): string[] {
  const { level1, level2, error } = outcome;
  const lines: string[] = [];
  if (level1 !== null && level1.status >= 200 && level1.status < 300 && !isLevel1Fault(outcome))
    lines.push(`${paint("good", "Reported")} to ${level1.url}${formatBucket(outcome)}`);
  if (level2 !== null && outcome.outcome === "uploaded")
    lines.push(
      `${paint("good", "Uploaded")} ${level2.archive.name} (${formatBytes(level2.archive.bytes)}, ${count(level2.archive.files.length, "file")}) to ${level2.url}`,
    );
  if (outcome.outcome === "reported")
    lines.push(outcome.declined.length > 0 ? "Nothing was uploaded." : "There is nothing to upload.");
  lines.push(...formatDeclined(outcome.declined));
  if (outcome.responseUrl !== null) lines.push(`The server points to ${outcome.responseUrl}`);
  if (error !== null) {
    const verb = outcome.outcome === "deferred" ? "Not delivered yet" : "Not delivered";
    lines.push(`${paint("bad", verb)}: ${stripControls(error.message)}`);
    if (error.hint !== null) lines.push(paint("dim", error.hint));
  }
  return [...lines, ...formatNote(outcome)];
}

function formatNote({ outcome, journal, bucket, level1, error }: Outcome): string[] {
  if (journal === null && error !== null)
    return [
      level1 === null
        ? "The report was neither kept nor sent."
        : "It is not kept: no later run tries it again.",
    ];
  if (journal === null) return [];
  const { id, state, at } = journal;
  if (outcome === "duplicate" && state === "done")
    return [
      `Not sent again: the same event was delivered at ${at}${bucket === null ? "" : `, bucket ${bucket}`} (${id}).`,
    ];
  if (outcome === "duplicate") return [`Not sent: the same event is being sent by another process (${id}).`];
  if (state === "suppressed")
    return [`Dropped: too many reports of this kind in an hour; the next one is let through at ${at}.`];
  if (state === "pending")
    return [`Kept as ${id}; "cer flush" sends what waits${at === null ? "" : `, this one from ${at}`}.`];
  if (state === "unaddressed") return [`Kept as ${id}; it waits for a server.`];
  if (state === "abandoned")
    return [`Given up; kept as ${id} to be read ("cer queue show ${id}") or retried.`];
  return [];
}

/** A success status with a body that is no CER answer: nothing was reported. */
function isLevel1Fault({ level2, error }: Outcome): boolean {
  return error?.code === "CER_NOT_CER" && level2 === null;
}

function formatBucket({ bucket, bucketTable }: Outcome): string {
  if (bucket === null) return "";
  return `: bucket ${bucket}${bucketTable === null ? "" : ` in table ${bucketTable}`}`;
}

function formatDeclined(declined: readonly Declined[]): string[] {
  const shown = declined
    .slice(0, SHOWN_DECLINED)
    .map(({ kind, item, reason }) => `Not sent: ${kind} ${shorten(item)}: ${stripControls(reason)}`);
  const rest = declined.length - shown.length;
  return rest > 0 ? [...shown, `Not sent: ${count(rest, "more item")} (--json lists them)`] : shown;
}

function shorten(item: string): string {
  const shown = stripControls(item);
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown;
}
