/** What a redaction rule gives: a stretch of a text, and what stands there instead. */

/** Structural rules, as counts name them; `home` and `user` only when asked to anonymize. */
export type RedactionRule = "assignment" | "url" | "header" | "private-key" | "key-id" | "home" | "user";

export type Finding = {
  /** Where the rule's match begins, of which the stretch may be but the end: what it was known by stands before it. */
  readonly from: number;
  /** The stretch that is replaced: from `start` up to `end`. */
  readonly start: number;
  readonly end: number;
  readonly rule: RedactionRule;
  readonly replacement: string;
};

export const REDACTED = "[redacted]";

/** A finding of a secret. */
export function redaction(rule: RedactionRule, from: number, start: number, end: number): Finding {
  return { from, start, end, rule, replacement: REDACTED };
}
