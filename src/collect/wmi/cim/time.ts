/** Times as WMI writes them (DSP0004's datetime). */

/** `20260314092653.000000+060`: local time, microseconds, minutes ahead of UTC. */
export function formatCimTime(time: Date): string {
  const ahead = -time.getTimezoneOffset();
  const local = new Date(time.getTime() + ahead * 60_000).toISOString();
  const digits = local.slice(0, 19).replace(/\D/g, "");
  const zone = `${ahead < 0 ? "-" : "+"}${String(Math.abs(ahead)).padStart(3, "0")}`;
  return `${digits}.${local.slice(20, 23)}000${zone}`;
}
