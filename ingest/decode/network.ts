import type { NetworkPath } from '../../domain/index.ts';
import type { Decoded, Past } from './format.ts';

const NETWORK = 'network';

/**
 * Says where the network server takes downlinks of a device, where that, or its hardware, is another than before: with
 * every uplink it would be a change of the state. `end`: what of the topic is behind the device.
 */
export function networkOf(past: Past | null, server: NetworkPath['server'], end: string): Pick<Decoded, 'said'> {
  if (past === null || !past.topic.endsWith(end)) return {};
  const hardware = past.devEui === undefined ? {} : { devEui: past.devEui };
  const network: NetworkPath = { server, path: past.topic.slice(0, -end.length), key: past.identity, ...hardware };
  const known = past.recall(past.device, NETWORK);
  if (known !== null && !known.isNew && isSame(known.body as NetworkPath, network)) return {};
  if (!past.learn(NETWORK, network)) return {};
  return { said: (device) => ({ device, network }) };
}

function isSame(one: NetworkPath, other: NetworkPath): boolean {
  return one.server === other.server && one.path === other.path && one.key === other.key && one.devEui === other.devEui;
}
