import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import {
  type Destination,
  findTarget,
  resolveDestination as resolveWith,
} from "../../src/config/destination.ts";
import { proxyFor } from "../../src/config/proxy.ts";
import { parsePort, type Settings, type Source } from "../../src/config/settings.ts";
import { configFiles, readSources } from "../../src/config/sources.ts";
import { resolveTerms } from "../../src/config/terms.ts";
import { Leniency } from "../../src/errors.ts";
import { formatUrl, type Origin } from "../../src/wire/exchange.ts";
import { complaintOf } from "../support/thrown-error.ts";

const places: string[] = [];
after(() => Promise.all(places.map((place) => rm(place, { recursive: true, force: true }))));

const NAMES = ["the command line", "the environment", "user.json", "machine.json"];

/** The sources in their order, as far as they speak. */
function sources(...settings: (Settings | null)[]): Source[] {
  return settings.flatMap((one, at) => (one === null ? [] : [{ name: NAMES[at] ?? "", settings: one }]));
}

const strict = () => new Leniency({ isStrict: true });

function resolveDestination(sources: readonly Source[]): Destination {
  return resolveWith(sources, strict());
}

function urlOf({ origin, path }: Destination): string {
  return formatUrl(origin, path);
}

test("flags over environment over the user's file over the machine's file over defaults, setting by setting", () => {
  const all: Settings[] = [
    { server: "flag", port: 1, https: false, path: "/flag" },
    { server: "env", port: 2, https: true },
    { server: "user", port: 3, https: false, path: "/user" },
    { server: "machine", port: 4, https: true, path: "/machine" },
  ];
  const cases: [settings: (Settings | null)[], url: string, from: string][] = [
    [all, "http://flag:1/flag", "the command line"],
    [[null, ...all.slice(1)], "https://env:2/user", "the environment"],
    [[null, null, ...all.slice(2)], "http://user:3/user", "user.json"],
    [[null, null, null, ...all.slice(3)], "https://machine:4/machine", "machine.json"],
    [[{ server: "h" }], "http://h:1273/stage2.htm", "the command line"],
    [[{ port: 80 }, { https: true }, { path: "x" }, { server: "h" }], "https://h:80/x", "machine.json"],
    [[null, { server: "h" }, { server: "i", port: 5 }], "http://h:5/stage2.htm", "the environment"],
  ];
  for (const [settings, url, from] of cases) {
    const destination = resolveDestination(sources(...settings));
    assert.deepEqual([urlOf(destination), destination.from], [url, from]);
  }
});

test("a port and a scheme within an address count for the server that is chosen, at its source's rank", () => {
  const cases: [settings: (Settings | null)[], url: string][] = [
    [[{ server: "h:8080" }], "http://h:8080/stage2.htm"],
    [[{ server: "http://h:80" }], "http://h:80/stage2.htm"],
    [[{ server: "https://h:443" }], "https://h:443/stage2.htm"],
    [[{ server: "https://h" }], "https://h:1273/stage2.htm"],
    [[{ port: 9 }, { server: "https://h:8080" }], "https://h:9/stage2.htm"],
    [[{ server: "http://h:8080" }, { port: 9, https: true }], "http://h:8080/stage2.htm"],
    [[{ server: "h:8080", port: 8080 }], "http://h:8080/stage2.htm"],
    [[{ server: "https://h", https: true }], "https://h:1273/stage2.htm"],
    [[{ server: "h" }, { server: "https://i:7" }], "http://h:1273/stage2.htm"],
    [[{ https: false }, { server: "https://h" }], "http://h:1273/stage2.htm"],
  ];
  for (const [settings, url] of cases) assert.equal(urlOf(resolveDestination(sources(...settings))), url);
});

test("one source that says two things is refused", async () => {
  const cases: [settings: Settings, key: string, values: string][] = [
    [{ server: "h:80", port: 81 }, "port", "80 and 81"],
    [{ server: "http://h", https: true }, "https", "false and true"],
    [{ server: "https://h", https: false }, "https", "true and false"],
  ];
  for (const [settings, key, values] of cases)
    assert.deepEqual(await complaintOf(() => resolveDestination(sources(settings))), {
      code: "CER_BAD_SERVER",
      message: `There are two values for ${key} from the command line: ${values}.`,
      hint: `Leave the ${key} out of the server's address or out of the other setting.`,
    });
});

