import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { resolveTerms } from "../../src/config/terms.ts";
import { buildArchive } from "../../src/delivery/build-archive.ts";
import { parseResponse } from "../../src/wire/response.ts";
import { withContext } from "../support/context.ts";
import { sampleEvent } from "../support/events.ts";

test("an archive that finds no room on the disk is an archive that could not be made, and no defect", () =>
  withContext(async ({ directory, context }) => {
    const path = join(directory, "big.log");
    await writeFile(path, randomBytes(48 * 1024 * 1024));
    const { response } = parseResponse(Buffer.from("iData=1\r\nDumpFile=\\a.cab\r\n"));
    const report = {
      event: sampleEvent("1", [{ path, name: "big.log", type: 5 }]),
      level1: Buffer.from("x"),
      terms: resolveTerms([], { format: "cab", compression: 0, splitLarge: false }),
      imported: false,
      stored: [path],
    };
    const building = buildArchive(response, report, { ...context, tempDir: join(directory, "none") });
    await assert.rejects(building, {
      code: "CER_ARCHIVE",
      message: /^The archive could not be made: .*ENOENT/,
      hint: `Is there room in ${join(directory, "none")}?`,
    });
  }));
