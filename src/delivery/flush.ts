/** Sending what waits: every due report of the journal, one after the other. */

import type { Journal } from "../journal/journal.ts";
import type { TriesOptions } from "./attempts.ts";
import { type Delivery, deliverHeld } from "./deliver.ts";

/** What is true of a server for this run: there is no reaching it, so its other reports are not tried. */
const SERVER_IS_AWAY = new Set(["CER_UNREACHABLE", "CER_TIMEOUT", "CER_TLS", "CER_PROXY"]);

/**
 * Sends what is due until all is tried, the time is over or the program is to stop. Each delivery is handed over as it
 * ended. A server that cannot be reached is tried once; its other reports stay as they are.
 */
export async function* flushDue(
  journal: Journal,
  options: Omit<TriesOptions, "retries">,
): AsyncGenerator<Delivery> {
  const { around, until } = options;
  const away = new Set<string>();
  for await (const held of journal.claimDue()) {
    const { scheme, host, port } = held.record.destination.origin;
    const server = `${scheme}://${host}:${port}`;
    const isOver = around.signal.aborted || (until !== null && around.now() >= until);
    if (isOver || away.has(server)) {
      await held.settle({ state: "pending", due: null, reason: held.reason });
      if (isOver) return;
      continue;
    }
    const delivery = await deliverHeld(held, { ...options, retries: 0 });
    if (SERVER_IS_AWAY.has(delivery.outcome.error?.code ?? "")) away.add(server);
    yield delivery;
  }
}