test("without a server nothing is sent, and the three ways to set one are said", async () => {
  assert.deepEqual(await complaintOf(() => resolveDestination(sources({ port: 80 }, {}))), {
    code: "CER_NO_SERVER",
    message: "No CER server is set; nothing was sent.",
    hint: 'Set one with --server HOST, with the environment variable CER_SERVER=HOST, or with {"server": "HOST"} in a configuration file (--config FILE).',
  });
});

test("hosts, addresses and prefixes", () => {
  const cases: Record<string, string> = {
    h: "http://h:1273/stage2.htm",
    " h ": "http://h:1273/stage2.htm",
    "h/": "http://h:1273/stage2.htm",
    "cer_1.corp.example.": "http://cer_1.corp.example.:1273/stage2.htm",
    "10.0.0.1:65535": "http://10.0.0.1:65535/stage2.htm",
    "[::1]": "http://[::1]:1273/stage2.htm",
    "[::1]:80": "http://[::1]:80/stage2.htm",
    "https://[2001:db8::ffff:10.0.0.1]:443/x": "https://[2001:db8::ffff:10.0.0.1]:443/x/stage2.htm",
    "HTTPS://H/A/": "https://H:1273/A/stage2.htm",
    "http://h/a/b//": "http://h:1273/a/b/stage2.htm",
    "http://h/ä%20%zz": "http://h:1273/%C3%A4%20%25zz/stage2.htm",
    "bücher.example": "http://bücher.example:1273/stage2.htm",
  };
  for (const [server, url] of Object.entries(cases))
    assert.equal(urlOf(resolveDestination(sources({ server }))), url);
  const path = (path: string) => urlOf(resolveDestination(sources({ server: "http://h/p", path })));
  assert.equal(path("/x.htm"), "http://h:1273/p/x.htm");
  assert.equal(path("x.htm"), "http://h:1273/p/x.htm");
  assert.equal(path("//x.htm"), "http://h:1273/p/x.htm");
});

test("a server that cannot be used is refused with the reason and the form to write", async () => {
  const cases: [server: string, why: string][] = [
    ["http://", "names no host"],
    ["http:///x", "names no host"],
    [":80", "names no host"],
    ["my server", "names no host"],
    ["[::1", "names no host"],
    ["[fe80::1%eth0]", "names no host"],
    ["::1", "has an IPv6 address without brackets; write [ADDRESS] or [ADDRESS]:PORT"],
    ["[:::]", "has a host that is neither a name nor an address"],
    ["[1.2.3.4]", "has a host that is neither a name nor an address"],
    ["256.256.256.256", "has a host that is neither a name nor an address"],
    ["ftp://h", "has the scheme ftp, not http or https"],
    ["file:///etc/passwd", "has the scheme file, not http or https"],
    ["h/prefix", "has a path but no http:// or https://"],
    ["http://h/?x", "holds more than a path after the host"],
    ["http://h#x", "holds more than a path after the host"],
    ["http://h\\x", "holds more than a path after the host"],
    ["\\\\h\\share", "holds more than a path after the host"],
  ];
  for (const [server, why] of cases)
    assert.deepEqual(await complaintOf(() => resolveDestination(sources({ server }))), {
      code: "CER_BAD_SERVER",
      message: `The server "${server}" (the command line) ${why}.`,
      hint: "Write HOST, HOST:PORT, or http(s)://HOST[:PORT][/PREFIX].",
    });
});

test("a port is a number from 1 to 65535, wherever it stands", async () => {
  const cases: [place: string, word: string, call: () => unknown][] = [
    ...["", "0", "65536", "8x", "80:90", "-1", "1e3", "000080"].map(
      (word): [string, string, () => unknown] => [
        `The port of the server "h:${word}"`,
        word,
        () => resolveDestination(sources({ server: `h:${word}` })),
      ],
    ),
    ["--port", "x", () => parsePort("x", "--port")],
  ];
  for (const [place, word, call] of cases)
    assert.deepEqual(await complaintOf(call), {
      code: "CER_BAD_SERVER",
      message: `${place} is "${word}".`,
      hint: "A port is a number from 1 to 65535.",
    });
  assert.equal(parsePort("00080", "--port"), 80);
});

