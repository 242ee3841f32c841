import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { type DeliveryResult, deliverClaimed, deliverUnprotected } from "../../src/delivery/deliver.ts";
import { keepAndDeliver } from "../../src/delivery/keep-and-deliver.ts";
import { CerError } from "../../src/errors.ts";
import type { Disk } from "../../src/journal/disk/disk.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { sha256 } from "../support/bytes.ts";
import { attachedReport, keepReport, type TestContext, withContext } from "../support/context.ts";
import { DAY, FORCED, hastyDisk, NOON } from "../support/journal/samples.ts";
import {
  answer,
  busy,
  challenge,
  closeBeforeAnswer,
  closeOnConnect,
  early,
  type Fault,
  flood,
  garbage,
  halfBody,
  halfHeader,
  loginPage,
  neverAnswer,
  ok,
  type RawRequest,
  redirect,
  refusingPort,
  resetAfter,
  type ScriptedServer,
  startScripted,
} from "../support/scripted-server.ts";

const ASKS = ok("Bucket=7\r\nBucketTable=2\r\niData=1\r\nDumpFile=\\Cabs\\7.cab\r\n");
const TAKES = ok();
const SILENCE = neverAnswer();
/** An HTTP date, and one four seconds after it. */
const THEN = "Tue, 24 Nov 2026 09:00:00 GMT";
const AFTER = "Tue, 24 Nov 2026 09:00:04 GMT";

/** With quick tries, on a here of its own. */
async function deliverTo(
  here: TestContext,
  port: number,
  { retries = 2, idleTimeout = 5000, until = null as number | null } = {},
): Promise<DeliveryResult> {
  const journal = await here.openJournal();
  try {
    const claimed = await keepReport(journal, here, port);
    return await deliverClaimed(claimed, { context: here.context, idleTimeout, until, retries });
  } finally {
    await journal.close();
  }
}

/** A server that plays these faults, and a here; both are gone afterwards. */
async function against(
  faults: readonly Fault[],
  play: (server: ScriptedServer, here: TestContext) => Promise<void>,
): Promise<void> {
  const server = await startScripted(faults);
  try {
    await withContext((here) => play(server, here));
  } finally {
    await server.close();
  }
}

async function states(here: TestContext): Promise<string[]> {
  const journal = await here.openJournal();
  const listed = await journal.list(["new", "pending", "claimed", "done", "abandoned"]);
  return listed.map(({ state }) => state);
}

/** What the attempts of a receipt come down to. */
function attemptsOf({ receipt }: DeliveryResult): string[] {
  return (receipt?.attempts ?? []).map(
    ({ level, status, errorCode }) => `${level} ${status ?? "-"} ${errorCode ?? "ok"}`,
  );
}

/** Every body that was whole is the same, and every part of one is the beginning of it. */
function assertSameBytes(requests: readonly RawRequest[], method: string): void {
  const ofMethod = requests.filter((request) => request.method === method);
  const whole = ofMethod.find(({ complete }) => complete)?.body;
  assert.ok(whole !== undefined, `a whole ${method}`);
  for (const { body, complete, headers } of ofMethod) {
    assert.equal(headers["content-length"], `${whole.length}`);
    assert.deepEqual(body, complete ? whole : whole.subarray(0, body.length));
  }
}

type Case = {
  readonly title: string;
  readonly fault: Fault;
  /** How the failed attempt is recorded: status and code. */
  readonly seen: string;
  /** Milliseconds waited after the first and second failure, with dice that show a half. */
  readonly waits: readonly number[];
};

const BACKOFF = [500, 1000];

