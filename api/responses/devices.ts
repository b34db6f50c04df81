import { z } from 'zod';
import type { Device } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';

const fields = {
  id: z.string(),
  profile: z.string(),
  district: z.string(),
  name: z.string().exactOptional(),
  location: z.object({ lat: z.number(), lon: z.number() }).exactOptional(),
  tags: z.record(z.string(), z.string()).exactOptional(),
};
const secret = z.string().describe('Shown once, here');

/** A registered device. */
export const DeviceResponse = exactly<Device & { registeredAt: string }>()(
  z.object({ ...fields, registeredAt: z.iso.datetime() }).meta({ id: 'Device', description: 'A registered device' }),
);

/** A device that was registered, with its secret. */
export const NewDevice = exactly<Device & { secret: string }>()(
  z.object({ ...fields, secret }).meta({ id: 'NewDevice' }),
);

/** A device with its new secret. */
export const RotatedDevice = DeviceResponse.extend({ secret }).meta({ id: 'RotatedDevice' });
