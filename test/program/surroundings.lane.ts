/**
 * The README's hook lines in surroundings that installers meet. Each stands in the list with what is wrong there, and
 * one rule holds for all: the report arrives, or it is kept and a later flush sends it, or, where neither can be, an
 * exit code and a message tell so. Nothing in the lines is changed but what the surroundings name; where something would
 * wait for the whole of --max-time, its number is a smaller one. Needs root, and faketime for the clocks.
 *
 *   SURROUNDINGS="deleted directory" npx tsx test/run.ts --lane program/surroundings
 *
 * plays only those whose kind and name hold these words.
 */

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  answer,
  busy,
  challenge,
  closeBeforeAnswer,
  garbage,
  halfBody,
  halfHeader,
  loginPage,
  neverAnswer,
  redirect,
  resetAfter,
} from "../support/scripted-server.ts";
import { type Installed, installProgram } from "../support/surroundings/machine.ts";
import { complaints, type Fate, play, type Surroundings } from "../support/surroundings/play.ts";

const SENT_OR_KEPT: readonly Fate[] = ["sent", "kept"];
const KEPT_OR_TOLD: readonly Fate[] = ["kept", "told"];
const TOLD: readonly Fate[] = ["told"];

/** The server up, and once more down, where the report has to be kept and found again. */
function upAndDown(row: Surroundings): Surroundings[] {
  const { name, ...rest } = row;
  return [
    { ...rest, name: `${name}, server up` },
    { ...rest, name: `${name}, server down`, server: "down", maxTime: 3 },
  ];
}

const LOG_LINE = "FINAL ERROR 1603";
/** The log under the name that the README's line has for it, which sh does not expand. */
const LOG = `'%TEMP%\\setup.log'`;
const WRITE_LOG = `echo '${LOG_LINE}' >${LOG}`;

const IN_ORDER: Surroundings[] = [
  ...(["root", "ann"] as const).flatMap((user) => upAndDown({ name: `nothing wrong, as ${user}`, user })),
  ...upAndDown({ name: "a log", line: "setup", shell: WRITE_LOG, carries: LOG_LINE }),
  ...upAndDown({ name: "npm", line: "npm" }),
  ...upAndDown({
    name: "an event file and a dump",
    line: "file",
    shell: `echo '{"eventType":"Filed"}' >crash.json; echo "MDMP ${LOG_LINE}" >core.dmp`,
    level1: ['eventtype="Filed"'],
    carries: LOG_LINE,
  }),
  ...upAndDown({
    name: "an event on standard input",
    line: "stdin",
    prepare: generator(`echo '{"eventType":"Piped"}'`),
    level1: ['eventtype="Piped"'],
  }),
];

/** The README's `generate-event`. */
function generator(script: string): string {
  return `cat >/usr/bin/generate-event <<'END'\n#!/bin/sh\n${script}\nEND\nchmod 755 /usr/bin/generate-event`;
}

const NO_SERVER: Surroundings[] = [
  ...(["root", "ann", "uid54321"] as const).map(
    (user): Surroundings => ({ name: `none set, as ${user}`, user, server: "none" }),
  ),
  { name: "none set, MSI without its log", line: "setup", server: "none" },
  { name: "none set, MSI with its log", line: "setup", server: "none", shell: WRITE_LOG, carries: LOG_LINE },
  { name: "none set, npm", line: "npm", server: "none" },
  {
    name: "set only in the machine's configuration",
    server: "up",
    env: { CER_SERVER: null },
    prepare: `mkdir -p /etc/cer; echo '{"server":"127.0.0.1:{port}"}' >/etc/cer/config.json`,
  },
  ...Object.entries({
    "an empty address": "",
    "an address of blanks": "   ",
    "another scheme": "ftp://127.0.0.1:{port}",
    "a scheme and no host": "http://",
    "a host with a blank in it": "cer server.example",
    "a host with a quote and a control character": 'cer"\u0007.example',
    "a port of letters": "127.0.0.1:abc",
    "port 0": "127.0.0.1:0",
    "port 65536": "127.0.0.1:65536",
    "an IPv6 address without brackets": "::1",
    "an address of 10,000 characters": `http://${"c".repeat(10_000)}`,
    "a variable that nobody expanded": "%CER_HOST%",
    "a Windows share": "\\\\corp\\cer",
  }).map(
    ([name, address]): Surroundings => ({
      name: `${name} as the server`,
      server: "none",
      env: { CER_SERVER: address },
    }),
  ),
  {
    name: "an address that is not UTF-8",
    server: "none",
    shell: String.raw`export CER_SERVER="$(printf 'c\351r')"`,
  },
  { name: "blanks around the address", env: { CER_SERVER: "  127.0.0.1:{port} " } },
  {
    name: "a password in the address",
    env: { CER_SERVER: "http://svc:s3cr3tpw@127.0.0.1:{port}" },
    fates: SENT_OR_KEPT,
    check: { script: "grep -rlF s3cr3tpw /var/lib/cer /var/tmp /tmp 2>/dev/null | wc -l", prints: "0" },
  },
  {
    name: "a query in the address",
    env: { CER_SERVER: "http://127.0.0.1:{port}/?a=b" },
    fates: SENT_OR_KEPT,
  },
  { name: "a path without a scheme", env: { CER_SERVER: "127.0.0.1:{port}/cer" }, fates: SENT_OR_KEPT },
];

const BAD_VARIABLES: Surroundings[] = [
  ...Object.entries({
    CER_PORT: ["abc", "0", "65536", "-1", "1273 "],
    CER_HTTPS: ["maybe", "2"],
    CER_JOURNAL: [""],
    LC_ALL: ["xx_GARBAGE"],
    TZ: ["Nowhere/Never"],
    TERM: ["garbage"],
    NO_COLOR: ["1"],
    TMPDIR: ["/nonexistent", "relative", "/etc/passwd", "", "/proc"],
  }).flatMap(([name, values]) =>
    values.map(
      (value): Surroundings => ({
        name: `${name}=${value}`,
        env: { [name]: value },
        fates: SENT_OR_KEPT,
        line: "setup",
        shell: WRITE_LOG,
        carries: LOG_LINE,
      }),
    ),
  ),
  {
    name: "CER_PORT=abc and a host without a port",
    env: { CER_SERVER: "127.0.0.1", CER_PORT: "abc" },
    server: "none",
  },
  { name: "CER_PORT and the address name two ports", env: { CER_PORT: "81" }, fates: SENT_OR_KEPT },
  {
    name: "CER_HTTPS=1 and an address with http",
    env: { CER_SERVER: "http://127.0.0.1:{port}", CER_HTTPS: "1" },
    fates: SENT_OR_KEPT,
  },
  { name: "CER_CONSENT=garbage", env: { CER_CONSENT: "garbage" }, archive: "no" },
  { name: "CER_CONSENT=SAFE", env: { CER_CONSENT: "SAFE" }, archive: "maybe" },
  { name: "CER_CONSENT empty", env: { CER_CONSENT: "" }, archive: "maybe" },
  { name: "CER_CONSENT=2, as WER counts", env: { CER_CONSENT: "2" }, archive: "maybe" },
  { name: "no PATH", env: { PATH: null } },
  { name: "nothing but the server", env: { PATH: null, HOME: null, DPKG_MAINTSCRIPT_PACKAGE: null } },
  {
    name: "a certificate file that is not there",
    env: { NODE_EXTRA_CA_CERTS: "/nonexistent.pem" },
    othersSay: /^Warning: Ignoring extra certs/,
  },
  {
    name: "720,000 bytes of environment",
    env: Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`BIG${index}`, "x".repeat(120_000)])),
  },
];