const TRANSIENT: readonly Case[] = [
  {
    title: "closes the connection at once",
    fault: closeOnConnect(),
    seen: "- CER_CONNECTION_LOST",
    waits: BACKOFF,
  },
  {
    title: "reads all and closes",
    fault: closeBeforeAnswer(),
    seen: "- CER_CONNECTION_LOST",
    waits: BACKOFF,
  },
  { title: "resets after the head", fault: resetAfter(0), seen: "- CER_CONNECTION_LOST", waits: BACKOFF },
  { title: "resets after a byte", fault: resetAfter(1), seen: "- CER_CONNECTION_LOST", waits: BACKOFF },
  { title: "resets after 700 bytes", fault: resetAfter(700), seen: "- CER_CONNECTION_LOST", waits: BACKOFF },
  { title: "answers half a header", fault: halfHeader(), seen: "- CER_CONNECTION_LOST", waits: BACKOFF },
  {
    title: "answers half a body",
    fault: halfBody("iData=1", 900),
    seen: "- CER_CONNECTION_LOST",
    waits: BACKOFF,
  },
  { title: "says nothing", fault: SILENCE, seen: "- CER_TIMEOUT", waits: BACKOFF },
  { title: "answers 503", fault: answer(503), seen: "503 CER_STATUS", waits: BACKOFF },
  { title: "answers 503 for three seconds", fault: busy("3"), seen: "503 CER_STATUS", waits: [3000, 3000] },
  {
    title: "answers 503 until a date",
    fault: answer(503, { headers: { "retry-after": AFTER, date: THEN } }),
    seen: "503 CER_STATUS",
    waits: [4000, 4000],
  },
  {
    title: "answers 503 before the body",
    fault: early(busy("1")),
    seen: "503 CER_STATUS",
    waits: [1000, 1000],
  },
  { title: "answers 429", fault: answer(429), seen: "429 CER_STATUS", waits: BACKOFF },
  { title: "answers 500", fault: answer(500), seen: "500 CER_STATUS", waits: BACKOFF },
  {
    title: "answers with a login page (hostile 2)",
    fault: loginPage(),
    seen: "200 CER_NOT_CER",
    waits: BACKOFF,
  },
  { title: "redirects", fault: redirect("http://127.0.0.1:1/"), seen: "302 CER_REDIRECT", waits: BACKOFF },
];

for (const { title, fault, seen, waits } of TRANSIENT)
  for (const level of [1, 2] as const)
    test(`a server that at level ${level} ${title}, twice, gets the report once`, async () => {
      const failing = [fault, fault];
      await against(
        level === 1 ? [...failing, ASKS, TAKES] : [ASKS, ...failing, TAKES],
        async (server, here) => {
          const idleTimeout = fault === SILENCE ? 400 : 10_000;
          const delivery = await deliverTo(here, server.port, { idleTimeout });
          assert.equal(delivery.outcome.outcome, "uploaded", delivery.outcome.error?.message);
          assert.equal(delivery.outcome.journal?.state, "done");
          assert.deepEqual(here.slept, waits);
          const failed = [`${level} ${seen}`, `${level} ${seen}`];
          assert.deepEqual(
            attemptsOf(delivery),
            level === 1 ? [...failed, "1 200 ok", "2 200 ok"] : ["1 200 ok", ...failed, "2 200 ok"],
          );
          assertSameBytes(server.requests, "POST");
          assertSameBytes(server.requests, "PUT");
          if (level === 2) assert.equal(methodsOf(server).filter((method) => method === "POST").length, 1);
          assert.deepEqual(await states(here), ["done"]);
        },
      );
    });

function methodsOf({ requests }: ScriptedServer): string[] {
  return requests.map(({ method }) => method);
}

for (const [title, fault, code] of [
  ["a page at level 1", loginPage(), "CER_NOT_CER"],
  ["what is no HTTP", garbage(), "CER_NOT_CER"],
  ["an answer without end", flood(), "CER_NOT_CER"],
  ["hostile 26: a text with one stray key", ok("Welcome!\r\nresponse=x\r\n"), "CER_NOT_CER"],
  ["hostile 29: a status that there is none", answer(999), "CER_NOT_CER"],
] as const)
  test(`${title} is tried again: it was not the server that spoke`, async () => {
    await against([fault, ASKS, TAKES], async (server, here) => {
      const { outcome, receipt } = await deliverTo(here, server.port);
      assert.equal(outcome.outcome, "uploaded", outcome.error?.message);
      assert.deepEqual(here.slept, [500]);
      assert.equal(receipt?.attempts[0]?.errorCode, code);
    });
  });

