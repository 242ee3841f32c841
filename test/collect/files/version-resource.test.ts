import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import * as PELibrary from "pe-library";
import * as ResEdit from "resedit";
import { readVersionResource, type VersionResource } from "../../../src/collect/files/version-resource.ts";

const ENGLISH = { lang: 1033, codepage: 1200 };

/** A PE file with a version resource, made by another program. */
function peFile(
  strings: Readonly<Record<string, string>>,
  options: { is32Bit?: boolean; version?: boolean } = {},
): Buffer {
  const exe = PELibrary.NtExecutable.createEmpty(options.is32Bit ?? false, true);
  const resources = PELibrary.NtExecutableResource.from(exe);
  const info = ResEdit.Resource.VersionInfo.createEmpty();
  if (options.version !== false) {
    info.lang = 1033;
    info.setFileVersion(1, 2, 3, 4, 1033);
    info.setProductVersion(5, 6, 7, 65_535, 1033);
    info.setStringValues(ENGLISH, strings);
    info.outputToResourceEntries(resources.entries);
    resources.outputResource(exe);
  }
  return Buffer.from(exe.generate());
}

/** What was read, and how many bytes of the file it took. */
async function read(bytes: Buffer): Promise<{ resource: VersionResource | null; bytesRead: number }> {
  let bytesRead = 0;
  const resource = await readVersionResource(async (offset, length) => {
    const part = bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    bytesRead += part.length;
    return part;
  });
  return { resource, bytesRead };
}

for (const is32Bit of [false, true])
  test(`the version resource of a ${is32Bit ? 32 : 64}-bit PE file is what the program that made it wrote`, async () => {
    const strings = {
      CompanyName: "Contoso, Ltd.",
      ProductName: "Ünïcode 製品",
      OriginalFilename: "app.dll",
      Empty: "",
    };
    const { resource } = await read(peFile(strings, { is32Bit }));
    assert.deepEqual(
      { ...resource, strings: Object.fromEntries(resource?.strings ?? []) },
      {
        fileVersion: "1.2.3.4",
        productVersion: "5.6.7.65535",
        strings: { FileVersion: "1.2.3.4", ProductVersion: "5.6.7.65535", ...strings },
      },
    );
  });

test("a PE file without a version resource, and what is no PE file, have none", async () => {
  assert.equal((await read(peFile({}, { version: false }))).resource, null);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("MZ"),
    Buffer.from("plain text".repeat(100)),
    Buffer.alloc(4096, 0xff),
  ])
    assert.equal((await read(bytes)).resource, null);
  assert.equal((await read(readFileSync(process.execPath).subarray(0, 100_000))).resource, null);
});

test("whatever bytes a PE file has, reading ends soon and throws nothing", async () => {
  const original = peFile({ CompanyName: "Contoso", FileDescription: "x".repeat(200) });
  const edits = fc.array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(edits, fc.nat(original.length), async (changes, length) => {
      const bytes = Buffer.from(original);
      for (const [at, value] of changes) bytes[at] = value;
      const { bytesRead } = await read(bytes.subarray(0, length % 3 === 0 ? length : undefined));
      assert.ok(bytesRead < 256 * 1024);
    }),
    { numRuns: 1000 },
  );
});

test("blocks of length zero, at which other readers go round for ever, end the reading", async () => {
  const bytes = peFile({ CompanyName: "Contoso" });
  const at = bytes.indexOf(Buffer.from("StringFileInfo", "utf16le")) - 6;
  bytes.writeUInt16LE(0, at);
  const { resource } = await read(bytes);
  assert.deepEqual(
    { ...resource, strings: [...(resource?.strings ?? [])] },
    {
      fileVersion: "1.2.3.4",
      productVersion: "5.6.7.65535",
      strings: [],
    },
  );
});
