import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";

const SRC = join(import.meta.dirname, "../src");

type Import = { readonly from: string; readonly to: string; readonly isTypeOnly: boolean };

const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".ts"))
  .sort();

/** Without comments, and without what stands in quotes unless it is an import. */
function codeOf(file: string): string {
  return readFileSync(join(SRC, file), "utf8").replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "");
}

/** Every import of a file, static or dynamic; a file of this program as its path in src/. */
function importsOf(file: string): Import[] {
  const found = codeOf(file).matchAll(
    /^(?:import|export)(?<kind> type)? [^;"]*?from "(?<from>[^"]+)"|^import "(?<bare>[^"]+)"|\bimport\(\s*"(?<dynamic>[^"]+)"/gm,
  );
  return [...found].map(({ groups = {} }) => {
    const to = groups.from ?? groups.bare ?? groups.dynamic ?? "";
    return {
      from: file,
      to: to.startsWith(".") ? posix.join(posix.dirname(file), to) : to,
      isTypeOnly: groups.kind !== undefined,
    };
  });
}

const IMPORTS = FILES.flatMap(importsOf);
const OWN = IMPORTS.filter(({ to }) => to.endsWith(".ts"));

/** A file's directory in src/, or the file itself at the top. */
function partOf(file: string): string {
  return file.includes("/") ? dirname(file) : file;
}

function violations(isWrong: (one: Import) => boolean): string[] {
  return OWN.filter(isWrong).map(({ from, to }) => `${from} imports ${to}`);
}

test("the imports are found", () => {
  assert.ok(FILES.length > 40 && IMPORTS.length > 200);
  assert.deepEqual(
    importsOf("wire/http.ts")
      .map(({ to }) => to)
      .filter((to) => to.startsWith("undici/")),
    [
      "undici/lib/core/connect.js",
      "undici/lib/dispatcher/client.js",
      "undici/lib/dispatcher/proxy-agent.js",
      "undici/lib/api/api-connect.js",
    ],
  );
});

/** Each directory, and all that it may know beside itself. */
const MAY_KNOW: Readonly<Record<string, readonly string[]>> = {
  "archive/cab": [],
  archive: ["archive/cab", "errors.ts"],
  wire: ["errors.ts", "event.ts", "foreign-text.ts"],
  collect: ["collect/linux", "errors.ts", "event.ts", "foreign-text.ts"],
  "collect/linux": ["collect", "errors.ts"],
  journal: ["errors.ts", "event.ts", "foreign-text.ts"],
  server: ["wire", "errors.ts", "foreign-text.ts"],
};

/** What a directory may know by its types alone: the plan is made from an answer. */
const MAY_NAME: Readonly<Record<string, readonly string[]>> = { collect: ["wire"] };

test("archive, wire, collect, journal and server know what lies below them and not each other", () => {
  for (const [part, known] of Object.entries(MAY_KNOW)) {
    assert.ok(
      FILES.some((file) => partOf(file) === part),
      `${part} is gone`,
    );
    assert.deepEqual(
      violations(({ from, to, isTypeOnly }) => {
        const allowed = [part, ...known, ...(isTypeOnly ? (MAY_NAME[part] ?? []) : [])];
        return partOf(from) === part && !allowed.includes(partOf(to));
      }),
      [],
    );
  }
});

test("nothing but main.ts imports a command, and nothing imports main.ts", () => {
  assert.deepEqual(
    violations(
      ({ from, to }) => partOf(to) === "commands" && partOf(from) !== "commands" && from !== "main.ts",
    ),
    [],
  );
  assert.deepEqual(
    violations(({ to }) => to === "main.ts"),
    [],
  );
});

test("the server is known to its commands alone, the command line's parser to main.ts alone", () => {
  assert.deepEqual(
    violations(({ from, to }) => partOf(to) === "server" && !["server", "commands"].includes(partOf(from))),
    [],
  );
  assert.deepEqual(
    violations(({ from, to }) => to === "cli.ts" && from !== "main.ts"),
    [],
  );
});

test("the conversation knows neither what is collected, nor how it is packed, kept, or sent", () => {
  const unknown = /^(collect|archive|journal|server|commands|cli)\/|^wire\/http\.ts$/;
  assert.deepEqual(
    violations(({ from, to }) => from === "submit.ts" && unknown.test(to)),
    [],
  );
});

test("the event, its errors and its JSON know nothing of how a report travels", () => {
  const basic = ["errors.ts", "event.ts", "json.ts"];
  const above = /^(collect|archive|journal|server|commands|cli|wire)\//;
  assert.deepEqual(
    violations(({ from, to }) => basic.includes(from) && above.test(to)),
    [],
  );
});

/** What schemas are written in, wherever there is one. */
const SHARED = ["valibot"];

test("each third-party package is imported by exactly one file", () => {
  const importers = new Map<string, Set<string>>();
  for (const { from, to, isTypeOnly } of IMPORTS) {
    if (
      to.endsWith(".ts") ||
      /^(node:|\.)/.test(to) ||
      to.endsWith(".json") ||
      from.endsWith(".d.ts") ||
      isTypeOnly
    )
      continue;
    const name = /^(?:@[^/]+\/)?[^/]+/.exec(to)?.[0] ?? to;
    importers.set(name, (importers.get(name) ?? new Set()).add(from));
  }
  const several = [...importers].filter(([name, files]) => files.size > 1 && !SHARED.includes(name));
  assert.deepEqual(
    several.map(([name, files]) => [name, [...files]]),
    [],
  );
  const { dependencies } = JSON.parse(readFileSync(join(SRC, "../package.json"), "utf8"));
  const unused = Object.keys(dependencies).filter((name) => !importers.has(name));
  assert.deepEqual(unused, []);
});

test("only main.ts touches the process", () => {
  const touches =
    /\bprocess\.(argv|env|exit|exitCode|std(in|out|err)|cwd|chdir|on|off|once|pid|ppid|platform|kill|get\w+|umask|nextTick|hrtime|abort)\b|"node:process"|\bconsole\.|globalThis\.process/;
  const guilty = FILES.filter((file) => file !== "main.ts" && touches.test(codeOf(file)));
  assert.deepEqual(guilty, []);
});

test("the wall clock and chance are handed in, not taken", () => {
  const takes = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(/;
  assert.deepEqual(
    FILES.filter((file) => takes.test(codeOf(file))),
    [],
  );
});

test("every file opens with a doc comment that says what it is", () => {
  const bare = FILES.filter((file) => !/^\/\*\*[^/]{20,}/.test(readFileSync(join(SRC, file), "utf8")));
  assert.deepEqual(bare, []);
});

test("there is no barrel, and no file named for what it has in common with others", () => {
  const vague = /(^|\/)(index|utils?|helpers?|common|shared|types|constants|misc)\.ts$/;
  assert.deepEqual(
    FILES.filter((file) => vague.test(file)),
    [],
  );
});
