/** The groups of options that several commands share: each adds itself to a command and reads itself back. */

import type { Command as Parser } from "commander";
import type { Compression } from "../archive/entries/entry.ts";
import { parsePort, type Settings } from "../config/settings.ts";
import type { ArchiveTerms } from "../config/terms.ts";
import { CONSENTS } from "../consent/policy.ts";
import type { KeepingFlags, OutputFlags, TargetFlags, TimeFlags } from "./command.ts";
import { choiceOf, present, refuse } from "./word.ts";

export type TargetOptions = {
  server?: string;
  port?: number;
  https?: boolean;
  path?: string;
  config?: string;
};

export type ConsentOptions = { consent?: string; level2: boolean; redact: boolean; anonymize?: boolean };

export function addConsentOptions(command: Parser): void {
  command
    .optionsGroup("Consent:")
    .option(
      "--consent <level>",
      "what a server may have: parameters, safe, ask or all; also CER_CONSENT (safe when nothing sets it)",
      choiceOf("--consent", CONSENTS),
    )
    .option("--no-level2", "never send more than the level 1 report")
    .option("--no-redact", "send texts as they are, passwords in them too")
    .option("--anonymize", "replace this user's name and home directory in texts");
}

export function consentSettings({ consent, level2, redact, anonymize }: ConsentOptions): Settings {
  return present({
    consent,
    level2: level2 ? undefined : false,
    redact: redact ? undefined : false,
    anonymize,
  });
}

export function addTargetOptions(command: Parser): void {
  command
    .optionsGroup("The server:")
    .option("--server <address>", "HOST, HOST:PORT or http(s)://HOST[:PORT][/PREFIX]; also CER_SERVER")
    .option("--port <number>", "port; also CER_PORT (1273 when nothing sets one)", (word) =>
      parsePort(word, "--port"),
    )
    .option("--https", "use TLS; also CER_HTTPS=1")
    .option("--path <path>", "path of the level 1 report (/stage2.htm when left out)")
    .option("--config <file>", "configuration file in JSON, in place of the user's own");
}

export function targetFlags({ server, port, https, path, config }: TargetOptions): TargetFlags {
  return { config: config ?? null, settings: present({ server, port, https, path }) };
}

/** Milliseconds without a byte in either direction before an exchange is given up. */
const DEFAULT_IDLE_TIMEOUT = 30_000;

export type TimeOptions = { timeout?: number; maxTime?: number };

export function addTimeOptions(command: Parser): void {
  command
    .optionsGroup("Time limits:")
    .option("--timeout <seconds>", "give up when nothing moves for this long (30)", secondsOf("--timeout"))
    .option("--max-time <seconds>", "give up when the whole takes longer", secondsOf("--max-time"));
}

export function timeFlags({ timeout, maxTime }: TimeOptions): TimeFlags {
  return { idleTimeout: timeout ?? DEFAULT_IDLE_TIMEOUT, maxTime: maxTime ?? null };
}

export type OutputOptions = { json?: boolean; quiet?: boolean; verbose?: boolean; color: boolean };

export function addOutputOptions(command: Parser): void {
  command
    .optionsGroup("Output:")
    .option("--json", "one JSON object on standard output")
    .option("-q, --quiet", "say nothing but errors")
    .option("-v, --verbose", "say what is done, step by step")
    .option("--no-color", "no colour; also NO_COLOR");
}

export function outputFlags({ json, quiet, verbose, color }: OutputOptions): OutputFlags {
  return { json: json === true, quiet: quiet === true, verbose: verbose === true, color };
}

function secondsOf(option: string): (word: string) => number {
  return (word) => {
    const seconds = /^[0-9]+(\.[0-9]+)?$/.test(word) ? Number(word) : 0;
    if (seconds <= 0 || seconds > 86_400) refuse(option, word, "seconds, more than 0 and at most 86400");
    return seconds * 1000;
  };
}

function levelOf(word: string): Compression {
  if (!/^[0-9]$/.test(word)) refuse("--compression", word, "a number from 0 to 9");
  return Number(word) as Compression;
}

export type ArchiveOptions = { archive: "cab" | "tar"; compression?: Compression; splitLarge?: boolean };

export function addArchiveOptions(command: Parser): void {
  command
    .optionsGroup("What is sent:")
    .option("--archive <format>", "cab or tar", choiceOf("--archive", ["cab", "tar"]), "cab")
    .option("--compression <level>", "0 (none) to 9 (smallest); 4 when left out", levelOf)
    .option("--split-large", "split a file that no cabinet can hold into numbered parts");
}

export function archiveFlags({ archive, compression, splitLarge }: ArchiveOptions): ArchiveTerms {
  return { format: archive, compression: compression ?? null, splitLarge: splitLarge === true };
}

export type KeepingOptions = {
  journal?: string;
  retries?: number;
  copy: boolean;
  dropOldest?: boolean;
  force?: boolean;
  flush: boolean;
  receipt?: string;
};

export function addKeepingOptions(command: Parser): void {
  command.optionsGroup("Keeping and trying again:");
  addJournalOption(command);
  command
    .option("--retries <number>", "quick tries after the first (2)", retriesOf)
    .option("--no-copy", "keep only the paths of attached files, for huge ones that stay where they are")
    .option("--drop-oldest", "when the journal is full, give up the oldest waiting report")
    .option("--force", "send even if the same event was sent before, or many of its kind")
    .option("--no-flush", "do not send what waits from earlier runs")
    .option("--receipt <file>", "write the receipt of the delivered report there as well");
}

function addJournalOption(command: Parser): void {
  command.option("--journal <dir>", "where reports are kept until they are delivered; also CER_JOURNAL");
}

export function keepingSettings({ journal, retries }: KeepingOptions): Settings {
  return present({ journal, retries });
}

export function keepingFlags({ copy, dropOldest, force, flush, receipt }: KeepingOptions): KeepingFlags {
  return { copy, dropOldest: dropOldest === true, force: force === true, flush, receipt: receipt ?? null };
}

function retriesOf(word: string): number {
  if (!/^([0-9]|10)$/.test(word)) refuse("--retries", word, "a number from 0 to 10");
  return Number(word);
}

export type JournalOptions = OutputOptions & { journal?: string; config?: string };

export function addJournalOptions(command: Parser): Parser {
  addJournalOption(command);
  command.option("--config <file>", "configuration file in JSON, in place of the user's own");
  addOutputOptions(command);
  return command;
}

export function journalFlags({ journal, config, ...output }: JournalOptions) {
  return {
    target: { config: config ?? null, settings: present({ journal }) },
    output: outputFlags(output),
  };
}
