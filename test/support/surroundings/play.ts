/** One of the README's lines in surroundings of a machine of its own, and whether its report was lost. */

import { unpack } from "../archives/cabinet.ts";
import { type Fault, ok, type RawRequest, type ScriptedServer, startScripted } from "../scripted-server.ts";
import { type Installed, type Machine, type Ran, USERS, type User } from "./machine.ts";
import { type Changes, changed, LINES, type LineName } from "./readme-lines.ts";

/**
 * What became of a report. sent: exit code 0, and it arrived. kept: exit code 75, and it arrives by a later flush.
 * stopped: the exit code of a signal, and it arrives by a later flush. told: another exit code than 0, and a word of it,
 * for it could neither be sent nor kept.
 */
export type Fate = "sent" | "kept" | "stopped" | "told";

/** SIGHUP, SIGINT, SIGKILL, SIGTERM. */
const STOPPED = ["129", "130", "137", "143"];

export type Surroundings = Changes & {
  readonly name: string;
  readonly line?: LineName;
  readonly user?: User;
  /** The size of all disks together, as mount takes it. */
  readonly disk?: string;
  /** Lines of sh that root runs before. `{port}` is the server's, on 127.0.0.1. */
  readonly prepare?: string;
  /** Added to PATH, HOME and CER_SERVER; null takes one away. `{port}` as above. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** Lines of sh in the hook's own shell, right before its line. */
  readonly shell?: string;
  /** A program, with its first words, that runs the hook's shell. */
  readonly wrap?: readonly string[];
  /** What stands after the line. */
  readonly tail?: string;
  /** The time on the clock, UTC. */
  readonly clock?: string;
  /** none: no server is set; down: it closes each connection; a fault: that is its answer. Up, when left out. */
  readonly server?: "up" | "down" | "none" | Fault;
  /** What may become of the report; sent when left out and the server is up, otherwise kept. */
  readonly fates?: readonly Fate[];
  /** Lines on standard error that are not the program's own. */
  readonly othersSay?: RegExp;
  /** Nobody can see what it says. */
  readonly isMute?: boolean;
  /** What the same user runs before anything is right again. */
  readonly between?: string;
  /** What root puts right before the flush. */
  readonly mend?: string;
  /** Added to what the user's own later surroundings hold; `{port}` as above. */
  readonly sane?: Readonly<Record<string, string>>;
  /** Whether an archive has to arrive (when left out), may arrive, or must not. */
  readonly archive?: "yes" | "maybe" | "no";
  /** What has to stand in the level 1 report. */
  readonly level1?: readonly string[];
  /** What has to stand in a file of the archive. */
  readonly carries?: string;
  /** What the user runs at the end, and what that has to print. */
  readonly check?: { readonly script: string; readonly prints: string };
};

type Seen = {
  readonly hook: Ran;
  readonly seconds: number;
  /** Reports that the server took whole and answered as a server should, before the flush. */
  readonly sent: number;
  readonly flush: Ran | null;
  readonly reports: readonly RawRequest[];
  readonly archives: readonly RawRequest[];
  readonly check: Ran | null;
};

const SECOND = 1000;
/** Beyond --max-time, on a machine with other things to do. */
const MARGIN = 30;
const README_MAX_TIME = 20;
const SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
/** Lines that an error may take under --quiet, as the README promises people. */
const MOST_LINES = 6;

/** The hook's `cer` is the program in PATH; how it ended is noted where no surroundings reach. */
const NOTING = `cer() { command cer "$@" 3>&-; ended=$?; echo "$ended" >&3; return "$ended"; }`;

/** @param fakeTime where libfaketime is */
export async function play(row: Surroundings, installed: Installed, fakeTime: string): Promise<Seen> {
  const server = await startTaking(row);
  const { port } = server.scripted;
  const machine = await installed.start(row.disk);
  try {
    if (row.prepare !== undefined) await mustRun(machine, row.prepare.replaceAll("{port}", String(port)));
    const started = performance.now();
    const hook = await runHook(machine, row, port, fakeTime);
    const seconds = (performance.now() - started) / SECOND;
    const sent = server.reports().length;
    const isKept = ["75", ...STOPPED].includes(exitOf(hook));
    if (isKept && row.between !== undefined) await asSane(machine, row, port, row.between);
    server.getWell();
    const flush = isKept ? await flushLater(machine, row, port, fakeTime) : null;
    const check = row.check === undefined ? null : await asSane(machine, row, port, row.check.script);
    const [reports, archives] = [server.reports(), server.archives()];
    return { hook, seconds, sent, flush, reports, archives, check };
  } finally {
    await machine.stop();
    await server.scripted.close();
  }
}