test("a path that a request line cannot hold is refused", async () => {
  for (const path of ["a b", "a?b", "a#b", "a\\b", "a\r\nb", "a\ud800"])
    assert.deepEqual(await complaintOf(() => resolveDestination(sources({ server: "h", path }))), {
      code: "CER_BAD_SERVER",
      message: `The path ${JSON.stringify(`/${path}`)} holds a character that a path cannot.`,
      hint: "Percent-encode it.",
    });
});

test("any text as a server is refused, or becomes an address that the network layer takes", () => {
  const piece = fc.oneof(
    fc.constantFrom("http://", "https://", ":", "/", "[", "]", "::1", "80", ".", "@", "h", "%", "-", "xn--"),
    fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      let destination: Destination;
      try {
        destination = resolveDestination(sources({ server: pieces.join("") }));
      } catch (thrown) {
        assert.match(
          (thrown as { code: string }).code,
          pieces.length === 0 ? /^CER_NO_SERVER$/ : /^CER_BAD_SERVER$/,
        );
        return;
      }
      assert.ok(URL.canParse(formatUrl(destination.origin, "")));
      assert.match(destination.path, /^\/[!-~]*$/);
    }),
    { numRuns: 1000 },
  );
});

test("the platform's conventions place the configuration files", () => {
  const files = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv, home: string) =>
    configFiles({ platform, env, home });
  assert.deepEqual(files("linux", {}, "/home/me"), [
    "/home/me/.config/cer/config.json",
    "/etc/cer/config.json",
  ]);
  assert.deepEqual(files("linux", { XDG_CONFIG_HOME: "/x" }, "/home/me")[0], "/x/cer/config.json");
  assert.deepEqual(
    files("linux", { XDG_CONFIG_HOME: "rel" }, "/home/me")[0],
    "/home/me/.config/cer/config.json",
  );
  assert.deepEqual(files("darwin", {}, "/Users/me"), [
    "/Users/me/Library/Application Support/cer/config.json",
    "/Library/Application Support/cer/config.json",
  ]);
  assert.deepEqual(files("win32", { APPDATA: "D:\\Roaming", ProgramData: "E:\\Data" }, "C:\\Users\\me"), [
    "D:\\Roaming\\cer\\config.json",
    "E:\\Data\\cer\\config.json",
  ]);
  assert.deepEqual(files("win32", {}, "C:\\Users\\me"), [
    "C:\\Users\\me\\AppData\\Roaming\\cer\\config.json",
    "C:\\ProgramData\\cer\\config.json",
  ]);
});

/** A home whose user's file holds this text, in a machine without a file of its own under that name. */
async function homeWith(text: string | Buffer | null) {
  const home = await mkdtemp(join(tmpdir(), "cer-config-"));
  places.push(home);
  const file = join(home, ".config/cer/config.json");
  if (text !== null) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return { home, file };
}

async function read(
  home: string | null,
  env: NodeJS.ProcessEnv = {},
  configFile: string | null = null,
  leniency = strict(),
) {
  const flags = { settings: { server: "flag" }, config: configFile };
  const here = { pid: 1, uid: process.getuid?.() ?? null, isRoot: false, isRunning: () => true };
  return readSources(flags, { platform: "linux", env, home, process: here }, leniency);
}

test("flags, environment and the user's file are read in this order", async () => {
  const { home, file } = await homeWith(
    '\ufeff{"$schema":"x","server":"u","port":7,"https":false,"path":"/p"}',
  );
  const env = { CER_SERVER: "e", CER_PORT: "81", CER_HTTPS: "yes", CER_CONSENT: "all" };
  assert.deepEqual(await read(home, env), [
    { name: "the command line", settings: { server: "flag" } },
    { name: "the environment", settings: { server: "e", port: 81, https: true, consent: "all" } },
    { name: file, settings: { server: "u", port: 7, https: false, path: "/p" } },
  ]);
});

test("an empty variable says nothing, and neither does a file that is not there", async () => {
  const { home } = await homeWith(null);
  assert.deepEqual(await read(home, { CER_SERVER: "", CER_PORT: "", CER_HTTPS: "", CER_CONSENT: "" }), [
    { name: "the command line", settings: { server: "flag" } },
    { name: "the environment", settings: {} },
  ]);
});

