import type { Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { chirpstackAck, thingsStackAck } from './acknowledgements.ts';
import { chirpstack } from './chirpstack.ts';
import { type DeclaredFormats, type Decoded, type Format, NO_FORMATS, type Past } from './format.ts';
import { native } from './native.ts';
import { reported, results } from './said.ts';
import { senmlCbor } from './senml-cbor.ts';
import { senmlJson } from './senml-json.ts';
import { sensorCommunity } from './sensor-community.ts';
import { thingsStack } from './things-stack.ts';

export {
  type DeclaredFormats,
  type Decoded,
  type Format,
  NO_FORMATS,
  type Past,
  type RawReading,
  readJson,
} from './format.ts';
export { native } from './native.ts';

/** The format of each `devices/{id}/{last level}`. */
const DEVICE_TOPICS: ReadonlyMap<string, Format> = new Map([
  ['readings', native],
  ['senml', senmlJson],
  ['senml-cbor', senmlCbor],
  ['sensor-community', sensorCommunity],
  ['results', results],
  ['reported', reported],
]);

const CHIRPSTACK = /^application\/[^/]+\/device\/([^/]+)\/event\/(up|ack)$/;
const THINGS_STACK = /^v3\/[^/]+\/devices\/[^/]+\/(?:up|(down\/(?:ack|nack|failed)))$/;

/**
 * Returns the device and the format of a topic; the format is null where none is known for the topic. `by`: the topic
 * names the device by its id, or by its hardware, such as a DevEUI in lower-case hex, or not: then `device` is the
 * sender. Where the format has a `deviceOf`, the payload names the device. `declared` are the city's own formats: on
 * their topics, on `devices/{id}/{format}`, and on `http/{format}`, where keys post what names its devices itself.
 */
export function formatOf(
  identity: string,
  topic: string,
  declared: DeclaredFormats = NO_FORMATS,
): { device: string; format: Format | null; by: 'id' | 'hardware' | 'sender' } {
  const [root, device, leaf, more, childLeaf, beyond] = topic.split('/', 6);
  // A gateway publishes for a device that it carries.
  if (root === 'devices' && leaf === 'children' && childLeaf !== undefined && beyond === undefined) {
    return ofId(more!, DEVICE_TOPICS.get(childLeaf) ?? declared.named(childLeaf));
  }
  if (root === 'devices' && device !== undefined && leaf !== undefined && more === undefined) {
    return ofId(device, DEVICE_TOPICS.get(leaf) ?? declared.named(leaf));
  }
  if (root === 'http' && device !== undefined && leaf === undefined) {
    return ofSender(identity, declared.named(device));
  }
  const [, eui, event] = CHIRPSTACK.exec(topic) ?? [];
  if (eui !== undefined) {
    return { device: eui.toLowerCase(), format: event === 'up' ? chirpstack : chirpstackAck, by: 'hardware' };
  }
  const ofThingsStack = THINGS_STACK.exec(topic);
  if (ofThingsStack !== null) return ofSender(identity, ofThingsStack[1] === undefined ? thingsStack : thingsStackAck);
  const found = declared.match(topic) ?? { device: null, format: null };
  if (found.device === null) return ofSender(identity, found.format);
  return { device: found.device, format: found.format, by: 'hardware' };
}

const ofId = (device: string, format: Format | null) => ({ device, format, by: 'id' }) as const;
const ofSender = (device: string, format: Format | null) => ({ device, format, by: 'sender' }) as const;

/** Values and faults of one message. A message of 256 KiB has as many only where each takes less than eight bytes. */
const MOST_PARTS = 32_768;

/**
 * Decodes a payload of a format. Returns a rejection where nothing of it can be read, and where it has more than 32,768
 * values and faults.
 */
export function decodePayload(
  format: Format,
  payload: Buffer,
  receivedAt: number,
  codec: Codec | null = null,
  past: Past | null = null,
): Decoded | Rejection {
  const decoded = format.decode(payload, receivedAt, codec, past);
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
