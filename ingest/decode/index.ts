import { chirpstack } from './chirpstack.ts';
import type { Format } from './format.ts';
import { native } from './native.ts';
import { senmlCbor } from './senml-cbor.ts';
import { senmlJson } from './senml-json.ts';
import { sensorCommunity } from './sensor-community.ts';
import { thingsStack } from './things-stack.ts';

export type { Decoded, Format, RawReading } from './format.ts';

/** The format of each `devices/{id}/{last level}`. */
const DEVICE_TOPICS: ReadonlyMap<string, Format> = new Map([
  ['readings', native],
  ['senml', senmlJson],
  ['senml-cbor', senmlCbor],
  ['sensor-community', sensorCommunity],
]);

const CHIRPSTACK = /^application\/[^/]+\/device\/([^/]+)\/event\/up$/;
const THINGS_STACK = /^v3\/[^/]+\/devices\/[^/]+\/up$/;

/**
 * Returns the device and the format of a topic; the format is null where none is known for the topic. LoRaWAN devices
 * have
 * their DevEUI in lower-case hex as id. Where the format has a `deviceOf`, only the payload names the device, and
 * `device`
 * is the network server's key.
 */
export function formatOf(identity: string, topic: string): { device: string; format: Format | null } {
  const [root, device, leaf, more] = topic.split('/', 4);
  if (root === 'devices' && device !== undefined && leaf !== undefined && more === undefined) {
    return { device, format: DEVICE_TOPICS.get(leaf) ?? null };
  }
  const eui = CHIRPSTACK.exec(topic)?.[1];
  if (eui !== undefined) return { device: eui.toLowerCase(), format: chirpstack };
  return { device: identity, format: THINGS_STACK.test(topic) ? thingsStack : null };
}
