/** Sources as modules that plain Node runs, built as package.json builds the program: for child processes and threads. */

import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build, type Plugin } from "esbuild";

const SECOND_THREAD = join(import.meta.dirname, "../src/archive/cab/second-thread.worker.ts");

/** Builds `source` into `directory`, with the cabinet's second thread beside it; the path of the module it became. */
export async function buildModules(
  source: string,
  directory: string,
  plugins: readonly Plugin[] = [],
): Promise<string> {
  await writeFile(join(directory, "package.json"), '{"type":"module"}');
  await build({
    entryPoints: [source, SECOND_THREAD],
    entryNames: "[name]",
    outdir: directory,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20.18",
    external: ["./tables/*"],
    alias: { "node:http2": "node:fs" },
    banner: {
      js: "import{createRequire as __cerRequire}from'node:module';const require=__cerRequire(import.meta.url);",
    },
    logLevel: "warning",
    plugins: [...plugins],
  });
  return join(directory, `${basename(source, ".ts")}.js`);
}
