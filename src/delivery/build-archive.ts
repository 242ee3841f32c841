/**
 * From an answer to an archive: the plan, what it collects, and the file that carries it. Where consent is "ask", the
 * caller's `confirm` has the last word on every item.
 */

import { arch, hostname, release, userInfo } from "node:os";
import { writeCabinet } from "../archive/cab/write/write.ts";
import type { Archive } from "../archive/entries/archive.ts";
import { ArchiveError } from "../archive/entries/error.ts";
import type { ArchiveFlags } from "../cli/command.ts";
import { type Collection, type CollectOptions, collectEntries } from "../collect/collect.ts";
import { notCollected } from "../collect/manifest.ts";
import { queryWmi, type WmiHost } from "../collect/wmi/query.ts";
import type { ResolvedPolicy } from "../config/terms.ts";
import { applyAnswers, type CollectionPlan, keepToAttached, planCollection } from "../consent/plan.ts";
import type { Surroundings } from "../context.ts";
import { CerError } from "../errors.ts";
import type { Event } from "../event.ts";
import type { Level1Response } from "../wire/response.ts";
import type { Packed } from "./protocol.ts";

export type PackOptions = {
  readonly event: Event;
  /** The bytes of the report, as they are sent. */
  readonly level1: Buffer;
  readonly rules: ResolvedPolicy;
  readonly archive: ArchiveFlags;
  /** The report was made on another machine: nothing is collected from this one. */
  readonly imported?: boolean;
  readonly around: Surroundings;
  /** Where the bytes of the attached files lie, in the event's order; where the event says when left out. */
  readonly stored?: readonly string[];
  /** Asks the user about the items that wait for an answer; keys are places in the plan's items. */
  readonly confirm?: (plan: CollectionPlan) => Promise<ReadonlyMap<number, boolean>>;
  /** Bytes read so far, of all entries together. */
  readonly onProgress?: (bytes: number) => void;
};

/** Milliseconds that collecting one item, and all of them, may take. */
const ITEM_TIME = 20_000;
const TOTAL_TIME = 120_000;
/** Keys below its own that RegTree goes down. */
const REGISTRY_DEPTH = 32;

/** What would be collected; `response` is null while there is no answer. */
export function planFor(
  response: Level1Response | null,
  { event, rules, imported, around }: PackOptions,
): CollectionPlan {
  const plan = planCollection(response, event, rules.policy, around);
  return imported === true ? keepToAttached(plan) : plan;
}

/** Collects and packs. The archive is the caller's to dispose of. */
export async function pack(response: Level1Response, options: PackOptions): Promise<Packed> {
  const planned = planFor(response, options);
  const waits = planned.items.some(({ decision }) => decision === "ask");
  const answers = waits ? await options.confirm?.(planned) : undefined;
  const plan = answers === undefined ? planned : applyAnswers(planned, answers);
  const collection = collectEntries(plan, options.event, collectOptions(response, options));
  const wanted = plan.items.some(({ decision }) => decision === "collect");
  if (!plan.level2 || !wanted) return nothingToSend(collection);
  const archive = await writeArchive(collection, options);
  if (collection.items().some(({ files }) => files.length > 0)) return describe(archive, collection, options);
  await archive.dispose();
  return nothingToSend(collection);
}

function nothingToSend(collection: Collection): Packed {
  return { archive: null, declined: notCollected(collection.items()), warnings: [] };
}

function describe(archive: Archive, collection: Collection, { archive: { format } }: PackOptions): Packed {
  const items = collection.items();
  return {
    archive: {
      size: archive.size,
      sha256: archive.sha256,
      open: archive.open,
      files: archive.files.flatMap(({ name, size, sha256 }) =>
        name === null ? [] : [{ name, bytes: size, sha256 }],
      ),
      declined: notCollected(items),
      warnings: items
        .filter(({ state }) => state === "cut" || state === "failed")
        .map(
          ({ kind, item, state, reason }) =>
            `${kind} ${item} ${state === "cut" ? "was cut" : "failed"}: ${reason}.`,
        ),
      redacted: items.flatMap(({ files }) => files).reduce((sum, { redacted }) => sum + redacted, 0),
      mediaType: format === "cab" ? "application/vnd.ms-cab-compressed" : "application/x-tar",
    },
    manifest: collection.manifest() ?? Buffer.alloc(0),
    dispose: () => archive.dispose(),
  };
}

async function writeArchive(collection: Collection, options: PackOptions): Promise<Archive> {
  const { archive, around, onProgress } = options;
  const write = archive.format === "cab" ? writeCabinet : (await import("../archive/tar.ts")).writeTar;
  const writing = write(collection.entries, {
    spoolDir: around.tempDir,
    signal: around.signal,
    splitLarge: archive.splitLarge,
    ...(archive.compression === null ? {} : { compression: archive.compression }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return writing.catch((thrown: unknown) => {
    throw thrown instanceof ArchiveError ? notMade(thrown, around) : thrown;
  });
}

function notMade(cause: ArchiveError, { tempDir }: Surroundings): CerError {
  return new CerError("CER_ARCHIVE", `The archive could not be made: ${cause.message}.`, {
    hint: `Is there room in ${tempDir}?`,
    cause,
  });
}

function collectOptions(
  response: Level1Response,
  { level1, rules, around, stored }: PackOptions,
): CollectOptions {
  const { platform, env, home, tempDir, version, signal } = around;
  return {
    policy: rules.policy,
    facts: { platform, env, home },
    report: level1,
    ...(stored && { stored }),
    bucket: response.bucket,
    bucketTable: response.bucketTable,
    version,
    redact: rules.redact ? { anonymize: rules.anonymize ? { user: userName(), home } : null } : null,
    signal,
    itemTimeMs: ITEM_TIME,
    totalTimeMs: TOTAL_TIME,
    queryWmi: (query, limits) => queryWmi(query, wmiHost(around), limits),
    collectRegistry: async (key, kind, isOpen, limits) => {
      const { collectRegistry } = await import("../collect/registry/registry.ts");
      return collectRegistry(key, kind, {
        ...limits,
        platform,
        env,
        isOpen,
        tmpDir: tempDir,
        maxDepth: REGISTRY_DEPTH,
      });
    },
  };
}

/** Null where the user has no entry in the system's database, as in many containers. */
function userName(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null;
  }
}

function wmiHost({ platform, env, now }: Surroundings): WmiHost {
  return {
    platform,
    env,
    arch: arch(),
    hostName: hostname(),
    release: release(),
    now: new Date(now()),
    root: "/",
  };
}
