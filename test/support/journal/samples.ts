/** A journal for tests, and the reports, archives and receipts in it. */

import { hostname } from "node:os";
import { Readable } from "node:stream";
import type { AttachedFile } from "../../../src/event.ts";
import type { AddOptions, NewReport } from "../../../src/journal/admission.ts";
import type { ClaimedReport } from "../../../src/journal/claimed-report.ts";
import { type Disk, openDisk } from "../../../src/journal/disk/disk.ts";
import { openProcesses } from "../../../src/journal/disk/owner.ts";
import { DEFAULT_ADMISSION } from "../../../src/journal/duplicates.ts";
import type { Receipt } from "../../../src/journal/entry/receipt.ts";
import type { Journal, JournalDeps } from "../../../src/journal/journal.ts";
import { openJournal } from "../../../src/journal/open.ts";
import type { BuiltArchive } from "../../../src/journal/report.ts";
import { sha256 } from "../bytes.ts";
import { sampleEvent } from "../events.ts";

export const NOON = Date.parse("2026-11-24T12:00:00.000Z");
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export function sampleReport(value: string, files: readonly AttachedFile[] = []): NewReport {
  return {
    event: sampleEvent(value, files),
    timeGiven: true,
    level1: Buffer.from(`\ufeff<WERREPORT>${value}</WERREPORT>`, "utf16le"),
    destination: {
      origin: { scheme: "http", host: "cer.example", port: 1273 },
      path: "/stage2.htm",
      from: "--server",
    },
    consent: { level: "all", setBy: "--consent" },
    settings: { note: "kept as it is" },
  };
}

export const PLAIN: AddOptions = { admission: DEFAULT_ADMISSION, copy: true, dropOldest: false };
/** As `--force` adds: neither compared nor counted. */
export const FORCED: AddOptions = { admission: null, copy: true, dropOldest: false };

export function receiptOf(claimed: ClaimedReport, deliveredAt: number): Receipt {
  const { record, archive, attempts } = claimed;
  return {
    id: claimed.id,
    createdAt: record.createdAt,
    deliveredAt,
    event: {
      identity: record.identity,
      eventType: record.event.eventType,
      eventTime: record.event.eventTime,
      application: record.event.application?.name ?? null,
    },
    url: "http://cer.example:1273/stage2.htm",
    level1: { bytes: record.level1.size, sha256: record.level1.sha256 },
    bucket: "502",
    bucketTable: "5",
    dumpFile: "\\upload\\a.cab",
    archive: archive && { name: "a.cab", bytes: archive.size, sha256: archive.sha256, files: [] },
    attempts,
    consent: record.consent,
    declined: 0,
    redacted: 0,
  };
}

/**
 * The disk, not waited for: a killed program leaves to the system what it wrote, synced or not. Hundreds of runs that
 * each sync a hundred times would take minutes.
 */
export function hastyDisk(): Disk {
  const disk = openDisk(process.platform);
  const sync = async () => {};
  const create = async (path: string) => ({ ...(await disk.create(path)), sync });
  return { ...disk, create, syncFile: sync, syncDirectory: sync };
}

/** This machine's deps, with what a test wants otherwise; `warnings` collects. */
export async function sampleDeps(
  change: Partial<JournalDeps> = {},
): Promise<JournalDeps & { warnings: string[] }> {
  const warnings: string[] = [];
  const isRunning = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  const { platform, pid } = process;
  return {
    disk: openDisk(platform),
    processes: await openProcesses({ platform, pid, hostName: hostname(), isRunning }),
    uid: process.geteuid?.() ?? null,
    now: Date.now,
    warn: (problem) => warnings.push(problem),
    warnings,
    ...change,
  };
}

/** @throws when there is no journal */
export async function mustOpen(directory: string, deps: JournalDeps): Promise<Journal> {
  const opened = await openJournal(directory, deps);
  if (opened.journal === null) throw opened.why;
  return opened.journal;
}

/** The journal of a disk that waits for nothing, with `change` to the other sample dependencies. */
export async function openHasty(directory: string, change: Partial<JournalDeps> = {}): Promise<Journal> {
  return mustOpen(directory, await sampleDeps({ disk: hastyDisk(), ...change }));
}

export async function mustAdd(journal: Journal, report: NewReport, options = PLAIN): Promise<ClaimedReport> {
  const added = await journal.add(report, options);
  if (added.outcome !== "kept") throw new Error(`the report was ${added.outcome}`);
  return added.claimed;
}

/** What stands for a cabinet. */
export const ARCHIVE = Buffer.alloc(300_000, "MSCF and more ");

/** These bytes as an archive; what is said of it does not matter to the journal. */
export function archiveOf(bytes: Buffer): BuiltArchive {
  return {
    size: bytes.length,
    sha256: sha256(bytes),
    about: {
      files: [{ name: "setup.log", bytes: 7, sha256: null }],
      declined: [{ kind: "WQL", item: "SELECT *", reason: "not allowed" }],
      warnings: ["cut"],
      mediaType: "application/vnd.ms-cab-compressed",
      redacted: 2,
    },
    open: () => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]),
    manifest: Buffer.alloc(0),
    dispose: async () => {},
  };
}

export const PEER = { address: "192.0.2.1", tlsFingerprint: null };
