import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command, PreviewCommand, SubmitCommand } from "../../src/cli/command.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { NO_FLAGS } from "../support/events.ts";
import { complaintOf } from "../support/thrown-error.ts";

function parse(...args: string[]): Command {
  return parseCommandLine(args, "1.2.3");
}

const SUBMIT: SubmitCommand = {
  name: "submit",
  event: null,
  flags: NO_FLAGS,
  strict: false,
  target: { config: null, settings: {} },
  times: { idleTimeout: 30_000, maxTime: null },
  archive: { format: "cab", compression: null, splitLarge: false },
  dryRun: null,
  keeping: { copy: true, dropOldest: false, force: false, flush: true, receipt: null },
  output: { json: false, quiet: false, verbose: false, color: true },
};

test("cer submit: every flag, alone and in company", () => {
  const flags = (given: Partial<SubmitCommand["flags"]>) => ({ flags: { ...NO_FLAGS, ...given } });
  const settings = (given: SubmitCommand["target"]["settings"]) => ({
    target: { config: null, settings: given },
  });
  const cases: [args: string, expected: Partial<SubmitCommand>][] = [
    ["", {}],
    ["event.json", { event: "event.json" }],
    ["-", { event: "-" }],
    ["-- -x", { event: "-x" }],
    ["--report-type 4", flags({ reportType: "4" })],
    ["--report-type applicationhang", flags({ reportType: "applicationhang" })],
    ["--event-type APPCRASH", flags({ eventType: "APPCRASH" })],
    ["--event-type=-x", flags({ eventType: "-x" })],
    ["--event-type -x", flags({ eventType: "-x" })],
    ["--event-type=", flags({ eventType: "" })],
    ["--friendly-name F --description D", flags({ friendlyEventName: "F", eventDescription: "D" })],
    ["--event-time 2008-03-11T07:01:59Z", flags({ eventTime: "2008-03-11T07:01:59Z" })],
    ["--app-name a --app-path b --app-company c", flags({ appName: "a", appPath: "b", appCompany: "c" })],
    [
      "--machine-name a --os b --lcid 1033 --oem c",
      flags({ machineName: "a", os: "b", lcid: "1033", oem: "c" }),
    ],
    ["--user u", flags({ user: "u" })],
    ["-p a=1 --param b --param==c -p d= -p e=f=g", flags({ parameters: ["a=1", "b", "=c", "d=", "e=f=g"] })],
    ["--secondary a=1 --secondary b==2 --secondary c=", flags({ secondary: ["a=1", "b==2", "c="] })],
    [
      "--file a --file b --minidump c --heapdump d --document e",
      flags({ files: ["a", "b"], minidumps: ["c"], heapdumps: ["d"], documents: ["e"] }),
    ],
    [
      "--server h --port 80 --https --path /x --config c.json",
      { target: { config: "c.json", settings: { server: "h", port: 80, https: true, path: "/x" } } },
    ],
    ["--server https://h:443/p", settings({ server: "https://h:443/p" })],
    ["--consent all", settings({ consent: "all" })],
    ["--no-level2 --no-redact --anonymize", settings({ level2: false, redact: false, anonymize: true })],
    ["--timeout 2.5 --max-time 60", { times: { idleTimeout: 2500, maxTime: 60_000 } }],
    ["--timeout 86400", { times: { idleTimeout: 86_400_000, maxTime: null } }],
    [
      "--archive tar --compression 9 --split-large",
      { archive: { format: "tar", compression: 9, splitLarge: true } },
    ],
    ["--compression 0", { archive: { format: "cab", compression: 0, splitLarge: false } }],
    ["--strict --truncate", { strict: true }],
    ["--journal j --retries 10", settings({ journal: "j", retries: 10 })],
    [
      "--no-copy --drop-oldest --force --no-flush --receipt r.json",
      { keeping: { copy: false, dropOldest: true, force: true, flush: false, receipt: "r.json" } },
    ],
    ["--dry-run", { dryRun: { out: null } }],
    ["--out d --dry-run", { dryRun: { out: "d" } }],
    ["--json -q -v --no-color", { output: { json: true, quiet: true, verbose: true, color: false } }],
    ["e.json --user a --user b", { event: "e.json", ...flags({ user: "b" }) }],
  ];
  for (const [args, expected] of cases)
    assert.deepEqual(parse("submit", ...args.split(" ").filter(Boolean)), { ...SUBMIT, ...expected }, args);
});

