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

/** The rooms of the house, the lowest first: no arrow runs up. A file at the top of src/ is a room of its own. */
const ROOMS = [
  ["printable.ts", "bytes.ts", "names.ts", "context.ts", "wire/undici.d.ts"],
  ["errors.ts"],
  ["json.ts", "system", "archive/entries"],
  ["event.ts", "archive/cab", "wql"],
  ["wire", "archive/cab/write", "archive/cab/read", "collect/redact", "collect/wmi/cim"],
  ["archive", "consent", "collect/wmi/linux"],
  ["config", "event", "collect/files", "journal/disk"],
  ["collect/registry", "collect/wmi"],
  ["collect", "server", "journal/entry"],
  ["journal"],
  ["delivery"],
  ["cli", "commands/inspect"],
  ["commands"],
  ["main.ts"],
];

const LEVELS = new Map(ROOMS.flatMap((rooms, level) => rooms.map((room) => [room, level] as const)));

test("every file stands in a room of the list, and no import leads to a room on the same level or above", () => {
  assert.deepEqual(
    FILES.filter((file) => !LEVELS.has(partOf(file))),
    [],
  );
  const levelOf = (file: string) => LEVELS.get(partOf(file)) ?? Number.POSITIVE_INFINITY;
  assert.deepEqual(
    violations(({ from, to }) => partOf(from) !== partOf(to) && levelOf(to) >= levelOf(from)),
    [],
  );
});

test("no file leads back to itself by its imports, those of types among them", () => {
  const known = new Map(FILES.map((file) => [file, OWN.filter(({ from }) => from === file)]));
  const done = new Set<string>();
  const circles: string[] = [];
  const follow = (file: string, way: readonly string[]): void => {
    const start = way.indexOf(file);
    if (start >= 0) circles.push([...way.slice(start), file].join(" → "));
    if (start >= 0 || done.has(file)) return;
    for (const { to } of known.get(file) ?? []) follow(to, [...way, file]);
    done.add(file);
  };
  for (const file of FILES) follow(file, []);
  assert.deepEqual(circles, []);
});

/** Each of these rooms, and all whose values it knows beside its own. Types it may name of whatever lies below it. */
const KNOWS: Readonly<Record<string, readonly string[]>> = {
  "archive/entries": ["bytes.ts", "names.ts", "printable.ts"],
  "archive/cab": [],
  "archive/cab/write": ["archive/cab", "archive/entries", "bytes.ts"],
  "archive/cab/read": ["archive/cab", "archive/entries"],
  archive: ["archive/cab/read", "archive/entries", "errors.ts", "printable.ts"],
  wire: ["errors.ts", "printable.ts"],
  wql: ["names.ts", "printable.ts"],
  consent: ["wql", "errors.ts", "names.ts", "printable.ts"],
  "collect/redact": [],
  "collect/files": ["collect/redact", "collect/wmi/cim", "consent", "system", "bytes.ts"],
  "collect/registry": ["collect/files", "consent", "system", "printable.ts"],
  "collect/wmi/cim": ["json.ts"],
  "collect/wmi/linux": ["collect/wmi/cim", "system"],
  "collect/wmi": [
    "collect/files",
    "collect/wmi/cim",
    "collect/wmi/linux",
    "wql",
    "system",
    "bytes.ts",
    "printable.ts",
  ],
  collect: ["collect/files", "collect/redact", "consent", "errors.ts", "event.ts", "json.ts", "printable.ts"],
  "journal/disk": ["system", "errors.ts", "json.ts"],
  "journal/entry": ["journal/disk", "bytes.ts", "errors.ts", "json.ts"],
  journal: ["journal/disk", "journal/entry", "bytes.ts", "errors.ts", "json.ts"],
  server: ["wire", "bytes.ts", "errors.ts", "json.ts", "names.ts", "printable.ts"],
  system: [],
  config: ["consent", "wire", "errors.ts", "json.ts"],
  event: ["system", "wire", "bytes.ts", "errors.ts", "event.ts", "json.ts"],
  delivery: [
    "archive",
    "archive/cab",
    "archive/cab/write",
    "archive/entries",
    "collect",
    "collect/registry",
    "collect/wmi",
    "config",
    "consent",
    "journal",
    "journal/entry",
    "wire",
    "errors.ts",
    "printable.ts",
  ],
  cli: ["config", "consent", "errors.ts", "json.ts", "printable.ts"],
};

test("each room knows the values of what it is made of, and no other room's", () => {
  for (const [part, known] of Object.entries(KNOWS)) {
    const imported = OWN.filter(({ from, isTypeOnly }) => partOf(from) === part && !isTypeOnly);
    const others = new Set(imported.map(({ to }) => partOf(to)));
    others.delete(part);
    assert.deepEqual([...others].sort(), [...known].sort(), part);
  }
});

/** Files side by side in one folder; more are no room but a store. */
const MOST_FILES = 15;
const MOST_LOOSE_FILES = 8;

test("a folder is seen at a glance: at most so many files side by side", () => {
  const counts = new Map<string, number>();
  for (const file of FILES) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  const crowded = [...counts].filter(
    ([folder, count]) => count > (folder === "." ? MOST_LOOSE_FILES : MOST_FILES),
  );
  assert.deepEqual(crowded, []);
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
    violations(({ from, to }) => to === "cli/parse.ts" && from !== "main.ts"),
    [],
  );
});

test("the protocol knows neither what is collected, nor how it is packed, kept, or sent", () => {
  const unknown =
    /^(archive|cli|collect|commands|consent|event|server|system|wql)\/|^delivery\/build-archive\.ts$|^wire\/http\.ts$/;
  const namedOnly = /^(config|journal)\//;
  assert.deepEqual(
    violations(
      ({ from, to, isTypeOnly }) =>
        from === "delivery/protocol.ts" && (unknown.test(to) || (!isTypeOnly && namedOnly.test(to))),
    ),
    [],
  );
});

test("the event, its errors and its JSON know nothing of how a report travels", () => {
  const basic = ["errors.ts", "event.ts", "json.ts"];
  assert.deepEqual(
    violations(({ from, to }) => basic.includes(from) && to.includes("/") && !to.startsWith("system/")),
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
