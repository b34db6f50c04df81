import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { LamppostError } from '../domain/index.ts';

/** Address ranges outside the public internet: IANA's special-purpose registries (RFC 6890), and multicast. */
const V4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
/** In IPv6 only 2000::/3 is public, without these: among them tunnels that can lead to a private address. */
const V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const listed = new BlockList();
for (const [type, nets] of [
  ['ipv4', V4],
  ['ipv6', V6],
] as const) {
  for (const net of nets) {
    const [address, bits] = net.split('/');
    listed.addSubnet(address!, Number(bits), type);
  }
}
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');

/** Reports whether an address is private, loopback, link-local or reserved, also as IPv4 mapped into IPv6. */
export function isPrivateAddress(address: string): boolean {
  if (isIP(address) === 4) return listed.check(address, 'ipv4');
  const [bare] = address.split('%');
  const mapped = mappedOf(bare!);
  if (mapped !== null) return listed.check(mapped, 'ipv4');
  return !global6.check(bare!, 'ipv6') || listed.check(bare!, 'ipv6');
}

/** Returns the IPv4 address of `::ffff:a.b.c.d` in any notation; null for other addresses. */
function mappedOf(address: string): string | null {
  const written = new URL(`http://[${address}]/`).hostname;
  const match = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(written);
  if (match === null) return null;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** Returns the literal address of a URL's host, without brackets; null where the host is a name. */
export function literalOf({ hostname }: URL): string | null {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? null : bare;
}

/** Throws `invalid` for a URL with a private address, unless these are allowed; names are looked up when connecting. */
export function refusePrivate(url: string, allowPrivate: boolean): void {
  const literal = literalOf(new URL(url));
  if (allowPrivate || literal === null || !isPrivateAddress(literal)) return;
  const remedy = 'name a public host, or start Lamppost with WEBHOOK_ALLOW_PRIVATE=true';
  throw new LamppostError('invalid', `url: ${literal} is a private address: ${remedy}`);
}

/** Thrown for a connection that is refused because its address is private. */
export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError';
}

/**
 * Looks names up and returns public addresses only. The socket connects to the address of this lookup, so a name that
 * resolves to another address the second time (DNS rebinding) gains nothing.
 */
export const publicLookup = guardedLookup(lookup);

/** Returns such a lookup over a resolver. */
export function guardedLookup(resolve: typeof lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 0);
      const addresses = (found as LookupAddress[]).filter(({ address }) => !isPrivateAddress(address));
      const [first] = addresses;
      if (first === undefined) {
        const all = (found as LookupAddress[]).map(({ address }) => address).join(', ');
        return callback(new PrivateAddressError(`${hostname} resolves to ${all}`), '', 0);
      }
      // Node wants all addresses or one.
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