test("every other command", () => {
  const { dryRun, times, keeping, ...common } = SUBMIT;
  const preview: PreviewCommand = { ...common, name: "preview", response: "a.txt", out: null };
  const journal = { target: SUBMIT.target, output: SUBMIT.output };
  const cases: [args: string, expected: Command][] = [
    ["preview --response a.txt", preview],
    ["preview e.json --response a.txt --out d", { ...preview, event: "e.json", out: "d" }],
    ["serve", { name: "serve", port: 1273, host: "127.0.0.1", dir: null, requests: [], strict: false }],
    [
      "serve --port 0 --host ::1 --dir d --request iData=1 --request WQL=a=b --strict",
      { name: "serve", port: 0, host: "::1", dir: "d", requests: ["iData=1", "WQL=a=b"], strict: true },
    ],
    [
      "smoke",
      {
        name: "smoke",
        target: { config: null, settings: {} },
        times: { idleTimeout: 30_000, maxTime: null },
        output: { json: false, quiet: false, verbose: false, color: true },
      },
    ],
    [
      "smoke --server h --timeout 1 --json",
      {
        name: "smoke",
        target: { config: null, settings: { server: "h" } },
        times: { idleTimeout: 1000, maxTime: null },
        output: { json: true, quiet: false, verbose: false, color: true },
      },
    ],
    ["schema", { name: "schema" }],
    ["flush", { name: "flush", ...journal, times: SUBMIT.times }],
    [
      "flush --journal j --config c --max-time 5 -q",
      {
        name: "flush",
        target: { config: "c", settings: { journal: "j" } },
        times: { idleTimeout: 30_000, maxTime: 5000 },
        output: { ...SUBMIT.output, quiet: true },
      },
    ],
    ["queue list", { name: "queue", action: "list", ...journal }],
    ["queue show a", { name: "queue", action: "show", id: "a", ...journal }],
    ["queue retry a", { name: "queue", action: "retry", id: "a", ...journal }],
    ["queue drop a", { name: "queue", action: "drop", id: "a", ...journal }],
    ["queue export a b.tar", { name: "queue", action: "export", id: "a", file: "b.tar", ...journal }],
    ["queue import b.tar", { name: "queue", action: "import", file: "b.tar", ...journal }],
    ["verify r.json", { name: "verify", receipt: "r.json", archive: null, output: SUBMIT.output }],
    [
      "verify r.json --archive a.cab --json",
      { name: "verify", receipt: "r.json", archive: "a.cab", output: { ...SUBMIT.output, json: true } },
    ],
  ];
  for (const [args, expected] of cases) assert.deepEqual(parse(...args.split(" ")), expected, args);
});

function textOf(...args: string[]): string {
  const command = parse(...args);
  assert.equal(command.name, "text");
  return command.name === "text" ? command.text : "";
}

test("help and version are texts to print; without a command there is help", () => {
  assert.equal(textOf("--version"), "1.2.3\n");
  assert.equal(textOf("-V"), "1.2.3\n");
  const help = textOf("--help");
  assert.match(help, /^Usage: cer \[options\] \[command\]\n/);
  for (const command of ["submit", "preview", "flush", "queue", "verify", "serve", "smoke", "schema"]) {
    assert.match(help, new RegExp(`^ {2}${command} `, "m"));
    assert.match(textOf(command, "-h"), new RegExp(`^Usage: cer ${command} \\[options\\]`));
  }
  assert.equal(textOf(), help);
  assert.equal(textOf("-h"), help);
  assert.match(textOf("queue"), /^Usage: cer queue \[options\] \[command\]\n/);
  assert.match(textOf("queue", "show", "-h"), /^Usage: cer queue show \[options\] <id>\n/);
  assert.equal(textOf("submit", "--no-such-thing", "--help").slice(0, 17), "Usage: cer submit");
});