const HOMES: Surroundings[] = [
  ...(["root", "ann", "uid54321"] as const).flatMap((user) =>
    upAndDown({ name: `hostile 6, field A4: no HOME, as ${user}`, user, env: { HOME: null } }),
  ),
  ...upAndDown({ name: "a HOME of 5,000 characters", user: "ann", env: { HOME: `/${"h".repeat(4999)}` } }),
  ...upAndDown({ name: "a HOME of 5,000 characters, as root", env: { HOME: `/${"h".repeat(4999)}` } }),
  ...upAndDown({ name: "HOME=/root as uid54321, field A5", user: "uid54321", env: { HOME: "/root" } }),
  ...upAndDown({ name: "HOME is another user's", user: "ann", env: { HOME: "/home/bob" } }),
  ...["", "/", "/dev/null", "relative", "/nonexistent", "/etc/passwd", "/proc", "/home/a\nb", "~"].map(
    (home): Surroundings => ({
      name: `HOME=${JSON.stringify(home)}, server down`,
      user: "ann",
      env: { HOME: home },
      server: "down",
      maxTime: 3,
    }),
  ),
  ...upAndDown({
    name: "HOME is a loop of links",
    user: "ann",
    prepare: "ln -s loop /home/loop",
    env: { HOME: "/home/loop" },
  }),
  ...upAndDown({
    name: "HOME is not UTF-8",
    user: "ann",
    shell: String.raw`export HOME="$(printf '/home/\351')"`,
  }),
  ...upAndDown({
    name: "a home that may not be written",
    user: "ann",
    prepare: "chown 0:0 /home/ann; chmod 755 /home/ann",
  }),
  // What a configuration in there would forbid cannot be known.
  ...upAndDown({
    name: "a home that may not be searched",
    user: "ann",
    prepare: "chmod 000 /home/ann",
    archive: "no",
  }),
  ...upAndDown({
    name: "XDG_STATE_HOME is a file",
    user: "ann",
    env: { XDG_STATE_HOME: "/etc/passwd" },
  }),
  ...upAndDown({ name: "XDG_STATE_HOME is relative", user: "ann", env: { XDG_STATE_HOME: "state" } }),
  ...upAndDown({
    name: "XDG_CONFIG_HOME may not be read, field A5",
    user: "ann",
    env: { XDG_CONFIG_HOME: "/root/x" },
  }),
];

const DISKS = ["/", "/tmp", "/var/tmp", "/home", "/root", "/run", "/dev/shm"];

/** Every disk read-only but these. */
function readOnlyBut(...writable: string[]): string {
  return DISKS.filter((path) => !writable.includes(path))
    .map((path) => `mount -o remount,bind,ro ${path}`)
    .join("\n");
}

const ONE_PLACE = "mkdir -p /srv/state; mount -t tmpfs -o mode=1777 tmpfs /srv/state";

const READ_ONLY: Surroundings[] = [
  { name: "all disks, server up", prepare: readOnlyBut() },
  { name: "all disks, server up, as uid54321", user: "uid54321", prepare: readOnlyBut() },
  {
    name: "all disks, MSI with its log, server up",
    line: "setup",
    prepare: `${WRITE_LOG}\n${readOnlyBut()}`,
    carries: LOG_LINE,
  },
  { name: "all disks, server down", prepare: readOnlyBut(), server: "down", maxTime: 3, fates: TOLD },
  { name: "all disks, no server", prepare: readOnlyBut(), server: "none", fates: TOLD },
  ...(["root", "ann", "uid54321"] as const).flatMap((user) =>
    ["/tmp", "/var/tmp"].map(
      (place): Surroundings => ({
        name: `all disks but ${place}, server down, as ${user}`,
        user,
        prepare: readOnlyBut(place),
        server: "down",
        maxTime: 3,
      }),
    ),
  ),
  {
    name: "all disks but the home, server down, as ann",
    user: "ann",
    prepare: readOnlyBut("/home"),
    server: "down",
    maxTime: 3,
  },
  {
    name: "all disks but TMPDIR, no server, as uid54321",
    user: "uid54321",
    prepare: `${ONE_PLACE}\n${readOnlyBut()}`,
    env: { TMPDIR: "/srv/state" },
    sane: { TMPDIR: "/srv/state" },
    server: "none",
  },
  {
    name: "all disks but XDG_RUNTIME_DIR, no server, as uid54321",
    user: "uid54321",
    prepare: `mkdir -m 700 -p /run/user/54321; chown 54321:54321 /run/user/54321\n${readOnlyBut("/run")}`,
    env: { XDG_RUNTIME_DIR: "/run/user/54321" },
    sane: { XDG_RUNTIME_DIR: "/run/user/54321" },
    server: "none",
  },
  {
    name: "all disks but CER_JOURNAL, no server",
    prepare: `${ONE_PLACE}\n${readOnlyBut()}`,
    env: { CER_JOURNAL: "/srv/state/cer" },
    sane: { CER_JOURNAL: "/srv/state/cer" },
    server: "none",
  },
];

const FILL = "cat /dev/zero >/fill 2>/dev/null || true";

const FULL_DISKS: Surroundings[] = [
  { name: "all, server up", disk: "8m", prepare: FILL },
  { name: "all, server up, as uid54321", user: "uid54321", disk: "8m", prepare: FILL },
  {
    name: "all, MSI with its log, server up",
    line: "setup",
    disk: "8m",
    prepare: `${WRITE_LOG}\n${FILL}`,
    carries: LOG_LINE,
  },
  { name: "all, server down", disk: "8m", prepare: FILL, server: "down", maxTime: 3, fates: TOLD },
  { name: "all, no server", disk: "8m", prepare: FILL, server: "none", fates: TOLD },
  ...upAndDown({
    name: "the journal's",
    prepare:
      "mkdir -p /var/lib/cer; mount -t tmpfs -o size=8k,mode=700 tmpfs /var/lib/cer; cat /dev/zero >/var/lib/cer/fill 2>/dev/null || true",
  }),
  ...upAndDown({
    name: "the journal's, not a file more",
    prepare: "mkdir -p /var/lib/cer; mount -t tmpfs -o nr_inodes=2,mode=700 tmpfs /var/lib/cer",
  }),
  ...upAndDown({
    name: "the temporary directory's",
    line: "setup",
    shell: WRITE_LOG,
    carries: LOG_LINE,
    prepare: "mount -t tmpfs -o size=8k,mode=1777 tmpfs /tmp; cat /dev/zero >/tmp/fill 2>/dev/null || true",
  }),
];

