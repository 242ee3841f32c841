/** What the program says and exits with, whole, where reports are kept, dropped, looked at and checked. */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inPlace } from "../support/run-cer.ts";
import {
  answer,
  busy,
  ok,
  type Script,
  type ScriptedServer,
  startScripted,
} from "../support/scripted-server.ts";
import { bundleProgram, type Program } from "../support/steps/stepped-program.ts";

let program: Program;
before(async () => {
  program = await bundleProgram();
});
after(() => program.remove());

const EVENT =
  "--event-type SetupFailed --event-time 2026-11-24T12:00:00Z --app-name setup.exe --machine-name PC1 --user ann --lcid 1033 --os 10.0.1.2.0.0.256.1";

type Said = { readonly code: number | null; readonly out: string; readonly err: string };
type Cer = (line: string) => Promise<Said>;

/** A server and a journal; `cer` runs one command line there. What differs from run to run has a name instead. */
async function at(
  script: Script,
  play: (cer: Cer, server: ScriptedServer, directory: string) => Promise<void>,
) {
  const server = await startScripted(script);
  try {
    await inPlace(async (place) => {
      const { directory } = place;
      await mkdir(place.journal, { mode: 0o700 });
      await writeFile(join(directory, "setup.log"), "setup failed\r\n");
      const env = { CER_SERVER: server.url };
      const cer: Cer = async (line) => {
        const words = line.split(" ").filter(Boolean);
        const { code, stdout, stderr } = await program.run(place, words, { env });
        const plain = (text: string) => withoutWhatDiffers(text, directory, server.port);
        return { code, out: plain(stdout), err: plain(stderr) };
      };
      await play(cer, server, directory);
    });
  } finally {
    await server.close();
  }
}

function withoutWhatDiffers(text: string, directory: string, port: number): string {
  return text
    .replaceAll(directory, "DIR")
    .replaceAll(`127.0.0.1:${port}`, "SERVER")
    .replaceAll(/\b\d{8}-\d{9}-[0-9a-z]{6}\b/g, "ID")
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\b/g, "TIME")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "SHA")
    .replaceAll(/\d+(\.\d)? KiB|\d+ bytes|(?<=sent as )\d+/g, "SIZE")
    .replaceAll(/"bytes": \d+/g, '"bytes": SIZE');
}

const good: Script = () => null;
const gone: Script = () => answer(410);

const DELIVERED = [
  "Reported to http://SERVER/stage2.htm: bucket 501 in table 5",
  "Uploaded 1.cab (SIZE, 3 files) to http://SERVER/Cabs/1.cab",
  "",
].join("\n");

test("the same event twice, and with --force", () =>
  at(good, async (cer, server) => {
    const submit = `submit ${EVENT} -p 1 --file setup.log`;
    assert.deepEqual(await cer(submit), { code: 0, out: DELIVERED, err: "" });
    const duplicate = "Not sent again: the same event was delivered at TIME, bucket 501 (ID).\n";
    assert.deepEqual(await cer(submit), { code: 0, out: duplicate, err: "" });
    const again = await cer(`${submit} --json`);
    assert.deepEqual([again.code, again.err], [0, duplicate]);
    assert.deepEqual(JSON.parse(again.out), {
      outcome: "duplicate",
      bucket: "501",
      bucketTable: "5",
      responseUrl: null,
      level1: null,
      level2: null,
      declined: [],
      warnings: [],
      journal: { id: "ID", state: "done", at: "TIME" },
      error: null,
    });
    assert.equal(server.requests.length, 2);
    const forced = await cer(`${submit} --force`);
    assert.deepEqual(forced, {
      code: 0,
      out: DELIVERED.replaceAll("501", "502").replaceAll("1.cab", "2.cab"),
      err: "",
    });
    assert.equal(server.requests.length, 4);
  }));

test("more of a kind than an hour may have", () =>
  at(good, async (cer, server, directory) => {
    await writeFile(join(directory, "few.json"), '{"reportsPerHour": 1, "duplicateHours": 0}');
    const submit = `submit ${EVENT} -p 1 --no-level2 --config few.json`;
    assert.equal((await cer(submit)).code, 0);
    const said = "Dropped: too many reports of this kind in an hour; the next one is let through at TIME.\n";
    assert.deepEqual(await cer(submit), { code: 0, out: said, err: "" });
    const { out } = await cer(`${submit} --json`);
    const { outcome, journal } = JSON.parse(out) as Record<string, unknown>;
    assert.deepEqual([outcome, journal], ["suppressed", { id: "", state: "suppressed", at: "TIME" }]);
    assert.equal(server.requests.length, 1);
    const shown = await cer("queue show 2");
    assert.match(shown.out, /\nDropped: 2 of this kind, as too many in an hour\.\n$/);
  }));

