/**
 * How long a report has been tried, and since when the clock is to be believed. Pure. Clocks stand wrong and are put right:
 * a machine without a battery starts in 1970, another runs two months ahead for an afternoon. So no single reading of
 * the clock ends anything; what a report's own tries, or other entries of the journal, bear witness to does.
 */

import type { Progress } from "./entry/documents.ts";
import { type Listed, parseTime } from "./entry/layout.ts";

/** When a report was made, or its bounds were counted anew, and when its tries since then began, in their order. */
export type Tries = { readonly since: number; readonly starts: readonly number[] };

/** The tries that count. */
export function triesOf(createdAt: number, { attempts, countedFrom, uncounted }: Progress): Tries {
  const starts = attempts.map(({ startedAt }) => startedAt);
  return {
    since: countedFrom > 0 ? countedFrom : createdAt,
    starts:
      uncounted === undefined ? starts.filter((start) => start >= countedFrom) : starts.slice(uncounted),
  };
}

/** Fewer tries than these bear witness to no age. */
const MIN_TRIES = 3;

/**
 * Milliseconds for which a report was being tried when its last try began. A step from one time to the next that leads
 * back, or further than `longestStep`, is a clock that was put right or a machine that was off: the age counts anew from
 * after it. So it does when `now` is such a step away from the last try.
 */
export function triedFor({ since, starts }: Tries, now: number, longestStep: number): number {
  if (starts.length < MIN_TRIES) return 0;
  const times = [since, ...starts];
  return Math.min(ageAtLast(times, longestStep), ageAtLast([...times, now], longestStep));
}

function ageAtLast(times: readonly number[], longestStep: number): number {
  let [from = 0, before = 0] = [times[0], times[0]];
  for (const time of times) {
    if (time < before || time - before > longestStep) from = time;
    before = time;
  }
  return before - from;
}

/**
 * Since when the clock has been steady, as far as the journal bears witness: from then to `now` no two of its times
 * follow each other by more than `longestStep`. What is older than that has the age that this time has. `now` itself when
 * the clock has just been put far ahead or back; always for a journal that holds nothing, and has nothing to lose.
 */
export function steadySince(now: number, listed: readonly Listed[], longestStep: number): number {
  if (listed.length === 0) return Number.NEGATIVE_INFINITY;
  const times = listed.flatMap(timesOf).filter((time) => time <= now);
  let since = now;
  for (const time of times.sort((a, b) => b - a)) {
    if (since - time > longestStep) break;
    since = time;
  }
  return since;
}

/** When an entry was made, and when it was settled. When one is due says nothing: that is still to come. */
function timesOf({ state, label, createdAt }: Listed): number[] {
  const settled = state === "done" || state === "abandoned" ? parseTime(label.mark) : null;
  return settled === null ? [createdAt] : [createdAt, settled];
}
