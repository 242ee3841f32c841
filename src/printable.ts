/** Text and numbers made fit for a terminal, a log or a message; text may come from a server, a file, a user. */

/** Text from a server, fit to be shown on a terminal: control and direction-changing characters removed. */
export function stripControls(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "");
}

/** A server's value as a message quotes it: harmless and short. */
export function quote(value: string): string {
  const shown = stripControls(value);
  return shown.length > 80 ? `"${shown.slice(0, 80)}…"` : `"${shown}"`;
}

/** "1 file", "2 files". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Bytes in the unit people read: 512 bytes, 1.4 KiB, 73 MiB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return count(bytes, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power - 1]}`;
}

/** What an error of any kind says. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
