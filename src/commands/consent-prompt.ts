/** Consent "ask": the plan shown item by item, and the user's answer to each. */

import type { Terms } from "../config/terms.ts";
import type { CollectionPlan } from "../consent/plan.ts";
import type { Context } from "../context.ts";
import { CerError, type Leniency } from "../errors.ts";
import { formatItem, formatPlan } from "./plan-text.ts";

/**
 * Where nobody can be asked, nothing is guessed: what would be asked for is declined.
 * @param event where the event comes from: `-` takes up standard input
 * @throws CerError CER_USAGE when strict
 */
export function checkSomebodyToAsk(
  { policy, consentFrom }: Terms,
  context: Context,
  event: string | null,
  leniency: Leniency,
): void {
  if (policy.consent !== "ask" || canAsk(context, event)) return;
  const [why, instead] =
    event === "-"
      ? ["standard input holds the event and cannot hold answers as well", "the event as a file, or "]
      : ["there is no terminal to ask at", ""];
  leniency.tolerate(
    new CerError("CER_USAGE", `Consent is "ask" (${consentFrom}), but ${why}.`, {
      hint: `Nothing was sent. Give ${instead}--consent parameters, safe or all.`,
    }),
    "The report goes, and what would be asked for does not.",
  );
}

/** Whether a person sits there, and standard input is free for the answers. */
export function canAsk({ terminal }: Context, event: string | null): boolean {
  return terminal.isInteractive && event !== "-";
}

/** The answers by place in the plan's items. What is no yes means no, and the end of input means no to all the rest. */
export async function askForItems(
  plan: CollectionPlan,
  { terminal, signal }: Context,
): Promise<ReadonlyMap<number, boolean>> {
  terminal.say("The server asks for more than the report:");
  for (const line of await formatPlan(plan, terminal.paint)) terminal.say(`  ${line}`);
  const answers = new Map<number, boolean>();
  let forTheRest: boolean | null = null;
  for (const [place, item] of plan.items.entries()) {
    if (item.decision !== "ask") continue;
    if (forTheRest === null) {
      const line = await formatItem(item, terminal.paint);
      const answer = await terminal.ask(`${line}\nSend it? [y]es, [N]o, [a]ll, n[o]ne of the rest: `, signal);
      if (answer !== null && /^a(ll)?$/i.test(answer)) forTheRest = true;
      if (answer === null || /^(o|none)$/i.test(answer)) forTheRest = false;
      answers.set(place, forTheRest ?? /^y(es)?$/i.test(answer ?? ""));
    } else answers.set(place, forTheRest);
  }
  return answers;
}
