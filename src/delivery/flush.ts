/** Sending what waits: every due report of the journal, one after the other. */

import type { CerErrorCode } from "../errors.ts";
import type { Journal } from "../journal/journal.ts";
import type { AttemptOptions } from "./attempts.ts";
import { type DeliveryResult, deliverClaimed } from "./deliver.ts";

/** What is true of a server for this run: there is no reaching it, so its other reports are not tried. */
const SERVER_IS_AWAY: ReadonlySet<CerErrorCode | undefined> = new Set([
  "CER_UNREACHABLE",
  "CER_TIMEOUT",
  "CER_TLS",
  "CER_PROXY",
]);

/**
 * Sends what is due until all is tried, the time is over or the program is to stop. Each delivery is handed over as it
 * ended. A server that cannot be reached is tried once; its other reports keep their turn, so that with each run
 * another one is tried.
 */
export async function* flushDue(journal: Journal, options: AttemptOptions): AsyncGenerator<DeliveryResult> {
  const { context, until } = options;
  const away = new Set<string>();
  for await (const { claimed, due } of journal.claimDue()) {
    const { scheme, host, port } = claimed.destination.origin;
    const server = `${scheme}://${host}:${port}`;
    const isOver = context.signal.aborted || (until !== null && context.now() >= until);
    if (isOver || away.has(server)) {
      await claimed.settle({ state: "pending", due, reason: claimed.reason });
      if (isOver) return;
      continue;
    }
    const delivery = await deliverClaimed(claimed, { ...options, retries: 0 });
    if (SERVER_IS_AWAY.has(delivery.outcome.error?.code)) away.add(server);
    yield delivery;
  }
}