test("a usage error says what is wrong and where the help is", async () => {
  const cases: [args: string, message: string, of?: string][] = [
    ["sumbit", "Unknown command 'sumbit' (Did you mean submit?)."],
    ["frobnicate", "Unknown command 'frobnicate'."],
    ["--frobnicate", "Unknown option '--frobnicate'."],
    ["--json", "Unknown option '--json'."],
    ["submit a b", "Too many arguments for 'submit'. Expected 1 argument but got 2.", "submit"],
    ["submit --evnt-type x", "Unknown option '--evnt-type' (Did you mean --event-type?).", "submit"],
    ["submit --json --frobnicate", "Unknown option '--frobnicate'.", "submit"],
    ["submit --event-type", "Option '--event-type <name>' argument missing.", "submit"],
    ["submit -p", "Option '-p, --param <[name=]value>' argument missing.", "submit"],
    ["preview", "Required option '--response <file>' not specified.", "preview"],
    ["schema x", "Too many arguments for 'schema'. Expected 0 arguments but got 1.", "schema"],
    ["smoke --event-type x", "Unknown option '--event-type'.", "smoke"],
    ["serve --server h", "Unknown option '--server'.", "serve"],
    ["queue show", "Missing required argument 'id'.", "queue"],
    ["queue shwo a", "Unknown command 'shwo' (Did you mean show?).", "queue"],
    ["queue export a", "Missing required argument 'file'.", "queue"],
    ["verify", "Missing required argument 'receipt'.", "verify"],
    ["flush now", "Too many arguments for 'flush'. Expected 0 arguments but got 1.", "flush"],
  ];
  for (const [args, message, of] of cases)
    assert.deepEqual(
      await complaintOf(() => parse(...args.split(" "))),
      { code: "CER_USAGE", message, hint: `See cer ${of === undefined ? "" : `${of} `}--help.` },
      args,
    );
  assert.deepEqual(await complaintOf(() => parse("submit", "--out", "d")), {
    code: "CER_USAGE",
    message: "--out goes with --dry-run.",
    hint: undefined,
  });
});

test("a flag's value that it cannot take is named with what it takes", async () => {
  const cases: [args: string, option: string, word: string, takes: string][] = [
    ...["0", "1m", "-1", "86401", "1e3", "."].map((word): [string, string, string, string] => [
      `--timeout ${word}`,
      "--timeout",
      word,
      "It takes seconds, more than 0 and at most 86400.",
    ]),
    ["--max-time 0", "--max-time", "0", "It takes seconds, more than 0 and at most 86400."],
    ["--compression 10", "--compression", "10", "It takes a number from 0 to 9."],
    ["--retries 11", "--retries", "11", "It takes a number from 0 to 10."],
    ["--archive zip", "--archive", "zip", "It takes one of cab, tar."],
    ["--consent some", "--consent", "some", "It takes one of parameters, safe, ask, all."],
  ];
  for (const [args, option, word, hint] of cases)
    assert.deepEqual(
      await complaintOf(() => parse("submit", ...args.split(" "))),
      { code: "CER_USAGE", message: `${option} is "${word}".`, hint },
      args,
    );
});

test("a flag's value that is wrong in itself has its own complaint", async () => {
  const port = (word: string) => ({
    code: "CER_BAD_SERVER",
    message: `--port is "${word}".`,
    hint: "A port is a number from 1 to 65535.",
  });
  assert.deepEqual(await complaintOf(() => parse("submit", "--port", "0")), port("0"));
  assert.deepEqual(await complaintOf(() => parse("serve", "--port", "65536")), port("65536"));
});