test("--config takes the place of the user's file, and must exist", async () => {
  const { home } = await homeWith('{"server":"u"}');
  const { file } = await homeWith('{"port":9}');
  assert.deepEqual((await read(home, {}, file))[2], { name: file, settings: { port: 9 } });
  assert.deepEqual(await complaintOf(() => read(home, {}, "/nowhere/c.json")), {
    code: "CER_CONFIG",
    message: "The configuration file /nowhere/c.json cannot be read (ENOENT).",
    hint: "Check the path given with --config.",
  });
  assert.deepEqual(await complaintOf(() => read(home, {}, home)), {
    code: "CER_CONFIG",
    message: `The configuration file ${home} cannot be read (EISDIR).`,
    hint: "Check the path given with --config.",
  });
});

test("CER_HTTPS and CER_PORT take what they can be", async () => {
  const { home } = await homeWith(null);
  const https = async (word: string) => (await read(home, { CER_HTTPS: word }))[1]?.settings.https;
  for (const word of ["1", "true", "YES", "on"]) assert.equal(await https(word), true);
  for (const word of ["0", "false", "No", "off"]) assert.equal(await https(word), false);
  assert.deepEqual(await complaintOf(() => https("maybe")), {
    code: "CER_CONFIG",
    message: 'CER_HTTPS is "maybe".',
    hint: "It takes 1 or 0.",
  });
  assert.deepEqual(await complaintOf(() => read(home, { CER_PORT: "x" })), {
    code: "CER_BAD_SERVER",
    message: 'CER_PORT is "x".',
    hint: "A port is a number from 1 to 65535.",
  });
});

test("without --strict a user name and a password in a server's address are dropped, told, and never shown", () => {
  for (const [server, url] of [
    ["http://user:secret@h", "http://h:1273/stage2.htm"],
    ["user:se@cret@h:80", "http://h:80/stage2.htm"],
    ["https://secret@[::1]:8/p", "https://[::1]:8/p/stage2.htm"],
  ] as const) {
    const leniency = new Leniency({ isStrict: false });
    assert.equal(urlOf(resolveWith(sources({ server }), leniency)), url);
    const bare = server.replace(/^((?:https?:\/\/)?).*@/, "$1");
    assert.deepEqual(leniency.warnings, [
      `The server "${bare}" (the command line) was given with a user name or password. They are not used, and not kept.`,
    ]);
  }
});

test("an @ where none can be makes no address, and what stands before it is not shown", async () => {
  for (const server of ["http://u:P/W@host", "http:/u:PW@host", "//u:PW@host", "http://h/p@x"])
    assert.deepEqual(
      await complaintOf(() => resolveWith(sources({ server }), new Leniency({ isStrict: false }))),
      {
        code: "CER_BAD_SERVER",
        message: 'The server (the command line) holds an "@" where none can be.',
        hint: "Write HOST, HOST:PORT, or http(s)://HOST[:PORT][/PREFIX].",
      },
    );
});

test("without --strict no server, and one that is no address, are a reason to wait", async () => {
  const lenient = () => new Leniency({ isStrict: false });
  const codeOf = (found: Source[]) => findTarget(found, lenient()).noServer?.code ?? null;
  assert.equal(codeOf([]), "CER_NO_SERVER");
  assert.equal(codeOf(sources({ server: "" })), "CER_NO_SERVER");
  assert.equal(codeOf(sources({ server: "ftp://h" })), "CER_BAD_SERVER");
  assert.equal(codeOf(sources({ server: "h:1", port: 2 })), "CER_BAD_SERVER");
  const { home } = await homeWith(null);
  const port = await read(home, { CER_PORT: "x" }, null, lenient());
  assert.equal(codeOf(port), "CER_BAD_SERVER");
  assert.equal(codeOf([{ name: "flag", settings: { server: "h", port: 7 } }, ...port]), null);
  assert.equal(codeOf(await read(home, { CER_HTTPS: "maybe" }, null, lenient())), "CER_CONFIG");
});

const NO_LEVEL2 = "To send nothing at all use --no-level2.";
const SIZE_FORM = "Write bytes, or a number with KiB, MiB or GiB.";

test("sizes are bytes, or a number with a unit", async () => {
  const { home } = await homeWith('{"maxFileSize":"64 MiB","maxTotalSize":134217728}');
  const [, , user] = await read(home);
  assert.deepEqual(user?.settings, { maxFileSize: 67_108_864, maxTotalSize: 134_217_728 });
});

