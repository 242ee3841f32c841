/**
 * Runs the test files whose path contains one of the words on the command line, or all of them:
 *
 *   tsx test/run.ts [--lane] [WORD ...]
 *
 * `NAME.test.ts` is what `npm test` runs; `NAME.lane.ts` is slow or needs programs that `.ci/run` installs first.
 * Node 20's own runner takes no globs and looks for `.js` only. A skipped or a to-do test counts as a failure here:
 * a test that cannot run on this machine belongs to `.ci/run`, which installs what it needs.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const here = import.meta.dirname;
const words = process.argv.slice(2).filter((word) => word !== "--lane");
const suffix = process.argv.includes("--lane") ? ".lane.ts" : ".test.ts";
const files = readdirSync(here, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(suffix) && words.every((word) => name.includes(word)))
  .sort()
  .map((name) => join(here, name));

if (files.length === 0) {
  process.stderr.write(`no test file matches ${words.join(" ")}\n`);
  process.exitCode = 1;
} else {
  run({ files, concurrency: 2, timeout: suffix === ".lane.ts" ? 900_000 : 120_000 })
    .on("test:fail", () => {
      process.exitCode = 1;
    })
    .on("test:pass", ({ name, skip, todo }) => {
      if (skip === undefined && todo === undefined) return;
      process.stderr.write(`skipped or to do: ${name}\n`);
      process.exitCode = 1;
    })
    .compose(new spec())
    .pipe(process.stdout);
}
