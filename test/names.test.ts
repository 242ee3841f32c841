import assert from "node:assert/strict";
import { test } from "node:test";
import { foldCase } from "../src/names.ts";

test("names that only differ in case or composition fold to one", () => {
  assert.equal(foldCase("ID_RSA"), "id_rsa");
  assert.equal(foldCase("\u00c9"), foldCase("e\u0301"));
  assert.equal(foldCase("\u017fsh"), "ssh");
});
