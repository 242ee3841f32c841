/**
 * Patterns of the policy: `*` stands for any run of characters within a segment, `**` as a whole segment for any number
 * of segments. Hides the matching, which takes time in proportion to pattern and name whatever they hold.
 */

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

/** Letters of one kind, so that names which some file system takes for the same compare equal. */
export function fold(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase();
}

/** Whether the whole name matches. `fold` both sides first where case does not count. */
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

/** The classic walk with one point of return: at most pattern times text steps, no recursion. */
function matchSequence(
  pattern: readonly string[],
  text: readonly string[],
  isWild: (element: string) => boolean,
  isSame: (wanted: string, found: string) => boolean,
): boolean {
  let [p, t, wildAt, resumeAt] = [0, 0, -1, 0];
  while (t < text.length) {
    const wanted = pattern[p];
    if (wanted !== undefined && isWild(wanted)) {
      wildAt = p++;
      resumeAt = t;
    } else if (wanted !== undefined && isSame(wanted, text[t] ?? "")) {
      p++;
      t++;
    } else if (wildAt >= 0) {
      p = wildAt + 1;
      t = ++resumeAt;
    } else return false;
  }
  return pattern.slice(p).every(isWild);
}
