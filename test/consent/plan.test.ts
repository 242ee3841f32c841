import assert from "node:assert/strict";
import { test } from "node:test";
import type { PathFacts } from "../../src/consent/local-path.ts";
import {
  applyAnswers,
  type CollectionPlan,
  keepToAttached,
  MAX_ITEM_LENGTH,
  type PlanItem,
  planCollection,
  type Target,
} from "../../src/consent/plan.ts";
import {
  CONSENTS,
  type Consent,
  DEFAULT_POLICY,
  type ItemKind,
  type Policy,
} from "../../src/consent/policy.ts";
import type { AttachedFile, FileType } from "../../src/event.ts";
import { type Level1Response, parseResponse } from "../../src/wire/response.ts";
import { eventWith } from "../support/events.ts";

const LINUX: PathFacts = { platform: "linux", env: { HOME: "/home/bob", TMPDIR: "/tmp" }, home: "/home/bob" };
const WINDOWS: PathFacts = {
  platform: "win32",
  env: { WinDir: "C:\\Windows", USERPROFILE: "C:\\Users\\bob", ProgramData: "C:\\ProgramData" },
  home: "C:\\Users\\bob",
};

function attached(name: string, type: FileType): AttachedFile {
  return { path: `/var/log/app/${name}`, name, type };
}

function answer(...lines: string[]): Level1Response {
  return parseResponse(Buffer.from(["iData=1", ...lines].join("\r\n"), "latin1")).response;
}

function policyOf(consent: Consent, rules: Partial<Policy> = {}): Policy {
  return { ...DEFAULT_POLICY, consent, ...rules };
}

const DENIED = ["decline", "deny", "the policy of this machine denies it"] as const;
const ALLOWED = ["collect", "allow", null] as const;
const AGREED = ["collect", "consent", null] as const;
const ASKED = ["ask", "consent", null] as const;
const UNSAFE = ["decline", "consent", 'consent is "safe"'] as const;
const ATTACHED = ["collect", "attached", null] as const;
const NEVER = ["decline", "consent", 'consent is "parameters": level 2 never runs'] as const;

type Expected = readonly [decision: PlanItem["decision"], rule: PlanItem["rule"], reason: string | null];
type Row = {
  readonly kind: ItemKind;
  readonly line: string;
  readonly item: string;
  readonly pattern: string;
  readonly facts: PathFacts;
  readonly files?: readonly AttachedFile[];
  readonly target: Target;
  /** By rules: none, allow, deny, both; at `safe`, `ask`, `all`. */
  readonly none: readonly [Expected, Expected, Expected];
  readonly allow: readonly [Expected, Expected, Expected];
  readonly deny: Expected;
};

const LOG = attached("app.log", 5);
const FAMILY = { className: "Win32_Processor", properties: ["Family"], where: null };