/** The server as the surroundings have it, until it gets well; what it then took as a server should. */
async function startTaking({ server, line = "dpkg" }: Surroundings) {
  const taken = { POST: [] as RawRequest[], PUT: [] as RawRequest[] };
  let fault = typeof server === "object" ? server : null;
  const scripted: ScriptedServer = await startScripted((method) => {
    if (fault !== null) return fault;
    const got = method === "PUT" ? taken.PUT : taken.POST;
    got.push(...scripted.whole(method).slice(-1));
    return method === "PUT" ? ok() : ok(answer(got.length));
  });
  scripted.isDown = server === "down";
  const { eventType } = LINES[line];
  const isOurs = ({ body }: RawRequest) => eventType === null || level1Of(body).includes(eventType);
  return {
    scripted,
    getWell: () => {
      scripted.isDown = false;
      fault = null;
    },
    reports: () => taken.POST.filter(isOurs),
    archives: () => [...taken.PUT],
  };
}

function level1Of(body: Buffer): string {
  return body.toString("utf16le");
}

/** Asks for something that every consent but "parameters" gives. */
function answer(count: number): string {
  const asked = "WQL=SELECT NumberOfLogicalProcessors FROM Win32_ComputerSystem";
  return `Bucket=50${count}\r\nBucketTable=5\r\niData=1\r\nDumpFile=\\Cabs\\${count}.cab\r\n${asked}\r\n`;
}

function runHook(machine: Machine, row: Surroundings, port: number, fakeTime: string): Promise<Ran> {
  const { user = "root", line = "dpkg", maxTime = README_MAX_TIME } = row;
  const { home } = USERS[user];
  const usual = {
    PATH: SEARCH_PATH,
    HOME: home,
    CER_SERVER: row.server === "none" ? null : `127.0.0.1:${port}`,
    DPKG_MAINTSCRIPT_PACKAGE: "contoso-agent",
  };
  const lines = [NOTING, row.shell ?? "", `${changed(LINES[line], row)} ${row.tail ?? ""}`];
  return machine.run(lines.join("\n"), {
    user,
    env: environment({ ...usual, ...row.env }, port),
    wrap: [...(row.wrap ?? []), ...(row.clock === undefined ? [] : clockSet(fakeTime, `@${row.clock}`))],
    limit: (maxTime + MARGIN) * SECOND,
  });
}

/** Runs a program with another time on its clock. Not for the programs that lead to it, which another user runs. */
function clockSet(fakeTime: string, time: string): string[] {
  return ["/usr/bin/env", `LD_PRELOAD=${fakeTime}`, `FAKETIME=${time}`, "DONT_FAKE_MONOTONIC=1", "TZ=UTC"];
}

function environment(values: Readonly<Record<string, string | null>>, port: number): Record<string, string> {
  const set = Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== null);
  return Object.fromEntries(set.map(([name, value]) => [name, value.replaceAll("{port}", String(port))]));
}

/** A later run of the same user, with nothing wrong any more. */
function asSane(
  machine: Machine,
  row: Surroundings,
  port: number,
  script: string,
  wrap: readonly string[] = [],
): Promise<Ran> {
  const { user = "root", sane = {} } = row;
  const usual = { PATH: SEARCH_PATH, HOME: USERS[user].home, CER_SERVER: `127.0.0.1:${port}` };
  return machine.run(script, { user, wrap, env: environment({ ...usual, ...sane }, port) });
}

/** faketime itself needs shared memory. */
const SHARED_MEMORY =
  "(: >/dev/shm/try) 2>/dev/null || { mkdir -p /dev/shm; mount -t tmpfs -o mode=1777 tmpfs /dev/shm; }";

/** What the timer runs on the next day: no server's wish to wait is longer. */
async function flushLater(machine: Machine, row: Surroundings, port: number, fakeTime: string): Promise<Ran> {
  if (row.clock !== undefined) await mustRun(machine, datedBack(row.clock));
  if (row.mend !== undefined) await mustRun(machine, row.mend);
  await mustRun(machine, SHARED_MEMORY);
  return asSane(machine, row, port, "cer flush --max-time 60", clockSet(fakeTime, "+26h"));
}

/** What was written under a wrong clock has its time. */
function datedBack(time: string): string {
  const places = "/var/lib/cer /var/tmp /home/ann/.local /tmp";
  return `find ${places} -path '*cer*' -exec touch -h -d '${time} UTC' {} + 2>/dev/null || true`;
}

async function mustRun(machine: Machine, script: string): Promise<void> {
  const { code, stderr } = await machine.run(`set -e\n${script}`, { env: { PATH: SEARCH_PATH } });
  if (code !== 0) throw new Error(`the surroundings could not be laid out (${code}): ${stderr}`);
}

/** The exit code of `cer` as the hook's shell had it. */
function exitOf({ noted }: Ran): string {
  return noted.trim().replaceAll("\n", " and ");
}