for (const [title, fault] of [
  ["400", answer(400)],
  ["410", answer(410)],
  ["413", answer(413)],
  ["505", answer(505)],
] as const)
  for (const level of [1, 2] as const)
    test(`${title} at level ${level} gives the report up, kept for a person to read`, async () => {
      await against(level === 1 ? [fault] : [ASKS, fault], async (server, here) => {
        const { outcome, receipt } = await deliverTo(here, server.port);
        assert.equal(outcome.outcome, "refused");
        assert.equal(outcome.error?.code, "CER_STATUS");
        assert.equal(outcome.journal?.state, "abandoned");
        assert.equal(receipt, null);
        assert.deepEqual(here.slept, []);
        assert.equal(server.requests.length, level);
        const journal = await here.openJournal();
        const [listed] = await journal.list();
        assert.ok(listed?.state === "abandoned");
        const { progress } = await journal.show(listed);
        assert.equal(progress?.reason, `CER_STATUS (status ${title}) will not change by trying again`);
      });
    });

for (const [title, fault, code, levels] of [
  ["401", challenge(["Negotiate", "NTLM"]), "CER_AUTH", [1, 2]],
  ["407", challenge(["Basic"], 407), "CER_AUTH", [1, 2]],
  ["403", answer(403), "CER_STATUS", [1, 2]],
  ["404", answer(404), "CER_STATUS", [1, 2]],
  ["405", answer(405), "CER_STATUS", [1, 2]],
  ["409", answer(409), "CER_STATUS", [2]],
  ["423", answer(423), "CER_STATUS", [1, 2]],
  ["501", answer(501), "CER_STATUS", [1, 2]],
] as const)
  for (const level of levels)
    test(`G13: ${title} at level ${level} waits without a quick try, and arrives once it is put right`, async () => {
      await against(level === 1 ? [fault, ASKS, TAKES] : [ASKS, fault, TAKES], async (server, here) => {
        const { outcome } = await deliverTo(here, server.port);
        assert.deepEqual([outcome.outcome, outcome.error?.code], ["deferred", code]);
        assert.equal(outcome.journal?.state, "pending");
        assert.deepEqual(here.slept, []);
        assert.equal(server.requests.length, level);
        here.clock.now += 3_600_000;
        assert.equal((await flushOne(here)).outcome.outcome, "uploaded");
        assert.deepEqual(methodsOf(server), level === 1 ? ["POST", "POST", "PUT"] : ["POST", "PUT", "PUT"]);
        assertSameBytes(server.requests, "PUT");
      });
    });

/** What waits, claimed and tried once. */
async function flushOne(here: TestContext): Promise<DeliveryResult> {
  const journal = await here.openJournal();
  try {
    const [listed] = await journal.list();
    const claimed = listed === undefined ? null : await journal.claim(listed);
    assert.ok(claimed !== null);
    const options = { context: here.context, idleTimeout: 5000, until: null, retries: 0 };
    return await deliverClaimed(claimed, options);
  } finally {
    await journal.close();
  }
}

test("a 404 that stays is given up after twenty tries of its own, those without a server not counted", async () => {
  const away = Array.from({ length: 5 }, () => closeOnConnect());
  await against([...away, answer(404)], async (server, here) => {
    const tries: string[] = [];
    let delivery = await deliverTo(here, server.port, { retries: 0 });
    for (; delivery.outcome.journal?.state === "pending"; delivery = await flushOne(here)) {
      tries.push(delivery.outcome.error?.code ?? "");
      here.clock.now += 7 * 3_600_000;
    }
    assert.deepEqual(tries, [
      ...away.map(() => "CER_CONNECTION_LOST"),
      ...Array.from({ length: 19 }, () => "CER_STATUS"),
    ]);
    assert.deepEqual(
      [delivery.outcome.outcome, delivery.outcome.journal?.state, server.requests.length],
      ["refused", "abandoned", 20],
    );
  });
});

