import assert from "node:assert/strict";
import { test } from "node:test";
import { type PathFacts, parseLocalPath } from "../../src/consent/local-path.ts";

const WINDOWS: PathFacts = {
  platform: "win32",
  env: {
    SystemRoot: "C:\\Windows",
    "ProgramFiles(x86)": "C:\\Program Files (x86)",
    USERPROFILE: "c:\\Users\\bob",
    TEMP: "relative\\dir",
    HOMEDRIVE: "C:",
    HOMEPATH: "\\Users\\bob",
    PATH: "C:\\x",
    APPDATA: "%SystemRoot%\\x",
  },
  home: "C:\\Users\\bob",
};
const LINUX: PathFacts = { platform: "linux", env: { HOME: "/home/bob", TMPDIR: "" }, home: "/home/bob" };

function pathOf(item: string, facts: PathFacts): string {
  const parsed = parseLocalPath(item, facts);
  return parsed.ok
    ? `${parsed.path}${parsed.remote ? " (remote)" : ""}`
    : `${parsed.state}: ${parsed.reason}`;
}

test("a Windows path comes down to its one form, or is refused", () => {
  const device = "declined: it names a device";
  const stream = "declined: it names an alternate data stream";
  const relative = "declined: it is not an absolute path";
  const ending = "declined: a part of it ends in a dot or a blank, which Windows would drop";
  const character = "declined: it holds a character that no file name on Windows has";
  const cases: readonly (readonly [string, string])[] = [
    ["C:\\a\\b.txt", "C:\\a\\b.txt"],
    ["c:/a\\\\b//c", "C:\\a\\b\\c"],
    ["C:\\a\\.\\b\\..\\c", "C:\\a\\c"],
    ["C:\\..\\..\\a", "C:\\a"],
    ["C:\\", "C:\\"],
    ["%SYSTEMROOT%\\system32\\x.dll", "C:\\Windows\\system32\\x.dll"],
    ["%ProgramFiles(x86)%\\a", "C:\\Program Files (x86)\\a"],
    ["%HOMEDRIVE%%HOMEPATH%\\a", "C:\\Users\\bob\\a"],
    ["\\\\?\\C:\\a", "C:\\a"],
    ["//?/c:/a", "C:\\a"],
    ["\\??\\C:\\a", "C:\\a"],
    ["\\\\?\\UNC\\server\\share\\a", "\\\\server\\share\\a (remote)"],
    ["\\\\server\\share\\..\\..\\a", "\\\\server\\share\\a (remote)"],
    ["//server/share/a", "\\\\server\\share\\a (remote)"],
    ["C:\\PROGRA~1\\x", "C:\\PROGRA~1\\x"],
    ["\\\\server", "declined: it names no share of a server"],
    ["\\\\..\\share", "declined: it names no share of a server"],
    ["\\\\.\\PhysicalDrive0", device],
    ["//./pipe/x", device],
    ["\\\\?\\GLOBALROOT\\Device\\x", device],
    ["\\\\?\\Volume{0000}\\x", device],
    ["C:\\CON", device],
    ["C:\\dir\\aux.txt", device],
    ["C:\\nul .txt", device],
    ["C:\\com1:x", device],
    ["C:\\LPT\u00b9", device],
    ["C:\\CONIN$", device],
    ["C:\\a.txt:hidden", stream],
    ["C:\\a.txt::$DATA", stream],
    ["C:\\a:b:$INDEX_ALLOCATION\\c", stream],
    ["C:\\a.txt.", ending],
    ["C:\\a.txt ", ending],
    ["C:\\a \\b", ending],
    ["C:\\.. \\b", ending],
    ["C:\\...\\b", ending],
    ["C:\\*.log", character],
    ["C:\\a\\?", character],
    ["C:\\a<b", character],
    ["C:\\a\tb", character],
    ["C:a", relative],
    ["\\a", relative],
    ["a\\b", relative],
    ["", relative],
    ["%TEMP%\\a", relative],
    ["$HOME\\a", relative],
    ["%PATH%", "declined: the variable PATH is not among those that name directories"],
    ["%PUBLIC%\\a", "missing: the variable PUBLIC is not set on this system"],
    ["%APPDATA%\\a", relative],
    ["C:\\100%\\a", "C:\\100%\\a"],
  ];
  for (const [item, expected] of cases) assert.equal(pathOf(item, WINDOWS), expected, item);
});

test("elsewhere a path comes down to its one form, with either notation of variables", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/a//b/./c/../d/", "/a/b/d"],
    ["/../../etc/x", "/etc/x"],
    ["$HOME/x", "/home/bob/x"],
    ["%HOME%/x", "/home/bob/x"],
    ["/data$HOME", "/data/home/bob"],
    ["/a\\b", "/a\\b"],
    ["/a*", "/a*"],
    ["/CON", "/CON"],
    ["/a:b", "/a:b"],
    ["/x ", "/x "],
    ["$TMPDIR/x", "missing: the variable TMPDIR is not set on this system"],
    ["$home/x", "missing: the variable home is not set on this system"],
    ["%WINDIR%/x", "missing: the variable WINDIR is not set on this system"],
    ["$PATH/x", "declined: the variable PATH is not among those that name directories"],
    ["$LD_PRELOAD", "declined: the variable LD_PRELOAD is not among those that name directories"],
    ["~/x", "declined: it is not an absolute path"],
    ["x", "declined: it is not an absolute path"],
    ["/a\0b", "declined: it holds a NUL character"],
  ];
  for (const [item, expected] of cases) assert.equal(pathOf(item, LINUX), expected, item);
});
