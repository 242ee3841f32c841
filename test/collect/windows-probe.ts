/**
 * Runs the collectors for a lane inside Windows: reads a list of questions from the file named first, writes the
 * answers as JSON to the file named second. Bundled by the lane, run by a Windows Node.
 */
import { readFileSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import { collectRegistry } from "../../src/collect/registry/registry.ts";
import { queryWmi } from "../../src/collect/wmi/query.ts";
import { parseRegistryPath } from "../../src/consent/registry-path.ts";
import { readMachine, thisMachine } from "../../src/system/machine.ts";
import { parseWql } from "../../src/wql/parse.ts";

export type Question =
  | {
      readonly ask: "registry";
      readonly item: string;
      readonly kind: "RegKey" | "RegTree";
      readonly limits?: Limits;
      /** Keys whose names end so are not to be collected. */
      readonly closed?: string;
    }
  | { readonly ask: "wql"; readonly text: string }
  | { readonly ask: "machine" };

type Limits = { readonly maxBytes?: number; readonly maxDepth?: number; readonly timeoutMs?: number };

const LIMITS = { maxBytes: 1_000_000, maxDepth: 20, timeoutMs: 120_000 };

async function answer(question: Question): Promise<unknown> {
  const { platform, arch, env } = process;
  const { signal } = new AbortController();
  if (question.ask === "machine") return readMachine(thisMachine(platform, env));
  if (question.ask === "registry") {
    const options = {
      ...LIMITS,
      ...question.limits,
      platform,
      env,
      signal,
      tmpDir: os.tmpdir(),
      isOpen: (key: string) => question.closed === undefined || !key.endsWith(question.closed),
    };
    const parsed = parseRegistryPath(question.item);
    if (!parsed.ok) return { ...parsed, state: "declined" };
    const collected = await collectRegistry(parsed.path, question.kind, options);
    if (!collected.ok) return collected;
    return {
      ...collected,
      cut: collected.note !== null,
      files: collected.files.map((body) => body.toString("base64")),
    };
  }
  const parsed = parseWql(question.text);
  if (!parsed.ok) return parsed;
  const host = {
    platform,
    arch,
    env,
    hostName: os.hostname(),
    release: os.release(),
    now: new Date(),
    root: "/",
  };
  return queryWmi(parsed.query, host, { ...LIMITS, signal });
}

async function main(questionFile: string, answerFile: string): Promise<void> {
  const questions = JSON.parse(readFileSync(questionFile, "utf8")) as Question[];
  const answers: unknown[] = [];
  for (const question of questions) answers.push(await answer(question));
  writeFileSync(answerFile, JSON.stringify(answers, null, 2));
}

const [questionFile = "", answerFile = ""] = process.argv.slice(2);
main(questionFile, answerFile).catch((thrown: unknown) => {
  writeFileSync(answerFile, String(thrown));
});
