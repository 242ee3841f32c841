/**
 * What is left of the time and the size that was agreed, for one item that a server asked for and for all of them
 * together. What runs out first decides.
 */

import { uptime } from "node:os";
import { MIN_SIZE, type Policy } from "../consent/policy.ts";
import type { Limits } from "../system/run-program.ts";
import type { Refused } from "./files/open.ts";

export const TIME_REACHED: Refused = {
  ok: false,
  state: "failed",
  rule: "limit",
  reason: "it took longer than was agreed",
};

export const TOTAL_REACHED: Refused = {
  ok: false,
  state: "declined",
  rule: "limit",
  reason: "what was asked for before it has used up the size agreed for all",
};

export type BudgetOptions = {
  readonly policy: Pick<Policy, "maxFileSize" | "maxTotalSize">;
  /** For one item that was asked for, and for all of them from the first that is opened. */
  readonly itemTimeMs: number;
  readonly totalTimeMs: number;
  /** Stops everything. */
  readonly signal: AbortSignal;
};

export class Budget {
  readonly #options: BudgetOptions;
  #bytesLeft: number;
  /** When all of the time is over, in milliseconds of `uptime`; null as long as nobody has asked. */
  #until: number | null = null;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#bytesLeft = options.policy.maxTotalSize;
  }

  /** How many bytes of an item of that size may be taken, which are spent then; null when none. */
  takeBytes(size: number): number | null {
    const limit = this.#maxBytes();
    if (limit < Math.min(size, MIN_SIZE)) return null;
    this.spend(Math.min(size, limit));
    return limit;
  }

  spend(bytes: number): void {
    this.#bytesLeft -= Math.min(bytes, this.#bytesLeft);
  }

  /** Milliseconds for the next item. The first call starts the clock. */
  timeLeft(): number {
    const { itemTimeMs, totalTimeMs } = this.#options;
    // A clock that nobody sets; Node takes 3 ms to load the finer one of performance.now.
    const now = uptime() * 1000;
    this.#until ??= now + totalTimeMs;
    return Math.max(0, Math.min(itemTimeMs, Math.ceil(this.#until - now)));
  }

  /** What the work gives; null when its time is over first. */
  async inTime<T>(work: Promise<T>): Promise<T | null> {
    const { signal } = this.#options;
    const clock = new AbortController();
    const timer = setTimeout(() => clock.abort(), this.timeLeft());
    const stop = AbortSignal.any([signal, clock.signal]);
    const stopped = new Promise<null>((resolve) => stop.addEventListener("abort", () => resolve(null)));
    try {
      return await Promise.race([work, stopped]);
    } finally {
      clearTimeout(timer);
      signal.throwIfAborted();
    }
  }

  /** The bounds for a collector, out of what is left, or what is used up. */
  limits(): Limits | Refused {
    const [maxBytes, timeoutMs] = [this.#maxBytes(), this.timeLeft()];
    if (timeoutMs === 0) return TIME_REACHED;
    return maxBytes < MIN_SIZE ? TOTAL_REACHED : { maxBytes, timeoutMs, signal: this.#options.signal };
  }

  #maxBytes(): number {
    return Math.min(this.#options.policy.maxFileSize, this.#bytesLeft);
  }
}