test("hostile 27: an answer cut short where nothing states its end is asked for again", async () => {
  const cut: Fault = {
    play: (socket) =>
      void socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nBucket=7\r\niData=1\r\nDumpFi"),
  };
  await against([cut, ASKS, TAKES], async (server, here) => {
    const delivery = await deliverTo(here, server.port);
    assert.equal(delivery.outcome.outcome, "uploaded", delivery.outcome.error?.message);
    assert.deepEqual(attemptsOf(delivery), ["1 200 CER_CONNECTION_LOST", "1 200 ok", "2 200 ok"]);
  });
});

test("a server that refuses connections is tried three times, then the report waits for its time", async () => {
  const port = await refusingPort();
  await withContext(async (here) => {
    const { outcome } = await deliverTo(here, port);
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.error?.code, "CER_UNREACHABLE");
    assert.deepEqual(here.slept, [500, 1000]);
    // The third failure of the patient policy: half of four minutes.
    assert.equal(outcome.journal?.at, new Date(NOON + 1500 + 120_000).toISOString());
    assert.deepEqual(await states(here), ["pending"]);
  });
});

test("a Retry-After of a day is obeyed, and no installer waits for it", async () => {
  await against([busy("86400")], async (server, here) => {
    const { outcome } = await deliverTo(here, server.port);
    assert.equal(outcome.outcome, "deferred");
    assert.deepEqual(here.slept, []);
    assert.equal(server.requests.length, 1);
    assert.equal(outcome.journal?.at, new Date(NOON + 86_400_000).toISOString());
  });
});

test("no quick try begins after the time given for the whole", async () => {
  await against([answer(503)], async (server, here) => {
    const { outcome } = await deliverTo(here, server.port, { until: NOON + 600, retries: 10 });
    assert.equal(outcome.outcome, "deferred");
    // After 500 ms one more; the next would come after another 1000.
    assert.deepEqual(here.slept, [500]);
    assert.equal(server.requests.length, 2);
  });
});

test("the time given for the whole ends an exchange that is under way", async () => {
  await against([neverAnswer()], async (server, here) => {
    const { outcome } = await deliverTo(here, server.port, { until: NOON + 200 });
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.error?.message, "The time given for the whole was over.");
  });
});

test("tries that took a minute are no quick tries any more", async () => {
  await against([answer(503)], async (server, here) => {
    const context = { ...here.context, now: () => (here.clock.now += 40_000) };
    const { outcome } = await deliverTo({ ...here, context }, server.port);
    assert.equal(outcome.outcome, "deferred");
    assert.ok(here.slept.length <= 1);
  });
});

test("a report that was interrupted waits, due at once, whatever its number of tries", async () => {
  await against([neverAnswer()], async (server, here) => {
    const reason = new CerError("CER_INTERRUPTED", "Stopped by SIGINT.");
    setTimeout(() => here.stop.abort(reason), 200);
    const { outcome } = await deliverTo(here, server.port);
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.error?.code, "CER_INTERRUPTED");
    assert.deepEqual([outcome.journal?.state, outcome.journal?.at], ["pending", null]);
    assert.deepEqual(await states(here), ["pending"]);
  });
});

test("given up at level 2 and retried by hand, the archive goes as it was and level 1 not again", async () => {
  await against([ASKS, answer(413), TAKES], async (server, here) => {
    assert.equal((await deliverTo(here, server.port)).outcome.journal?.state, "abandoned");
    const journal = await here.openJournal();
    const [listed] = await journal.list();
    const claimed = await journal.claim(await journal.retry(listed?.label.id ?? ""));
    assert.ok(claimed !== null);
    const { outcome } = await deliverClaimed(claimed, {
      context: here.context,
      idleTimeout: 5000,
      until: null,
      retries: 0,
    });
    assert.equal(outcome.outcome, "uploaded");
    assert.deepEqual(methodsOf(server), ["POST", "PUT", "PUT"]);
    assertSameBytes(server.requests, "PUT");
    await journal.close();
  });
});

