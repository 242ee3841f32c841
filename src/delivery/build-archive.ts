/** From an answer to an archive: the plan, what it collects, and the file that carries it. */

import { arch, hostname, release, userInfo } from "node:os";
import { MAX_FOLDER_SIZE } from "../archive/cab/format.ts";
import { writeCabinet } from "../archive/cab/write/write.ts";
import type { Archive } from "../archive/entries/archive.ts";
import { ArchiveError } from "../archive/entries/error.ts";
import { type Collection, type CollectOptions, collectEntries } from "../collect/collect.ts";
import { notCollected } from "../collect/manifest.ts";
import { queryWmi, type WmiHost } from "../collect/wmi/query.ts";
import { applyAnswers, type CollectionPlan, keepToAttached, planCollection } from "../consent/plan.ts";
import type { Context } from "../context.ts";
import { CerError } from "../errors.ts";
import type { BuiltArchive, Report } from "../journal/report.ts";
import type { Level1Response } from "../wire/response.ts";
import type { Built } from "./protocol.ts";

/** A report as far as collecting needs it: before there is a destination, too. */
type Collectable = Omit<Report, "destination">;

/** Asks the user about the items that wait for an answer; keys are places in the plan's items. */
export type Confirm = (plan: CollectionPlan) => Promise<ReadonlyMap<number, boolean>>;

/** Milliseconds that collecting one item, and all of them, may take. */
const ITEM_TIME = 20_000;
const TOTAL_TIME = 120_000;
/** Keys below its own that RegTree goes down. */
const REGISTRY_DEPTH = 32;

/** What would be collected; `response` is null while there is no answer. */
export function planFor(
  response: Level1Response | null,
  { event, terms, imported }: Collectable,
  context: Context,
): CollectionPlan {
  const plan = planCollection(response, event, terms.policy, context);
  return imported ? keepToAttached(plan) : plan;
}

/**
 * Collects and packs. The archive is the caller's to dispose of.
 * @param confirm has the last word on every item where consent is "ask"
 * @throws CerError CER_ARCHIVE when it cannot be made; the signal's reason
 */
export async function buildArchive(
  response: Level1Response,
  report: Collectable,
  context: Context,
  confirm?: Confirm,
): Promise<Built> {
  const planned = planFor(response, report, context);
  const waits = planned.items.some(({ decision }) => decision === "ask");
  const answers = waits ? await confirm?.(planned) : undefined;
  const plan = answers === undefined ? planned : applyAnswers(planned, answers);
  const collection = collectEntries(plan, collectOptions(response, report, context));
  const wanted = plan.items.some(({ decision }) => decision === "collect");
  if (!plan.level2 || !wanted) return nothingToSend(collection);
  const archive = await writeArchive(collection, report, context);
  if (collection.items().some(({ files }) => files.length > 0)) return describe(archive, collection, report);
  await archive.dispose();
  return nothingToSend(collection);
}

function nothingToSend(collection: Collection): Built {
  return { archive: null, declined: notCollected(collection.items()), warnings: [] };
}

function describe(archive: Archive, collection: Collection, { terms }: Collectable): Built {
  const items = collection.items();
  const built: BuiltArchive = {
    size: archive.size,
    sha256: archive.sha256,
    open: archive.open,
    about: {
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
      mediaType: terms.archive.format === "cab" ? "application/vnd.ms-cab-compressed" : "application/x-tar",
      redacted: items.flatMap(({ files }) => files).reduce((sum, { redacted }) => sum + redacted, 0),
    },
    manifest: collection.manifest() ?? Buffer.alloc(0),
    dispose: archive.dispose,
  };
  return { archive: built };
}

async function writeArchive(collection: Collection, { terms }: Collectable, context: Context) {
  const { format, splitLarge, compression } = terms.archive;
  const write = format === "cab" ? writeCabinet : (await import("../archive/tar.ts")).writeTar;
  const writing = write(collection.entries, {
    spoolDir: context.tempDir,
    signal: context.signal,
    splitLarge,
    ...(compression === null ? {} : { compression }),
  });
  return writing.catch((thrown: unknown) => {
    throw thrown instanceof ArchiveError ? notMade(thrown, context) : thrown;
  });
}

function notMade(cause: ArchiveError, { tempDir }: Context): CerError {
  return new CerError("CER_ARCHIVE", `The archive could not be made: ${cause.message}.`, {
    hint: `Is there room in ${tempDir}?`,
    cause,
  });
}

function collectOptions(
  response: Level1Response,
  { event, level1, terms, stored, damaged = [] }: Collectable,
  context: Context,
): CollectOptions {
  const { platform, env, home, tempDir, version, signal } = context;
  return {
    event,
    policy: terms.policy,
    facts: { platform, env, home },
    report: level1,
    stored,
    maxEntrySize: terms.archive.format === "cab" && !terms.archive.splitLarge ? MAX_FOLDER_SIZE : null,
    damaged,
    bucket: response.bucket,
    bucketTable: response.bucketTable,
    version,
    redact: terms.redact ? { anonymize: terms.anonymize ? { user: userName(), home } : null } : null,
    signal,
    itemTimeMs: ITEM_TIME,
    totalTimeMs: TOTAL_TIME,
    queryWmi: (query, limits) => queryWmi(query, wmiHost(context), limits),
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

function wmiHost({ platform, env, now }: Context): WmiHost {
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
