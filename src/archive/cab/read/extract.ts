/** Extracts a cabinet into a folder. */

import { extractFiles } from "../../entries/target.ts";
import { readContents } from "./contents.ts";
import type { Source } from "./source.ts";
import type { Cabinet, CabinetFile } from "./tables.ts";

/**
 * Extracts all files below `directory`, as `extractFiles` does.
 * @throws what `readContents` and `extractFiles` throw.
 */
export function extractCabinet(
  source: Source,
  cabinet: Cabinet,
  directory: string,
): Promise<readonly CabinetFile[]> {
  return extractFiles(readContents(source, cabinet), directory);
}
