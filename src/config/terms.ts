/**
 * Under which rules data may leave this machine: the policy that flags, environment and configuration files add up to.
 * Levels and limits come from the strongest source that names them; denials of all sources hold.
 */

import {
  type Consent,
  DEFAULT_POLICY,
  ITEM_KINDS,
  type Policy,
  parseConsent,
  parseRules,
  type Rules,
} from "../consent/policy.ts";
import { type Settings, type Source, strongestSetting } from "./sources.ts";

export type ResolvedPolicy = {
  readonly policy: Policy;
  /** What set the level of consent, for the receipt: "the command line", a file's path, "default". */
  readonly consentFrom: string;
  /** False: texts are packed as they are. */
  readonly redact: boolean;
  /** Replace the user's name and home directory in texts. */
  readonly anonymize: boolean;
};

/** @param sources the strongest first @throws CerError CER_CONFIG naming the source */
export function resolvePolicy(sources: readonly Source[]): ResolvedPolicy {
  const chosen = sources.find(({ settings }) => settings.consent !== undefined);
  const level = chosen?.settings.consent;
  const strongest = <K extends keyof Settings>(key: K) => strongestSetting(sources, key);
  return {
    policy: {
      consent: level === undefined ? DEFAULT_POLICY.consent : consentOf(level, chosen?.name ?? ""),
      level2: strongest("level2") ?? DEFAULT_POLICY.level2,
      allow: joinRules(sources, "allow"),
      deny: joinRules(sources, "deny"),
      maxFileSize: strongest("maxFileSize") ?? DEFAULT_POLICY.maxFileSize,
      maxTotalSize: strongest("maxTotalSize") ?? DEFAULT_POLICY.maxTotalSize,
    },
    consentFrom: chosen?.name ?? "default",
    redact: strongest("redact") ?? true,
    anonymize: strongest("anonymize") ?? false,
  };
}

function consentOf(level: string, from: string): Consent {
  return parseConsent(level, `consent (${from})`);
}

function joinRules(sources: readonly Source[], key: "allow" | "deny"): Rules {
  const all = sources
    .filter(({ settings }) => settings[key] !== undefined)
    .map(({ settings, name }) => parseRules(settings[key], `${key} (${name})`));
  const kinds = ITEM_KINDS.filter((kind) => all.some((rules) => rules[kind] !== undefined));
  return Object.fromEntries(kinds.map((kind) => [kind, all.flatMap((rules) => rules[kind] ?? [])]));
}
