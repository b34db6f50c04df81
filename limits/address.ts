import { BlockList, isIP, isIPv6 } from 'node:net';
import { LamppostError } from '../domain/index.ts';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Groups of 16 bits in the prefix of one customer. */
const PREFIX_GROUPS = 4;

/**
 * Returns what an IP address is counted as: IPv4 as it is, also where it is mapped into IPv6 (RFC 4291 §2.5.5.2), IPv6
 * by its /64, which one customer has (RFC 6177). Any other text is counted as it is.
 */
export function sourceOf(address: string): string {
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [plain] = address.split('%', 1) as [string];
  if (!isIPv6(plain)) return address;
  return `${groupsOf(plain).slice(0, PREFIX_GROUPS).join(':')}::/64`;
}

/** Returns the groups of an IPv6 address without leading zeros, those that `::` stands for included. */
function groupsOf(address: string): string[] {
  const [head, tail] = address.split('::') as [string, string?];
  const groups = (text: string | undefined) =>
    (text ?? '')
      .split(':')
      .filter((group) => group !== '')
      .map((group) => (group.includes('.') ? group : Number.parseInt(group, 16).toString(16)));
  const [first, last] = [groups(head), groups(tail)];
  // An IPv4 tail stands for two groups; it never reaches the prefix.
  return [...first, ...Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0'), ...last];
}

/** The proxies whose word about a client's address is believed. */
export interface TrustedProxies {
  trusts(address: string): boolean;
}

/**
 * Returns the proxies of a list such as `10.0.0.1, 192.168.0.0/16, fd00::/8`; an empty list trusts nobody. Throws
 * `config` where an entry is neither an address nor a CIDR.
 */
export function createTrustedProxies(text: string): TrustedProxies {
  const list = new BlockList();
  const entries = text.split(',').map((entry) => entry.trim());
  for (const entry of entries) if (entry !== '') add(list, entry);
  return {
    trusts(address) {
      const plain = MAPPED.exec(address)?.[1] ?? address.split('%', 1)[0]!;
      const family = isIP(plain);
      return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
    },
  };
}

function add(list: BlockList, entry: string): void {
  const [address, bits, ...more] = entry.split('/') as [string, string?, ...string[]];
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const prefix = bits === undefined ? most : /^\d+$/.test(bits) ? Number(bits) : Number.NaN;
  if (family === 0 || more.length > 0 || !(prefix <= most))
    throw new LamppostError('config', `"${entry}" is neither an IP address nor a CIDR such as 10.0.0.0/8`);
  list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
}
