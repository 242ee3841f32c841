/** squid as the company's proxy, with or without a password, and what it may connect to. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Daemon, freePorts, startDaemon } from "./daemon.ts";

const run = promisify(execFile);

export type Squid = Daemon & {
  readonly port: number;
  /** What it was asked for so far, method and target each, in order. */
  requests(): Promise<string[]>;
};

export type SquidOptions = {
  /** Who may use it; everybody when left out. */
  readonly account?: { readonly name: string; readonly password: string };
  /** Lines of http_access that come before the rest. */
  readonly rules?: string;
};

/** In a directory of its own, which is removed when it stops. */
export async function startSquid(options: SquidOptions): Promise<Squid> {
  const directory = await mkdtemp(join(tmpdir(), "cer-squid-"));
  const [port = 0] = await freePorts(1);
  const config = join(directory, "squid.conf");
  await writeFile(config, await configOf(options, directory, port));
  // Started by root, squid becomes Debian's user "proxy", and refuses to stay root.
  if (process.getuid?.() === 0) await run("chown", ["-R", "proxy:", directory]);
  const daemon = await startDaemon("squid", ["-N", "-n", `cer${port}`, "-f", config], port);
  return {
    ...daemon,
    port,
    stop: async () => {
      await daemon.stop();
      await rm(directory, { recursive: true });
    },
    requests: async () => {
      const log = await readFile(join(directory, "access.log"), "utf8").catch(() => "");
      // "-" is no request: somebody looked whether it runs.
      return log.split("\n").filter((line) => line !== "" && !line.startsWith("- "));
    },
  };
}

async function configOf(
  { account, rules = "" }: SquidOptions,
  directory: string,
  port: number,
): Promise<string> {
  const passwords = join(directory, "passwords");
  if (account !== undefined) {
    const hash = await run("openssl", ["passwd", "-apr1", account.password]);
    await writeFile(passwords, `${account.name}:${hash.stdout.trim()}\n`);
  }
  const access =
    account === undefined
      ? "http_access allow all"
      : `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${passwords}
auth_param basic realm CER
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all`;
  return `
http_port 127.0.0.1:${port}
pid_filename ${directory}/squid.pid
cache_log ${directory}/cache.log
logformat asked %rm %ru
access_log stdio:${directory}/access.log asked
coredump_dir ${directory}
cache deny all
shutdown_lifetime 0 seconds
buffered_logs off
${rules}
${access}
`;
}
