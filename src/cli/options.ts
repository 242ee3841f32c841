/** The flags that several commands share, by their headings in the help. A setting that is not typed is null. */

import type { Command as Parser } from "commander";
import type { Compression } from "../archive/entries/entry.ts";
import { parsePort, type Settings } from "../config/settings.ts";
import { CONSENTS } from "../consent/policy.ts";
import { present } from "../json.ts";
import { addFlags, choice, refuse, toggle, word } from "./flag.ts";

const CONFIG = word("--config <file>", "configuration file in JSON, in place of the user's own");
const JOURNAL = word("--journal <dir>", "where reports are kept until they are delivered; also CER_JOURNAL");

export function addServer(command: Parser) {
  return addFlags(command, "The server:", {
    server: word("--server <address>", "HOST, HOST:PORT or http(s)://HOST[:PORT][/PREFIX]; also CER_SERVER"),
    port: word("--port <number>", "port; also CER_PORT (1273 when nothing sets one)", parsePort),
    https: toggle("--https", "use TLS; also CER_HTTPS=1", null),
    path: word("--path <path>", "path of the level 1 report (/stage2.htm when left out)"),
    config: CONFIG,
  });
}

/** For commands about the journal itself. */
export function addJournal(command: Parser) {
  const target = addFlags(command, null, { journal: JOURNAL, config: CONFIG });
  const output = addOutput(command);
  return () => ({ target: targetOf(target()), output: output() });
}

export function addConsent(command: Parser) {
  return addFlags(command, "Consent:", {
    consent: word(
      "--consent <level>",
      "what a server may have: parameters, safe, ask or all; also CER_CONSENT (safe when nothing sets it)",
      choice(CONSENTS),
    ),
    level2: toggle("--no-level2", "never send more than the level 1 report", null),
    redact: toggle("--no-redact", "send texts as they are, passwords in them too", null),
    anonymize: toggle("--anonymize", "replace this user's name and home directory in texts", null),
  });
}

export function addRetries(command: Parser) {
  return addFlags(command, "Keeping and trying again:", {
    journal: JOURNAL,
    retries: word("--retries <number>", "quick tries after the first (2)", parseRetries),
  });
}

/** The configuration file that is named, and the settings that are typed. */
export type TargetFlags = { readonly config: string | null; readonly settings: Settings };

/** Null where nothing is typed. */
export type SettingFlags = { readonly [K in keyof Settings]: Settings[K] | null };

export function targetOf({ config, ...settings }: SettingFlags & { config: string | null }): TargetFlags {
  return { config, settings: present(settings) };
}

/** How a report is kept. */
export function addKeeping(command: Parser) {
  return addFlags(command, null, {
    /** False: attached files are only remembered by path. */
    copy: toggle(
      "--no-copy",
      "keep only the paths of attached files, for huge ones that stay where they are",
    ),
    dropOldest: toggle("--drop-oldest", "when the journal is full, give up the oldest waiting report"),
    /** Neither compared with earlier reports nor counted. */
    force: toggle("--force", "send even if the same event was sent before, or many of its kind"),
    /** Send what waits, after the report itself was delivered. */
    flush: toggle("--no-flush", "do not send what waits from earlier runs"),
    /** Where to write the receipt as well. */
    receipt: word("--receipt <file>", "write the receipt of the delivered report there as well"),
  });
}

/** Milliseconds without a byte in either direction before an exchange is given up. */
const DEFAULT_IDLE_TIMEOUT = 30_000;

/** Milliseconds. */
export function addTimes(command: Parser) {
  return addFlags(command, "Time limits:", {
    idleTimeout: word(
      "--timeout <seconds>",
      "give up when nothing moves for this long (30)",
      parseSeconds,
      DEFAULT_IDLE_TIMEOUT,
    ),
    maxTime: word("--max-time <seconds>", "give up when the whole takes longer", parseSeconds),
  });
}

export function addArchive(command: Parser) {
  return addFlags(command, "What is sent:", {
    format: word("--archive <format>", "cab or tar", choice(["cab", "tar"]), "cab"),
    compression: word("--compression <level>", "0 (none) to 9 (smallest); 4 when left out", parseLevel),
    splitLarge: toggle("--split-large", "split a file that no cabinet can hold into numbered parts"),
  });
}

export function addOutput(command: Parser) {
  return addFlags(command, "Output:", {
    json: toggle("--json", "one JSON object on standard output"),
    quiet: toggle("-q, --quiet", "say nothing but errors"),
    verbose: toggle("-v, --verbose", "say what is done, step by step"),
    color: toggle("--no-color", "no colour; also NO_COLOR"),
  });
}
export type OutputFlags = ReturnType<ReturnType<typeof addOutput>>;

function parseSeconds(word: string, where: string): number {
  const seconds = /^[0-9]+(\.[0-9]+)?$/.test(word) ? Number(word) : 0;
  if (seconds <= 0 || seconds > 86_400) refuse(where, word, "seconds, more than 0 and at most 86400");
  return seconds * 1000;
}

function parseLevel(word: string, where: string): Compression {
  return /^[0-9]$/.test(word) ? (Number(word) as Compression) : refuse(where, word, "a number from 0 to 9");
}

function parseRetries(word: string, where: string): number {
  return /^([0-9]|10)$/.test(word) ? Number(word) : refuse(where, word, "a number from 0 to 10");
}
