/** Why requests and connections are refused or ended. */
const REFUSED = [
  'no-key',
  'wrong-key',
  'wrong-keys-limit',
  'sign-in',
  'cross-site',
  'role',
  'tls-handshake',
  'key-rate',
  'address-rate',
  'connections',
  'web-sockets',
  'no-tls',
  'concurrency',
  'streams',
  'stream-gave-way',
  'timeout',
  'not-http',
  'pipelined',
  'headers-too-large',
  'body-too-large',
  'body-not-ended',
  'content-encoding',
  'nesting',
  'memory',
] as const;

export type Refused = (typeof REFUSED)[number];

/** Counts what the HTTP listener refused since its start, by reason. */
export interface Refusals {
  count(reason: Refused): void;
  counts(): Readonly<Record<Refused, number>>;
}

export function createRefusals(): Refusals {
  const counts = Object.fromEntries(REFUSED.map((reason) => [reason, 0])) as Record<Refused, number>;
  return {
    count: (reason) => void counts[reason]++,
    counts: () => ({ ...counts }),
  };
}
