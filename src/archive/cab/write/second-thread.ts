/**
 * One more thread that deflates segments. Hides whether there is one to be had: it may be starting, have enough to do,
 * or not come up at all, and then the caller does the work itself, with the same result.
 */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import type { Compression } from "../../entries/entry.ts";
import { ArchiveError } from "../../entries/error.ts";
import type { Segment } from "./mszip.ts";

/** What the thread is sent. The segment lies in shared memory. */
export type Job = { readonly segment: Segment; readonly level: Compression };

/** What it says: once that it is up, then of each job what `deflateSegment` gives. */
export type Said = "up" | number;

/** The segment being deflated and enough to do until the next one comes. */
const MAX_JOBS = 3;

type Pending = { resolve(size: number): void; reject(reason: Error): void };

export class SecondThread {
  #worker: Worker | null = null;
  #isWanted = false;
  #isUp = false;
  /** In the order the thread answers. */
  readonly #pending: Pending[] = [];

  /** Brings it up, if there is a processor for it. It costs some 12 MiB and a twentieth of a second. */
  start(): void {
    if (this.#isWanted || availableParallelism() < 2) return;
    this.#isWanted = true;
    // Without it the caller does all of the work.
    this.#bringUp().catch(() => undefined);
  }

  async #bringUp(): Promise<void> {
    // Most reports are small: they need not wait until Node has loaded what threads take.
    const { Worker } = await import("node:worker_threads");
    if (!this.#isWanted) return;
    // Small, because what it makes is soon done with: V8 lets garbage grow with its limits.
    const resourceLimits = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 };
    const url = new URL("./second-thread.worker.js", import.meta.url);
    this.#worker = new Worker(url, { execArgv: [], resourceLimits })
      .on("message", (said: Said) => {
        if (said === "up") this.#isUp = true;
        else this.#settle((job) => job.resolve(said));
      })
      .on("error", () => this.#fail())
      .on("exit", () => this.#fail());
    // Nothing waits for it unless it has something to do.
    this.#worker.unref();
  }

  /**
   * Has it deflate a segment that lies in shared memory; what `deflateSegment` gives. Null when it cannot begin soon.
   * Rejects when the thread came to an end meanwhile.
   */
  deflate(job: Job): Promise<number> | null {
    const worker = this.#worker;
    if (worker === null || !this.#isUp || this.#pending.length === MAX_JOBS) return null;
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      worker.ref();
      worker.postMessage(job);
    });
  }

  /** Ends it, in the middle of a segment too. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    await this.#worker?.terminate();
  }

  #settle(answer: (job: Pending) => void): void {
    const job = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker?.unref();
    if (job !== undefined) answer(job);
  }

  #fail(): void {
    this.#isUp = false;
    while (this.#pending.length > 0)
      this.#settle((job) =>
        job.reject(
          new ArchiveError("CAB_WRITE_FAILED", "the thread that compressed a part of it came to an end"),
        ),
      );
  }
}
