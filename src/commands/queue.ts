/** `cer queue`: the journal for people, and what they may do to single reports. */

import type { QueueCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import type { Listed } from "../journal/entry/layout.ts";
import { formatReceipt } from "../journal/entry/receipt.ts";
import type { Journal, Shown } from "../journal/journal.ts";
import { formatIso } from "../json.ts";
import { count, formatBytes, quote, stripControls } from "../printable.ts";
import { formatUrl } from "../wire/exchange.ts";
import { inJournal } from "./open-journal.ts";
import { printResult, type Result } from "./print-result.ts";

export async function runQueue(command: QueueCommand, context: Context): Promise<ExitCode> {
  return inJournal(command, context, async (journal) => {
    printResult(await carryOut(command, journal, context), command.output, context.terminal);
    return EXIT.ok;
  });
}

async function carryOut(command: QueueCommand, journal: Journal, context: Context): Promise<Result> {
  switch (command.action) {
    case "list":
      return listAll(journal);
    case "show":
      return showOne(journal, command.id);
    case "retry": {
      const { label } = await journal.retry(command.id);
      return { lines: [`${label.id} is due; cer flush sends it.`], json: { id: label.id, state: "pending" } };
    }
    case "drop": {
      const { label } = await journal.drop(command.id);
      return { lines: [`${label.id} is removed.`], json: { id: label.id, state: "removed" } };
    }
    case "export":
    case "import":
      return (await import("./transfer.ts")).transfer(command, journal, context);
  }
}

async function listAll(journal: Journal): Promise<Result> {
  const listed = await journal.list();
  const setAside = await journal.listSetAside();
  const lines: string[] = [];
  const reports: object[] = [];
  for (const entry of listed) {
    const { state, label, createdAt } = entry;
    // Names tell all the rest; why one was given up is worth opening it.
    const reason = state === "abandoned" ? await journal.reason(entry) : null;
    lines.push(
      `${label.id}  ${state.padEnd(9)}  ${formatIso(createdAt)}  ${formatBytes(label.bytes)}${because(reason)}`,
    );
    reports.push({ ...toJson(entry), ...(state === "abandoned" && { reason }) });
  }
  for (const { name, id, at, reason } of setAside)
    lines.push(`${id ?? quote(name)}  set aside  ${at ?? "earlier"}${because(reason)}`);
  if (setAside.length > 0)
    lines.push(`What was set aside is not sent; it lies in ${journal.directory}/v1/set-aside.`);
  return {
    lines: lines.length === 0 ? [`Nothing is in the journal ${journal.directory}.`] : lines,
    json: { journal: journal.directory, reports, setAside },
  };
}

function because(reason: string | null): string {
  return reason === null ? "" : `  ${stripControls(reason)}`;
}

function toJson({ state, label, createdAt }: Listed) {
  return { id: label.id, state, createdAt: formatIso(createdAt), bytes: label.bytes };
}

async function showOne(journal: Journal, word: string): Promise<Result> {
  const shown = await journal.show(await journal.find(word));
  const { listed, receipt, record, progress, time } = shown;
  const repeats = await journal.repeats(listed);
  const at = time === null || time === 0 ? null : formatIso(time);
  const json = {
    ...toJson(listed),
    at,
    repeats,
    reason: progress?.reason ?? null,
    server: record === null ? null : formatUrl(record.destination.origin, record.destination.path),
    eventType: record?.event.eventType ?? receipt?.event.eventType ?? null,
    attempts: (receipt ?? progress)?.attempts ?? [],
    receipt,
  };
  const { duplicates, suppressed } = repeats;
  const lines =
    receipt === null ? describeWaiting(shown, at) : formatReceipt(receipt, quote).trimEnd().split("\n");
  if (duplicates > 0) lines.push(`Repeated: ${count(duplicates, "time")}, not sent again.`);
  if (suppressed > 0) lines.push(`Dropped: ${suppressed} of this kind, as too many in an hour.`);
  return { lines, json };
}

function describeWaiting({ listed, record, progress }: Shown, at: string | null): string[] {
  const attempts = progress?.attempts ?? [];
  return [
    `${listed.label.id}  ${listed.state}`,
    ...(record === null
      ? []
      : [
          `event    ${stripControls(record.event.eventType)}`,
          `server   ${formatUrl(record.destination.origin, record.destination.path)}`,
          `consent  ${record.consent.level} (${record.consent.setBy})`,
          ...record.event.files.map(({ name }) => `file     ${stripControls(name)}`),
        ]),
    ...attempts.map(
      ({ level, startedAt, status, errorCode }) =>
        `tried    ${formatIso(startedAt)} level ${level}: ${status ?? errorCode ?? "interrupted"}`,
    ),
    ...(progress?.reason ? [`because  ${stripControls(progress.reason)}`] : []),
    ...(at === null ? [] : [`${listed.state === "pending" ? "due     " : "settled "} ${at}`]),
  ];
}
