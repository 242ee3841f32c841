/** The CerError that a call throws, as a value that a test compares whole. */

import { CerError } from "../../src/errors.ts";

export type Complaint = { code: string; message: string; hint: string | undefined };

/** The CerError that the call throws or rejects with; any other error, or none, fails the test. */
export async function complaintOf(call: () => unknown): Promise<Complaint> {
  let value: unknown;
  try {
    value = await call();
  } catch (thrown) {
    if (!(thrown instanceof CerError)) throw thrown;
    const { code, message, hint } = thrown;
    return { code, message, hint };
  }
  throw new Error(`expected a complaint, got ${String(value)}`);
}
