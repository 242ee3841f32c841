/** Sources as modules that plain Node runs, built as the program is: for child processes and threads. */

import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Plugin } from "esbuild";
import { buildModules } from "../../bin/build.ts";

/** Builds `source` into `directory`, with the cabinet's second thread beside it; the path of the module it became. */
export async function buildModule(
  source: string,
  directory: string,
  plugins: readonly Plugin[] = [],
): Promise<string> {
  await writeFile(join(directory, "package.json"), '{"type":"module"}');
  await buildModules(source, directory, { plugins: [...plugins] });
  return join(directory, `${basename(source, ".ts")}.js`);
}