/** A disk on which, from the n-th change after it was armed, what the fault names does not work. */
function failingDisk(code: string, verbs: ReadonlySet<string>) {
  const disk = hastyDisk();
  const state = { left: Number.POSITIVE_INFINITY, changes: 0, failures: 0 };
  const meter = <T>(verb: string, operation: () => Promise<T>): Promise<T> => {
    state.changes++;
    if (state.changes <= state.left || !verbs.has(verb)) return operation();
    state.failures++;
    return Promise.reject(Object.assign(new Error(`${code}: ${verb}`), { code }));
  };
  const failing: Disk = {
    ...disk,
    makeDirectory: (path) => meter("mkdir", () => disk.makeDirectory(path)),
    create: async (path) => {
      const file = await meter("create", () => disk.create(path));
      return { ...file, write: (bytes) => meter("write", () => file.write(bytes)) };
    },
    append: (path, bytes) => meter("write", () => disk.append(path, bytes)),
    rename: (from, to) => meter("rename", () => disk.rename(from, to)),
    unlink: (path) => meter("unlink", () => disk.unlink(path)),
  };
  return { disk: failing, state };
}

for (const [title, code, verbs] of [
  ["becomes full", "ENOSPC", ["mkdir", "write"]],
  ["becomes read-only", "EROFS", ["mkdir", "create", "write", "rename", "unlink"]],
] as const)
  test(`a disk that ${title} at any change during the tries does not keep the report from arriving, once`, async () => {
    for (let left = 0, isOver = false; !isOver; left++) {
      await against([ASKS, answer(503), TAKES], async (server, here) => {
        const { disk, state } = failingDisk(code, new Set(verbs));
        const warned: string[] = [];
        const journal = await here.openJournal({ disk, warn: (problem) => warned.push(problem) });
        const claimed = await keepReport(journal, here, server.port);
        Object.assign(state, { left, changes: 0 });
        const { outcome, receipt } = await deliverClaimed(claimed, {
          context: here.context,
          idleTimeout: 5000,
          until: null,
          retries: 2,
        });
        isOver = state.failures === 0;
        const where = `after ${left} changes`;
        assert.equal(outcome.outcome, "uploaded", where);
        assert.deepEqual(methodsOf(server), ["POST", "PUT", "PUT"], where);
        assertSameBytes(server.requests, "PUT");
        assert.ok(receipt !== null, where);
        assert.equal(receipt.archive?.bytes, server.requests[2]?.body.length, where);
        assert.equal(receipt.dumpFile, "\\Cabs\\7.cab", where);
        if (outcome.journal?.state === "claimed" || receipt.attempts.length < 3)
          assert.notDeepEqual([...outcome.warnings, ...warned], [], where);
        await journal.close().catch(() => {});
        // What the outcome says of the journal is so.
        const said = outcome.journal?.state === "done" ? ["done"] : ["claimed", "pending"];
        assert.ok(said.includes((await states(here))[0] ?? "nothing"), where);
      });
    }
  });

/** The temporary files that this process holds open, which have no name any more. */
function spoolsOf({ directory }: TestContext): number {
  const linkOf = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  };
  const links = readdirSync("/proc/self/fd").map(linkOf);
  return links.filter((link) => link.startsWith(directory) && link.endsWith("(deleted)")).length;
}

