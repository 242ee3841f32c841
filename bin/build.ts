/**
 * Builds the program into dist/: `tsx bin/build.ts`. An installer's failure hook waits for every byte of it to be read
 * and parsed, so what a package brings and this program never uses is left out.
 */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";

const ROOT = join(import.meta.dirname, "..");
const CABINET_THREAD = join(ROOT, "src/archive/cab/write/second-thread.worker.ts");

/** What a module of a package asks for, and what it gets instead of it, as CommonJS. */
type Omission = { readonly from: RegExp; readonly what: RegExp; readonly instead: string };

const NOTHING = "module.exports = {}";

const OMISSIONS: readonly Omission[] = [
  // undici: HTTP/2, fetch's bodies, and the faster of its two parsers, for a few hundred bytes of answer.
  { from: /[\\/]undici[\\/]/, what: /\/client-h2\.js$/, instead: NOTHING },
  { from: /[\\/]undici[\\/]/, what: /\/fetch\/body\.js$/, instead: NOTHING },
  { from: /[\\/]undici[\\/]/, what: /\/llhttp_simd-wasm\.js$/, instead: NOTHING },
  // undici looks there for one number, Node's limit of a header's size.
  { from: /[\\/]undici[\\/]/, what: /^node:http$/, instead: "module.exports = { maxHeaderSize: 16384 }" },
  // commander: commands that are programs of their own.
  { from: /[\\/]commander[\\/]/, what: /^node:child_process$/, instead: NOTHING },
  // iconv-lite: the code pages of the world but for 1252.
  { from: /[\\/]iconv-lite[\\/]/, what: /\/tables\//, instead: NOTHING },
  { from: /[\\/]iconv-lite[\\/]/, what: /\/sbcs-data-generated$/, instead: windows1252() },
];

function windows1252(): string {
  const pages = createRequire(import.meta.url)("iconv-lite/encodings/sbcs-data-generated.js") as {
    readonly windows1252: object;
  };
  return `module.exports = ${JSON.stringify({ windows1252: pages.windows1252 })}`;
}

const omissions: Plugin = {
  name: "omissions",
  setup: ({ onResolve, onLoad }) => {
    for (const { from, what, instead } of OMISSIONS)
      onResolve({ filter: what }, ({ importer, path }) =>
        from.test(importer) ? { path, namespace: "omitted", pluginData: instead } : null,
      );
    onLoad({ filter: /.*/, namespace: "omitted" }, ({ pluginData }) => ({ contents: pluginData as string }));
  },
};

/**
 * Makes one module of all that the program always loads. Left to itself the bundler makes one for each set of lazily
 * loaded modules that share something, some thirty; Node opens these all at once, which a process with few descriptors
 * does not survive, and takes a fifth longer to start. A module that is loaded lazily, and so after `main`, imports it
 * here: then all that belongs to `main` is shared by all of them and stays together. `main` must not wait for one of
 * them while it is loaded itself.
 */
function inOnePiece(main: string): Plugin {
  return {
    name: "in-one-piece",
    setup: ({ onResolve, onLoad, resolve }) => {
      onResolve({ filter: /^[^:]*$/ }, async ({ kind, path, ...from }) => {
        if (kind !== "dynamic-import") return null;
        const found = await resolve(path, { kind: "import-statement", ...from });
        return { ...found, namespace: "lazy" };
      });
      onLoad({ filter: /.*/, namespace: "lazy" }, ({ path }) => ({
        contents: lazyModule(main, path),
        resolveDir: ROOT,
      }));
    },
  };
}

/** Our own modules have no default export; a package in CommonJS has nothing else, and others may have one. */
function lazyModule(main: string, path: string): string {
  const from = JSON.stringify(path);
  const names = `import ${JSON.stringify(main)}; export * from ${from};`;
  if (path.endsWith(".ts")) return names;
  return `${names} import * as all from ${from}; export default Reflect.get(all, "default");`;
}

/** What packages in CommonJS ask Node's modules with. */
const REQUIRE =
  "import{createRequire as __cerRequire}from'node:module';const require=__cerRequire(import.meta.url);";

/** Builds modules for Node, `entry` and the cabinet's second thread, each under its own name, into `directory`. */
export async function buildModules(entry: string, directory: string, more: BuildOptions = {}): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const each of [entry, CABINET_THREAD]) await buildModule(each, directory, more);
}

async function buildModule(entry: string, directory: string, more: BuildOptions): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    entryNames: "[name]",
    outdir: directory,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.18",
    // Its own entry for Node cannot be bundled.
    alias: { "jsonc-parser": "jsonc-parser/lib/esm/main.js" },
    banner: { js: REQUIRE },
    logLevel: "warning",
    ...more,
    plugins: [omissions, ...(more.plugins ?? [])],
    write: false,
  });
  for (const { path, text } of outputFiles) {
    const bare = text.replace(`${REQUIRE}\n`, "");
    // A module that asks for nothing in this way need not pay for it.
    await writeFile(path, /\brequire\b/.test(bare) ? text : bare);
  }
}

if (process.argv[1] === import.meta.filename) {
  const dist = join(ROOT, "dist");
  const main = join(ROOT, "src/main.ts");
  await rm(dist, { recursive: true, force: true });
  await buildModules(main, dist, { minify: true, plugins: [inOnePiece(main)] });
}