test("a server that asks for ten minutes: kept, left alone, tried by hand", () => {
  let isBusy = true;
  const script: Script = () => (isBusy ? busy("600") : null);
  return at(script, async (cer, server) => {
    const submit = `submit ${EVENT} -p 1 --file setup.log`;
    const kept = [
      "Not delivered yet: http://SERVER/stage2.htm answered 503 and did not take the report.",
      "The server has trouble. Try again later.",
      'Kept as ID; "cer flush" sends what waits, this one from TIME.',
      "",
    ].join("\n");
    assert.deepEqual(await cer(submit), { code: 75, out: "", err: kept });
    assert.deepEqual(await cer("flush"), { code: 0, out: "Nothing is due; 1 waiting.\n", err: "" });
    const waits = [
      "Not delivered yet: The same event waits already: http://SERVER/stage2.htm answered 503 and did not take the report.",
      "To try it before its time: cer queue retry ID, then cer flush.",
      'Kept as ID; "cer flush" sends what waits, this one from TIME.',
      "",
    ].join("\n");
    assert.deepEqual(await cer(submit), { code: 75, out: "", err: waits });
    const shown = [
      "ID  pending",
      "event    SetupFailed",
      "server   http://SERVER/stage2.htm",
      "consent  safe (default)",
      "file     setup.log",
      "tried    TIME level 1: 503",
      "because  http://SERVER/stage2.htm answered 503 and did not take the report.",
      "due      TIME",
      "Repeated: 1 time, not sent again.",
      "",
    ].join("\n");
    assert.deepEqual(await cer("queue show 2"), { code: 0, out: shown, err: "" });
    isBusy = false;
    assert.deepEqual(await cer("queue retry 2"), {
      code: 0,
      out: "ID is due; cer flush sends it.\n",
      err: "",
    });
    assert.deepEqual(await cer("flush"), {
      code: 0,
      out: `${DELIVERED.replaceAll("501", "502").replaceAll("1.cab", "2.cab")}1 of 1 delivered; 0 waiting.\n`,
      err: "",
    });
    assert.deepEqual(await cer("flush"), { code: 0, out: "Nothing waits.\n", err: "" });
    assert.equal(server.requests.length, 3);
  });
});

test("a report that is given up, and dropped", () =>
  at(gone, async (cer) => {
    const refused = [
      "Not delivered: http://SERVER/stage2.htm answered 410 and did not take the report.",
      "Look at the server's log.",
      'Given up; kept as ID to be read ("cer queue show ID") or retried.',
      "",
    ].join("\n");
    assert.deepEqual(await cer(`submit ${EVENT} -p 1`), { code: 3, out: "", err: refused });
    const list = await cer("queue list");
    assert.deepEqual(list, {
      code: 0,
      out: "ID  abandoned    TIME  SIZE  CER_STATUS (status 410) will not change by trying again\n",
      err: "",
    });
    assert.deepEqual(await cer("queue drop 2"), { code: 0, out: "ID is removed.\n", err: "" });
    const nothing = "Nothing is in the journal DIR/journal.\n";
    assert.deepEqual(await cer("queue list"), { code: 0, out: nothing, err: "" });
    const none = 'cer: No report in the journal DIR/journal is called "2".\nSee: cer queue list\n';
    for (const action of ["show", "retry", "drop"])
      assert.deepEqual(await cer(`queue ${action} 2`), { code: 2, out: "", err: none });
  }));

