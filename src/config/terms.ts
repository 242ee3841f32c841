/**
 * The terms of one report: how far its user agreed, what flags, environment and configuration files add up to. Levels
 * and limits come from the strongest source that names them; denials of all sources hold. The terms are kept with the
 * report, so that a configuration changed meanwhile does not widen what its user agreed to.
 */

import * as v from "valibot";
import {
  CONSENTS,
  DEFAULT_POLICY,
  ITEM_KINDS,
  MIN_SIZE,
  type Patterns,
  type Policy,
  parseConsent,
  parsePatterns,
} from "../consent/policy.ts";
import { type Json, parseShape } from "../json.ts";
import { type Settings, type Source, strongestSetting } from "./settings.ts";

/** How the archive is to be made. */
type ArchiveTerms = v.InferOutput<typeof ArchiveSchema>;

export type Terms = {
  readonly policy: Policy;
  /** What set the level of consent, for the receipt: "the command line", a file's path, "default". */
  readonly consentFrom: string;
  /** False: texts are packed as they are. */
  readonly redact: boolean;
  /** Replace the user's name and home directory in texts. */
  readonly anonymize: boolean;
  readonly archive: ArchiveTerms;
};

/** @param sources the strongest first @throws CerError CER_CONFIG naming the source */
export function resolveTerms(sources: readonly Source[], archive: ArchiveTerms): Terms {
  const [consentFrom, consent] = agreedConsent(sources);
  const strongest = <K extends keyof Settings>(key: K) => strongestSetting(sources, key);
  return {
    policy: {
      consent: parseConsent(consent, `consent (${consentFrom})`),
      level2: strongest("level2") ?? DEFAULT_POLICY.level2,
      allow: joinPatterns(sources, "allow"),
      deny: joinPatterns(sources, "deny"),
      maxFileSize: strongest("maxFileSize") ?? DEFAULT_POLICY.maxFileSize,
      maxTotalSize: strongest("maxTotalSize") ?? DEFAULT_POLICY.maxTotalSize,
    },
    consentFrom,
    redact: strongest("redact") ?? true,
    anonymize: strongest("anonymize") ?? false,
    archive,
  };
}

/** A source that may forbid what cannot be known wins over all. */
function agreedConsent(sources: readonly Source[]): [from: string, consent: unknown] {
  const forbidding = sources.find(({ forbidsUnknown }) => forbidsUnknown);
  if (forbidding !== undefined) return [forbidding.name, NOTHING_BUT_THE_REPORT];
  const { name, settings } = sources.find(({ settings }) => settings.consent !== undefined) ?? DEFAULT;
  return [name, settings.consent];
}

const NOTHING_BUT_THE_REPORT = "parameters";
const DEFAULT: Source = { name: "default", settings: { consent: DEFAULT_POLICY.consent } };

function joinPatterns(sources: readonly Source[], key: "allow" | "deny"): Patterns {
  const all = sources
    .filter(({ settings }) => settings[key] !== undefined)
    .map(({ settings, name }) => parsePatterns(settings[key], `${key} (${name})`));
  const kinds = ITEM_KINDS.filter((kind) => all.some((byKind) => byKind[kind] !== undefined));
  return Object.fromEntries(kinds.map((kind) => [kind, all.flatMap((byKind) => byKind[kind] ?? [])]));
}

const ArchiveSchema = v.strictObject({
  format: v.picklist(["cab", "tar"]),
  /** Null: the writer's own. */
  compression: v.nullable(v.picklist([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
  splitLarge: v.boolean(),
});

const size = v.pipe(v.number(), v.integer(), v.minValue(MIN_SIZE));

/** Read again by what reads a configuration's patterns. */
const patterns = v.record(v.string(), v.array(v.string()));

/** As the journal keeps them. */
const KeptSchema = v.strictObject({
  rules: v.strictObject({
    policy: v.strictObject({
      consent: v.picklist(CONSENTS),
      level2: v.boolean(),
      allow: patterns,
      deny: patterns,
      maxFileSize: size,
      maxTotalSize: size,
    }),
    consentFrom: v.string(),
    redact: v.boolean(),
    anonymize: v.boolean(),
  }),
  archive: ArchiveSchema,
});

/** As plain JSON. */
export function encodeTerms({ archive, ...rules }: Terms): Json {
  return { rules, archive };
}

/** @throws CerError CER_DAMAGED, CER_CONFIG */
export async function parseTerms(kept: unknown): Promise<Terms> {
  const { rules, archive } = await parseShape(KeptSchema, kept, "The kept settings", "CER_DAMAGED");
  const allow = parsePatterns(rules.policy.allow, "allow (kept)");
  const deny = parsePatterns(rules.policy.deny, "deny (kept)");
  return { ...rules, policy: { ...rules.policy, allow, deny }, archive };
}
