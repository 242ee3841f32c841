import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes } from "../src/printable.ts";

test("bytes in the unit people read", () => {
  const cases: Record<string, string> = {
    "0": "0 bytes",
    "1": "1 byte",
    "1023": "1023 bytes",
    "1024": "1.0 KiB",
    "1500": "1.5 KiB",
    "10240": "10 KiB",
    "1048575": "1024 KiB",
    "1048576": "1.0 MiB",
    "1073741824": "1.0 GiB",
    "1099511627776": "1.0 TiB",
    "1125899906842624": "1024 TiB",
  };
  for (const [bytes, text] of Object.entries(cases)) assert.equal(formatBytes(Number(bytes)), text);
});