/** What is wrong with what was seen, one phrase each; empty: nothing was lost. */
export async function complaints(row: Surroundings, seen: Seen): Promise<string[]> {
  const { hook, reports } = seen;
  const { fates = row.server === undefined || row.server === "up" ? ["sent"] : ["kept"] } = row;
  const fate = fateOf(seen);
  const bad = manners(row, seen);
  if (hook.code === null) bad.push(`hangs, ended after ${seen.seconds.toFixed(0)} s`);
  else if (!fates.includes(fate as Fate)) bad.push(`${fate}, not ${fates.join(" or ")}`);
  if (fate === "told" && hook.stderr === "" && row.isMute !== true) bad.push("without a word");
  if (["sent", "kept", "stopped"].includes(fate)) {
    if (reports.length > 1) bad.push(`level 1 was taken ${reports.length} times`);
    bad.push(...missingInLevel1(row, reports), ...(await archiveFaults(row, seen)));
  }
  if (row.check !== undefined && seen.check?.stdout.trim() !== row.check.prints)
    bad.push(`"${row.check.script}" prints ${JSON.stringify(seen.check?.stdout)}, not ${row.check.prints}`);
  return bad.length === 0 ? [] : [...bad, describe(seen)];
}

/** A fate, or what happened instead of one. */
function fateOf({ hook, sent, flush, reports }: Seen): string {
  const exit = exitOf(hook);
  const isFlushed = reports.length > 0 && flush?.code === 0;
  if (!/^\d+$/.test(exit)) return `no single exit code (${exit})`;
  if (exit === "0") return sent > 0 ? "sent" : "exit code 0 and nothing arrived";
  if (exit === "75") return isFlushed ? "kept" : "exit code 75 and no flush sends it";
  if (isFlushed && STOPPED.includes(exit)) return "stopped";
  return sent > 0 ? `exit code ${exit} and it arrived` : "told";
}

/** What no surroundings excuse. */
function manners(row: Surroundings, { hook }: Seen): string[] {
  const { says, ends } = LINES[row.line ?? "dpkg"];
  const { code, stdout, stderr } = hook;
  const exit = exitOf(hook);
  const bad: string[] = [];
  if (/defect of cer/.test(stdout + stderr)) bad.push("calls itself defective");
  if (/^\s+at .*[(/:]|^Node\.js v|file:\/\/|^\s+throw /m.test(stdout + stderr))
    bad.push("prints a stack trace");
  if (code !== null && row.tail === undefined && String(ends ?? exit) !== String(code))
    bad.push(`the installer's own exit code became ${code}`);
  const said = stderr.split("\n").filter((text) => text !== "" && row.othersSay?.test(text) !== true);
  if (says === "errors" && stdout !== "") bad.push("prints under --quiet");
  if (says === "errors" && said.length > (exit === "0" ? 0 : MOST_LINES))
    bad.push(`says ${said.length} lines under --quiet`);
  const isJson = says === "json" && stdout !== "";
  if (isJson && !isObject(stdout)) bad.push("prints something else than one JSON object");
  return bad;
}

function isObject(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

function missingInLevel1(row: Surroundings, reports: readonly RawRequest[]): string[] {
  const { eventType } = LINES[row.line ?? "dpkg"];
  const text = level1Of(reports[0]?.body ?? Buffer.alloc(0));
  const wanted = [...(eventType === null ? [] : [`eventtype="${eventType}"`]), ...(row.level1 ?? [])];
  return wanted.filter((part) => !text.includes(part)).map((part) => `level 1 has no ${part}`);
}

async function archiveFaults(row: Surroundings, { archives }: Seen): Promise<string[]> {
  const { archive = "yes", carries } = row;
  const [one] = archives;
  if (one === undefined) return archive === "yes" ? ["no archive arrived"] : [];
  if (archive === "no") return ["an archive arrived"];
  if (carries === undefined) return [];
  const contents = await unpack(one.body);
  return contents.some(([, bytes]) => bytes.includes(carries))
    ? []
    : [`no file of the archive has ${carries}`];
}

function describe({ hook, seconds, sent, flush, archives }: Seen): string {
  const parts = [
    `exit ${exitOf(hook) || "none"}`,
    `${seconds.toFixed(1)} s`,
    `POST ${sent}`,
    `PUT ${archives.length}`,
    quoted(hook.stderr),
    ...(flush === null ? [] : [`flush: exit ${flush.code}, ${quoted(flush.stdout + flush.stderr)}`]),
  ];
  return `[${parts.join("; ")}]`;
}

function quoted(text: string): string {
  const line = text.trim().replace(/\s*\n\s*/g, " / ");
  return `"${line.length > 300 ? `${line.slice(0, 300)}…` : line}"`;
}