const SMALL_LOG =
  "mount -t tmpfs -o size=8k,mode=1777 tmpfs /srv/setup; : >/srv/setup/install.log; cat /dev/zero >/srv/setup/fill 2>/dev/null || true";

/** Runs a program whose terminal has gone: whatever it writes fails with EIO. */
const DEAD_TERMINAL = [
  "/usr/bin/perl",
  "-e",
  'open(M, "+<", "/dev/ptmx") or die; my ($z, $n) = (pack("i", 0), pack("i", 0)); ioctl(M, 0x40045431, $z) or die;' +
    'ioctl(M, 0x80045430, $n) or die; sysopen(S, "/dev/pts/" . unpack("i", $n), 2 | 256) or die; close M;' +
    'open(STDIN, "<&", S); open(STDOUT, ">&", S); open(STDERR, ">&", S); exec @ARGV',
];

const OUTPUTS: Surroundings[] = [
  ...Object.entries({
    "hostile 19: standard output on a full disk": "exec >/dev/full",
    "standard error on a full disk": "exec 2>/dev/full",
    "both on a full disk": "exec >/dev/full 2>&1",
    "standard output closed": "exec >&-",
    "standard error closed": "exec 2>&-",
    "standard input closed": "exec <&-",
    "all three closed": "exec <&- >&- 2>&-",
    "standard input is a folder": "exec </",
  }).flatMap(([name, shell]) => upAndDown({ name, shell, isMute: true })),
  ...upAndDown({
    name: "field A3: a log on a full disk",
    prepare: SMALL_LOG,
    shell: "exec >>/srv/setup/install.log 2>&1",
    isMute: true,
  }),
  ...upAndDown({ name: "field A3: a terminal that has gone", wrap: DEAD_TERMINAL, isMute: true }),
  ...upAndDown({
    name: "nobody reads on",
    line: "setup",
    shell: WRITE_LOG,
    tail: "2>&1 | true",
    isMute: true,
  }),
  {
    name: "an event on standard input, the result on a full disk",
    line: "stdin",
    prepare: generator(`echo '{"eventType":"Piped"}'`),
    shell: "exec >/dev/full",
    isMute: true,
  },
  { name: "no file may be written (ulimit -f 0)", shell: "ulimit -f 0" },
  {
    name: "no file may be written (ulimit -f 0), server down",
    shell: "ulimit -f 0",
    server: "down",
    maxTime: 3,
    fates: TOLD,
  },
];

const DIRECTORIES: Surroundings[] = [
  ...(["dpkg", "setup", "npm"] as const).flatMap((line) =>
    upAndDown({
      name: `hostile 5: deleted directory, ${line}`,
      line,
      shell: "mkdir g && cd g && rmdir ../g",
    }),
  ),
  ...upAndDown({
    name: "deleted directory, as uid54321 without a home",
    user: "uid54321",
    shell: "mkdir g && cd g && rmdir ../g",
  }),
  { name: "a directory that may not be read", user: "ann", shell: "mkdir g && cd g && chmod 000 ." },
  {
    name: "a directory whose name is not UTF-8",
    line: "setup",
    shell: `mkdir "$(printf 'g\\351')" && cd "$(printf 'g\\351')"\n${WRITE_LOG}`,
    carries: LOG_LINE,
  },
  {
    name: "a directory 6,000 characters deep",
    shell:
      "for i in $(seq 30); do mkdir $(printf '%0200d' 0) && cd -P $(printf '%0200d' 0) 2>/dev/null; done",
  },
];

const LIMITS: Surroundings[] = [
  ...[20, 24, 32, 64].flatMap((count) =>
    upAndDown({ name: `${count} descriptors`, shell: `ulimit -n ${count}` }),
  ),
  ...upAndDown({
    name: "24 descriptors, MSI with its log",
    line: "setup",
    shell: `${WRITE_LOG}; ulimit -n 24`,
    carries: LOG_LINE,
  }),
  {
    name: "300 logs and 256 descriptors",
    line: "setup",
    more: "$(for i in $(seq 300); do printf -- '--file log%s ' $i; done)",
    shell: 'for i in $(seq 300); do echo "line of $i" >log$i; done; ulimit -n 256',
    carries: "line of 1",
  },
  { name: "hostile 30: 1,500,000 KiB of addresses", shell: "ulimit -v 1500000", fates: SENT_OR_KEPT },
  { name: "no locked memory, no core, a small stack", shell: "ulimit -l 0; ulimit -c 0; ulimit -s 1024" },
  { name: "the lowest priority", wrap: ["/usr/bin/nice", "-n", "19"] },
  ...(["root", "ann"] as const).flatMap((user) =>
    ["000", "777", "277"].flatMap((mask) =>
      upAndDown({ name: `hostile 31: umask ${mask}, as ${user}`, user, shell: `umask ${mask}` }),
    ),
  ),
];

const ROOT_CONFIG = "/root/.config/cer/config.json";
const MACHINE_CONFIG = "/etc/cer/config.json";

/** Lines that make a configuration file with these. */
function config(path: string, write: string): string {
  return `mkdir -p "$(dirname ${path})"; cd "$(dirname ${path})"; ${write}`;
}

