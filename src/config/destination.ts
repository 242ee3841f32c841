/** Where a report goes: the server that the settings name, as one origin and one path. Hides how people write addresses. */

import { isIPv6 } from "node:net";
import { asCerError, CerError, EXIT, exitCodeOf, type Leniency } from "../errors.ts";
import { formatUrl, type Origin } from "../wire/exchange.ts";
import { parsePort, type Settings, type Source, type TargetKey } from "./settings.ts";

/** [MS-CER2] 3.1.3. */
export const DEFAULT_PORT = 1273;
/** The level 1 path, which only the examples give ([MS-CER2] 4.1-4.4). */
const DEFAULT_PATH = "/stage2.htm";

/** Where level 1 goes; level 2 goes to the same origin. */
export type Destination = {
  readonly origin: Origin;
  /** Percent-encoded, absolute. */
  readonly path: string;
  /** The source that named the server. */
  readonly from: string;
};

/** Where a report goes; or, as it can wait until that is known, why it is not. */
export type Target =
  | { readonly destination: Destination; readonly noServer: null }
  | { readonly destination: null; readonly noServer: CerError };

/** As resolveDestination. @throws CerError as it does, when strict */
export function findTarget(sources: readonly Source[], leniency: Leniency): Target {
  try {
    return { destination: resolveDestination(sources, leniency), noServer: null };
  } catch (thrown) {
    const fault = asCerError(thrown);
    if (leniency.isStrict || exitCodeOf(fault.code) !== EXIT.invalid) throw fault;
    return { destination: null, noServer: fault };
  }
}

/**
 * The destination that the sources name, the strongest first. A port or scheme inside a server's address counts only
 * when that server is the one chosen. A user name and a password in the address are dropped, and told.
 * @throws CerError CER_NO_SERVER, CER_BAD_SERVER; CER_CONFIG of a variable that makes no sense
 */
export function resolveDestination(sources: readonly Source[], leniency: Leniency): Destination {
  const chosen = sources.find(({ settings, bad }) => settings.server ?? bad?.server);
  if (chosen?.bad?.server !== undefined) throw chosen.bad.server;
  if (chosen?.settings.server === undefined)
    throw new CerError("CER_NO_SERVER", "No CER server is set; nothing was sent.", {
      hint: 'Set one with --server HOST, with the environment variable CER_SERVER=HOST, or with {"server": "HOST"} in a configuration file (--config FILE).',
    });
  const address = parseServer(chosen.settings.server, chosen.name, leniency);
  const strongest = <K extends TargetKey>(key: K, inAddress: Settings[K] | undefined) => {
    for (const source of sources) {
      const set = source.settings[key];
      const embedded = source === chosen ? inAddress : undefined;
      if (set !== undefined && embedded !== undefined && set !== embedded)
        throw new CerError(
          "CER_BAD_SERVER",
          `There are two values for ${key} from ${source.name}: ${embedded} and ${set}.`,
          { hint: `Leave the ${key} out of the server's address or out of the other setting.` },
        );
      if (set !== undefined || embedded !== undefined) return set ?? embedded;
      if (source.bad?.[key] !== undefined) throw source.bad[key];
    }
    return undefined;
  };
  const https = strongest("https", address.https) === true;
  const path = strongest("path", undefined) ?? DEFAULT_PATH;
  return {
    origin: {
      scheme: https ? "https" : "http",
      host: address.host,
      port: strongest("port", address.port) ?? DEFAULT_PORT,
    },
    path: joinPath(address.prefix, path),
    from: chosen.name,
  };
}

/** Characters of a name that DNS knows (RFC 1035, 2.3.4). */
const MAX_HOST = 253;

type ServerAddress = { host: string; port: number | undefined; https: boolean | undefined; prefix: string };

/** HOST, HOST:PORT or http(s)://HOST[:PORT][/PREFIX]. Not with the URL class, which hides :80 and :443. */
function parseServer(written: string, from: string, leniency: Leniency): ServerAddress {
  const text = dropCredentials(written, from, leniency);
  const refuse = (why: string): never => {
    throw new CerError("CER_BAD_SERVER", `The server "${text}" (${from}) ${why}.`, {
      hint: "Write HOST, HOST:PORT, or http(s)://HOST[:PORT][/PREFIX].",
    });
  };
  const parts = /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?<authority>[^/?#\\]*)(?<prefix>.*)$/is.exec(
    text.trim(),
  );
  const { scheme, authority = "", prefix = "" } = parts?.groups ?? {};
  if (scheme !== undefined && !/^https?$/i.test(scheme))
    refuse(`has the scheme ${scheme}, not http or https`);
  if (/[?#\\]/.test(prefix)) refuse("holds more than a path after the host");
  if (scheme === undefined && prefix !== "" && prefix !== "/")
    refuse("has a path but no http:// or https://");
  if (isBareIPv6(authority))
    refuse("has an IPv6 address without brackets; write [ADDRESS] or [ADDRESS]:PORT");
  const place = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<name>[\p{L}\p{M}\p{N}_.-]+))(?::(?<port>.*))?$/iu.exec(
    authority,
  );
  const { v6, name, port } = place?.groups ?? {};
  const host = v6 ?? name ?? refuse("names no host");
  if (
    (v6 !== undefined && !isIPv6(v6)) ||
    host.length > MAX_HOST ||
    !URL.canParse(formatUrl({ scheme: "http", host, port: DEFAULT_PORT }, ""))
  )
    refuse("has a host that is neither a name nor an address");
  return {
    host,
    port: port === undefined ? undefined : parsePort(port, `The port of the server "${text}"`),
    https: scheme === undefined ? undefined : /^https$/i.test(scheme),
    prefix: prefix.replace(/\/+$/, ""),
  };
}

/**
 * Nothing of them is shown or kept. The last `@` before the path counts: a password may hold one.
 * @throws CerError CER_BAD_SERVER, without the text, for an `@` elsewhere: a password may hold a slash, too
 */
function dropCredentials(text: string, from: string, leniency: Leniency): string {
  if (!text.includes("@")) return text;
  const hint = "Write HOST, HOST:PORT, or http(s)://HOST[:PORT][/PREFIX].";
  const [, scheme = "", rest] = /^((?:[a-z][a-z0-9+.-]*:\/\/)?)[^/]*@([^@]*)$/is.exec(text.trim()) ?? [];
  if (rest === undefined)
    throw new CerError("CER_BAD_SERVER", `The server (${from}) holds an "@" where none can be.`, { hint });
  const bare = `${scheme}${rest}`;
  leniency.tolerate(
    new CerError("CER_BAD_SERVER", `The server "${bare}" (${from}) was given with a user name or password.`, {
      hint,
    }),
    "They are not used, and not kept.",
  );
  return bare;
}

/** Whether the text is an IPv6 address without brackets. Colons are looked for first: Node's pattern takes milliseconds to make. */
export function isBareIPv6(text: string): boolean {
  return /:.*:/.test(text) && isIPv6(text);
}

function joinPath(prefix: string, path: string): string {
  const whole = `${prefix}/${path.replace(/^\/+/, "")}`;
  if (/[\u0000-\u0020\u007f?#\\\p{Surrogate}]/u.test(whole))
    throw new CerError(
      "CER_BAD_SERVER",
      `The path ${JSON.stringify(whole)} holds a character that a path cannot.`,
      { hint: "Percent-encode it." },
    );
  return encodeURI(whole).replaceAll(/%25(?=[0-9a-f]{2})/gi, "%");
}