test("a configuration file with a mistake is refused with its place, even where flags would win", async () => {
  const cases: [text: string, message: string, hint?: string][] = [
    ["{\n  server: 1}", " is not JSON: invalid symbol at line 2, column 3."],
    ["", " is not JSON: it is empty."],
    ["[]", ": the whole must be a JSON object, { … }."],
    ['{"port":"80"}', ': port is "80"; it must be a number.'],
    ['{"port":70000}', ": port is 70000; it must be at most 65535."],
    ['{"https":"yes"}', ': https is "yes"; it must be true or false.'],
    ['{"maxTotalSize":100}', ": maxTotalSize is 100 bytes; the least is 4096.", NO_LEVEL2],
    ['{"maxFileSize":"12 MB"}', ': maxFileSize is "12 MB", which is no size.', SIZE_FORM],
  ];
  for (const [text, message, hint] of cases) {
    const { home, file } = await homeWith(text);
    assert.deepEqual(await complaintOf(() => read(home)), {
      code: "CER_CONFIG",
      message: `${file}${message}`,
      hint,
    });
  }
  const { home, file } = await homeWith('{"sever":"h"}');
  const { code, message, hint } = await complaintOf(() => read(home));
  assert.deepEqual([code, message], ["CER_CONFIG", `${file}: sever is not a key that cer knows.`]);
  assert.match(hint ?? "", /^Did you mean "server"\? Known here: server, port, /);
});

/** What the sources agree to, where the command line agrees to all. */
function consentOf(found: readonly Source[]): [string, string] {
  const archive = { format: "cab", compression: null, splitLarge: false } as const;
  const [flags, ...rest] = found;
  const generous = { name: "the command line", settings: { ...flags?.settings, consent: "all" } };
  const { policy, consentFrom } = resolveTerms([generous, ...rest], archive);
  return [policy.consent, consentFrom];
}

test("without --strict a file that cannot be read agrees to nothing but the report, and no home is no file", async () => {
  const { home, file } = await homeWith(null);
  await mkdir(file, { recursive: true });
  const leniency = new Leniency({ isStrict: false });
  const found = await read(home, {}, null, leniency);
  assert.deepEqual(found.slice(2), [{ name: file, settings: {}, forbidsUnknown: true }]);
  assert.deepEqual(leniency.warnings, [
    `The configuration file ${file} cannot be read (EISDIR). What it allows and forbids cannot be known: nothing but the report itself is sent.`,
  ]);
  assert.deepEqual(consentOf(found), ["parameters", file]);
  assert.deepEqual((await read(null)).slice(2), []);
});

test("without --strict a file with a mistake is used for the server, and nothing but the report is agreed to", async () => {
  const cases: [text: string, settings: Settings, badKey?: "port"][] = [
    ["{ server: 1", {}],
    ["[]", {}],
    [
      '{"server":"h","port":8,"path":"/p","journal":"/j","consent":"all","sever":1}',
      { server: "h", port: 8, path: "/p", journal: "/j" },
    ],
    ['{"server":"h","consent":"everything"}', { server: "h" }],
    ['{"server":"h","deny":{"GetFile":["no path"]}}', { server: "h" }],
    ['{"server":"h","port":"80"}', { server: "h" }, "port"],
  ];
  for (const [text, settings, badKey] of cases) {
    const { home, file } = await homeWith(text);
    const leniency = new Leniency({ isStrict: false });
    const found = await read(home, {}, null, leniency);
    const user = found[2];
    assert.deepEqual([user?.name, user?.settings, user?.forbidsUnknown], [file, settings, true], text);
    assert.equal(user?.bad?.port?.code, badKey === undefined ? undefined : "CER_BAD_SERVER", text);
    assert.equal(leniency.warnings.length, 1, text);
    assert.match(leniency.warnings[0] ?? "", /nothing but the report itself is sent\.$/);
    assert.deepEqual(consentOf(found), ["parameters", file], text);
  }
});

test("a consent in the environment that is none agrees to nothing but the report", async () => {
  const { home } = await homeWith(null);
  const leniency = new Leniency({ isStrict: false });
  const found = await read(home, { CER_CONSENT: "everything" }, null, leniency);
  assert.deepEqual(consentOf(found), ["parameters", "the environment"]);
  assert.equal(leniency.warnings.length, 1);
  assert.equal((await complaintOf(() => read(home, { CER_CONSENT: "everything" }))).code, "CER_CONFIG");
});

