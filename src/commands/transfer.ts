/** Placeholder until journal/transfer.ts lands. */
export async function transfer(..._: unknown[]): Promise<{ lines: string[]; json: unknown }> {
  return { lines: [], json: null };
}
