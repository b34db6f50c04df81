import type { Rejection } from '../../domain/index.ts';

/** One reading as a decoder found it: unchecked. */
export interface RawReading {
  /** JSON path of it in the message: `$`, `$[2]`, `$.uplink_message.decoded_payload`. */
  readonly path: string;
  /** ISO 8601 text, epoch ms, or undefined where the message names no time. */
  readonly ts: unknown;
  /** Values by field name; the profile maps fields to metrics. */
  readonly metrics: Readonly<Record<string, unknown>>;
  /** Units by field name where the format names them; null where values are in the unit that the profile says. */
  readonly units: Readonly<Record<string, string>> | null;
  /** JSON path of the time; absent: `{path}.ts`. */
  readonly timePath?: string;
  /** JSON path of each value by field name; absent: `{path}.metrics.{field}`. */
  readonly paths?: Readonly<Record<string, string>>;
  /** Other names by field name, the best first, for a field that the profile does not know by its own. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
}

/** What a decoder makes of a payload: raw readings, and what could not even be read as one. */
export interface Decoded {
  readonly readings: readonly RawReading[];
  readonly rejections: readonly Rejection[];
  /** LoRaWAN: session and frame counter of the uplink; the same one again is a duplicate, whatever its time. */
  readonly uplink?: string;
}

/** A format that devices or network servers speak. */
export interface Format {
  readonly name: string;
  /** Pure; a Rejection where nothing of the payload can be read. `receivedAt`: epoch ms, the "now" of relative times. */
  readonly decode: (payload: Buffer, receivedAt: number) => Decoded | Rejection;
  /** Id of the device where only the payload names it; null where it does not. */
  readonly deviceOf?: (payload: Buffer) => string | null;
}