for (const isKept of [false, true])
  test(`an archive ${isKept ? "that the journal keeps" : "kept nowhere"} is sent again as it was, and its temporary file is given up in the end`, async () => {
    const open: number[] = [];
    const server = await startScripted((method, count) => {
      if (method === "PUT") open.push(spoolsOf(here));
      return method === "POST" ? ASKS : count === 1 ? answer(503) : TAKES;
    });
    let here = {} as TestContext;
    try {
      await withContext(async (test) => {
        here = test;
        const report = await attachedReport(test, server.port, "1603", randomBytes(4 * 1024 * 1024));
        const options = { context: test.context, idleTimeout: 5000, until: null, retries: 1 };
        const journal = await test.openJournal();
        const { outcome } = isKept
          ? await keepAndDeliver(
              { ...report, target: { destination: report.destination, noServer: null } },
              journal,
              FORCED,
              options,
              assert.fail,
            )
          : await deliverUnprotected(report, new CerError("CER_JOURNAL_UNAVAILABLE", "no"), options);
        await journal.close();
        assert.equal(outcome.outcome, "uploaded", outcome.error?.message);
        assertSameBytes(server.requests, "PUT");
        assert.deepEqual([open, spoolsOf(test)], [[1, 1], 0]);
      });
    } finally {
      await server.close();
    }
  });

test("an archive that the journal finds changed is not sent: it is made anew at the next attempt", () =>
  against([ASKS, TAKES], async (server, here) => {
    const journal = await here.openJournal();
    const claimed = await keepReport(journal, here, server.port);
    const keep = claimed.keepArchive.bind(claimed);
    let tries = 0;
    // No disk changes a file while it is copied on demand.
    claimed.keepArchive = async (archive) => {
      if (++tries === 1) throw new CerError("CER_ARCHIVE", "The archive changed while it was kept.");
      await keep(archive);
    };
    const options = { context: here.context, idleTimeout: 5000, until: null, retries: 1 };
    const { outcome, receipt } = await deliverClaimed(claimed, options);
    await journal.close();
    assert.deepEqual([outcome.outcome, tries], ["uploaded", 2], outcome.error?.message);
    assert.deepEqual(methodsOf(server), ["POST", "PUT"]);
    assert.equal(receipt?.archive?.sha256, sha256(server.requests[1]?.body ?? Buffer.alloc(0)));
  }));

/** Tries a report that waits once more; its state afterwards. */
async function tryAgain(journal: Journal, here: TestContext): Promise<string | undefined> {
  const [entry] = await journal.list(["pending"]);
  const claimed = entry === undefined ? null : await journal.claim(entry);
  assert.ok(claimed !== null, "it waits");
  const options = { context: here.context, idleTimeout: 5000, until: null, retries: 0 };
  return (await deliverClaimed(claimed, options)).outcome.journal?.state;
}

for (const [made, title] of [
  [Date.UTC(2006, 0, 1), "2006"],
  [Date.UTC(2099, 0, 1), "2099"],
  [-NOON, "before 1970"],
] as const)
  test(`hostile 4: a report made in ${title} by a wrong clock is tried for thirty days by the right one`, async () => {
    const port = await refusingPort();
    await withContext(async (here) => {
      here.clock.now = made;
      const journal = await here.openJournal();
      const claimed = await keepReport(journal, here, port);
      await claimed.settle({ state: "pending", due: null, reason: null });
      assert.equal(await tryAgain(journal, here), "pending");
      for (const day of [0, 15, 30]) {
        here.clock.now = NOON + day * DAY;
        await journal.prune();
        assert.equal(await tryAgain(journal, here), "pending", `day ${day}`);
      }
      here.clock.now = NOON + 31 * DAY;
      await journal.prune();
      assert.deepEqual(journal.pruned.givenUp, [], "what pruning may do, it does after a try");
      assert.equal(await tryAgain(journal, here), "abandoned");
      await journal.close();
    });
  });

test("hostile 4: one run with the clock 60 days ahead gives up nothing that waits", async () => {
  const port = await refusingPort();
  await withContext(async (here) => {
    const journal = await here.openJournal();
    const claimed = await keepReport(journal, here, port);
    await claimed.settle({ state: "pending", due: null, reason: null });
    for (const day of [0, 1, 2, 60, 3, 4]) {
      here.clock.now = NOON + day * DAY;
      await journal.prune();
      assert.equal(await tryAgain(journal, here), "pending", `day ${day}`);
    }
    assert.deepEqual(journal.pruned.givenUp, []);
    await journal.close();
  });
});
