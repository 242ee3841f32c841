/** Text that came from somebody else - a server, a file, a user - made fit for a terminal, a log or a message. */

/** Text from a server, fit to be shown on a terminal: control and direction-changing characters removed. */
export function stripControls(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "");
}

/** A server's value as a message quotes it: harmless and short. */
export function quote(value: string): string {
  const shown = stripControls(value);
  return shown.length > 80 ? `"${shown.slice(0, 80)}…"` : `"${shown}"`;
}
