/** The proxy that the environment names for an origin, by curl's rules. */

import type { Origin } from "../wire/exchange.ts";
import { isBareIPv6 } from "./destination.ts";

export type Proxy = {
  /** http(s)://[user:password@]host:port; null to connect directly. */
  readonly address: string | null;
  /** A sentence for each variable that was passed over, without what it holds: there may be a password in it. */
  readonly passedOver: readonly string[];
};

/**
 * The proxy for an origin, as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say in either case. The rules are curl's:
 * the package that offers them takes a proxy without a scheme for one that speaks TLS, and a NO_PROXY entry for that one
 * host only. A variable whose address cannot be used, as a SOCKS proxy's that was set for browsers, is passed over.
 */
export function proxyFor(origin: Origin, env: NodeJS.ProcessEnv): Proxy {
  const names = [`${origin.scheme}_proxy`, "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  const passedOver: string[] = [];
  if (isExempt(origin, env["no_proxy"] ?? env["NO_PROXY"] ?? "")) return { address: null, passedOver };
  for (const name of names) {
    const word = env[name];
    if (!word) continue;
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(word)?.[1] ?? null;
    const address = scheme === null ? `http://${word}` : word;
    if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return { address, passedOver };
    const isHttp = scheme === null || /^https?$/i.test(scheme);
    const what = isHttp ? "no address of a proxy" : `a proxy by ${scheme}://, which cer cannot use`;
    passedOver.push(`The variable ${name} holds ${what}; it is passed over.`);
  }
  return { address: null, passedOver };
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
