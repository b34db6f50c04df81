import type { Rejection } from '../../domain/index.ts';
import { chirpstack } from './chirpstack.ts';
import type { Decoded, Format } from './format.ts';
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
 * have their DevEUI in lower-case hex as id. Where the format has a `deviceOf`, only the payload names the device, and
 * `device` is the network server's key.
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

/** Values and faults of one message. A message of 256 KiB has as many only where each takes less than eight bytes. */
const MOST_PARTS = 32_768;

/**
 * Decodes a payload of a format. Returns a rejection where nothing of it can be read, and where it has more than 32,768
 * values and faults.
 */
export function decodePayload(format: Format, payload: Buffer, receivedAt: number): Decoded | Rejection {
  const decoded = format.decode(payload, receivedAt);
  // A value or fault takes two bytes at the least, so most messages need not be counted.
  if ('reason' in decoded || payload.length <= MOST_PARTS || partsOf(decoded) <= MOST_PARTS) return decoded;
  const detail = `more than ${MOST_PARTS} values and faults in one message; send them in several`;
  return { reason: 'wrong-shape', path: '$', detail };
}

function partsOf({ readings, rejections }: Decoded): number {
  let parts = rejections.length;
  for (const { metrics } of readings) for (const _ in metrics) parts++;
  return parts;
}
