/** The collection plan for people: one line an item, what goes first and what stays after it. */

import { stat } from "node:fs/promises";
import type { CollectionPlan, PlanItem } from "../consent/plan.ts";
import type { Paint } from "../context.ts";
import { formatBytes } from "../printable.ts";

const VERBS = { collect: "send", ask: "ask", decline: "keep", missing: "none" } as const;

/** One line: what is done with the item, its kind, the item, its size where it has one, and why. */
export async function formatItem(item: PlanItem, paint: Paint): Promise<string> {
  const verb = VERBS[item.decision];
  const style = item.decision === "collect" ? "good" : "dim";
  const size = await sizeOf(item);
  const reason = item.reason === null ? "" : `: ${item.reason}`;
  return `${paint(style, verb.padEnd(4))}  ${item.kind} ${item.item}${size === null ? "" : ` (${formatBytes(size)})`}${reason}`;
}

export async function formatPlan(plan: CollectionPlan, paint: Paint): Promise<string[]> {
  const head = plan.level2
    ? `Level 2 runs${plan.level2Reason === null ? "" : `, ${plan.level2Reason}`}.`
    : `Level 2 does not run: ${plan.level2Reason}.`;
  return [head, ...(await Promise.all(plan.items.map((item) => formatItem(item, paint))))];
}

/** Bytes of the file an item names; null for what is no file, or is not there. */
async function sizeOf({ target }: PlanItem): Promise<number | null> {
  const path = target?.type === "attached" ? target.file.path : target?.type === "path" ? target.path : null;
  if (path === null) return null;
  const found = await stat(path).catch(() => null);
  return found?.isFile() === true ? found.size : null;
}
