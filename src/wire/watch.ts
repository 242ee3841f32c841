/**
 * What bounds an exchange: silence, a least rate in either direction, and a time for the answer; never a fixed total,
 * which no upload over a slow line would keep to. Time is counted in looks, not read off a clock: a machine that slept
 * in between has not waited.
 */

export type Limits = {
  /** Milliseconds in which something must move. */
  readonly idleTimeout: number;
  /** Bytes that must move in each such time, in milliseconds, while the body or the answer travels. */
  readonly leastRate: { readonly bytes: number; readonly time: number };
  /** Milliseconds from the request's last byte to the answer's. */
  readonly answerTimeout: number;
};

/** How far an exchange has come. Counts are of bytes and never fall, but for `unacknowledged`. */
export type Sight = {
  /** The connection stands, and the request has begun. */
  readonly hasBegun: boolean;
  /** Of the body, handed over to the connection. */
  readonly sent: number;
  readonly isAllSent: boolean;
  /** Handed over, and still on the way as far as is known. */
  readonly unacknowledged: number;
  readonly received: number;
  /** The answer's head is there. */
  readonly isAnswered: boolean;
};

/** Which of the limits was passed. */
export type Overrun = "silence" | "rate" | "answer";

type Phase = "connecting" | "sending" | "waiting" | "answering";

/** Looks in the shortest of the times. */
const LOOKS = 8;
/** Milliseconds between two looks, at least. */
const LEAST_STEP = 10;

export class Watch {
  readonly #limits: Limits;
  readonly #look: () => Promise<Sight>;
  readonly #onOverrun: (overrun: Overrun) => void;
  readonly #step: number;
  #timer: NodeJS.Timeout | undefined;
  #seen: Sight = BEFORE;
  #phase: Phase = "connecting";
  /** Milliseconds since something moved, and since the request was away. */
  #quiet = 0;
  #answering = 0;
  /** Milliseconds since the rate was last measured, and what had moved by then. */
  #measured = 0;
  #base = 0;

  /** Begins at once. `look` never fails. */
  constructor(limits: Limits, look: () => Promise<Sight>, onOverrun: (overrun: Overrun) => void) {
    const { idleTimeout, leastRate, answerTimeout } = limits;
    this.#limits = limits;
    this.#look = look;
    this.#onOverrun = onOverrun;
    this.#step = Math.max(LEAST_STEP, Math.min(idleTimeout, leastRate.time, answerTimeout) / LOOKS);
    this.#wait();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(): void {
    this.#timer = setTimeout(async () => {
      const sight = await this.#look();
      if (this.#timer === undefined) return;
      const overrun = this.#judge(sight);
      if (overrun === null) this.#wait();
      else this.#onOverrun(overrun);
    }, this.#step);
  }

  #judge(now: Sight): Overrun | null {
    const { idleTimeout, leastRate, answerTimeout } = this.#limits;
    this.#quiet = hasMoved(this.#seen, now) ? 0 : this.#quiet + this.#step;
    this.#seen = now;
    const phase = phaseOf(now);
    const moved = phase === "answering" ? now.received : now.sent - now.unacknowledged;
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#measured = 0;
      this.#base = moved;
    } else this.#measured += this.#step;
    if (phase === "waiting" || phase === "answering") this.#answering += this.#step;
    if (this.#quiet >= idleTimeout) return "silence";
    if (this.#answering >= answerTimeout) return "answer";
    if (this.#measured < leastRate.time) return null;
    const isTooSlow = moved - this.#base < leastRate.bytes;
    this.#measured = 0;
    this.#base = moved;
    return isTooSlow && (phase === "sending" || phase === "answering") ? "rate" : null;
  }
}

const BEFORE: Sight = {
  hasBegun: false,
  sent: 0,
  isAllSent: false,
  unacknowledged: 0,
  received: 0,
  isAnswered: false,
};

function hasMoved(before: Sight, now: Sight): boolean {
  return (
    now.hasBegun !== before.hasBegun ||
    now.sent > before.sent ||
    now.received > before.received ||
    now.unacknowledged < before.unacknowledged
  );
}

function phaseOf({ hasBegun, isAnswered, isAllSent, unacknowledged }: Sight): Phase {
  if (!hasBegun) return "connecting";
  if (isAnswered) return "answering";
  return isAllSent && unacknowledged === 0 ? "waiting" : "sending";
}