const ROWS: readonly Row[] = [
  {
    kind: "GetFile",
    line: "GetFile=%TMPDIR%/app/../app/x.log",
    item: "%TMPDIR%/app/../app/x.log",
    pattern: "$TMPDIR/app/*.log",
    facts: LINUX,
    target: { type: "path", path: "/tmp/app/x.log" },
    none: [UNSAFE, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "GetFile",
    line: "GetFile=%windir%/Logs//cbs.LOG",
    item: "%windir%/Logs//cbs.LOG",
    pattern: "%WINDIR%\\logs\\**",
    facts: WINDOWS,
    target: { type: "path", path: "C:\\Windows\\Logs\\cbs.LOG" },
    none: [UNSAFE, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "GetFileVersion",
    line: "GetFileVersion=/usr/bin/node",
    item: "/usr/bin/node",
    pattern: "/usr/bin/**",
    facts: LINUX,
    target: { type: "path", path: "/usr/bin/node" },
    none: [AGREED, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "RegKey",
    line: "RegKey=HKLM\\SOFTWARE\\Contoso\\Level",
    item: "HKLM\\SOFTWARE\\Contoso\\Level",
    pattern: "hkey_local_machine\\software\\contoso\\**",
    facts: WINDOWS,
    target: { type: "key", key: { root: "HKEY_LOCAL_MACHINE", key: "SOFTWARE\\Contoso\\Level" } },
    none: [UNSAFE, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "RegTree",
    line: "RegTree=HKEY_CURRENT_USER\\Software\\Contoso\\",
    item: "HKEY_CURRENT_USER\\Software\\Contoso\\",
    pattern: "HKCU\\Software\\Contoso",
    facts: WINDOWS,
    target: { type: "key", key: { root: "HKEY_CURRENT_USER", key: "Software\\Contoso" } },
    none: [UNSAFE, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "WQL",
    line: "WQL=SELECT Family FROM Win32_Processor",
    item: "SELECT Family FROM Win32_Processor",
    pattern: "win32_processor",
    facts: LINUX,
    target: { type: "query", query: FAMILY },
    none: [AGREED, ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "WQL",
    line: "WQL=SELECT Name FROM Win32_Product",
    item: "SELECT Name FROM Win32_Product",
    pattern: "Win32_Product",
    facts: WINDOWS,
    target: { type: "query", query: { className: "Win32_Product", properties: ["Name"], where: null } },
    none: [["decline", "consent", "nothing that it selects of Win32_Product is sent"], ASKED, AGREED],
    allow: [ALLOWED, ALLOWED, ALLOWED],
    deny: DENIED,
  },
  {
    kind: "MemoryDump",
    line: "MemoryDump=1",
    item: "1",
    pattern: "*",
    facts: LINUX,
    files: [attached("app.dmp", 2)],
    target: { type: "answered-by", files: [0] },
    none: [ATTACHED, ATTACHED, ATTACHED],
    allow: [ATTACHED, ATTACHED, ATTACHED],
    deny: DENIED,
  },
  {
    kind: "fDoc",
    line: "fDoc=1",
    item: "1",
    pattern: "*",
    facts: LINUX,
    files: [attached("letter.txt", 4)],
    target: { type: "answered-by", files: [0] },
    none: [ATTACHED, ATTACHED, ATTACHED],
    allow: [ATTACHED, ATTACHED, ATTACHED],
    deny: DENIED,
  },
  {
    kind: "File",
    line: "Bucket=1",
    item: "app.log",
    pattern: "/var/log/**",
    facts: LINUX,
    files: [LOG],
    target: { type: "attached", file: LOG },
    none: [ATTACHED, ASKED, ATTACHED],
    allow: [ATTACHED, ASKED, ATTACHED],
    deny: DENIED,
  },
];

function expectedOf(row: Row, consent: Consent, rules: "none" | "allow" | "deny" | "both"): PlanItem {
  const level = ["safe", "ask", "all"].indexOf(consent);
  const byRules = rules === "deny" || rules === "both" ? row.deny : row[rules][level];
  const [decision, rule, reason] = consent === "parameters" ? NEVER : (byRules ?? NEVER);
  const target = decision === "decline" ? null : row.target;
  return { kind: row.kind, item: row.item, decision, rule, reason, target };
}

for (const row of ROWS)
  for (const consent of CONSENTS)
    for (const rules of ["none", "allow", "deny", "both"] as const)
      test(`${row.line} at "${consent}" with rules "${rules}"`, () => {
        const patterns = { [row.kind]: [row.pattern] };
        const policy = policyOf(consent, {
          allow: rules === "allow" || rules === "both" ? patterns : {},
          deny: rules === "deny" || rules === "both" ? patterns : {},
        });
        const plan = planCollection(answer(row.line), eventWith(...(row.files ?? [])), policy, row.facts);
        assert.deepEqual(
          plan.items.filter(({ kind }) => kind === row.kind),
          [expectedOf(row, consent, rules)],
        );
        assert.equal(plan.level2, consent !== "parameters");
      });

function lines({ items }: CollectionPlan): string[] {
  return items.map(
    ({ kind, item, decision, rule, reason }) =>
      `${kind} ${item}: ${decision} (${rule})${reason === null ? "" : `, ${reason}`}`,
  );
}

test("of attached files dumps and others go with every cabinet, heap dumps and documents only when asked for", () => {
  const files = [
    attached("micro.dmp", 1),
    attached("mini.dmp", 2),
    attached("heap.dmp", 3),
    attached("letter.txt", 4),
    attached("app.log", 5),
  ];
  const plan = (...asked: string[]) =>
    lines(planCollection(answer(...asked), eventWith(...files), policyOf("safe"), LINUX));
  assert.deepEqual(plan(), [
    "File micro.dmp: collect (attached)",
    "File mini.dmp: collect (attached)",
    "File heap.dmp: decline (request), a heap dump goes only if the server asks for MemoryDump=1",
    "File letter.txt: decline (request), a document goes only if the server asks for fDoc=1",
    "File app.log: collect (attached)",
  ]);
  assert.deepEqual(plan("MemoryDump=1", "fDoc=1"), [
    "File micro.dmp: collect (attached)",
    "File mini.dmp: collect (attached)",
    "File heap.dmp: collect (attached)",
    "File letter.txt: collect (attached)",
    "File app.log: collect (attached)",
    "MemoryDump 1: collect (attached)",
    "fDoc 1: collect (attached)",
  ]);
});

test("a denial of MemoryDump and fDoc holds for the heap dumps and documents that are attached", () => {
  const policy = policyOf("all", { deny: { MemoryDump: ["*"], fDoc: ["*"] } });
  const event = eventWith(attached("heap.dmp", 3), attached("letter.txt", 4), attached("mini.dmp", 2));
  assert.deepEqual(lines(planCollection(answer("MemoryDump=1", "fDoc=1"), event, policy, LINUX)), [
    "File heap.dmp: decline (deny), the policy of this machine denies MemoryDump",
    "File letter.txt: decline (deny), the policy of this machine denies fDoc",
    "File mini.dmp: collect (attached)",
    "MemoryDump 1: decline (deny), the policy of this machine denies it",
    "fDoc 1: decline (deny), the policy of this machine denies it",
  ]);
});

test("memory and documents that are asked for and not attached are missing", () => {
  const plan = planCollection(answer("MemoryDump=1", "fDoc=1"), eventWith(LOG), policyOf("safe"), LINUX);
  assert.deepEqual(lines(plan), [
    "File app.log: collect (attached)",
    "MemoryDump 1: missing (request), no dump that may be sent is attached to the event",
    "fDoc 1: missing (request), no document that may be sent is attached to the event",
  ]);
});

test("level 2 does not run unless it is asked for, is switched on, and has something to carry", () => {
  const gate = (response: Level1Response | null, policy: Policy, ...files: AttachedFile[]) => {
    const plan = planCollection(response, eventWith(...files), policy, LINUX);
    return { level2: plan.level2, reason: plan.level2Reason, lines: lines(plan) };
  };
  assert.deepEqual(gate(parseResponse(Buffer.from("Bucket=1")).response, policyOf("all"), LOG), {
    level2: false,
    reason: "the server did not ask for a cabinet (iData is not 1)",
    lines: ["File app.log: decline (request), the server did not ask for a cabinet (iData is not 1)"],
  });
  assert.deepEqual(gate(answer("GetFile=/x"), policyOf("all", { level2: false })), {
    level2: false,
    reason: "level 2 is switched off on this machine",
    lines: ["GetFile /x: decline (deny), level 2 is switched off on this machine"],
  });
  assert.deepEqual(gate(answer(), policyOf("all")), {
    level2: false,
    reason: "there is nothing to upload",
    lines: [],
  });
  assert.deepEqual(gate(null, policyOf("safe"), LOG, attached("heap.dmp", 3)), {
    level2: true,
    reason: "only if the server asks for it (iData=1)",
    lines: [
      "File app.log: collect (attached)",
      "File heap.dmp: collect (attached), a heap dump goes only if the server asks for MemoryDump=1",
    ],
  });
});

test("what the user answers decides, what has no answer is declined, and MemoryDump follows its files", () => {
  const event = eventWith(attached("a.dmp", 2), attached("b.dmp", 3));
  const asked = answer("MemoryDump=1", "GetFile=/var/log/x;/etc/shadow");
  const plan = planCollection(asked, event, policyOf("ask"), LINUX);
  assert.deepEqual(
    plan.items.map(({ decision }) => decision),
    ["ask", "ask", "collect", "ask", "decline"],
  );
  const some = applyAnswers(
    plan,
    new Map([
      [1, true],
      [3, false],
      [4, true],
    ]),
  );
  assert.deepEqual(lines(some), [
    "File a.dmp: decline (answer), the user did not agree",
    "File b.dmp: collect (answer)",
    "MemoryDump 1: collect (attached)",
    "GetFile /var/log/x: decline (answer), the user did not agree",
    "GetFile /etc/shadow: decline (built-in), account databases are not sent unless the policy allows this very file by name",
  ]);
  assert.deepEqual(some.items[2]?.target, { type: "answered-by", files: [1] });
  assert.deepEqual(
    applyAnswers(plan, new Map()).items.map(({ decision }) => decision),
    ["decline", "decline", "decline", "decline", "decline"],
  );
});

test("off Windows there is no registry", () => {
  const plan = planCollection(answer("RegKey=HKLM\\X", "RegTree=junk"), eventWith(), policyOf("all"), LINUX);
  assert.deepEqual(lines(plan), [
    "RegKey HKLM\\X: decline (system), there is no registry on this system",
    "RegTree junk: decline (system), there is no registry on this system",
  ]);
});

test("malformed items are declined with what is wrong with them", () => {
  const asked = answer(
    "RegKey=C:\\x",
    "WQL=SELECT * FROM Win32_Product; DROP",
    "GetFile=~/.ssh/id_ed25519;relative.txt;%SECRET%/x;$XDG_DATA_HOME/y",
  );
  assert.deepEqual(lines(planCollection(asked, eventWith(), policyOf("all"), LINUX)).slice(1), [
    "WQL SELECT * FROM Win32_Product: collect (consent)",
    'WQL DROP: decline (syntax), the query should have SELECT where it says "DROP"',
    "GetFile ~/.ssh/id_ed25519: decline (syntax), it is not an absolute path",
    "GetFile relative.txt: decline (syntax), it is not an absolute path",
    "GetFile %SECRET%/x: decline (syntax), the variable SECRET is not among those that name directories",
    "GetFile $XDG_DATA_HOME/y: missing (syntax), the variable XDG_DATA_HOME is not set on this system",
  ]);
  const [key] = lines(planCollection(answer("RegKey=C:\\x"), eventWith(), policyOf("all"), WINDOWS));
  assert.equal(
    key,
    'RegKey C:\\x: decline (syntax), "C:\\x" begins with "C:", which is no root of the registry',
  );
});

test("an item of a mebibyte is declined and shown shortened, and a hundred thousand items are planned in no time", () => {
  const long = `/${"x".repeat(1024 * 1024 - 1)}`;
  const plan = planCollection(answer(`GetFile=${long}`, `WQL=${long}`), eventWith(), policyOf("all"), LINUX);
  assert.deepEqual(
    plan.items.map(({ item, reason }) => [item, reason]),
    ["WQL", "GetFile"].map(() => [
      `${long.slice(0, 1000)}… (1048576 characters)`,
      `it is 1048576 characters long; at most ${MAX_ITEM_LENGTH} are looked at`,
    ]),
  );
  const many = answer(`GetFile=${"/var/log/x.log;".repeat(100_000)}`);
  const started = performance.now();
  assert.equal(planCollection(many, eventWith(), policyOf("all"), LINUX).items.length, 1000);
  assert.ok(performance.now() - started < 20_000);
});

test("of a report made on another machine only what its user attached is sent, whatever this machine has", () => {
  const asked = answer(
    "MemoryDump=1",
    "fDoc=1",
    "RegKey=HKLM\\Software\\App",
    "WQL=SELECT * FROM Win32_Processor",
    "GetFile=%HOME%/.config/app.json",
    "GetFileVersion=/usr/bin/app",
  );
  const event = eventWith(attached("a.log", 5), attached("a.mdmp", 2));
  const plan = planCollection(asked, event, policyOf("all", { allow: { GetFile: ["**"] } }), LINUX);
  const reason = "the report was made on another machine, and nothing of this one answers for it";
  assert.deepEqual(
    keepToAttached(plan).items.map((item) => [item.kind, item.decision, item.reason]),
    [
      ["File", "collect", null],
      ["File", "collect", null],
      ["MemoryDump", "collect", null],
      ["RegKey", "decline", reason],
      ["fDoc", "missing", "no document that may be sent is attached to the event"],
      ["WQL", "decline", reason],
      ["GetFile", "decline", reason],
      ["GetFileVersion", "decline", reason],
    ],
  );
});
