/**
 * WMI itself, on Windows: PowerShell's Get-CimInstance, and wmic where there is no PowerShell. Hides both programs. No
 * text of the server's ever becomes part of a command: PowerShell gets the query in an environment variable, wmic gets
 * names alone, and WHERE is worked out here.
 */

import { quote } from "../../printable.ts";
import { type Limits, type ProgramResult, runProgram, windowsProgram } from "../../system/run-program.ts";
import { type CimObject, type CimValue, predicateOf } from "../../wql/match.ts";
import { formatWql, propertiesOf, type WqlQuery } from "../../wql/parse.ts";

type Environment = Readonly<Record<string, string | undefined>>;

type WindowsAnswer =
  | { readonly ok: true; readonly objects: readonly CimObject[]; readonly cut: boolean }
  | { readonly ok: false; readonly reason: string };

/** The objects that the query selects, with at least the properties it selects. */
export async function askWindows(query: WqlQuery, env: Environment, limits: Limits): Promise<WindowsAnswer> {
  return (await askPowerShell(query, env, limits)) ?? (await askWmic(query, env, limits));
}

/** The end of a whole answer. Without it, PowerShell did not run: Wine has a program of that name that does nothing. */
const END = "#end";

/** What WMI itself says against a query. Anything else that goes wrong is PowerShell's own trouble, and wmic's turn. */
const SAID = "#wmi ";

/** Constant. The query comes in CER_WQL. One object to a line, 64-bit integers as text, times as WMI writes them. */
const SCRIPT = `
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
function Format-Value($value) {
  if ($null -eq $value) { return $null }
  if ($value -is [datetime]) {
    $offset = [int][TimeZoneInfo]::Local.GetUtcOffset($value).TotalMinutes
    return $value.ToString('yyyyMMddHHmmss.ffffff') + $offset.ToString('+000;-000')
  }
  if ($value -is [uint64] -or $value -is [int64]) { return [string]$value }
  if ($value -is [string] -or ($value -is [ValueType] -and -not ($value -is [timespan]))) { return $value }
  return [string]$value
}
try {
  foreach ($object in @(Get-CimInstance -Query $env:CER_WQL)) {
    $row = [ordered]@{}
    foreach ($property in $object.CimInstanceProperties) {
      if ($property.Value -is [array]) {
        $row[$property.Name] = @($property.Value | ForEach-Object { Format-Value $_ })
      } else {
        $row[$property.Name] = Format-Value $property.Value
      }
    }
    [Console]::Out.WriteLine((ConvertTo-Json -Compress -InputObject $row))
  }
  [Console]::Out.WriteLine('${END}')
} catch {
  [Console]::Error.WriteLine('${SAID}' + $_.Exception.Message)
  exit 1
}`;

/** Null where PowerShell cannot be had. */
async function askPowerShell(
  query: WqlQuery,
  env: Environment,
  limits: Limits,
): Promise<WindowsAnswer | null> {
  const result = await runProgram(
    windowsProgram(env, "WindowsPowerShell\\v1.0\\powershell.exe"),
    ["-NoLogo", "-NoProfile", "-NonInteractive", "-Command", SCRIPT],
    limits,
    // PowerShell 7 leaves a module path behind on which Windows' own PowerShell finds modules it cannot load.
    { ...env, PSModulePath: undefined, CER_WQL: formatWql(query) },
  );
  const lines = result.stdout.toString("utf8").split(/\r?\n/);
  const isWhole = lines.includes(END);
  if (result.end === "too much") return { ok: true, objects: parseJsonLines(lines.slice(0, -1)), cut: true };
  if (isWhole) return { ok: true, objects: parseJsonLines(lines), cut: false };
  const words = result.stderr.toString("utf8");
  if (words.startsWith(SAID))
    return { ok: false, reason: `WMI says: ${quote(words.slice(SAID.length).trim())}.` };
  return result.end === "exited" || result.end === "not started"
    ? null
    : unfinished("PowerShell", result, limits);
}

function unfinished(program: string, { end }: ProgramResult, { timeoutMs }: Limits): WindowsAnswer {
  const why = end === "timeout" ? `took more than ${timeoutMs} ms` : "was interrupted";
  return { ok: false, reason: `${program} ${why}.` };
}

function parseJsonLines(lines: readonly string[]): CimObject[] {
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as CimObject);
}

async function askWmic(query: WqlQuery, env: Environment, limits: Limits): Promise<WindowsAnswer> {
  const names =
    query.properties === "*" ? [] : [namesOf([...query.properties, ...propertiesOf(query.where)])];
  const args = ["path", query.className, "get", ...names, "/format:list"];
  const result = await runProgram(windowsProgram(env, "wbem\\wmic.exe"), args, limits, env);
  if (result.end === "not started")
    return { ok: false, reason: "Neither PowerShell nor wmic could be started, and WMI has no other door." };
  if (result.end !== "exited" && result.end !== "too much") return unfinished("wmic", result, limits);
  const words = decodeWmic(result.stderr).trim();
  if (result.end === "exited" && (result.exitCode !== 0 || /^Error/.test(words)))
    return { ok: false, reason: `wmic says: ${quote(words.replace(/\s+/g, " "))}.` };
  const isCut = result.end === "too much";
  const objects = parseWmicOutput(decodeWmic(result.stdout));
  return {
    ok: true,
    objects: (isCut ? objects.slice(0, -1) : objects).filter(predicateOf(query.where)),
    cut: isCut,
  };
}

function namesOf(names: readonly string[]): string {
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()].join(",");
}

/** wmic writes UTF-16 with a byte-order mark; Wine's leaves the mark out of its messages. */
function decodeWmic(bytes: Buffer): string {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes.length > 1 && bytes[1] === 0);
  return bytes.toString(isUtf16 ? "utf16le" : "latin1").replace(/^\ufeff/, "");
}

/**
 * What wmic prints: `Name=value` lines with empty lines between objects, or, from Wine's, which knows no list, a table
 * under a line of names. Everything is text there; an empty one is null.
 */
export function parseWmicOutput(text: string): CimObject[] {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return /^\w+=/.test(lines[0] ?? "") ? parseList(lines) : parseTable(lines);
}

/** An object begins where the first name comes again. */
function parseList(lines: readonly string[]): CimObject[] {
  const objects: Record<string, CimValue>[] = [];
  for (const line of lines) {
    const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    const last = objects.at(-1);
    if (name === "") continue;
    if (last === undefined || Object.hasOwn(last, name)) objects.push({ [name]: parseWmicValue(value) });
    else last[name] = parseWmicValue(value);
  }
  return objects;
}

function parseTable([header = "", ...lines]: readonly string[]): CimObject[] {
  const columns = [...header.matchAll(/\S+/g)].map((match) => ({ name: match[0], start: match.index }));
  return lines.map((line) =>
    Object.fromEntries(
      columns.map(({ name, start }, index) => [
        name,
        parseWmicValue(line.slice(start, columns[index + 1]?.start).trim()),
      ]),
    ),
  );
}

function parseWmicValue(text: string): CimValue {
  const value = text.trim();
  if (/^(TRUE|FALSE)$/.test(value)) return value === "TRUE";
  return value === "" ? null : value;
}
