import type { Rejection } from '../../domain/index.ts';
import { type Decoded, decodeNative } from './native.ts';

export type { Decoded, RawReading } from './native.ts';

/** Turns a payload into raw readings; a Rejection where nothing of it can be read. Pure. */
export type Decoder = (payload: Buffer) => Decoded | Rejection;

/** From the last level of `devices/{id}/…` to the format that is spoken there. */
const DEVICE_TOPICS: Readonly<Record<string, Decoder>> = { __proto__: null as never, readings: decodeNative };

/** Which device a topic speaks of, and in which format; the decoder is null where no format is known for the topic. */
export function decoderOf(identity: string, topic: string): { device: string; decoder: Decoder | null } {
  const [root, device, leaf, more] = topic.split('/');
  if (root === 'devices' && device !== undefined && leaf !== undefined && more === undefined) {
    return { device, decoder: DEVICE_TOPICS[leaf] ?? null };
  }
  return { device: identity, decoder: null };
}
