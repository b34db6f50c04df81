import { z } from 'zod';
import type { Calibration } from './calibration.ts';
import type { ShapeOf } from './schema.ts';

/** Pattern of a device id, which is also a topic level, an MQTT user name and a client id. */
export const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;

/** A place on the Earth, WGS 84 degrees. */
export const PlaceSchema = z.strictObject({ lat: z.number().min(-90).max(90), lon: z.number().min(-180).max(180) });
export type Place = ShapeOf<typeof PlaceSchema>;

/** A DevEUI, in lower-case hex. */
export const DevEuiSchema = z
  .string()
  .regex(/^[0-9a-fA-F]{16}$/, 'a DevEUI has 16 hexadecimal digits')
  .toLowerCase();

const MOST_TAGS = 50;

/** Tags by their name. */
export const TagsSchema = z
  .record(z.string().max(64), z.string().max(200))
  .refine((tags) => Object.keys(tags).length <= MOST_TAGS, `at most ${MOST_TAGS} tags`)
  .meta({ maxProperties: MOST_TAGS });

/** A device without its secret. `profile` and `district` are ids of the city model. */
export const DeviceSchema = z.strictObject({
  id: z.string().regex(DEVICE_ID, 'an id has letters, digits, . _ : - and at most 64 characters'),
  profile: z.string().max(200),
  district: z.string().max(200),
  /** A name for people. */
  name: z.string().min(1).max(200).exactOptional(),
  location: PlaceSchema.exactOptional(),
  tags: TagsSchema.exactOptional(),
  /** The device that publishes for it; its profile is of kind gateway. */
  gateway: z.string().regex(DEVICE_ID, 'the id of a gateway').exactOptional(),
  /** The asset that it sits on or measures: an id of the city's assets. */
  asset: z.string().min(1).max(64).exactOptional(),
  /** The DevEUI of its LoRaWAN hardware; absent: its id. */
  devEui: DevEuiSchema.exactOptional(),
});
export type Device = ShapeOf<typeof DeviceSchema> & {
  /** In the order in which they were made: of several for one time the last one counts. Absent: none. */
  readonly calibrations?: readonly Calibration[];
};

/** Returns the name by which network servers and payloads know the hardware of a device: its DevEUI, or its id. */
export function hardwareOf({ id, devEui }: Pick<Device, 'id' | 'devEui'>): string {
  return devEui ?? id;
}
