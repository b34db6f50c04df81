import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Addresses that are not of the public internet: IANA's special-purpose registries (RFC 6890), and multicast. */
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
/** Of version 6 only 2000::/3 is public, and of that not these: among them tunnels that can lead to a private address. */
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

/** Whether an address is private, loopback, link-local or of no use; also where it is IPv4 mapped into IPv6. */
export function isPrivateAddress(address: string): boolean {
  if (isIP(address) === 4) return listed.check(address, 'ipv4');
  const [bare] = address.split('%');
  const mapped = mappedOf(bare!);
  if (mapped !== null) return listed.check(mapped, 'ipv4');
  return !global6.check(bare!, 'ipv6') || listed.check(bare!, 'ipv6');
}

/** `::ffff:a.b.c.d`, however it is written; null where it is none. */
function mappedOf(address: string): string | null {
  const written = new URL(`http://[${address}]/`).hostname;
  const match = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(written);
  if (match === null) return null;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The literal address in a URL's host, without brackets; null where the host is a name. */
export function literalOf({ hostname }: URL): string | null {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? null : bare;
}

/** The error of a connection that was not made because of its address. */
export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError';
}

/**
 * Looks names up and answers public addresses only. A socket connects to what its lookup answered, so that a name
 * that resolves to something else the second time (DNS rebinding) gains nothing.
 */
export const publicLookup = guardedLookup(lookup);

/** The same over another resolver. */
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
      // Node asks for all or for one.
      if (options.all === true) callback(null, addresses as never);
      else callback(null, first.address, first.family);
    });
  };
}
