/**
 * Win32_Product, Win32_QuickFixEngineering and Win32_Service on Linux, from whoever keeps the list there: dpkg, rpm or
 * apk, and systemd. Hides which of them a system has.
 */

import { runProgram } from "../../../system/run-program.ts";
import type { CimValue } from "../../../wql/match.ts";
import type { ObjectOf, ObjectsOf } from "../cim/classes.ts";
import { type LinuxSource, parseFields, parseWhole } from "./tree.ts";

/** Of a list that a program prints; a system with 5,000 packages has 1 MiB of them. */
const MAX_OUTPUT_BYTES = 16 * 1_048_576;

const DPKG_FIELDS = [
  "db:Status-Status",
  "binary:Package",
  "Package",
  "Version",
  "Maintainer",
  "binary:Summary",
];

/** Who lists packages, each as one line: status, full name, name, version, vendor, summary, tabs between them. */
const PACKAGE_LISTS = [
  {
    program: "/usr/bin/dpkg-query",
    args: ["--show", `--showformat=${DPKG_FIELDS.map((field) => `\${${field}}`).join("\\t")}\\n`],
  },
  {
    program: "/usr/bin/rpm",
    args: [
      "--query",
      "--all",
      "--queryformat=installed\\t%{NAME}.%{ARCH}\\t%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{VENDOR}\\t%{SUMMARY}\\n",
    ],
  },
] as const;

/** The packages that are installed. IdentifyingNumber is the name that tells two architectures apart. */
export async function readProducts(source: LinuxSource): ObjectsOf<"Win32_Product"> {
  for (const { program, args } of PACKAGE_LISTS) {
    const text = await outputOf(program, args, source);
    if (text !== "") return parsePackages(text);
  }
  return (await source.tree.text("lib/apk/db/installed")).split("\n\n").flatMap(parseApk);
}

/** What a program prints; "" where it is not installed. Half a list is none. */
async function outputOf(program: string, args: readonly string[], source: LinuxSource): Promise<string> {
  if (!(await source.tree.has(program))) return "";
  const { signal, timeoutMs } = source;
  const { end, stdout } = await runProgram(program, args, { signal, timeoutMs, maxBytes: MAX_OUTPUT_BYTES });
  if (end !== "exited") throw new Error(`${program} did not come to its end`);
  return stdout.toString("utf8");
}

/** Lines as PACKAGE_LISTS describes them; what is not installed is left out. */
export function parsePackages(text: string): ObjectOf<"Win32_Product">[] {
  return text.split("\n").flatMap(parsePackage);
}

function parsePackage(line: string): ObjectOf<"Win32_Product">[] {
  const [status, ...columns] = line.split("\t").map(knownText);
  return status === "installed" ? product(columns) : [];
}

function knownText(text: string): string | null {
  return text === "" || text === "(none)" ? null : text;
}

/** apk's database: one block per package, one letter per field. */
function parseApk(block: string): ObjectOf<"Win32_Product">[] {
  const fields = parseFields(block, ":");
  return product(["P", "P", "V", "m", "T"].map((letter) => fields.get(letter)));
}

/** Of full name, name, version, vendor and summary; none without the names. */
function product(columns: readonly (string | null | undefined)[]): ObjectOf<"Win32_Product">[] {
  const [id, name, version = null, vendor = null, summary = null] = columns;
  if (id == null || name == null) return [];
  return [
    {
      Caption: name,
      Description: summary,
      IdentifyingNumber: id,
      Name: name,
      Vendor: vendor,
      Version: version,
    },
  ];
}

/** The updates that dpkg remembers: each "upgrade" of its log, as a fix. */
export async function readFixes({ tree, hostName }: LinuxSource): ObjectsOf<"Win32_QuickFixEngineering"> {
  const logs = await Promise.all(["var/log/dpkg.log.1", "var/log/dpkg.log"].map((path) => tree.text(path)));
  return logs
    .join("\n")
    .split("\n")
    .flatMap((line) => {
      const [, year, month, day, name, version] =
        /^(\d{4})-(\d\d)-(\d\d) \S+ upgrade (\S+) \S+ (\S+)$/.exec(line) ?? [];
      if (name === undefined) return [];
      const InstalledOn = `${Number(month)}/${Number(day)}/${year}`;
      return [
        {
          Caption: name,
          CSName: hostName,
          Description: "Update",
          HotFixID: `${name} ${version}`,
          InstalledOn,
        },
      ];
    });
}

const SERVICE_PROPERTIES = "Id,Description,LoadState,ActiveState,UnitFileState,MainPID";

/** The services systemd has loaded. */
export async function readServices(source: LinuxSource): ObjectsOf<"Win32_Service"> {
  const args = ["show", "*.service", "--all", "--no-pager", `--property=${SERVICE_PROPERTIES}`];
  return parseServices(await outputOf("/usr/bin/systemctl", args, source), source.hostName);
}

/** What `systemctl show` prints: a block of `Name=value` lines per unit, an empty line between two. */
export function parseServices(text: string, hostName: string): ObjectOf<"Win32_Service">[] {
  return text.split("\n\n").flatMap((block) => parseService(parseFields(block, "="), hostName));
}

const STATES: Readonly<Record<string, string>> = {
  active: "Running",
  reloading: "Running",
  inactive: "Stopped",
  failed: "Stopped",
  activating: "Start Pending",
  deactivating: "Stop Pending",
};

/** What systemd starts by itself, what others start, and what nobody may start. */
const START_MODES: Readonly<Record<string, string>> = {
  enabled: "Auto",
  "enabled-runtime": "Auto",
  disabled: "Manual",
  static: "Manual",
  indirect: "Manual",
  masked: "Disabled",
  "masked-runtime": "Disabled",
};

function parseService(unit: ReadonlyMap<string, string>, hostName: string): ObjectOf<"Win32_Service">[] {
  const name = unit.get("Id")?.replace(/\.service$/, "");
  if (name === undefined || unit.get("LoadState") === "not-found") return [];
  const description: CimValue = unit.get("Description") || null;
  const state = STATES[unit.get("ActiveState") ?? ""] ?? null;
  return [
    {
      Caption: description,
      Description: description,
      DisplayName: description,
      Name: name,
      ProcessId: parseWhole(unit.get("MainPID")),
      Started: state === null ? null : state === "Running",
      StartMode: START_MODES[unit.get("UnitFileState") ?? ""] ?? null,
      State: state,
      SystemName: hostName,
    },
  ];
}