const CONFIGURATIONS: Surroundings[] = [
  ...[ROOT_CONFIG, MACHINE_CONFIG].flatMap((path) =>
    Object.entries({
      "a folder": "mkdir config.json",
      "a loop of links": "ln -s config.json config.json",
      "a FIFO": "mkfifo config.json",
      "a link to /dev/zero": "ln -s /dev/zero config.json",
      "a folder in the place of its folder's": "cd ..; rmdir cer; : >cer",
    }).map(
      ([name, write]): Surroundings => ({
        name: `${path} is ${name}`,
        prepare: config(path, write),
        archive: "maybe",
        maxTime: 5,
        fates: SENT_OR_KEPT,
      }),
    ),
  ),
  ...Object.entries({
    "broken JSON": `echo '{"consent": "parameters",,' >config.json`,
    "a comma too many": `echo '{"consent": "parameters",}' >config.json`,
    "an empty file": ": >config.json",
    "an array": "echo '[]' >config.json",
    "a number": "echo 7 >config.json",
    "zero bytes": "head -c 4096 /dev/zero >config.json",
    noise: "head -c 4096 /dev/urandom >config.json",
    YAML: "echo 'consent: parameters' >config.json",
    "50 MB of brackets": "head -c 50000000 /dev/zero | tr '\\0' '[' >config.json",
    "a value of another type": `echo '{"consent": 7}' >config.json`,
    "no level of consent": `echo '{"consent": "some"}' >config.json`,
  }).map(
    ([name, write]): Surroundings => ({
      name: `${MACHINE_CONFIG} holds ${name}`,
      prepare: config(MACHINE_CONFIG, write),
      archive: "no",
    }),
  ),
  ...Object.entries({
    "an unknown key": `echo '{"sever": "x"}' >config.json`,
    "a port of letters": `echo '{"port": "abc"}' >config.json`,
    "a pattern that is none": `echo '{"allow": {"GetFile": 7}, "deny": "x"}' >config.json`,
    "a size that is none": `echo '{"maxFileSize": "much", "retries": -1}' >config.json`,
    "a mark before the text": String.raw`printf '\357\273\277{"level2": true}' >config.json`,
    "UTF-16 with its mark": String.raw`printf '\377\376{\000}\000' >config.json`,
    "UTF-16 without its mark": String.raw`printf '{\000}\000' >config.json`,
    "text in cp1252": String.raw`printf '{"path": "/caf\351.htm"}' >config.json`,
    "a journal that is a file": `echo '{"journal": "/etc/passwd"}' >config.json`,
    "a server that is none": `echo '{"server": "ftp://x"}' >config.json`,
    "100 MB of blanks": "{ head -c 100000000 /dev/zero | tr '\\0' ' '; echo '{}'; } >config.json",
    "10,000 brackets": "{ printf '{\"allow\":'; head -c 10000 /dev/zero | tr '\\0' '['; } >config.json",
  }).flatMap(([name, write]) =>
    upAndDown({
      name: `${MACHINE_CONFIG} holds ${name}`,
      prepare: config(MACHINE_CONFIG, write),
      mend: `rm -f ${MACHINE_CONFIG}`,
      archive: "maybe",
    }),
  ),
  ...upAndDown({
    name: `${MACHINE_CONFIG} names a journal in cp1252`,
    prepare: config(MACHINE_CONFIG, String.raw`printf '{"journal": "/srv/j\351"}' >config.json`),
    archive: "maybe",
  }),
  {
    name: "the server stands in a broken configuration",
    env: { CER_SERVER: null },
    prepare: config(MACHINE_CONFIG, `echo '{"server": "127.0.0.1:{port}",,' >config.json`),
    server: "none",
    mend: `rm ${MACHINE_CONFIG}`,
    archive: "maybe",
  },
  ...upAndDown({
    name: `${MACHINE_CONFIG} is root's alone, as ann`,
    user: "ann",
    prepare: config(MACHINE_CONFIG, "echo '{}' >config.json; chmod 600 config.json"),
    archive: "maybe",
  }),
  ...upAndDown({
    name: "/etc/cer is root's alone, as ann",
    user: "ann",
    prepare: config(MACHINE_CONFIG, "echo '{}' >config.json; chmod 700 ."),
    archive: "maybe",
  }),
  {
    name: "protocol G3: consent ask and no terminal",
    prepare: config(ROOT_CONFIG, `echo '{"consent":"ask"}' >config.json`),
    archive: "maybe",
  },
  { name: "consent ask in the environment, no terminal", env: { CER_CONSENT: "ask" }, archive: "maybe" },
  {
    name: "consent ask and a terminal that has gone",
    env: { CER_CONSENT: "ask" },
    wrap: DEAD_TERMINAL,
    isMute: true,
    archive: "maybe",
  },
  {
    name: "consent ask, MSI with its log, server down",
    line: "setup",
    shell: WRITE_LOG,
    env: { CER_CONSENT: "ask" },
    archive: "maybe",
    server: "down",
    maxTime: 3,
  },
];

const DEAD_PROXY = "http://127.0.0.1:9";

const PROXIES: Surroundings[] = [
  ...Object.entries({
    "field A6: ALL_PROXY with SOCKS": { ALL_PROXY: "socks5://127.0.0.1:9" },
    "HTTP_PROXY with SOCKS": { HTTP_PROXY: "socks5h://127.0.0.1:9" },
    "http_proxy with SOCKS 4": { http_proxy: "socks4a://127.0.0.1:9" },
    "a desktop's SOCKS beside an http proxy": {
      all_proxy: "socks://127.0.0.1:9/",
      https_proxy: DEAD_PROXY,
    },
    "a desktop's SOCKS and a dead http proxy": { all_proxy: "socks://127.0.0.1:9/", http_proxy: DEAD_PROXY },
    "a password with #": { http_proxy: "http://user:p#ss@127.0.0.1:9" },
    "a password with / and ?": { http_proxy: "http://user:p/s?s@127.0.0.1:9" },
    "a password with %": { http_proxy: "http://user:100%zz@127.0.0.1:9" },
    "two @": { http_proxy: "http://user@corp:pw@127.0.0.1:9" },
    "two ports": { http_proxy: "http://127.0.0.1:9:9" },
    "a Windows domain": { http_proxy: "http://CORP\\svc:pw@127.0.0.1:9" },
    "nobody listens": { http_proxy: DEAD_PROXY },
    "no scheme": { http_proxy: "127.0.0.1:9" },
    "a bare word": { http_proxy: "proxy" },
    "an https proxy that speaks no TLS": { http_proxy: "https://127.0.0.1:{port}" },
    "a script's address": { http_proxy: "pac+http://127.0.0.1:9/wpad.dat" },
    "a file": { http_proxy: "file:///etc/proxy.pac" },
    "a script's own words": { http_proxy: "PROXY 127.0.0.1:9; DIRECT" },
    "Windows' own form": { http_proxy: "http=127.0.0.1:9;https=127.0.0.1:9" },
    DIRECT: { http_proxy: "DIRECT" },
    "a scheme and nothing": { http_proxy: "http://" },
    "a port and no host": { http_proxy: "http://:8080" },
    "port 0": { http_proxy: "http://127.0.0.1:0" },
    "port 99999": { http_proxy: "http://127.0.0.1:99999" },
    "a port of letters": { http_proxy: "http://127.0.0.1:port" },
    "an IPv6 address without brackets": { http_proxy: "http://::1:9" },
    blanks: { http_proxy: "   " },
    "nothing at all": { http_proxy: "", HTTP_PROXY: "", ALL_PROXY: "" },
    "5,000 characters": { http_proxy: `http://${"p".repeat(5000)}:9` },
    "a line break": { http_proxy: "http://127.0.0.1:9\nX: y" },
    "a name that nobody knows": { http_proxy: "http://proxy.corp.invalid:8080" },
    "NO_PROXY of odd entries": { http_proxy: DEAD_PROXY, no_proxy: "<local>;*.corp, ,[::1,127.0.0.0/99,," },
    "NO_PROXY for all": { http_proxy: "socks5://127.0.0.1:9", no_proxy: "*" },
  } satisfies Record<string, Record<string, string>>).map(
    ([name, env]): Surroundings => ({ name, env, maxTime: 6, fates: SENT_OR_KEPT }),
  ),
  {
    name: "not UTF-8",
    shell: String.raw`export http_proxy="$(printf 'http://pr\351xy:9')"`,
    fates: SENT_OR_KEPT,
    maxTime: 6,
  },
  ...Object.entries({
    "wants Basic": challenge(["Basic realm=x"], 407),
    "wants NTLM": challenge(["NTLM", "Negotiate"], 407),
    "answers with its own page": loginPage(),
    "says nothing": neverAnswer(),
    "answers 502": answer(502),
    "answers 403": answer(403),
  }).map(
    ([name, fault]): Surroundings => ({
      name: `a proxy that ${name}`,
      env: { http_proxy: "http://127.0.0.1:{port}" },
      server: fault,
      maxTime: 6,
    }),
  ),
];

