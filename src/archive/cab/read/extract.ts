/** Extracts a cabinet into a folder. */

import { extractFile } from "../../entries/target.ts";
import { type ReadLimits, readContents } from "./contents.ts";
import type { Source } from "./source.ts";
import type { Cabinet, CabinetFile } from "./tables.ts";

/**
 * Extracts all files below `directory`, which exists. Stops at the first that is wrong; files before it stay, whole.
 * @throws what `readContents` and `extractFile` throw.
 */
export async function extractCabinet(
  source: Source,
  cabinet: Cabinet,
  directory: string,
  limits: ReadLimits = {},
): Promise<readonly CabinetFile[]> {
  const extracted: CabinetFile[] = [];
  for await (const { file, content } of readContents(source, cabinet, limits)) {
    await extractFile(directory, file, content);
    extracted.push(file);
  }
  return extracted;
}
