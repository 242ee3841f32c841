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

/** Not `trimEnd`: where bytes are shown as characters, what looks like a no-break space is half of a letter. */
export function trimBlanks(text: string): string {
  let end = text.length;
  while (text[end - 1] === " " || text[end - 1] === "\t") end--;
  return text.slice(0, end);
}

/**
 * The secrets that a pattern finds: each match ends with its group `value`, of which blanks at the end are no part.
 * @param isSecret whether the value is one, given all groups
 */
export function findValues(
  text: string,
  rule: RedactionRule,
  pattern: RegExp,
  isSecret: (value: string, groups: Readonly<Record<string, string | undefined>>) => boolean,
): Finding[] {
  const found: Finding[] = [];
  for (const match of text.matchAll(pattern)) {
    const groups = match.groups ?? {};
    const written = groups.value ?? "";
    const value = trimBlanks(written);
    const start = match.index + match[0].length - written.length;
    if (isSecret(value, groups)) found.push(redaction(rule, match.index, start, start + value.length));
  }
  return found;
}

/** A finding of a secret. */
export function redaction(rule: RedactionRule, from: number, start: number, end: number): Finding {
  return { from, start, end, rule, replacement: REDACTED };
}