const ATTACHED: Surroundings[] = [
  ...Object.entries({
    "a log that is not there": "",
    "a folder": `mkdir ${LOG}`,
    "a FIFO": `mkfifo ${LOG}`,
    "a link to /dev/zero": `ln -s /dev/zero ${LOG}`,
    "a loop of links": `ln -s ${LOG} ${LOG}`,
    "a link that leads nowhere": `ln -s nowhere ${LOG}`,
    "a socket": `perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0]))' ${LOG}`,
    "an empty file": `: >${LOG}`,
    "/etc/shadow behind a link": `ln -s /etc/shadow ${LOG}`,
  }).map(
    ([name, shell]): Surroundings => ({
      name: `protocol G2, field A8: ${name}`,
      line: "setup",
      shell,
      maxTime: 8,
    }),
  ),
  ...Object.entries({
    "an unexpanded pattern": "'*.log'",
    "an empty name": '""',
    "a blank": '" "',
    "a name of 300 characters": "$(printf '%0300d' 0)",
    "a path of 5,000 characters": "$(for i in $(seq 50); do printf '%0100d/' 0; done)",
    "/dev/zero": "/dev/zero",
    "/dev/null": "/dev/null",
    "a file that cannot be read to its end": "/proc/self/mem",
    "below a file": "/etc/passwd/setup.log",
    "a Windows path": "'C:\\Windows\\Temp\\setup.log'",
    "a web address": "http://127.0.0.1/setup.log",
  }).map(([name, attached]): Surroundings => ({ name, line: "setup", attached, maxTime: 8 })),
  {
    name: "root's log, as ann",
    line: "setup",
    user: "ann",
    prepare: `cd /srv/setup; ${WRITE_LOG}; chmod 600 ${LOG}`,
  },
  {
    name: "a log in a folder of root's, as ann",
    line: "setup",
    user: "ann",
    attached: "/root/setup.log",
    prepare: "echo x >/root/setup.log",
  },
  {
    name: "a log in a folder of root's and no server, as ann",
    line: "setup",
    user: "ann",
    attached: "/root/setup.log",
    prepare: "echo x >/root/setup.log",
    server: "none",
  },
  ...upAndDown({
    name: "a name that is not UTF-8",
    line: "setup",
    attached: String.raw`"$(printf 'caf\351.log')"`,
    shell: `echo '${LOG_LINE}' >"$(printf 'caf\\351.log')"`,
    carries: LOG_LINE,
  }),
  {
    name: "a name with a line break",
    line: "setup",
    attached: `"$(printf 'a\\nb.log')"`,
    shell: `echo '${LOG_LINE}' >"$(printf 'a\\nb.log')"`,
    carries: LOG_LINE,
  },
  ...upAndDown({
    name: "a good log beside two that are missing",
    line: "setup",
    more: "--file nope.log --minidump nope.dmp",
    shell: WRITE_LOG,
    carries: LOG_LINE,
  }),
  {
    name: "field A11: a log of 3 GiB",
    line: "setup",
    shell: `truncate -s 3G ${LOG}; echo '${LOG_LINE}' >>${LOG}`,
    carries: LOG_LINE,
    maxTime: 60,
  },
  {
    name: "a log of 3 GiB, server down",
    line: "setup",
    shell: `truncate -s 3G ${LOG}; echo '${LOG_LINE}' >>${LOG}`,
    server: "down",
    maxTime: 60,
    more: "--retries 0",
  },
  {
    name: "a log that grows",
    line: "setup",
    shell: `${WRITE_LOG}; (while sleep 0.01 && [ -e ${LOG} ]; do echo "one more line" >>${LOG}; done) >&- 2>&- 3>&- &`,
    tail: `; rm ${LOG}`,
    carries: LOG_LINE,
  },
  {
    name: "a log that somebody has locked",
    line: "setup",
    shell: `${WRITE_LOG}; flock -o ${LOG} sleep 60 >&- 2>&- 3>&- &\nsleep 0.2`,
    carries: LOG_LINE,
  },
  {
    name: "a log that was deleted while it is open",
    line: "setup",
    attached: "/proc/self/fd/9",
    shell: `${WRITE_LOG}; exec 9<${LOG}; rm ${LOG}`,
  },
  {
    name: "a log from before 1980",
    line: "setup",
    shell: `${WRITE_LOG}; touch -d '1901-01-01' ${LOG}`,
    carries: LOG_LINE,
  },
];

