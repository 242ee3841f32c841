/** `cer serve` as a process of its own on a free port, for measurements. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export async function startServe(dir: string): Promise<{ port: number; stop(): Promise<void> }> {
  const cer = join(import.meta.dirname, "../../bin/cer.js");
  const child = spawn(process.execPath, [cer, "serve", "--port", "0", "--dir", dir], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  const port = Number(/:(\d+)$/.exec(line)?.[1]);
  return {
    port,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}
