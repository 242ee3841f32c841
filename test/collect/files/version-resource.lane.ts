import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readVersionResource } from "../../../src/collect/files/version-resource.ts";

/** Libraries and programs that Debian's wine64 brings. */
const DIRECTORY = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows";

for (const name of ["kernel32.dll", "ntdll.dll", "msi.dll"])
  test(`of Wine's ${name} the version resource says what 7-Zip finds in it, from a few reads`, async () => {
    const path = `${DIRECTORY}/${name}`;
    const bytes = readFileSync(path);
    let bytesRead = 0;
    const resource = await readVersionResource(async (offset, length) => {
      bytesRead += length;
      return bytes.subarray(offset, offset + length);
    });
    const listing = execFileSync("7z", ["l", "-slt", path], { encoding: "utf8" }).split("\n");
    assert.ok(resource !== null);
    assert.equal(resource.strings.get("OriginalFilename"), name);
    for (const [key, value] of resource.strings)
      assert.ok(listing.includes(`${key}: ${value}`), `${key}: ${value}`);
    assert.ok(listing.includes(`FileVersion: ${resource.fileVersion}`));
    assert.ok(bytesRead < 128 * 1024);
  });
