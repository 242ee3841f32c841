import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConsent, parsePatterns, parseSize } from "../../src/consent/policy.ts";
import { CerError } from "../../src/errors.ts";

function complaint(attempt: () => unknown): string {
  try {
    return `no complaint: ${JSON.stringify(attempt())}`;
  } catch (thrown) {
    assert.ok(thrown instanceof CerError);
    assert.equal(thrown.code, "CER_CONFIG");
    return `${thrown.message}${thrown.hint === undefined ? "" : ` ${thrown.hint}`}`;
  }
}

test("the levels of consent are WER's, and nothing else is one", () => {
  for (const consent of ["parameters", "safe", "ask", "all"])
    assert.equal(parseConsent(consent, "x"), consent);
  assert.equal(
    complaint(() => parseConsent("everything", "--consent")),
    '--consent is "everything", which is no level of consent. Use one of parameters, safe, ask, all.',
  );
  assert.equal(
    complaint(() => parseConsent(3, "consent in cer.json")),
    "consent in cer.json is 3, which is no level of consent. Use one of parameters, safe, ask, all.",
  );
});

test("rules are patterns by kind", () => {
  const rules = {
    GetFile: ["/var/log/**", "C:\\Logs\\*.log", "\\\\server\\share\\**", "%WINDIR%\\x", "$HOME/x", "**/x"],
    RegTree: ["HKLM\\SOFTWARE\\Contoso\\**", "hkey_current_user\\x", "**\\x"],
    WQL: ["Win32_Product", "Win32_ComputerSystem.UserName", "Win32_*"],
    MemoryDump: ["*"],
  };
  assert.deepEqual(parsePatterns(rules, "allow"), rules);
  assert.deepEqual(parsePatterns({}, "allow"), {});
});

test("a rule that could never hold is refused, naming it", () => {
  const path =
    "Write an absolute path, with * for a part of a name and ** for any directories; a variable such as %WINDIR% or $HOME may begin it.";
  const cases: readonly (readonly [unknown, string])[] = [
    [
      [],
      "deny is []; it should be an object. Write a list of patterns per kind: File, GetFile, GetFileVersion, RegKey, RegTree, WQL, MemoryDump, fDoc.",
    ],
    [
      { getFile: [] },
      'deny has the key "getFile", which is no kind of item. Use File, GetFile, GetFileVersion, RegKey, RegTree, WQL, MemoryDump, fDoc.',
    ],
    [{ GetFile: "/x" }, 'deny.GetFile is "/x"; it should be a list of patterns.'],
    [{ GetFile: ["/x", 7] }, `deny.GetFile[1] is 7: it is not text. ${path}`],
    [{ GetFile: [" "] }, `deny.GetFile[0] is " ": it is empty. ${path}`],
    [{ GetFile: ["*.log"] }, `deny.GetFile[0] is "*.log": it is not an absolute path. ${path}`],
    [
      { GetFile: ["%PATH%/x"] },
      `deny.GetFile[0] is "%PATH%/x": the variable PATH is not among those that name directories. ${path}`,
    ],
    [
      { RegKey: ["SOFTWARE\\x"] },
      'deny.RegKey[0] is "SOFTWARE\\x": it does not begin with a hive. Write a key such as HKLM\\SOFTWARE\\Contoso\\**.',
    ],
    [
      { WQL: ["SELECT *"] },
      'deny.WQL[0] is "SELECT *": it is no class and no property of one. Write a class, or a class and a property: Win32_Product, Win32_ComputerSystem.UserName.',
    ],
    [{ fDoc: ["x"] }, 'deny.fDoc[0] is "x": the only pattern of this kind is *. Write *.'],
  ];
  for (const [value, expected] of cases)
    assert.equal(
      complaint(() => parsePatterns(value, "deny")),
      expected,
    );
});

test("a size is bytes, or a number with a unit", () => {
  assert.deepEqual(
    [4096, "4096", "64 KiB", "32MiB", "1 gib", "5000 b"].map((value) => parseSize(value, "x")),
    [4096, 4096, 65_536, 33_554_432, 1_073_741_824, 5000],
  );
  const hint = "Write bytes, or a number with KiB, MiB or GiB.";
  for (const value of ["", "12 MB", "1.5 GiB", "-1", null, {}, "9999999999999 GiB", Number.NaN])
    assert.match(
      complaint(() => parseSize(value, "maxFileSize")),
      /^maxFileSize is .*, which is no size\. /,
    );
  assert.equal(
    complaint(() => parseSize("12 MB", "m")),
    `m is "12 MB", which is no size. ${hint}`,
  );
  assert.equal(
    complaint(() => parseSize(4095, "m")),
    "m is 4095 bytes; the least is 4096. To send nothing at all use --no-level2.",
  );
});
