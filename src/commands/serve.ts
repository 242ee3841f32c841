/** `cer serve`: the embedded CER server in the foreground, for trying out and for tests. */

import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { verifyArchive } from "../archive/verify.ts";
import type { ServeCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import { quote, stripControls } from "../printable.ts";
import type { ServerEvent, VerifyArchive } from "../server/handler.ts";
import { startServer } from "../server/listen.ts";

type ServeContext = Pick<Context, "signal" | "tempDir"> & {
  readonly terminal: Pick<Context["terminal"], "print" | "say">;
};

/**
 * Serves until the signal aborts. A temporary directory is kept if anything was received, and removed if not.
 * @throws CerError as of `startServer`
 */
export async function runServe(
  command: ServeCommand,
  { terminal, signal, tempDir }: ServeContext,
  verify: VerifyArchive = verifyArchive,
): Promise<ExitCode> {
  const { print, say: warn } = terminal;
  const { host, port, requests, strict } = command;
  const dir = command.dir ?? (await mkdtemp(join(tempDir, "cer-serve-")));
  try {
    const onEvent = (event: ServerEvent) => print(stripControls(formatEvent(event)));
    const server = await startServer({
      host,
      port,
      dir,
      requests,
      strict,
      verifyArchive: verify,
      onEvent,
      warn,
    });
    if (!isLoopback(host))
      warn(
        `WARNING: ${host} is not a loopback address. Whoever reaches port ${server.port} can fill this disk: ` +
          "there is neither TLS nor authentication.",
      );
    if (command.dir === null) warn(`What arrives is kept in ${dir}`);
    print(`Listening on ${server.url}`);
    if (!signal.aborted) await once(signal, "abort");
    await server.close();
    return EXIT.ok;
  } finally {
    if (command.dir === null && (await isUnused(dir))) await rm(dir, { recursive: true, force: true });
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

async function isUnused(dir: string): Promise<boolean> {
  return !(await readdir(dir)).some((name) => name.startsWith("bucket-"));
}

/** One line for people. */
function formatEvent(event: ServerEvent): string {
  switch (event.kind) {
    case "report": {
      const { stored, size, eventType, warnings } = event;
      const remarks = warnings.map((warning) => ` (${warning})`).join("");
      return `report   bucket ${stored.bucket}  ${size} bytes  ${quote(eventType)}  ${stored.folder}${remarks}`;
    }
    case "archive": {
      const { stored, size, sha256, path, again } = event;
      const note = again ? " (received before)" : "";
      return `archive  bucket ${stored.bucket}  ${size} bytes  sha256 ${sha256}  ${path}${note}`;
    }
    case "refused": {
      const { status, method, target, reason, cause } = event;
      return `refused  ${status}  ${quote(method)} ${quote(target)}  ${reason}${cause === null ? "" : ` (${cause})`}`;
    }
    case "broken":
      return `broken   ${quote(event.method)} ${quote(event.target)}  The client stopped in the middle of its body.`;
  }
}
