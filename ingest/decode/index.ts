import { chirpstack } from './chirpstack.ts';
import type { Format } from './format.ts';
import { native } from './native.ts';
import { senmlCbor } from './senml-cbor.ts';
import { senmlJson } from './senml-json.ts';
import { sensorCommunity } from './sensor-community.ts';
import { thingsStack } from './things-stack.ts';

export type { Decoded, Format, RawReading } from './format.ts';

/** From the last level of `devices/{id}/…` to the format that is spoken there. */
const DEVICE_TOPICS: Readonly<Record<string, Format>> = {
  __proto__: null as never,
  readings: native,
  senml: senmlJson,
  'senml-cbor': senmlCbor,
  'sensor-community': sensorCommunity,
};

const CHIRPSTACK = /^application\/[^/]+\/device\/([^/]+)\/event\/up$/;
const THINGS_STACK = /^v3\/[^/]+\/devices\/[^/]+\/up$/;

/**
 * Which device a topic speaks of, and in which format; the format is null where none is known for the topic. LoRaWAN
 * devices are known by their DevEUI in lower-case hex; where the format has a `deviceOf`, only the payload names it,
 * and `device` is the network server's key.
 */
export function formatOf(identity: string, topic: string): { device: string; format: Format | null } {
  const [root, device, leaf, more] = topic.split('/', 4);
  if (root === 'devices' && device !== undefined && leaf !== undefined && more === undefined) {
    return { device, format: DEVICE_TOPICS[leaf] ?? null };
  }
  const eui = CHIRPSTACK.exec(topic)?.[1];
  if (eui !== undefined) return { device: eui.toLowerCase(), format: chirpstack };
  return { device: identity, format: THINGS_STACK.test(topic) ? thingsStack : null };
}
