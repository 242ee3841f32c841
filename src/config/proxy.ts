/** The proxy that the environment names for an origin, by curl's rules. */

import { CerError } from "../errors.ts";
import type { Origin } from "../wire/exchange.ts";
import { isBareIPv6 } from "./destination.ts";

/**
 * The proxy for an origin, as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say in either case; null for none. The
 * rules are curl's: the package that offers them takes a proxy without a scheme for one that speaks TLS, and a NO_PROXY
 * entry for that one host only.
 * @throws CerError CER_CONFIG for a proxy address that is none
 */
export function proxyFor(origin: Origin, env: NodeJS.ProcessEnv): string | null {
  const names = [`${origin.scheme}_proxy`, "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  const proxy = names.map((name) => env[name]).find((value) => value);
  if (proxy === undefined || isExempt(origin, env["no_proxy"] ?? env["NO_PROXY"] ?? "")) return null;
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw new CerError(
    "CER_CONFIG",
    "The proxy's address in the environment is not an http or https address.",
    { hint: `Look at ${names.join(", ")}.` },
  );
}

/** NO_PROXY: host names and their subdomains, with or without a leading dot or `*.`, each perhaps with a port; `*`. */
function isExempt({ host, port }: Origin, noProxy: string): boolean {
  const name = host.toLowerCase();
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === "*") return true;
      if (isBareIPv6(entry)) return name === entry;
      const [, pattern = "", only] = /^(?:\*?\.)?(.*?)(?::([0-9]+))?$/.exec(entry) ?? [];
      const bare = pattern.replace(/^\[|\]$/g, "");
      return (only === undefined || Number(only) === port) && (name === bare || name.endsWith(`.${bare}`));
    });
}
