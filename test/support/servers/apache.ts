/** Apache httpd as a CER server: a script answers level 1 and keeps what was posted, mod_dav takes the PUT. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Keeper } from "../archives/kept-upload.ts";
import { type Daemon, freePorts, startDaemon } from "./daemon.ts";

const run = promisify(execFile);

export type Apache = Daemon &
  Keeper & {
    readonly port: number;
    /**
     * What it was asked for, once it has noted that many: how many requests the connection had carried before, the
     * request line, the status, and what was in `Expect`, or `-`.
     */
    requests(count: number): Promise<string[]>;
  };

export type ApacheOptions = {
  /** The text of every level 1 answer. */
  readonly answer: string;
  /** The directory below the root that archives are put to; mod_dav makes none by itself. */
  readonly folder: string;
  /** Directives for the server, for level 1, and for level 2. */
  readonly server?: string;
  readonly level1?: string;
  readonly level2?: string;
};

const PROGRAM = "/usr/sbin/apache2";
const MODULES = [
  ...["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest"],
  ...["alias", "cgid", "dav", "dav_fs", "dir", "headers", "mime", "reqtimeout", "rewrite", "setenvif"],
];

/** In a directory of its own, which is removed when it stops. */
export async function startApache(options: ApacheOptions): Promise<Apache> {
  const directory = await mkdtemp(join(tmpdir(), "cer-apache-"));
  const posted = join(directory, "posted");
  const stored = join(directory, "stored");
  await mkdir(posted);
  await mkdir(join(stored, options.folder), { recursive: true });
  await writeFile(join(directory, "answer"), options.answer, "latin1");
  await writeFile(join(directory, "answer.cgi"), scriptOf(directory, posted), { mode: 0o755 });
  const [port = 0] = await freePorts(1);
  const config = join(directory, "apache.conf");
  await writeFile(config, configOf(options, { directory, port, stored }));
  // Started by root, it serves as Debian's user "www-data", and refuses to stay root.
  if (process.getuid?.() === 0) await run("chown", ["-R", "www-data:www-data", directory]);
  const daemon = await startDaemon(PROGRAM, ["-D", "FOREGROUND", "-d", directory, "-f", config], port);
  return {
    ...daemon,
    port,
    posted,
    stored,
    stop: async () => {
      await daemon.stop();
      await rm(directory, { recursive: true });
    },
    requests: (count) => linesOf(join(directory, "access.log"), count),
  };
}

/** Of the access log, which is written after the client has its answer. */
async function linesOf(path: string, count: number): Promise<string[]> {
  const limit = Date.now() + 5_000;
  for (;;) {
    const lines = (await readFile(path, "utf8")).split("\n").slice(0, -1);
    if (lines.length >= count || Date.now() > limit) return lines;
    await sleep(20);
  }
}

function scriptOf(directory: string, posted: string): string {
  return `#!/bin/sh
cat >"${posted}/$$"
printf 'Content-Type: text/plain\\r\\n\\r\\n'
cat "${directory}/answer"
`;
}

type Where = { readonly directory: string; readonly port: number; readonly stored: string };

function configOf(options: ApacheOptions, { directory, port, stored }: Where): string {
  const { server = "", level1 = "", level2 = "" } = options;
  return `
${MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
User www-data
Group www-data
Listen 127.0.0.1:${port}
ServerName 127.0.0.1
DefaultRuntimeDir ${directory}
PidFile ${directory}/apache.pid
ScriptSock ${directory}/cgid
TypesConfig /dev/null
ErrorLog ${directory}/error.log
LogFormat "%k %r %>s %{Expect}i" asked
CustomLog ${directory}/access.log asked
StartServers 1
DavLockDB ${directory}/locks
DocumentRoot ${stored}
ScriptAlias /stage2.htm ${directory}/answer.cgi
<Directory ${directory}>
  Require all granted
</Directory>
<Location /stage2.htm>
  ${level1}
</Location>
<Location /PersistedCabs>
  Dav On
  ${level2}
</Location>
${server}
`;
}
