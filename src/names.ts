/**
 * Names as systems take them: which of them are the same, which mean a device, and how a pattern with wildcards is
 * walked along one. Pure.
 */

/** Letters of one kind: names with the same folding may be one on a system that ignores case or normalises. */
export function foldCase(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase();
}

/** The names that Windows opens a device for, in any case, as a pattern. What may follow one is the caller's to say. */
export const DEVICE_NAMES = "(?:con|prn|aux|nul|conin\\$|conout\\$|clock\\$|(?:com|lpt)[0-9¹²³])";

/**
 * Whether all of `found` is what `pattern` says, where an element that is wild stands for any run. The classic walk
 * with one point of return: at most pattern times found steps, no recursion.
 */
export function matchSequence<Wanted, Found>(
  pattern: readonly Wanted[],
  found: readonly Found[],
  isWild: (wanted: Wanted) => boolean,
  isSame: (wanted: Wanted, found: Found) => boolean,
): boolean {
  let [p, f, wildAt, resumeAt] = [0, 0, -1, 0];
  while (f < found.length) {
    const wanted = pattern[p];
    if (wanted !== undefined && isWild(wanted)) {
      wildAt = p++;
      resumeAt = f;
    } else if (wanted !== undefined && isSame(wanted, found[f] as Found)) {
      p++;
      f++;
    } else if (wildAt >= 0) {
      p = wildAt + 1;
      f = ++resumeAt;
    } else return false;
  }
  return pattern.slice(p).every(isWild);
}
