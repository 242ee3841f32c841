import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWmicOutput } from "../../../src/collect/wmi/windows.ts";

test("wmic's list gives each object its values, empty ones as null", () => {
  const printed =
    "\r\r\n\r\r\nDeviceID=C:\r\r\nFreeSpace=82252800000\r\r\nVolumeName=a=b\r\r\n\r\r\n\r\r\n" +
    "DeviceID=D:\r\r\nFreeSpace=\r\r\nVolumeName=\r\r\nCompressed=FALSE\r\r\n\r\r\n";
  assert.deepEqual(parseWmicOutput(printed), [
    { DeviceID: "C:", FreeSpace: "82252800000", VolumeName: "a=b" },
    { DeviceID: "D:", FreeSpace: null, VolumeName: null, Compressed: false },
  ]);
});

test("Wine's wmic prints a table: columns begin under their names, and values hold blanks", () => {
  const printed =
    "Family  Name                                \r\n2       Oxide Virtual Turin-like Processor  \r\n        x  \r\n";
  assert.deepEqual(parseWmicOutput(printed), [
    { Family: "2", Name: "Oxide Virtual Turin-like Processor" },
    { Family: null, Name: "x" },
  ]);
});

test("what is no output of wmic gives no objects", () => {
  assert.deepEqual(parseWmicOutput(""), []);
  assert.deepEqual(parseWmicOutput("\r\r\n \r\n"), []);
});
