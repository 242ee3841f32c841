/**
 * One of many processes on one journal. Arguments: directory, `flush` or `add`, a number.
 * `flush` sends what is due: "sent" is a line with the report's id appended to the file `server`. `add` adds the same
 * report as everybody else, or one of its own.
 */

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { mustOpen, PLAIN, receiptOf, sampleDeps, sampleReport } from "../support/journal/samples.ts";

const [directory = "", task, number = ""] = process.argv.slice(2);
const warn = (problem: string) => process.stderr.write(`${problem}\n`);
const journal = await mustOpen(`${directory}/journal`, await sampleDeps({ warn }));
await journal.prune();
if (task === "add") {
  const added = await journal.add(sampleReport("of everybody"), PLAIN);
  process.stdout.write(`${added.outcome}\n`);
  if (added.outcome === "kept") await added.claimed.settle({ state: "pending", due: null, reason: null });
  const own = await journal.add(sampleReport(`of ${number}`), PLAIN);
  if (own.outcome !== "kept") throw new Error(own.outcome);
  await own.claimed.settle({ state: "pending", due: null, reason: null });
} else {
  for await (const { claimed } of journal.claimDue()) {
    appendFileSync(`${directory}/server`, `${claimed.id}\n`);
    await sleep(2);
    await claimed.settle({ state: "done", receipt: receiptOf(claimed, Date.now()) });
  }
}
await journal.close();
