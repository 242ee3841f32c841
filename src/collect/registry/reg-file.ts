/**
 * The text of a .reg file, as `reg export` writes it and `reg import` reads it: "Windows Registry Editor Version
 * 5.00", sections in brackets, values of every type. Pure.
 */

export type RegistrySection = {
  /** The key's whole path, as the file writes it. */
  readonly key: string;
  readonly values: readonly RegistryValue[];
};

type RegistryValue = {
  /** "" for the key's default value. */
  readonly name: string;
  /** The value as the file has it, name, `=` and data, with its continuation lines. */
  readonly text: string;
};

const HEADER = "Windows Registry Editor Version 5.00";

/**
 * Reads what `reg export` wrote: UTF-16LE. A text that ends too early, because its writer was stopped, gives what it
 * holds whole: the last value or heading is dropped when nothing follows it.
 * @param isWhole the writer came to its end
 */
export function parseRegistryText(bytes: Buffer, isWhole: boolean): RegistrySection[] {
  const text = bytes.toString("utf16le").replace(/^\ufeff/, "");
  const lines = isWhole ? text : text.slice(0, text.lastIndexOf("\r\n") + 2);
  const sections: { key: string; values: RegistryValue[] }[] = [];
  for (const { groups = {} } of lines.matchAll(ITEM)) {
    const { key, name, data } = groups;
    if (key !== undefined) sections.push({ key, values: [] });
    else if (name !== undefined && data !== undefined && !data.endsWith("\n"))
      sections.at(-1)?.values.push({ name: unquote(name), text: `${name}=${onOneLine(data)}` });
  }
  return sections;
}

/** A heading, or a value: a string may run over lines, other data go on after a back-slash. */
const ITEM = new RegExp(
  [
    /^\[(?<key>[^\r\n]+)\]\r?$/,
    /^(?<name>@|"(?:[^"\\]|\\.)*")=(?<data>"(?:[^"\\]|\\.)*"|(?:[^"\r\n](?:[^\r\n\\]|\\(?!\r?\n)|\\\r?\n)*))\r?$/,
  ]
    .map((part) => part.source)
    .join("|"),
  "gms",
);

function unquote(name: string): string {
  return name === "@" ? "" : name.slice(1, -1).replace(/\\(.)/gs, "$1");
}

/** A string that holds a line end, which import would break off there, becomes hex(1): the same bytes. */
function onOneLine(data: string): string {
  if (!data.startsWith('"') || !/[\r\n\0]/.test(data)) return data;
  const bytes = Buffer.from(`${unquote(data)}\0`, "utf16le");
  return `hex(1):${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(",")}`;
}

/**
 * A .reg file: UTF-16LE with a byte-order mark, CRLF. Values that would make it longer than `maxBytes` are left out,
 * from the first such value on, and `isCut` says so.
 * @param comment one line at the top; "" for none
 */
export function encodeRegistryFile(
  sections: readonly RegistrySection[],
  comment: string,
  { maxBytes }: { readonly maxBytes: number },
): { body: Buffer; isCut: boolean } {
  const lines: string[] = [`\ufeff${HEADER}\r\n`, ...(comment === "" ? [] : [`; ${comment}\r\n`])];
  let room = maxBytes - lines.reduce((sum, line) => sum + line.length * 2, 0);
  const add = (line: string) => {
    room -= line.length * 2;
    if (room >= 0) lines.push(line);
    return room >= 0;
  };
  const isWhole = sections.every(
    ({ key, values }) => add(`\r\n[${key}]\r\n`) && values.every(({ text }) => add(`${text}\r\n`)),
  );
  return { body: Buffer.from(lines.join(""), "utf16le"), isCut: !isWhole };
}
