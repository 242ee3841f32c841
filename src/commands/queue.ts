/** `cer queue`: the journal for people, and what they may do to single reports. */

import type { QueueCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { asCerError, type CerError, EXIT, type ExitCode, exitCodeOf } from "../errors.ts";
import type { Listed } from "../journal/entry/layout.ts";
import { formatReceipt } from "../journal/entry/receipt.ts";
import type { Journal, Shown } from "../journal/journal.ts";
import type { SetAside } from "../journal/store.ts";
import { formatIso } from "../json.ts";
import { count, formatBytes, quote, stripControls } from "../printable.ts";
import { formatUrl } from "../wire/exchange.ts";
import { inJournals } from "./open-journal.ts";
import { printResult, type Result } from "./print-result.ts";

export async function runQueue(command: QueueCommand, context: Context): Promise<ExitCode> {
  if (command.action !== "list") {
    printResult(await actOnOne(command, context), command.output, context.terminal);
    return EXIT.ok;
  }
  const { results, trouble } = await inJournals(command, context, listAll);
  printResult(showLists(results), command.output, context.terminal);
  return trouble === null ? EXIT.ok : exitCodeOf(trouble.code);
}

/** In the first journal that has the report. */
async function actOnOne(
  command: Exclude<QueueCommand, { action: "list" }>,
  context: Context,
): Promise<Result> {
  let result: Result | null = null;
  let missing: CerError | null = null;
  const { trouble } = await inJournals(command, context, async (journal) => {
    if (result !== null) return;
    try {
      result = await carryOut(command, journal, context);
    } catch (thrown) {
      const error = asCerError(thrown);
      if (error.code !== "CER_NO_ENTRY") throw error;
      missing ??= error;
    }
  });
  if (result === null) throw missing ?? trouble;
  return result;
}

async function carryOut(
  command: Exclude<QueueCommand, { action: "list" }>,
  journal: Journal,
  context: Context,
): Promise<Result> {
  switch (command.action) {
    case "show":
      return showOne(journal, command.id);
    case "retry": {
      const { label, state } = await journal.retry(command.id);
      const what = state === "unaddressed" ? "waits for a server to be set" : "is due";
      return { lines: [`${label.id} ${what}; cer flush sends it.`], json: { id: label.id, state } };
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

type JournalList = {
  readonly journal: string;
  readonly reports: readonly { readonly listed: Listed; readonly reason: string | null }[];
  readonly setAside: readonly SetAside[];
};

async function listAll(journal: Journal): Promise<JournalList> {
  const reports: JournalList["reports"][number][] = [];
  for (const listed of await journal.list()) {
    // Names tell all the rest; why one was given up is worth opening it.
    const reason = listed.state === "abandoned" ? await journal.reason(listed) : null;
    reports.push({ listed, reason });
  }
  return { journal: journal.directory, reports, setAside: await journal.listSetAside() };
}

/** The usual journal, and whatever lies in others. */
function showLists(lists: readonly JournalList[]): Result {
  const [usual] = lists;
  const lines = lists.flatMap(({ journal, reports, setAside }, at) => [
    ...(at > 0 && reports.length > 0 ? [`In ${journal}:`] : []),
    ...reports.map(
      ({ listed: { state, label, createdAt }, reason }) =>
        `${label.id}  ${state.padEnd(11)}  ${formatIso(createdAt)}  ${formatBytes(label.bytes)}${because(reason)}`,
    ),
    ...setAside.map(
      ({ name, id, at, reason }) => `${id ?? quote(name)}  set aside    ${at ?? "earlier"}${because(reason)}`,
    ),
    ...(setAside.length > 0 ? [`What was set aside is not sent; it lies in ${journal}/v1/set-aside.`] : []),
  ]);
  return {
    lines: lines.length === 0 ? [`Nothing is in the journal ${usual?.journal}.`] : lines,
    json: {
      journal: usual?.journal ?? null,
      reports: lists.flatMap(({ reports }) =>
        reports.map(({ listed, reason }) => ({
          ...toJson(listed),
          ...(listed.state === "abandoned" && { reason }),
        })),
      ),
      setAside: lists.flatMap(({ setAside }) => setAside),
    },
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
    server: serverOf(record),
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

/** Null when the record cannot be read, or names none yet. */
function serverOf(record: Shown["record"]): string | null {
  const to = record?.destination ?? null;
  return to === null ? null : formatUrl(to.origin, to.path);
}

function describeWaiting({ listed, record, progress }: Shown, at: string | null): string[] {
  const attempts = progress?.attempts ?? [];
  return [
    `${listed.label.id}  ${listed.state}`,
    ...(record === null
      ? []
      : [
          `event    ${stripControls(record.event.eventType)}`,
          `server   ${serverOf(record) ?? "none is set yet"}`,
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
