/**
 * The three streams as a command sees them: results on standard output, talk on standard error, colour and a progress
 * bar only where a person watches.
 */

import type { Terminal } from "../context.ts";

type Stream = { write(text: string): unknown; readonly isTTY?: boolean };

const STYLES = { good: "32", bad: "31", dim: "2" } as const;

/**
 * @param color the caller's wish; colour also needs a terminal, and neither NO_COLOR nor TERM=dumb
 */
export function openTerminal(
  streams: { readonly stdout: Stream; readonly stderr: Stream; readonly stdin: NodeJS.ReadStream },
  env: Readonly<Record<string, string | undefined>>,
  color: boolean,
): Terminal {
  const { stdout, stderr, stdin } = streams;
  const isPlain = !color || Boolean(env["NO_COLOR"]) || env["TERM"] === "dumb" || stdout.isTTY !== true;
  return {
    print: (line) => stdout.write(`${line}\n`),
    say: (line) => stderr.write(`${line}\n`),
    paint: (style, text) => (isPlain ? text : `\u001b[${STYLES[style]}m${text}\u001b[0m`),
    isInteractive: stdin.isTTY === true && stderr.isTTY === true,
    ask: (question, signal) => askLine(question, stdin, stderr, signal),
    progress: (total) => (stderr.isTTY === true ? openBar(total, stderr) : Promise.resolve(NO_BAR)),
  };
}

/** The terminal keeps its own line discipline, so that Ctrl-C is a signal like everywhere else. */
async function askLine(question: string, stdin: NodeJS.ReadStream, stderr: Stream, signal: AbortSignal) {
  const { createInterface } = await import("node:readline/promises");
  signal.throwIfAborted();
  if (stdin.readableEnded) return null;
  const output = stderr as NodeJS.WritableStream;
  const lines = createInterface({ input: stdin, output, terminal: false });
  const ended = new Promise<null>((resolve) => lines.once("close", () => resolve(null)));
  try {
    const line = await Promise.race([lines.question(question, { signal }), ended]);
    return line === null ? null : line.trim();
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    lines.close();
  }
}

const NO_BAR = { update: () => {}, stop: () => {} };

/** Bytes from which on an upload is long enough to be watched. */
const WATCHED_SIZE = 1024 * 1024;

async function openBar(total: number, stream: Stream) {
  if (total < WATCHED_SIZE) return NO_BAR;
  const { default: progress } = await import("cli-progress");
  const bar = new progress.SingleBar({
    format: "Uploading {bar} {percentage} % of {size} MiB, {eta_formatted} left",
    barCompleteChar: "#",
    barIncompleteChar: "-",
    barsize: 30,
    clearOnComplete: true,
    hideCursor: true,
    stream: stream as unknown as NodeJS.WritableStream,
  });
  bar.start(total, 0, { size: Math.round(total / 1024 / 1024) });
  return { update: (done: number) => bar.update(done), stop: () => bar.stop() };
}
