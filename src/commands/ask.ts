/** Consent "ask": the plan shown item by item, and the user's answer to each. */

import type { CollectionPlan } from "../collect/plan.ts";
import type { ResolvedPolicy } from "../consent.ts";
import { CerError } from "../errors.ts";
import type { Surroundings } from "../surroundings.ts";
import { formatItem, formatPlan } from "./plan-lines.ts";

/** Without a terminal nobody can be asked, and nothing is guessed. @throws CerError CER_USAGE */
export function requireSomebodyToAsk(
  { policy, consentFrom }: ResolvedPolicy,
  { terminal }: Surroundings,
): void {
  if (policy.consent !== "ask" || terminal.isInteractive) return;
  throw new CerError("CER_USAGE", `Consent is "ask" (${consentFrom}), but there is no terminal to ask at.`, {
    hint: "Nothing was sent. Give --consent parameters, safe or all.",
  });
}

/** The answers by place in the plan's items. End of input, and every answer that is no yes, mean no. */
export async function askForItems(
  plan: CollectionPlan,
  { terminal, signal }: Surroundings,
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
      if (/^a(ll)?$/i.test(answer)) forTheRest = true;
      if (/^(o|none)$/i.test(answer)) forTheRest = false;
      answers.set(place, forTheRest ?? /^y(es)?$/i.test(answer));
    } else answers.set(place, forTheRest);
  }
  return answers;
}
