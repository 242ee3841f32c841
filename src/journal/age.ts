/**
 * How long a report has been tried, and whether the clock is to be believed. Pure. Clocks stand wrong and are put right:
 * a machine without a battery starts in 1970, another runs two months ahead for an afternoon. So no single reading of
 * the clock ends anything; what a report's own tries, or other entries of the journal, bear witness to does.
 */

import type { Progress } from "./entry/documents.ts";
import { type Listed, MAX_WAIT, parseTime } from "./entry/layout.ts";

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
 * Whether the clock is near to a time that the journal holds: at most `longestStep` after it, and no further before it
 * than a report can be told to wait. A journal that holds none has nothing to lose.
 */
export function isWitnessed(now: number, listed: readonly Listed[], longestStep: number): boolean {
  const times = listed.flatMap(timesOf);
  return times.length === 0 || times.some((time) => time - now <= MAX_WAIT && now - time <= longestStep);
}

/** When an entry was made, and when it is due or was settled. */
function timesOf({ state, label, createdAt }: Listed): number[] {
  const isTimed = state === "pending" || state === "done" || state === "abandoned";
  const time = isTimed ? parseTime(label.mark) : null;
  // Due at once is no time.
  return time === null || time === 0 ? [createdAt] : [createdAt, time];
}
