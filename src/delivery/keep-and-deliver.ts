/** A fresh report: kept in the journal before anything is sent, unless the same one is there already. */

import type { Target } from "../config/destination.ts";
import { encodeTerms } from "../config/terms.ts";
import { CerError } from "../errors.ts";
import type { Added, AddOptions, NewReport } from "../journal/admission.ts";
import { isDue } from "../journal/entry/layout.ts";
import type { Journal, Shown } from "../journal/journal.ts";
import type { Report } from "../journal/report.ts";
import type { DeliverOptions } from "./attempts.ts";
import { type DeliveryResult, deliverClaimed } from "./deliver.ts";
import { describeError, NOTHING_EXCHANGED, type Outcome } from "./outcome.ts";

/** Times the journal is asked about the same event before it is left to other processes. */
const LOOKS = 3;

/** A report as it was made, before a journal or a server has it. */
export type FreshReport = Omit<Report, "destination"> &
  Pick<NewReport, "timeGiven"> & { readonly target: Target };

/**
 * A report that this one seems to repeat may be delivered, dropped or found damaged meanwhile: then all is asked anew.
 * @param elsewhere what becomes of a report that this journal does not take
 * @throws CerError CER_JOURNAL_UNAVAILABLE, CER_ENTRY_BUSY, and as of `deliverClaimed`; the system's
 *   errors when the journal cannot be listed
 */
export async function keepAndDeliver(
  report: FreshReport,
  journal: Journal,
  adding: AddOptions,
  options: DeliverOptions,
  elsewhere: (why: CerError) => Promise<DeliveryResult>,
): Promise<DeliveryResult> {
  const { terms, target } = report;
  const consent = { level: terms.policy.consent, setBy: terms.consentFrom };
  const kept = { ...report, destination: target.destination, consent, settings: encodeTerms(terms) };
  for (let look = 0; look < LOOKS; look++) {
    const added = await journal.add(kept, adding);
    if (added.outcome === "kept") return deliverClaimed(added.claimed, options);
    if (added.outcome === "unprotected") return elsewhere(added.why);
    if (added.outcome === "unaddressed")
      return { outcome: unaddressed(added.id, target.noServer), receipt: null };
    const result = await notSent(added, target, journal, options);
    if (result !== null) return result;
  }
  throw new CerError("CER_ENTRY_BUSY", "Other processes kept moving the report of the same event.", {
    hint: "It is theirs to send. See: cer queue list",
  });
}

/** The report was sent before, waits already, or is one too many of its kind; null when that is not true any more. */
async function notSent(
  added: Exclude<Added, { outcome: "kept" | "unaddressed" | "unprotected" }>,
  target: Target,
  journal: Journal,
  options: DeliverOptions,
): Promise<DeliveryResult | null> {
  if (added.outcome === "suppressed") {
    const note = { id: "", state: "suppressed", at: new Date(added.until).toISOString() } as const;
    return { outcome: { outcome: "suppressed", ...NOTHING_EXCHANGED, journal: note }, receipt: null };
  }
  const found = (await journal.list()).find(({ label }) => label.id === added.of);
  if (found === undefined) return null;
  const shown = await journal.show(found);
  const { listed, receipt, time } = shown;
  const duplicate = { outcome: "duplicate", ...NOTHING_EXCHANGED } as const;
  if (listed.state === "done") {
    const at = new Date(added.deliveredAt ?? time ?? 0).toISOString();
    const { bucket = null, bucketTable = null } = receipt ?? {};
    const note = { id: added.of, state: "done", at } as const;
    return { outcome: { ...duplicate, bucket, bucketTable, journal: note }, receipt: null };
  }
  if (listed.state === "unaddressed")
    return { outcome: unaddressed(added.of, target.noServer), receipt: null };
  if (isToldToWait(shown, options.context.now())) return { outcome: stillWaiting(shown), receipt: null };
  const claimed = await journal.claim(listed);
  if (claimed !== null) return deliverClaimed(claimed, options);
  if (listed.state !== "claimed") return null;
  const note = { id: added.of, state: "claimed", at: null } as const;
  return { outcome: { ...duplicate, journal: note }, receipt: null };
}

function unaddressed(id: string, noServer: CerError | null): Outcome {
  return {
    outcome: "deferred",
    ...NOTHING_EXCHANGED,
    journal: { id, state: "unaddressed", at: null },
    error: noServer === null ? null : describeError(noServer),
  };
}

/** A server that answered with an error is left alone for as long as it was to be; one that was not there is tried. */
function isToldToWait({ progress, time }: Shown, now: number): boolean {
  const answered = progress?.attempts.at(-1)?.status ?? null;
  return answered !== null && time !== null && !isDue(time, now);
}

function stillWaiting({ listed, progress, time }: Shown): Outcome {
  const { id } = listed.label;
  const error = new CerError(
    "CER_ENTRY_WAITS",
    `The same event waits already: ${progress?.reason ?? "it could not be sent"}`,
    { hint: `To try it before its time: cer queue retry ${id}, then cer flush.` },
  );
  const at = time === null ? null : new Date(time).toISOString();
  return {
    outcome: "deferred",
    ...NOTHING_EXCHANGED,
    journal: { id, state: "pending", at },
    error: describeError(error),
  };
}
