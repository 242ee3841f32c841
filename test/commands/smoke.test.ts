import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SmokeCommand } from "../../src/cli/command.ts";
import { runSmoke } from "../../src/commands/smoke.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { withContext } from "../support/context.ts";
import { answer, type Fault, neverAnswer, ok, startScripted } from "../support/scripted-server.ts";
import { EXAMPLES } from "../support/spec-examples.ts";

type Ran = {
  readonly code: number;
  /** Standard output and standard error, in their order. */
  readonly said: readonly string[];
  readonly methods: readonly string[];
};

type SmokeOptions = {
  readonly env?: Record<string, string>;
  readonly output?: Partial<SmokeCommand["output"]>;
  readonly put?: Fault;
  readonly idleTimeout?: number;
};

/** A smoke test of a server that gives this answer to level 1. */
async function smoke(level1: Fault | string, options: SmokeOptions = {}): Promise<Ran> {
  const { env = {}, output = {}, put = ok(), idleTimeout = 20_000 } = options;
  const first = typeof level1 === "string" ? ok(Buffer.from(level1, "latin1")) : level1;
  const server = await startScripted((method) => (method === "POST" ? first : put));
  let code = -1;
  const said: string[] = [];
  try {
    await withContext(async (test) => {
      code = await runSmoke(
        {
          name: "smoke",
          target: { config: null, settings: { server: server.url } },
          times: { idleTimeout, maxTime: null },
          output: { json: false, quiet: false, verbose: false, color: false, ...output },
        },
        { ...test.context, env },
      );
      said.push(...test.said);
    });
  } finally {
    await server.close();
  }
  return { code, said, methods: server.requests.map(({ method }) => method) };
}

const ASKS = "iData=1\r\nWQL=SELECT Family FROM Win32_Processor\r\nDumpFile=\\a\\b.cab\r\n";
const GOOD = `Bucket=500\r\nBucketTable=5\r\n${ASKS}`;
const GRAMMAR_HINT =
  "A client that is strict need not understand it. The server's answer has to be corrected.";
const NO_DATA_HINT =
  "Let it ask for what every client has, as [MS-CER2] 4.4 does (WQL=SELECT Family FROM Win32_Processor), " +
  "or agree to what it asks for (CER_CONSENT, or allow in a configuration file).";

/** What follows the last of the nine steps. */
function verdictOf({ said }: Ran): readonly string[] {
  return said.slice(said.findLastIndex((line) => /^( {3}|[1-9]\. )/.test(line)) + 1);
}

function grammar(...faults: string[]): string {
  return `Failed: The answer breaks the grammar of [MS-CER2] 2.2.2. ${faults.join(" ")}`;
}

describe("a server that keeps the grammar", () => {
  test("and takes what it asks for: all nine steps", async () => {
    const ran = await smoke(GOOD);
    assert.deepEqual([ran.code, verdictOf(ran), ran.methods], [0, ["OK: all nine steps."], ["POST", "PUT"]]);
  });

  for (const { section, answer } of Object.values(EXAMPLES))
    test(`and answers as the example of ${section} prints it, blanks and all`, async () => {
      const ran = await smoke(answer.replaceAll("\n", "\r\n"));
      const extent = section === "4.2" ? "level 1; the server asks for no data" : "all nine steps";
      assert.deepEqual([ran.code, verdictOf(ran)], [0, [`OK: ${extent}.`]]);
    });

  test("and asks for nothing: level 1, with a warning where the answer says hardly anything", async () => {
    const nothing = "OK: level 1; the server asks for no data.";
    const empty = await smoke("");
    assert.deepEqual(
      [empty.code, verdictOf(empty)],
      [0, ["warning: The answer is empty: it names no bucket and asks for nothing.", nothing]],
    );
    const noBucket = await smoke("iData=0\r\n");
    assert.deepEqual(
      [noBucket.code, verdictOf(noBucket)],
      [0, ["warning: The answer names no bucket.", nothing]],
    );
  });
});

