/** Win32_NetworkAdapterConfiguration on Linux: the interfaces, their addresses, and the way out. */

import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import type { ObjectOf } from "../cim/classes.ts";
import { parseWhole, type SystemTree } from "./tree.ts";

/** One object per interface but the loopback's; the name servers are the whole system's, under each that is in use. */
export async function readAdapters(
  tree: SystemTree,
  host: { readonly hostName: string },
): Promise<ObjectOf<"Win32_NetworkAdapterConfiguration">[]> {
  const names = (await tree.names("sys/class/net")).filter((name) => name !== "lo");
  const [dns, gateways] = await Promise.all([readDns(tree), readGateways(tree)]);
  return Promise.all(
    names.map(async (name, index) => {
      const at = `sys/class/net/${name}`;
      const [ifIndex, mtu, mac] = await Promise.all([
        tree.text(`${at}/ifindex`).then(parseWhole),
        tree.text(`${at}/mtu`).then(parseWhole),
        tree.text(`${at}/address`),
      ]);
      const addresses = networkInterfaces()[name] ?? [];
      const isEnabled = addresses.length > 0;
      return {
        Caption: name,
        DefaultIPGateway: listOrNull(
          gateways.filter((gateway) => gateway.name === name).map(({ address }) => address),
        ),
        Description: name,
        DNSDomain: isEnabled ? dns.domain : null,
        DNSDomainSuffixSearchOrder: isEnabled ? listOrNull(dns.search) : null,
        DNSHostName: isEnabled ? host.hostName : null,
        DNSServerSearchOrder: isEnabled ? listOrNull(dns.servers) : null,
        Index: index,
        InterfaceIndex: ifIndex,
        IPAddress: listOrNull(addresses.map(({ address }) => address)),
        IPEnabled: isEnabled,
        IPSubnet: listOrNull(addresses.map(subnetOf)),
        MACAddress: mac === "" || /^[0:]+$/.test(mac) ? null : mac.toUpperCase(),
        MTU: mtu,
      };
    }),
  );
}

function listOrNull(items: readonly string[]): readonly string[] | null {
  return items.length === 0 ? null : items;
}

/** A mask for IPv4, the length of the prefix for IPv6, as WMI has it. */
function subnetOf({ family, netmask, cidr }: NetworkInterfaceInfo): string {
  return family === "IPv4" ? netmask : (cidr?.split("/")[1] ?? "");
}

type Dns = { readonly servers: string[]; readonly search: string[]; readonly domain: string | null };

async function readDns(tree: SystemTree): Promise<Dns> {
  const lines = (await tree.text("etc/resolv.conf")).split("\n").map((line) => line.trim().split(/\s+/));
  const of = (keyword: string) => lines.filter(([first]) => first === keyword);
  return {
    servers: of("nameserver").flatMap(([, server]) => server ?? []),
    search: of("search").at(-1)?.slice(1) ?? [],
    domain: of("domain").at(-1)?.[1] ?? null,
  };
}

type Gateway = { readonly name: string; readonly address: string };

async function readGateways(tree: SystemTree): Promise<Gateway[]> {
  const [ipv4, ipv6] = await Promise.all([tree.text("proc/net/route"), tree.text("proc/net/ipv6_route")]);
  return [...ipv4.split("\n").flatMap(parseIpv4Route), ...ipv6.split("\n").flatMap(parseIpv6Route)];
}

/** `eth0 00000000 0101A8C0 …`: the bytes of an address backwards. */
function parseIpv4Route(line: string): Gateway[] {
  const [name = "", destination, gateway = "", , , , , mask] = line.trim().split(/\s+/);
  if (destination !== "00000000" || mask !== "00000000" || !/^(?!0{8})[0-9A-F]{8}$/.test(gateway)) return [];
  return [{ name, address: [...Buffer.from(gateway, "hex")].reverse().join(".") }];
}

/** Destination, its prefix's length, source, its prefix's length, next hop, …, name. */
function parseIpv6Route(line: string): Gateway[] {
  const [destination, prefix, , , hop = "", , , , , name = ""] = line.trim().split(/\s+/);
  if (destination !== "0".repeat(32) || prefix !== "00" || !/^(?!0{32})[0-9a-f]{32}$/.test(hop)) return [];
  const address = new URL(`http://[${hop.match(/.{4}/g)?.join(":")}]`).hostname;
  return [{ name, address: address.slice(1, -1) }];
}
