import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  entryPath,
  formatId,
  formatLabel,
  formatTime,
  isDue,
  journalDirectory,
  parseId,
  parseLabel,
  parseTime,
} from "../../../src/journal/entry/layout.ts";
import { DAY, HOUR, NOON } from "../../support/journal/samples.ts";

const hex = (length: number) =>
  fc.string({ minLength: length, maxLength: length, unit: fc.constantFrom(..."0123456789abcdef") });
const years = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) });

test("an id says when its report was made, sorts by it, and reads as a time", () => {
  assert.equal(formatId(NOON, "k3f9x2"), "20261124-120000000-k3f9x2");
  fc.assert(
    fc.property(years, years, (a, b) => {
      assert.equal(parseId(formatId(a, "aaaaaa")), a);
      if (a !== b) assert.equal(formatId(a, "aaaaaa") < formatId(b, "aaaaaa"), a < b);
    }),
  );
});

test("what is no id has no time: letters, a day that does not exist, a way out", () => {
  for (const id of [
    "",
    "x",
    "20261324-120000000-k3f9x2",
    "20260230-120000000-k3f9x2",
    "20260030-120000000-k3f9x2",
    "20260100-120000000-k3f9x2",
    "20261124-240000000-k3f9x2",
    "20261124-126000000-k3f9x2",
    "20261124-120060000-k3f9x2",
    "../20261124-120000000-k3f9x2",
  ])
    assert.equal(parseId(id), null, id);
});

test("a label is read back as it was written", () => {
  fc.assert(
    fc.property(years, fc.maxSafeNat(), hex(16), hex(8), years, (time, bytes, identity, signature, due) => {
      const label = { id: formatId(time, "k3f9x2"), bytes, identity, signature, mark: formatTime(due) };
      assert.deepEqual(parseLabel(formatLabel(label)), label);
      assert.equal(parseTime(label.mark), due);
    }),
  );
});

test("a name that is not ours is no label", () => {
  const ours = formatLabel({
    id: formatId(NOON, "k3f9x2"),
    bytes: 5,
    identity: "0123456789abcdef",
    signature: "01234567",
    mark: "0",
  });
  assert.notEqual(parseLabel(ours), null);
  const foreign = [
    "lost+found",
    ".DS_Store",
    "Thumbs.db",
    `${ours}.bak`,
    `x${ours}`,
    ours.toUpperCase(),
    ours.slice(0, -1),
  ];
  for (const name of foreign) assert.equal(parseLabel(name), null, name);
});

test("an entry's path is made of the journal's directory, the version, the state and the label", () => {
  const label = {
    id: formatId(NOON, "k3f9x2"),
    bytes: 36,
    identity: "0123456789abcdef",
    signature: "01234567",
    mark: "0",
  };
  assert.equal(
    entryPath("/j", "pending", label),
    "/j/v1/pending/20261124-120000000-k3f9x2.10.0123456789abcdef.01234567.0",
  );
});

test("the journal lies where the platform keeps state: the machine's for root, the user's for everyone else", () => {
  const windows = { ProgramData: "C:\\ProgramData", LOCALAPPDATA: "C:\\Users\\ann\\AppData\\Local" };
  const cases = [
    ["linux", {}, "/home/ann", false, "/home/ann/.local/state/cer"],
    ["linux", { XDG_STATE_HOME: "/state" }, "/home/ann", false, "/state/cer"],
    ["linux", { XDG_STATE_HOME: "relative" }, "/home/ann", false, "/home/ann/.local/state/cer"],
    ["linux", { XDG_STATE_HOME: "/state" }, "/root", true, "/var/lib/cer"],
    ["linux", {}, null, false, null],
    ["linux", {}, "", false, null],
    ["linux", {}, "/", false, null],
    ["linux", { XDG_STATE_HOME: "/state" }, null, false, "/state/cer"],
    ["freebsd", {}, "/home/ann", false, "/home/ann/.local/state/cer"],
    ["darwin", {}, "/Users/ann", false, "/Users/ann/Library/Application Support/cer"],
    ["darwin", {}, null, true, "/Library/Application Support/cer"],
    ["win32", windows, "C:\\Users\\ann", false, "C:\\Users\\ann\\AppData\\Local\\cer"],
    ["win32", {}, "C:\\Users\\ann", false, "C:\\Users\\ann\\AppData\\Local\\cer"],
    ["win32", windows, null, true, "C:\\ProgramData\\cer"],
    ["win32", { ProgramData: "ProgramData" }, null, true, null],
    ["win32", { LOCALAPPDATA: "\\\\server\\share" }, null, false, null],
  ] as const;
  for (const [platform, env, home, isRoot, expected] of cases)
    assert.equal(
      journalDirectory({ platform, env, home, isRoot }),
      expected,
      `${platform} ${JSON.stringify(env)} ${home}`,
    );
});

test("due is what was due before, and what no wait can be as long as", () => {
  assert.deepEqual(
    [NOON - 1, NOON, NOON + 1, NOON + DAY + HOUR, NOON + DAY + HOUR + 1].map((due) => isDue(due, NOON)),
    [true, true, false, false, true],
  );
});
