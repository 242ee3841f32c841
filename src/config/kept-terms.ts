/**
 * What a report's later tries need to know beside the report: the rules it was made under and the archive wanted. They
 * are kept with it, so that a configuration changed meanwhile does not widen what its user agreed to.
 */

import * as v from "valibot";
import type { ArchiveFlags } from "../cli/command.ts";
import { CONSENTS, MIN_SIZE, type Policy, parseRules, type Rules } from "../consent/policy.ts";
import { parseShape } from "../json.ts";
import type { ResolvedPolicy } from "./terms.ts";

export type RetrySettings = { readonly rules: ResolvedPolicy; readonly archive: ArchiveFlags };

const size = v.pipe(v.number(), v.integer(), v.minValue(MIN_SIZE));

const rulesSchema = v.record(v.string(), v.array(v.string()));

const RetrySchema = v.strictObject({
  rules: v.strictObject({
    policy: v.strictObject({
      consent: v.picklist(CONSENTS),
      level2: v.boolean(),
      allow: rulesSchema,
      deny: rulesSchema,
      maxFileSize: size,
      maxTotalSize: size,
    }),
    consentFrom: v.string(),
    redact: v.boolean(),
    anonymize: v.boolean(),
  }),
  archive: v.strictObject({
    format: v.picklist(["cab", "tar"]),
    compression: v.nullable(v.picklist([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
    splitLarge: v.boolean(),
  }),
});

/** As plain JSON. */
export function encodeRetrySettings({ rules, archive }: RetrySettings): v.InferOutput<typeof RetrySchema> {
  const { allow, deny } = rules.policy;
  return {
    rules: { ...rules, policy: { ...rules.policy, allow: plain(allow), deny: plain(deny) } },
    archive,
  };
}

function plain(rules: Rules): Record<string, string[]> {
  return Object.fromEntries(Object.entries(rules).map(([kind, patterns]) => [kind, [...patterns]]));
}

/** @throws CerError CER_DAMAGED, CER_CONFIG */
export async function parseRetrySettings(kept: unknown): Promise<RetrySettings> {
  const { rules, archive } = await parseShape(RetrySchema, kept, "The kept settings", "CER_DAMAGED");
  const policy: Policy = {
    ...rules.policy,
    allow: parseRules(rules.policy.allow, "allow (kept)"),
    deny: parseRules(rules.policy.deny, "deny (kept)"),
  };
  return { rules: { ...rules, policy }, archive };
}