describe("G7: an answer that breaks the grammar is exit code 3, with each fault and its line", () => {
  const cases: [what: string, answer: string, ...faults: string[]][] = [
    [
      "LF only",
      GOOD.replaceAll("\r\n", "\n"),
      ...[1, 2, 3, 4, 5].map((line) => `Line ${line} ends in LF alone, not in CRLF.`),
    ],
    [
      "keys in lower case",
      GOOD.replace("iData", "idata").replace("WQL", "wql"),
      'Line 3 has "idata" for the key iData.',
      'Line 4 has "wql" for the key WQL.',
    ],
    ["a key that is doubled", `Bucket=501\r\n${GOOD}`, "Line 2 has Bucket again."],
    [
      "a key that nobody knows",
      `${GOOD}DumpServer=x\r\n`,
      'Line 6 has the key "DumpServer", which the protocol does not know.',
    ],
    [
      "a bucket and a table that are no numbers",
      `Bucket=abc\r\nBucketTable=-1\r\n${ASKS}`,
      'Line 1 has Bucket="abc": it is no positive whole number without leading zeros.',
      'Line 2 has BucketTable="-1": it is no positive whole number without leading zeros.',
    ],
    ["a byte-order mark", `\u00ef\u00bb\u00bf${GOOD}`, "Line 1 begins with a byte-order mark."],
    [
      "an address that nobody can be shown",
      `Response=ftp://x\r\n${GOOD}`,
      'Line 1 has Response="ftp://x": it is neither 1 nor an http or https URI.',
    ],
    [
      "an item that is empty",
      GOOD.replace("Win32_Processor", "Win32_Processor;"),
      'Line 4 has WQL="SELECT Family FROM Win32_Processor;": one of its items is empty.',
    ],
    ["a last line without its end", "Bucket=500\r\nBucketTable=5", "Line 2 does not end in CRLF."],
    ["blank lines", "\r\n", "Line 1 is blank."],
  ];
  for (const [what, answer, ...faults] of cases)
    test(what, async () => {
      const ran = await smoke(answer);
      assert.deepEqual([ran.code, verdictOf(ran).slice(-2)], [3, [grammar(...faults), GRAMMAR_HINT]]);
    });

  test("as JSON too, and under --quiet; what failed after the answer is a warning", async () => {
    const broken = "Bucket=500\nBucketTable=5\r\niData=1\r\n";
    const fault = "Line 1 ends in LF alone, not in CRLF.";
    const json = await smoke(broken, { output: { json: true } });
    const outcome = JSON.parse(json.said[0] ?? "") as Outcome;
    assert.deepEqual([json.code, outcome.outcome], [3, "refused"]);
    assert.deepEqual(outcome.error, {
      code: "CER_NOT_CER",
      message: `The answer breaks the grammar of [MS-CER2] 2.2.2. ${fault}`,
      hint: GRAMMAR_HINT,
    });
    assert.match(outcome.warnings.at(-1) ?? "", /names no DumpFile/);
    const quiet = await smoke(GOOD.replace("\r", ""), { output: { quiet: true } });
    assert.deepEqual([quiet.code, quiet.said], [3, [grammar(fault), GRAMMAR_HINT]]);
  });
});

describe("G7: a server that asks for data and gets none is exit code 3, and told why", () => {
  const cases: [what: string, asks: string, why: string][] = [
    ["what the user does not give", "GetFile=/var/log/x.log\r\n", "GetFile /var/log/x.log: "],
    ["a query that is none", "WQL=FOO\r\n", "WQL FOO: "],
    [
      "a dump that is not attached",
      "MemoryDump=1\r\n",
      "MemoryDump 1: no dump that may be sent is attached to the event.",
    ],
    ["nothing", "", "It asks for nothing that this event or this machine has."],
  ];
  for (const [what, asks, why] of cases)
    test(`it asks for ${what}`, async () => {
      const ran = await smoke(`Bucket=500\r\niData=1\r\n${asks}DumpFile=\\a\\b.cab\r\n`);
      const [failure = "", hint] = verdictOf(ran);
      assert.ok(
        failure.startsWith(`Failed: The server asks for data (iData=1), and got none. ${why}`),
        failure,
      );
      assert.deepEqual([ran.code, hint, ran.methods], [3, NO_DATA_HINT, ["POST"]]);
    });

  test("with its code in JSON", async () => {
    const { code, said } = await smoke(`Bucket=500\r\niData=1\r\nWQL=FOO\r\nDumpFile=\\a\r\n`, {
      output: { json: true },
    });
    const { outcome, error, bucket } = JSON.parse(said[0] ?? "") as Outcome;
    assert.deepEqual([code, outcome, error?.code, bucket], [3, "failed", "CER_NO_LEVEL2", "500"]);
  });

  test("but not where the user's own consent switched level 2 off", async () => {
    const ran = await smoke(GOOD, { env: { CER_CONSENT: "parameters" } });
    assert.deepEqual(
      [ran.code, verdictOf(ran), ran.methods],
      [0, ["OK: level 1; level 2 is switched off here."], ["POST"]],
    );
  });
});

describe("G7: warnings", () => {
  test("are printed in text mode, and not under --quiet", async () => {
    const odd = GOOD.replace("BucketTable=5", "BucketTable=5\r\nFDOC=0");
    const warnings = [
      "warning: The server wrote the key fDoc in another case.",
      "warning: The server answered 201 to the PUT; the examples show 200.",
    ];
    const put = answer(201);
    const ran = await smoke(odd, { put });
    assert.deepEqual([ran.code, verdictOf(ran)], [0, [...warnings, "OK: all nine steps."]]);
    assert.deepEqual((await smoke(odd, { put, output: { quiet: true } })).said, []);
    const json = await smoke(odd, { put, output: { json: true } });
    assert.deepEqual(
      (JSON.parse(json.said[0] ?? "") as Outcome).warnings.map((warning) => `warning: ${warning}`),
      warnings,
    );
  });
});

test("an exchange that fails says after which step, and why", async () => {
  const refused = await smoke(GOOD, { put: answer(403) });
  assert.equal(refused.code, 3);
  assert.match(
    verdictOf(refused)[0] ?? "",
    /^Failed after step 9: .* answered 403 and did not take the archive\.$/,
  );
  const silent = await smoke(neverAnswer(), { idleTimeout: 300 });
  assert.equal(silent.code, 3);
  assert.match(verdictOf(silent)[0] ?? "", /^Failed after step 4: /);
});
