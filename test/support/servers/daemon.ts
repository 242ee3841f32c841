/** Other people's servers as ordinary processes in the foreground, on free ports of the loopback address. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { tooSlow } from "../foreign-program.ts";

export type Daemon = {
  /** What it has written to both outputs so far. */
  output(): string;
  stop(): Promise<void>;
};

const START_LIMIT = 30_000;

/** Starts a program and waits until the port takes connections. */
export async function startDaemon(
  program: string,
  args: readonly string[],
  port: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let written = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("latin1").on("data", (chunk: string) => {
      written += chunk;
    });
  let failure: Error | null = null;
  child.on("error", (error) => {
    failure = error;
  });
  const limit = Date.now() + START_LIMIT;
  while (!(await takesConnections(port))) {
    if (failure !== null) throw failure;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${program} does not answer on port ${port}:\n${written}`);
    if (Date.now() > limit) {
      await stop(child);
      throw tooSlow(`${program}, answering on port ${port},`, START_LIMIT);
    }
    await sleep(50);
  }
  return { output: () => written, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const patience = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await ended;
  clearTimeout(patience);
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** As many ports as asked for, all free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(async (server) => once(server.close(), "close")));
  return ports;
}
