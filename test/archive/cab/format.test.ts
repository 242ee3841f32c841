import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeDosTime,
  encodeDosTime,
  encodeFileRecord,
  encodeFolder,
  encodeHeader,
  FILE,
  FOLDER,
  HEADER,
  readFields,
} from "../../../src/archive/cab/format.ts";

const hex = (bytes: Buffer): string => bytes.toString("hex");

test("a header has its fields where the specification puts them", () => {
  const header = { cabinetSize: 0x01020304, filesOffset: 0x2c, folderCount: 0x0102, fileCount: 0xfffe };
  const bytes = encodeHeader(header);
  assert.equal(
    hex(bytes),
    "4d534346000000000403020100000000 2c000000 00000000 03 01 0201 feff 0000 0000 0000".replaceAll(" ", ""),
  );
  assert.deepEqual(readFields(HEADER, bytes), {
    ...header,
    signature: 0x4643534d,
    reserved1: 0,
    reserved2: 0,
    reserved3: 0,
    majorVersion: 1,
    minorVersion: 3,
    flags: 0,
    setId: 0,
    cabinetIndex: 0,
  });
});

test("a folder and a file record go there and back", () => {
  const folder = { dataOffset: 0x7fffffff, blockCount: 0xffff, compression: 1 };
  assert.equal(hex(encodeFolder(folder)), "ffffff7fffff0100");
  assert.deepEqual(readFields(FOLDER, encodeFolder(folder)), folder);
  const record = {
    size: 0x7fff8000,
    folderOffset: 1,
    folderIndex: 2,
    date: 0x5c42,
    time: 0x6000,
    attributes: 0xa0,
  };
  const bytes = encodeFileRecord(record, Buffer.from("ä.txt"));
  assert.equal(hex(bytes), "0080ff7f 01000000 0200 425c 0060 a000 c3a42e747874 00".replaceAll(" ", ""));
  assert.deepEqual(readFields(FILE, bytes), record);
});

test("times are clamped to what DOS can tell", () => {
  const stored = (iso: string) => {
    const { date, time } = encodeDosTime(new Date(iso));
    return decodeDosTime(date, time)?.toISOString();
  };
  assert.equal(stored("1601-01-01T00:00:00Z"), "1980-01-01T00:00:00.000Z");
  assert.equal(stored("1979-12-31T23:59:59Z"), "1980-01-01T00:00:00.000Z");
  assert.equal(stored("2107-12-31T23:59:59Z"), "2107-12-31T23:59:58.000Z");
  assert.equal(stored("2108-01-01T00:00:00Z"), "2107-12-31T23:59:58.000Z");
  assert.equal(stored("no time"), "1980-01-01T00:00:00.000Z");
});

test("any instant it can tell comes back, rounded down to two seconds", () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date("1980-01-01"), max: new Date("2107-12-31T23:59:59Z"), noInvalidDate: true }),
      (instant) => {
        const { date, time } = encodeDosTime(instant);
        assert.equal(decodeDosTime(date, time)?.getTime(), Math.floor(instant.getTime() / 2000) * 2000);
      },
    ),
  );
});

test("a date that does not exist is no instant", () => {
  assert.equal(decodeDosTime(0, 0), undefined);
  assert.equal(decodeDosTime((1 << 9) | (13 << 5) | 1, 0), undefined);
  assert.equal(decodeDosTime((1 << 9) | (2 << 5) | 30, 0), undefined);
  assert.equal(decodeDosTime(0x5c42, 0xffff), undefined);
  assert.equal(decodeDosTime(0xffff, 0xffff), undefined);
});
