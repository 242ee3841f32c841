/** `cer verify`: a receipt checked against itself, and an archive against it. */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { VerifyCommand } from "../cli/command.ts";
import type { Context } from "../context.ts";
import { CerError, EXIT, type ExitCode } from "../errors.ts";
import { MAX_RECEIPT, verifyReceipt } from "../journal/entry/receipt.ts";
import { printResult } from "./print-result.ts";

/** Exit 0 when every check holds, 1 when one does not. */
export async function runVerify(command: VerifyCommand, context: Context): Promise<ExitCode> {
  const { terminal, cwd } = context;
  const path = resolve(cwd, command.receipt);
  await requireFile(path, command.receipt, MAX_RECEIPT);
  const archive = command.archive === null ? null : resolve(cwd, command.archive);
  if (archive !== null) await requireFile(archive, command.archive ?? "", Number.POSITIVE_INFINITY);
  const checks = await verifyReceipt(
    await readFile(path, "utf8"),
    archive === null ? {} : { archive: { open: () => createReadStream(archive) } },
  );
  const isGood = checks.every(({ ok }) => ok);
  const lines = checks.map(
    ({ what, ok, detail }) =>
      `${terminal.paint(ok ? "good" : "bad", ok ? "ok " : "BAD")}  The ${what} ${detail}.`,
  );
  // What does not hold is said even under --quiet.
  const output = { ...command.output, quiet: command.output.quiet && isGood };
  printResult({ lines, json: { ok: isGood, checks } }, output, terminal);
  return isGood ? EXIT.ok : EXIT.failed;
}

async function requireFile(path: string, shown: string, maxSize: number): Promise<void> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new CerError("CER_FILE", `${shown} cannot be read (${cause.code}).`, { cause });
  });
  if (!found.isFile()) throw new CerError("CER_FILE", `${shown} is not a regular file.`);
  if (found.size > maxSize)
    throw new CerError("CER_FILE", `${shown} has ${found.size} bytes; a receipt has at most ${maxSize}.`);
}