test("a receipt: written where asked, shown, checked, and found out when changed", () =>
  at(good, async (cer, server, directory) => {
    const submit = `submit ${EVENT} -p 1 --file setup.log --receipt receipt.json`;
    assert.equal((await cer(submit)).code, 0);
    const archive = server.whole("PUT")[0];
    await writeFile(join(directory, "sent.cab"), archive?.body ?? "");
    const good = "ok   The receipt is as it was written.\nok   The archive SIZE, SHA-256 SHA.\n";
    assert.deepEqual(await cer("verify receipt.json --archive sent.cab"), { code: 0, out: good, err: "" });
    await writeFile(
      join(directory, "other.cab"),
      Buffer.concat([archive?.body ?? Buffer.alloc(0), Buffer.of(0)]),
    );
    const bad = "ok   The receipt is as it was written.\nBAD  The archive is SIZE, was sent as SIZE.\n";
    assert.deepEqual(await cer("verify receipt.json --archive other.cab"), { code: 1, out: bad, err: "" });
    const receipt = await readFile(join(directory, "receipt.json"), "utf8");
    assert.doesNotMatch(receipt, /setup failed/);
    await writeFile(join(directory, "receipt.json"), receipt.replace('"bucket": "501"', '"bucket": "502"'));
    const changed = await cer("verify receipt.json --json");
    assert.equal(changed.code, 1);
    assert.deepEqual(JSON.parse(changed.out), {
      ok: false,
      checks: [{ what: "receipt", ok: false, detail: "was changed after it was written" }],
    });
    const shown = await cer("queue show 2");
    assert.deepEqual(
      shown.out.split("\n").map((line) => line.split(" ")[0]),
      [
        "Report",
        "Event",
        "Identity",
        "Made",
        "Delivered",
        "Level",
        "Bucket",
        "Level",
        "DumpFile",
        "",
        "",
        "",
      ].concat(["Declined", "Redacted", "Consent", "Attempt", "Attempt", ""]),
    );
    assert.match(shown.out, /\nAttempt {4}TIME level 2: status 200, "127\.0\.0\.1"\n$/);
  }));

test("a receipt that cannot be written where asked does not make a delivered report undelivered", () =>
  at(good, async (cer) => {
    const said = await cer(`submit ${EVENT} -p 1 --file setup.log --receipt nowhere/receipt.json`);
    const warning = "warning: the receipt could not be written to DIR/nowhere/receipt.json (ENOENT).\n";
    assert.deepEqual(said, { code: 0, out: DELIVERED, err: warning });
  }));

test("a wrong proxy in the environment: passed over; under --strict said before anything is kept", () =>
  inPlace(async (place) => {
    const args = ["submit", "--server", "127.0.0.1:9", "--event-type", "X"];
    const env = { http_proxy: "ftp://proxy" };
    const told = "The variable http_proxy holds a proxy by ftp://, which cer cannot use; it is passed over.";
    const { code, stderr } = await program.run(place, [...args, "--strict"], { env });
    assert.deepEqual([code, stderr.split("\n")[0]], [2, `cer: ${told}`]);
    await assert.rejects(readFile(join(place.journal, "v1")), { code: "ENOENT" });
    const lenient = await program.run(place, args, { env });
    assert.deepEqual([lenient.code, lenient.stderr.split("\n")[0]], [75, `warning: ${told}`]);
  }));

test("attached files that vanish or grow after the report was made", () => {
  let isBusy = true;
  const script: Script = () => (isBusy ? busy("0") : null);
  return at(script, async (cer, server, directory) => {
    const submit = (name: string, more: string) =>
      cer(`submit ${EVENT} -p ${name} --retries 0 --compression 0 --file setup.log ${more}`);
    assert.equal((await submit("copied", "")).code, 75);
    assert.equal((await submit("left", "--no-copy")).code, 75);
    await writeFile(join(directory, "setup.log"), "something else, and longer\r\n");
    isBusy = false;
    const flushed = await cer("flush --json");
    assert.equal(flushed.code, 0, flushed.err);
    const { outcomes } = JSON.parse(flushed.out.replaceAll("SIZE", "0")) as {
      outcomes: { outcome: string; warnings: string[]; level2: { archive: { files: { name: string }[] } } }[];
    };
    assert.deepEqual(
      outcomes.map(({ outcome, warnings }) => [outcome, warnings]),
      [
        ["uploaded", []],
        ["uploaded", ["DIR/setup.log changed after the report was made."]],
      ],
    );
    const [copied, left] = server.whole("PUT").map(({ body }) => body.toString("latin1"));
    assert.ok(copied?.includes("setup failed") && !copied.includes("something else"));
    assert.ok(left?.includes("something else"));

    isBusy = true;
    assert.equal((await submit("copied-again", "")).code, 75);
    assert.equal((await submit("left-again", "--no-copy")).code, 75);
    await rm(join(directory, "setup.log"));
    isBusy = false;
    const later = await cer("flush");
    assert.equal(later.code, 0, later.err);
    assert.deepEqual(
      later.out.split("\n").filter((line) => line.startsWith("Not sent")),
      ["Not sent: File setup.log: there is no such file"],
    );
  });
});

