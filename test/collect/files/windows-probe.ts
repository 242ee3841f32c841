/** Runs on Windows: plans GetFile and GetFileVersion of the items in a JSON file and collects them, as JSON. */

import { readFileSync } from "node:fs";
import { bodyOfFile } from "../../../src/collect/files/body.ts";
import { openRegular } from "../../../src/collect/files/open.ts";
import { readFileVersion } from "../../../src/collect/files/version.ts";
import { judgePath, makeJudge } from "../../../src/consent/judge.ts";
import { type PathFacts, parseLocalPath } from "../../../src/consent/local-path.ts";
import { DEFAULT_POLICY } from "../../../src/consent/policy.ts";

const items: unknown = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const facts: PathFacts = {
  platform: process.platform,
  env: process.env,
  home: process.env.USERPROFILE ?? null,
};
const judge = makeJudge({ ...DEFAULT_POLICY, consent: "all" }, facts);
const signal = new AbortController().signal;

async function collect(item: string): Promise<unknown> {
  const parsed = parseLocalPath(item, facts);
  if (!parsed.ok) return parsed.reason;
  const planned = judgePath(judge, "GetFile", parsed);
  if (planned.decision === "decline") return planned.reason;
  const open = () => openRegular(parsed.path, facts.platform, (real) => judgePath(judge, "GetFile", real));
  const opened = await open();
  if (!opened.ok) return opened.reason;
  const { body, notes } = await bodyOfFile(opened.file, { limit: 4096, redact: { anonymize: null }, signal });
  let bytes = 0;
  if (!Buffer.isBuffer(body) && "handle" in body) {
    bytes = body.size;
    await body.handle.close();
  } else if (!Buffer.isBuffer(body)) for await (const chunk of body) bytes += chunk.length;
  const again = await open();
  if (!again.ok) return again.reason;
  const version = await readFileVersion(item, again.file, { maxHashed: 1e9, signal });
  return {
    bytes,
    redaction: notes.redaction,
    isCut: notes.isCut,
    size: version.Size,
    sha256: version.SHA256,
    original: version.OriginalFilename,
  };
}

async function main(): Promise<void> {
  const results: unknown[] = [];
  for (const item of Array.isArray(items) ? items : []) results.push([item, await collect(String(item))]);
  process.stdout.write(JSON.stringify(results));
}

void main();