const PACKAGE = "DPKG_MAINTSCRIPT_PACKAGE";
const VALUES: Surroundings[] = [
  ...Object.entries({
    "no value (rpm)": null,
    "an empty value": "",
    "1,000 characters": "p".repeat(1000),
    "100,000 characters": "p".repeat(100_000),
    "a line break": "contoso\nagent",
    "control characters": "contoso\u0007\u001b[31magent",
    "= in it": "a=b",
    "only =": "=",
    "a name of 500 characters before =": `${"n".repeat(500)}=v`,
    "a dash at its beginning": "-q",
    "two dashes": "--",
    "letters beyond the first plane": "\u{1f4a5}".repeat(200),
    markup: `"><!--]]>&amp;'`,
    blanks: "   ",
  }).map(([name, value]): Surroundings => ({ name, env: { [PACKAGE]: value } })),
  {
    name: "not UTF-8",
    shell: String.raw`export DPKG_MAINTSCRIPT_PACKAGE="$(printf 'caf\351')"`,
  },
  {
    name: "not UTF-8 as the environment has it",
    shell: String.raw`export LC_ALL=de_DE.ISO-8859-1 DPKG_MAINTSCRIPT_PACKAGE="$(printf 'M\374ller')"`,
  },
  ...Object.entries({
    "a path of 300 characters (protocol G2)": `--app-path /opt/${"a".repeat(300)}`,
    "nine parameters too many":
      "-p 1 -p 2 -p 3 -p 4 -p 5 -p 6 -p 7 -p 8 -p 9 -p 10 -p 11 -p 12 -p 13 -p 14 -p 15 -p 16 -p 17",
    "eleven parameters": "-p 1 -p 2 -p 3 -p 4 -p 5 -p 6 -p 7 -p 8 -p 9",
    "an application of 1,000 characters": `--app-name ${"a".repeat(1000)}`,
    "an empty application": "--app-name ''",
    "an oem of 200 characters": `--oem ${"o".repeat(200)}`,
    "a machine's name of 300 characters": `--machine-name ${"m".repeat(300)}`,
    "an os that is none": "--os banana",
    "a time that is none": "--event-time yesterday",
    "a leap second": "--event-time 2016-12-31T23:59:60Z",
    "a time with a blank": "--event-time '2008-03-11 07:01:59Z'",
    "a secondary parameter without =": "--secondary alone",
  }).map(([name, more]): Surroundings => ({ name, line: "setup", more })),
];

/** The README's line with an event file, told besides what kind of event it is. */
const FILED = {
  line: "file",
  more: "--event-type Filed",
  level1: ['eventtype="Filed"'],
  archive: "yes",
} as const;
const PIPED = { line: "stdin", more: "--event-type Piped", level1: ['eventtype="Piped"'] } as const;

