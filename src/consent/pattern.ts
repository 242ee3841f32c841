/**
 * Patterns of the policy: `*` stands for any run of characters within a segment, `**` as a whole segment for any number
 * of segments. Hides the matching, which takes time in proportion to pattern and name whatever they hold.
 */

import { matchSequence } from "../names.ts";

export type Pattern = {
  /** As the policy wrote it. */
  readonly source: string;
  readonly segments: readonly string[];
  /** It holds no wildcard: it names one thing. */
  readonly exact: boolean;
};

/** A pattern over names already split in segments by the caller's own rules; `source` is kept for messages. */
export function compilePattern(source: string, segments: readonly string[]): Pattern {
  return { source, segments, exact: !segments.some((segment) => segment.includes("*")) };
}

/** Whether the whole name matches. `foldCase` both sides first where case does not count. */
export function matches(pattern: Pattern, name: readonly string[]): boolean {
  return matchSequence(pattern.segments, name, isAnySegments, matchSegment);
}

function isAnySegments(segment: string): boolean {
  return segment === "**";
}

function matchSegment(pattern: string, text: string): boolean {
  if (!pattern.includes("*")) return pattern === text;
  return matchSequence([...pattern], [...text], (character) => character === "*", Object.is);
}