test("a report carried to another machine: not sent from here any more, and nothing is collected there for it", () => {
  let isBusy = true;
  const asks = "Bucket=7\r\niData=1\r\nDumpFile=\\Cabs\\7.cab\r\nWQL=SELECT * FROM Win32_Processor\r\n";
  const script: Script = (method) => {
    if (isBusy) return busy("0");
    return method === "POST" ? ok(`${asks}GetFile=/etc/hostname\r\n`) : null;
  };
  return at(script, async (cer, server, directory) => {
    const submit = `submit ${EVENT} -p 1 --consent all --retries 0 --file setup.log`;
    assert.equal((await cer(submit)).code, 75);
    const exported = [
      "ID is written to DIR/report.tar (SIZE), to be sent where it is imported.",
      "It is no longer sent from here; cer queue retry ID brings it back should the file be lost.",
      "",
    ].join("\n");
    assert.deepEqual(await cer("queue export 2 report.tar"), { code: 0, out: exported, err: "" });
    assert.deepEqual(await cer("flush"), { code: 0, out: "Nothing waits.\n", err: "" });
    assert.match(
      (await cer("queue show 2")).out,
      /^ID {2}abandoned\n(.*\n)*because {2}exported\nsettled {2}TIME\n$/,
    );
    const again = await cer("queue export 2 report.tar");
    assert.deepEqual(
      [again.code, again.err.split("\n")[0]],
      [75, "cer: Report ID is not waiting (abandoned); it cannot be exported."],
    );

    await rm(join(directory, "setup.log"));
    const imported = "ID is taken in and waits; cer flush sends it to http://SERVER/stage2.htm.\n";
    assert.deepEqual(await cer("queue import report.tar --journal there"), {
      code: 0,
      out: imported,
      err: "",
    });
    isBusy = false;
    const { code, out } = await cer("flush --journal there --json");
    const { outcomes } = JSON.parse(out.replaceAll("SIZE", "0")) as {
      outcomes: {
        outcome: string;
        declined: unknown[];
        level2: { archive: { files: { name: string }[] } };
      }[];
    };
    const reason = "the report was made on another machine, and nothing of this one answers for it";
    assert.deepEqual(
      [
        code,
        outcomes.map(({ outcome, declined, level2 }) => [
          outcome,
          declined,
          level2.archive.files.map(({ name }) => name),
        ]),
      ],
      [
        0,
        [
          [
            "uploaded",
            [
              { kind: "WQL", item: "SELECT * FROM Win32_Processor", reason },
              { kind: "GetFile", item: "/etc/hostname", reason },
            ],
            ["report.xml", "setup.log", "manifest.json"],
          ],
        ],
      ],
    );
    assert.equal(server.whole("PUT").length, 1);
  });
});

test("a waiting report found damaged when the same event comes again: set aside, and the new one is sent", () =>
  at(good, async (cer, server, directory) => {
    server.isDown = true;
    assert.equal((await cer(`submit ${EVENT} -p 1 --no-level2 --retries 0`)).code, 75);
    const pending = join(directory, "journal", "v1", "pending");
    const [entry = ""] = await readdir(pending);
    await writeFile(join(pending, entry, "level1"), "torn");
    server.isDown = false;
    const { code, out, err } = await cer(`submit ${EVENT} -p 1 --no-level2`);
    assert.deepEqual(
      [code, out.split("\n")[0]],
      [0, "Reported to http://SERVER/stage2.htm: bucket 501 in table 5"],
    );
    assert.match(
      err,
      /^warning: Report ID cannot be used: level1 is not what was written: its SHA-256 differs\. It was set aside as /,
    );
    const listed = [
      "ID  done         TIME  SIZE",
      "ID  set aside    TIME  level1 is not what was written: its SHA-256 differs.",
      "What was set aside is not sent; it lies in DIR/journal/v1/set-aside.",
      "",
    ].join("\n");
    assert.deepEqual(await cer("queue list"), { code: 0, out: listed, err: "" });
  }));
