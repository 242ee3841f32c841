import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../../src/event.ts";
import {
  admit,
  DEFAULT_ADMISSION,
  eventIdentity,
  eventSignature,
  rateLimitedUntil,
} from "../../src/journal/duplicates.ts";
import { formatId, formatTime, type Listed, type State } from "../../src/journal/entry/layout.ts";
import { sampleEvent } from "../support/events.ts";
import { DAY, HOUR, NOON } from "../support/journal/samples.ts";

const EVENT = sampleEvent("7.1");
const TO = { to: "http://cer.example:1273/stage2.htm", timeGiven: true };
const CHANGES: Record<string, Partial<Event>> = {
  reportType: { reportType: 2 },
  eventType: { eventType: "Other" },
  eventTime: { eventTime: 1n },
  machine: { machine: { ...EVENT.machine, name: "OTHER" } },
  user: { user: { name: "bob" } },
  application: { application: { name: "setup.exe", path: "D:\\setup.exe", company: "Contoso" } },
  applicationName: { application: { name: "other.exe", path: "C:\\setup.exe", company: "Contoso" } },
  noApplication: { application: null },
  parameter: { parameters: [{ id: 0, name: "product", value: "7.2" }] },
  parameterId: { parameters: [{ id: 1, name: "product", value: "7.1" }] },
  friendlyEventName: { friendlyEventName: null },
  eventDescription: { eventDescription: "another" },
  os: { machine: { ...EVENT.machine, os: "10.0", lcid: 7, oem: "x" } },
  secondary: { secondaryParameters: [] },
  files: { files: [{ path: "/tmp/MSI123.LOG", name: "MSI123.LOG", type: 5 }] },
};

function differing(digest: (event: Event) => string): string[] {
  return Object.keys(CHANGES).filter((name) => digest({ ...EVENT, ...CHANGES[name] }) !== digest(EVENT));
}

test("an event is the same by what identifies it, not by its descriptions and files", () => {
  assert.deepEqual(
    differing((event) => eventIdentity(event, TO)),
    [
      "reportType",
      "eventType",
      "eventTime",
      "machine",
      "user",
      "application",
      "applicationName",
      "noApplication",
      "parameter",
      "parameterId",
    ],
  );
  assert.notEqual(
    eventIdentity(EVENT, { ...TO, to: "http://other:1273/stage2.htm" }),
    eventIdentity(EVENT, TO),
  );
  assert.match(eventIdentity(EVENT, TO), /^[0-9a-f]{64}$/);
});

test("a time that this program filled in does not make an event another one", () => {
  const later = { ...EVENT, eventTime: EVENT.eventTime + 1n };
  const filledIn = { ...TO, timeGiven: false };
  assert.equal(eventIdentity(later, filledIn), eventIdentity(EVENT, filledIn));
  assert.notEqual(eventIdentity(EVENT, filledIn), eventIdentity(EVENT, TO));
});

test("a kind of report is what the server makes a bucket of", () => {
  assert.deepEqual(differing(eventSignature), [
    "eventType",
    "applicationName",
    "noApplication",
    "parameter",
    "parameterId",
  ]);
});

const KIND = { identity: "0123456789abcdef", signature: "01234567" };
function listed(state: State, createdAt: number, settledAt: number, kind = KIND): Listed {
  const id = formatId(createdAt, "aaaaaa");
  return { state, label: { id, bytes: 0, ...kind, mark: formatTime(settledAt) }, createdAt };
}

test("the same report is a duplicate for as long as the window, and says of which", () => {
  const outcome = (deliveredAt: number) =>
    admit([listed("done", NOON - 9 * DAY, deliveredAt)], KIND, NOON, DEFAULT_ADMISSION);
  const of = formatId(NOON - 9 * DAY, "aaaaaa");
  assert.deepEqual(outcome(NOON - DAY + 1), { outcome: "duplicate", of, deliveredAt: NOON - DAY + 1 });
  assert.deepEqual(outcome(NOON - DAY), { outcome: "admitted" });
  assert.deepEqual(outcome(NOON + HOUR - 1), { outcome: "duplicate", of, deliveredAt: NOON + HOUR - 1 });
  assert.deepEqual(
    outcome(NOON + HOUR),
    { outcome: "admitted" },
    "from a future that a clock set back does not explain",
  );
});

test("the latest delivery counts, and a delivered report before a waiting one", () => {
  const entries = [
    listed("pending", NOON - 3, NOON),
    listed("done", NOON - 2 * HOUR, NOON - HOUR),
    listed("done", NOON - 5 * HOUR, NOON - 4 * HOUR),
  ];
  assert.deepEqual(admit(entries, KIND, NOON, DEFAULT_ADMISSION), {
    outcome: "duplicate",
    of: formatId(NOON - 2 * HOUR, "aaaaaa"),
    deliveredAt: NOON - HOUR,
  });
});

test("a report that waits or is being sent makes the same one a duplicate; one that was given up does not", () => {
  const outcome = (state: State) =>
    admit([listed(state, NOON - 30 * DAY, 0)], KIND, NOON, DEFAULT_ADMISSION).outcome;
  assert.deepEqual((["new", "pending", "claimed", "abandoned", "removed"] as const).map(outcome), [
    "admitted",
    "duplicate",
    "duplicate",
    "admitted",
    "admitted",
  ]);
});

test("a window of nothing holds nothing back", () => {
  const entries = [listed("done", NOON, NOON), listed("pending", NOON, NOON)];
  assert.deepEqual(admit(entries, KIND, NOON, { window: 0, perHour: 0 }), { outcome: "admitted" });
});

test("so many of a kind in an hour, then none until the oldest of them is an hour old", () => {
  const kind = (number: number) => ({ ...KIND, identity: `${number}`.padStart(16, "0") });
  const states = ["done", "pending", "abandoned"] as const;
  const entries = states.map((state, number) =>
    listed(state, NOON - (number + 1) * 600_000, NOON, kind(number)),
  );
  const admission = { window: DAY, perHour: 3 };
  assert.deepEqual(admit(entries, KIND, NOON, admission), { outcome: "suppressed", until: NOON + HOUR / 2 });
  assert.deepEqual(admit(entries, KIND, NOON, { ...admission, perHour: 4 }), { outcome: "admitted" });
  assert.deepEqual(admit(entries, { ...KIND, signature: "89abcdef" }, NOON, admission), {
    outcome: "admitted",
  });
  assert.deepEqual(admit(entries, KIND, NOON + HOUR / 2, admission), { outcome: "admitted" });
});

test("a storm's bound, on both sides, with a clock that jumps", () => {
  assert.equal(rateLimitedUntil([], NOON, 1), null);
  assert.equal(rateLimitedUntil([NOON - HOUR], NOON, 1), null);
  assert.equal(rateLimitedUntil([NOON - HOUR + 1], NOON, 1), NOON + 1);
  assert.equal(rateLimitedUntil([NOON + HOUR - 1], NOON, 1), NOON + 2 * HOUR - 1);
  assert.equal(rateLimitedUntil([NOON + HOUR], NOON, 1), null, "made in another age");
  assert.equal(rateLimitedUntil([NOON, NOON, NOON], NOON, 0), null);
});