const EVENTS: Surroundings[] = [
  ...Object.entries({
    "a file that is not there": "",
    "a folder": "mkdir crash.json",
    "hostile 18: a FIFO without a writer": "mkfifo crash.json",
    "/dev/zero": "ln -s /dev/zero crash.json",
    "an empty file": ": >crash.json",
    "broken JSON": `echo '{"parameters": [' >crash.json`,
    "an array": "echo '[]' >crash.json",
    null: "echo null >crash.json",
    noise: "head -c 4096 /dev/urandom >crash.json",
    "hostile 34: 50 MB of brackets": "head -c 50000000 /dev/zero | tr '\\0' '[' >crash.json",
    "Report.wer": String.raw`printf '\377\376V\000e\000r\000s\000i\000o\000n\000=\0001\000' >crash.json`,
  }).flatMap(([name, shell]): Surroundings[] => [
    { ...FILED, name: `${name}, its type on the command line`, shell, maxTime: 8, fates: SENT_OR_KEPT },
    { name: `${name}, its type unknown`, line: "file", shell, maxTime: 5, fates: TOLD },
  ]),
  ...Object.entries({
    "another key": '{"eventType":"Filed","colour":"red"}',
    "values of other types":
      '{"eventType":"Filed","parameters":7,"application":[],"reportType":"Odd","files":{}}',
    "a time that is none": '{"eventType":"Filed","eventTime":"2008-03-11 07:01:59"}',
    "values over their bounds": `{"eventType":"Filed","application":{"name":"${"n".repeat(400)}","path":"${"p".repeat(400)}"}}`,
    "a parameter with id 10 and two with id 0":
      '{"eventType":"Filed","parameters":[{"id":10,"value":"a"},{"id":0,"value":"b"},{"id":0,"value":"c"}]}',
    "files that are missing":
      '{"eventType":"Filed","files":[{"path":"a"},{"path":"b","type":"Minidump"},{"path":""}]}',
    "odd names": '{"eventType":"Filed","__proto__":{"a":1},"constructor":null,"":0}',
    "10,000 levels": `{"eventType":"Filed","a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
    "a comment and a comma too many": '{"eventType":"Filed", // what it is\n}',
  }).map(
    ([name, event]): Surroundings => ({
      ...FILED,
      name,
      shell: `cat >crash.json <<'END'\n${event}\nEND`,
    }),
  ),
  {
    name: "field A9: an event in cp1252",
    line: "file",
    shell: String.raw`printf '{"eventType":"Filed","parameters":[{"id":0,"value":"Caf\351"}]}' >crash.json`,
    level1: ['eventtype="Filed"', 'value="Café"'],
  },
  {
    name: "an event in UTF-16",
    line: "file",
    shell: String.raw`printf '\377\376' >crash.json; printf '{"eventType":"Filed"}' | sed 's/./&\n/g' | tr '\n' '\000' >>crash.json`,
    level1: ['eventtype="Filed"'],
  },
  {
    name: "an event of 100 MB",
    ...FILED,
    shell: `{ printf '{"eventType":"Filed","parameters":[{"id":0,"value":"'; head -c 100000000 /dev/zero | tr '\\0' v; printf '"}]}'; } >crash.json`,
    fates: SENT_OR_KEPT,
    maxTime: 30,
  },
  ...upAndDown({
    name: "hostile 23: an event with 150,000 secondary parameters",
    line: "file",
    shell: `{ printf '{"eventType":"Filed","secondaryParameters":[{"name":"n","value":"v"}'; yes ',{"name":"n","value":"v"}' | head -n 149999; echo ']}'; } >crash.json`,
    level1: ['eventtype="Filed"'],
  }).map((row) => ({ ...row, maxTime: 30, more: "--retries 0" })),
  {
    name: "an event with 1,000,000 parameters",
    ...FILED,
    shell: `{ printf '{"eventType":"Filed","parameters":[{"id":0,"value":"v"}'; yes ',{"id":0,"value":"v"}' | head -n 999999; echo ']}'; } >crash.json`,
    fates: SENT_OR_KEPT,
    maxTime: 30,
  },
  {
    name: "an event with 100,000 files",
    ...FILED,
    shell: `{ printf '{"eventType":"Filed","files":[{"path":"a"}'; yes ',{"path":"a"}' | head -n 99999; echo ']}'; } >crash.json`,
    fates: SENT_OR_KEPT,
    maxTime: 30,
  },
  ...Object.entries({
    "hostile 18: nothing ever comes": ": >/tmp/nothing; exec tail -f /tmp/nothing",
    "it never ends": "exec cat /dev/zero",
    "nothing comes and it ends": "exit 1",
    "half of it comes": `printf '{"eventType":'`,
  }).flatMap(([name, script]): Surroundings[] => [
    {
      ...PIPED,
      name: `standard input, ${name}, its type on the command line`,
      prepare: generator(script),
      maxTime: 8,
      fates: SENT_OR_KEPT,
    },
    {
      name: `standard input, ${name}, its type unknown`,
      line: "stdin",
      prepare: generator(script),
      maxTime: 5,
      fates: TOLD,
    },
  ]),
  {
    name: "standard input closed",
    ...PIPED,
    prepare: generator("exec >&-; sleep 1"),
  },
];

const CLOCKS: Surroundings[] = [
  ...[
    "1970-01-01 00:00:10",
    "1969-06-01 00:00:00",
    "1600-01-01 00:00:00",
    "2006-01-01 00:00:00",
    "2099-01-01 00:00:00",
    "9998-01-01 00:00:00",
  ].flatMap((clock) =>
    upAndDown({ name: `hostile 4: ${clock}`, clock, line: "setup", shell: WRITE_LOG, carries: LOG_LINE }),
  ),
  {
    name: "hostile 4: made in 2006, then two runs at the right time that still find no server",
    clock: "2006-01-01 00:00:00",
    server: "down",
    maxTime: 3,
    between: `cer flush --max-time 3
      cer submit --event-type Other --json --max-time 1 --retries 0 >other.json
      cer queue drop "$(node -p 'JSON.parse(require("fs").readFileSync("other.json")).journal.id')"`,
  },
  {
    name: "hostile 4: a flush while the clock stands 60 days ahead, server down",
    server: "down",
    maxTime: 3,
    between:
      "faketime -f +60d cer flush --max-time 3; faketime -f +61d cer flush --max-time 3; faketime -f +62d cer flush --max-time 3",
  },
  {
    name: "a flush while the clock stands in 1970, server down",
    server: "down",
    maxTime: 3,
    between: "faketime -f '@1970-01-02 00:00:00' cer flush --max-time 3",
  },
  {
    name: "a flush while the clock stands in 2099, server down",
    server: "down",
    maxTime: 3,
    between: "faketime -f '@2099-01-02 00:00:00' cer flush --max-time 3",
  },
];

/** A journal with fifty reports for a dead server, in the place of Ann's. */
const FULL_FOR_ANN = `tar -C / -xf /opt/full-journal.tar; mkdir -p /home/ann/.local/state
mv /var/lib/cer /home/ann/.local/state/cer; chown -R 1500:1500 /home/ann/.local`;

const JOURNALS: Surroundings[] = [
  ...Object.entries({
    "is a file": "mkdir -p /var/lib; : >/var/lib/cer",
    "is on a read-only disk": "mkdir -p /var/lib/cer; mount -t tmpfs -o ro tmpfs /var/lib/cer",
    "is another user's": "mkdir -p /var/lib/cer; chown ann:1500 /var/lib/cer; chmod 700 /var/lib/cer",
    "may be written by everybody": "mkdir -p /var/lib/cer; chmod 1777 /var/lib/cer",
    "is a link to another user's":
      "mkdir -m 700 /home/ann/j; chown 1500:1500 /home/ann/j; ln -s /home/ann/j /var/lib/cer",
    "is a link that leads nowhere": "ln -s /nowhere/cer /var/lib/cer",
    "is a loop of links": "ln -s cer /var/lib/cer",
    "is a FIFO": "mkfifo /var/lib/cer",
    "holds a file in the place of v1": "mkdir -m 700 /var/lib/cer; : >/var/lib/cer/v1",
    "holds noise in the place of reports":
      "mkdir -m 700 -p /var/lib/cer/v1/pending/20200101-000000-x /var/lib/cer/v1/new/y; head -c 999 /dev/urandom >/var/lib/cer/v1/pending/20200101-000000-x/entry.json",
    "has a file in the place of what waits": "mkdir -m 700 -p /var/lib/cer/v1; : >/var/lib/cer/v1/pending",
  }).flatMap(([name, prepare]) => upAndDown({ name, prepare })),
  ...Object.entries({
    "is nobody's, as ann": "chmod 000 /home/ann/.local/state/cer",
    "is root's, as ann": "chown 0:0 /home/ann/.local/state/cer",
    "is root's alone, as ann": "chown 0:0 /home/ann/.local/state/cer; chmod 700 /home/ann/.local/state/cer",
    "has root's folders, as ann": "mkdir -p /home/ann/.local/state/cer/v1/pending",
  }).flatMap(([name, spoil]) =>
    upAndDown({
      name,
      user: "ann",
      prepare: `mkdir -m 700 -p /home/ann/.local/state/cer; chown -R 1500:1500 /home/ann/.local; ${spoil}`,
    }),
  ),
  ...Object.entries({
    "CER_JOURNAL=/dev/null": "/dev/null",
    "CER_JOURNAL=/dev/null/journal": "/dev/null/journal",
    "CER_JOURNAL is a file": "/etc/passwd",
    "CER_JOURNAL=/proc": "/proc",
    "CER_JOURNAL of 5,000 characters": `/${"j".repeat(4999)}`,
  }).flatMap(([name, journal]) => upAndDown({ name, env: { CER_JOURNAL: journal } })),
  ...(["root", "ann"] as const).flatMap((user): Surroundings[] => {
    const prepare = user === "root" ? "tar -C / -xf /opt/full-journal.tar" : FULL_FOR_ANN;
    const check = {
      script: `cer queue list --json | grep -o '"state": "pending"' | wc -l`,
      prints: "50",
    };
    return [
      { name: `hostile 3, protocol G1: full, all for a dead server, as ${user}`, user, prepare, check },
      {
        name: `full, MSI with its log, as ${user}`,
        user,
        prepare,
        check,
        line: "setup",
        shell: WRITE_LOG,
        carries: LOG_LINE,
      },
      {
        name: `full and the server down, as ${user}`,
        user,
        prepare,
        server: "down",
        maxTime: 5,
        fates: KEPT_OR_TOLD,
      },
      {
        name: `full and no server, as ${user}`,
        user,
        prepare,
        server: "none",
        maxTime: 5,
        fates: KEPT_OR_TOLD,
      },
    ];
  }),
];

/** Fills the journal: fifty reports of fifty kinds for a port at which nobody listens. */
const FILL_JOURNAL = `seq 50 | xargs -P 4 -I N cer submit --server 127.0.0.1:9 --event-type DeadN --quiet --retries 0 --max-time 20 >/dev/null 2>&1
[ "$(cer queue list --json | grep -o '"state": "pending"' | wc -l)" = 50 ] && tar -C / -cf - var/lib/cer | base64`;

/** A name server that never says anything, in a network with nothing else. */
const SILENT_NAMES = `ip link set lo up
perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(53, INADDR_LOOPBACK)); sleep 90' >&- 2>&- 3>&- &`;

const NETWORKS: Surroundings[] = [
  ...Object.entries({
    "answers 503": busy("1"),
    "answers 503 and asks for a year": busy("31536000"),
    "answers 500": answer(500),
    "answers 429": answer(429),
    "answers 404": answer(404),
    "answers 405": answer(405),
    "answers 403": answer(403),
    "wants NTLM": challenge(["NTLM"]),
    redirects: redirect("http://127.0.0.1:9/login"),
    "answers with a login page": loginPage(),
    "never answers": neverAnswer(),
    "closes before its answer": closeBeforeAnswer(),
    "breaks off within the report": resetAfter(100),
    "speaks another protocol": garbage(),
    "breaks off within its header": halfHeader(),
    "breaks off within its answer": halfBody("Bucket=1\r\n", 999),
  }).map(([name, server]): Surroundings => ({ name: `a server that ${name}`, server, maxTime: 5 })),
  { name: "no network at all", wrap: ["/usr/bin/unshare", "--net"], server: "down", maxTime: 5 },
  {
    name: "a server whose name nobody knows yet",
    env: { CER_SERVER: "cer.corp.invalid:{port}" },
    server: "down",
    maxTime: 5,
    mend: "echo 127.0.0.1 cer.corp.invalid >>/etc/hosts",
  },
  {
    name: "no name server",
    prepare: "rm -f /etc/resolv.conf; : >/etc/resolv.conf",
    env: { CER_SERVER: "cer.corp.invalid:{port}" },
    server: "down",
    maxTime: 5,
    mend: "echo 127.0.0.1 cer.corp.invalid >>/etc/hosts",
  },
  {
    name: "a name server that never answers",
    wrap: ["/usr/bin/unshare", "--net"],
    prepare: "rm -f /etc/resolv.conf; echo nameserver 127.0.0.1 >/etc/resolv.conf",
    shell: SILENT_NAMES,
    env: { CER_SERVER: "cer.corp.invalid:{port}" },
    server: "down",
    maxTime: 5,
    mend: "echo 127.0.0.1 cer.corp.invalid >>/etc/hosts",
  },
];

/** Sends the program this signal once its report is in the journal. */
function stopBy(signal: string): string {
  const program = "'^(/usr/bin/)?node .*cer submit'";
  return `{ until ls /var/lib/cer/v1/claimed/*; do sleep 0.05; done; pkill -${signal} -f ${program}; } >/dev/null 2>&1 3>&- &`;
}

const SIGNALS: Surroundings[] = ["TERM", "INT", "HUP", "KILL"].map((signal) => ({
  name: `SIG${signal} while the server says nothing`,
  shell: stopBy(signal),
  server: neverAnswer(),
  fates: ["stopped"],
  isMute: true,
}));

const SYSTEMS: Surroundings[] = [
  ...upAndDown({ name: "no /proc", prepare: "umount -l /proc" }).map((row) => ({
    ...row,
    archive: "maybe" as const,
  })),
  ...upAndDown({ name: "no /sys", prepare: "umount -l /sys" }),
  ...upAndDown({ name: "an empty /dev", prepare: "mount -t tmpfs tmpfs /dev" }),
  ...upAndDown({ name: "an empty /etc", prepare: "mount -t tmpfs tmpfs /etc" }),
  ...upAndDown({ name: "an empty /etc, as ann", user: "ann", prepare: "mount -t tmpfs tmpfs /etc" }),
  ...upAndDown({
    name: "temporary directories that nobody may search",
    user: "ann",
    prepare: "chmod 000 /tmp /var/tmp",
  }),
  ...upAndDown({
    name: "temporary directories that only root may write",
    user: "ann",
    prepare: "chmod 755 /tmp /var/tmp",
  }),
  {
    name: "a machine without a name",
    wrap: ["/usr/bin/unshare", "--uts", "/bin/sh", "-c", 'echo >/proc/sys/kernel/hostname; exec "$@"', "sh"],
  },
  {
    name: "a machine with a name of 64 characters",
    wrap: [
      "/usr/bin/unshare",
      "--uts",
      "/bin/sh",
      "-c",
      'printf %064d 0 >/proc/sys/kernel/hostname; exec "$@"',
      "sh",
    ],
  },
];

const KINDS: Readonly<Record<string, readonly Surroundings[]>> = {
  "in order": IN_ORDER,
  "no server": NO_SERVER,
  variables: BAD_VARIABLES,
  homes: HOMES,
  "read-only": READ_ONLY,
  "full disks": FULL_DISKS,
  output: OUTPUTS,
  directories: DIRECTORIES,
  limits: LIMITS,
  configuration: CONFIGURATIONS,
  proxies: PROXIES,
  attached: ATTACHED,
  values: VALUES,
  events: EVENTS,
  clocks: CLOCKS,
  journal: JOURNALS,
  network: NETWORKS,
  signals: SIGNALS,
  system: SYSTEMS,
};

const WORDS = process.env["SURROUNDINGS"] ?? "";
const CHOSEN = Object.entries(KINDS)
  .flatMap(([kind, rows]) => rows.map((row) => ({ title: `${kind}: ${row.name}`, row })))
  .filter(({ title }) => title.includes(WORDS));

/** Where Debian's package faketime has its library. */
function findFakeTime(): string {
  const paths = readdirSync("/usr/lib").map((name) => join("/usr/lib", name, "faketime", "libfaketime.so.1"));
  return paths.find((path) => existsSync(path)) ?? assert.fail("faketime is not installed");
}

let installed: Installed;
const fakeTime = findFakeTime();

before(async () => {
  installed = await installProgram();
  if (!CHOSEN.some(({ row }) => row.prepare?.includes("full-journal"))) return;
  const machine = await installed.start();
  const { code, stdout, stderr } = await machine.run(FILL_JOURNAL, {
    env: { PATH: "/usr/bin:/bin", HOME: "/root" },
  });
  await machine.stop();
  assert.equal(code, 0, stderr);
  await installed.add("full-journal.tar", Buffer.from(stdout, "base64"));
});
after(() => installed.remove());

test("the surroundings have names of their own", () => {
  const titles = CHOSEN.map(({ title }) => title);
  assert.deepEqual(
    titles.filter((title, index) => titles.indexOf(title) !== index),
    [],
  );
  assert.ok(titles.length >= (WORDS === "" ? 70 : 1), `${titles.length} surroundings`);
});

/** One line in the list of what failed: where it was thrown says nothing. */
function lost(what: string): Error {
  const error = new Error(what);
  error.stack = what;
  return error;
}

describe("nothing is lost", { concurrency: 4 }, () => {
  for (const { title, row } of CHOSEN)
    test(title, async () => {
      const bad = await complaints(row, await play(row, installed, fakeTime));
      if (bad.length > 0) throw lost(bad.join("; "));
    });
});
