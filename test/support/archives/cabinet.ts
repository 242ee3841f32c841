/** Cabinets in tests: made from entries, and read back. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { readContents } from "../../../src/archive/cab/read/contents.ts";
import type { Source } from "../../../src/archive/cab/read/source.ts";
import { type Cabinet, readCabinet } from "../../../src/archive/cab/read/tables.ts";
import { writeCabinet } from "../../../src/archive/cab/write/write.ts";
import type { Archive } from "../../../src/archive/entries/archive.ts";
import type { Entry, EntryBody, WriteOptions } from "../../../src/archive/entries/entry.ts";
import { readAll } from "../bytes.ts";
import { bytesSource } from "./bytes-source.ts";

export const TIME = new Date(Date.UTC(2026, 2, 4, 5, 6, 8));

/** A folder of the test's own, gone after it. */
export async function makeFolder(test: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cab-test-"));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function entry(name: string, body: EntryBody | string): Entry {
  return { name, time: TIME, open: () => (typeof body === "string" ? Buffer.from(body) : body) };
}

/** A cabinet of the entries as bytes, and what became of each entry. */
export async function pack(
  entries: Iterable<Entry>,
  options: Partial<WriteOptions> = {},
): Promise<{ bytes: Buffer; archive: Omit<Archive, "open" | "dispose"> }> {
  const archive = await writeCabinet(entries, { spoolDir: tmpdir(), ...options });
  const bytes = await readAll(archive.open());
  await archive.dispose();
  return { bytes, archive };
}

/** Names and contents, in the order of the data. */
export async function unpack(cabinet: Buffer): Promise<[string, Buffer][]> {
  const source = bytesSource(cabinet);
  return contentsOf(source, await readCabinet(source));
}

export async function contentsOf(source: Source, cabinet: Cabinet): Promise<[string, Buffer][]> {
  const contents: [string, Buffer][] = [];
  for await (const { file, content } of readContents(source, cabinet)) {
    contents.push([file.name, await readAll(content)]);
  }
  return contents;
}

/** The contents alone, in an order that does not depend on the tables. */
export function sortedContents(contents: readonly [string, Buffer][]): Buffer[] {
  return contents.map(([, content]) => content).sort(Buffer.compare);
}
