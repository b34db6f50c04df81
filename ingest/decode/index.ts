import type { Format } from './format.ts';
import { native } from './native.ts';

export type { Decoded, Format, RawReading } from './format.ts';

/** From the last level of `devices/{id}/…` to the format that is spoken there. */
const DEVICE_TOPICS: Readonly<Record<string, Format>> = { __proto__: null as never, readings: native };

/** Which device a topic speaks of, and in which format; the format is null where none is known for the topic. */
export function formatOf(identity: string, topic: string): { device: string; format: Format | null } {
  const [root, device, leaf, more] = topic.split('/');
  if (root === 'devices' && device !== undefined && leaf !== undefined && more === undefined) {
    return { device, format: DEVICE_TOPICS[leaf] ?? null };
  }
  return { device: identity, format: null };
}
