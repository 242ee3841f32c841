/** Whether an archive that arrived holds together. */

import { open } from "node:fs/promises";
import { CerError } from "../errors.ts";

/** @throws CerError CER_DAMAGED */
export async function verifyArchive(path: string, format: "cab" | "tar"): Promise<void> {
  const handle = await open(path);
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    if (format === "cab" && buffer.toString("latin1") !== "MSCF")
      throw new CerError("CER_DAMAGED", "This is not a cabinet.");
  } finally {
    await handle.close();
  }
}