const HTTP: Origin = { scheme: "http", host: "cer.corp.example", port: 1273 };
const HTTPS: Origin = { ...HTTP, scheme: "https" };

test("the proxy is the one for the scheme, then the one for all, in either case", () => {
  const cases: [origin: Origin, env: NodeJS.ProcessEnv, proxy: string | null][] = [
    [HTTP, {}, null],
    [HTTP, { http_proxy: "http://p:3128" }, "http://p:3128"],
    [HTTP, { HTTP_PROXY: "https://p" }, "https://p"],
    [HTTP, { https_proxy: "http://p" }, null],
    [HTTPS, { https_proxy: "http://p", http_proxy: "http://q" }, "http://p"],
    [HTTPS, { HTTPS_PROXY: "p:3128" }, "http://p:3128"],
    [HTTPS, { ALL_PROXY: "http://p" }, "http://p"],
    [HTTP, { all_proxy: "http://p", http_proxy: "http://q" }, "http://q"],
    [HTTP, { http_proxy: "http://p", HTTP_PROXY: "http://q" }, "http://p"],
    [HTTP, { http_proxy: "", HTTP_PROXY: "http://q" }, "http://q"],
    [HTTP, { http_proxy: "http://u:pw@p:1" }, "http://u:pw@p:1"],
  ];
  for (const [origin, env, proxy] of cases)
    assert.deepEqual(proxyFor(origin, env), { address: proxy, passedOver: [] });
});

test("NO_PROXY exempts hosts and their subdomains", () => {
  const v6: Origin = { scheme: "http", host: "::1", port: 80 };
  const cases: [origin: Origin, noProxy: string, exempt: boolean][] = [
    [HTTP, "*", true],
    [HTTP, "cer.corp.example", true],
    [HTTP, "CER.corp.Example", true],
    [{ ...HTTP, host: "CER.Corp.Example" }, "cer.corp.example", true],
    [HTTP, "corp.example", true],
    [HTTP, ".corp.example", true],
    [HTTP, "*.corp.example", true],
    [HTTP, "a.example, example", true],
    [HTTP, "a.example b.example cer.corp.example", true],
    [HTTP, "cer.corp.example:1273", true],
    [HTTP, "cer.corp.example:80", false],
    [HTTP, "orp.example", false],
    [HTTP, "x.cer.corp.example", false],
    [HTTP, "", false],
    [HTTP, ",", false],
    [v6, "::1", true],
    [v6, "[::1]", true],
    [v6, "[::1]:80", true],
    [v6, "[::1]:81", false],
    [v6, "::2", false],
    [{ ...HTTP, host: "10.0.0.1" }, "10.0.0.1", true],
    [{ ...HTTP, host: "110.0.0.1" }, "10.0.0.1", false],
  ];
  for (const [origin, noProxy, exempt] of cases)
    for (const name of ["NO_PROXY", "no_proxy"])
      assert.equal(
        proxyFor(origin, { http_proxy: "http://p", [name]: noProxy }).address,
        exempt ? null : "http://p",
        `${origin.host}: ${noProxy}`,
      );
});

test("A6: a proxy that is no http proxy is passed over, and named without its password", () => {
  const cases: [env: NodeJS.ProcessEnv, address: string | null, ...passedOver: string[]][] = [
    [
      { http_proxy: "socks5://u:secret@p:1080" },
      null,
      "The variable http_proxy holds a proxy by socks5://, which cer cannot use; it is passed over.",
    ],
    [
      { all_proxy: "socks://p", HTTP_PROXY: "http://u:p#secret@p" },
      null,
      "The variable HTTP_PROXY holds no address of a proxy; it is passed over.",
      "The variable all_proxy holds a proxy by socks://, which cer cannot use; it is passed over.",
    ],
    [
      { http_proxy: "http://p:99999" },
      null,
      "The variable http_proxy holds no address of a proxy; it is passed over.",
    ],
    [
      { http_proxy: "socks5h://p", ALL_PROXY: "http://q:3128" },
      "http://q:3128",
      "The variable http_proxy holds a proxy by socks5h://, which cer cannot use; it is passed over.",
    ],
    [{ http_proxy: "socks5://p", NO_PROXY: "corp.example" }, null],
  ];
  for (const [env, address, ...passedOver] of cases)
    assert.deepEqual(proxyFor(HTTP, env), { address, passedOver });
});
