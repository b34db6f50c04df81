import { z } from 'zod';
import { ClientRecordSchema } from '../../broker/index.ts';

import { CalibrationSchema, DeviceSchema, KeySchema } from '../../domain/index.ts';
import { DeviceClockSchema } from '../../ingest/index.ts';

const instant = z.iso.datetime();
const secret = z.string().describe('Shown once, here');
const version = z.int().describe('`If-Match` names it');
const oldSecretUntil = instant.nullable().describe('Until when the secret before the last rotation is valid too');

export const DeviceResponse = DeviceSchema.extend({
  registeredAt: instant,
  version,
  suspended: z.boolean(),
  oldSecretUntil,
  replacedAt: instant.nullable().describe('When other hardware took its place'),
  calibrations: z
    .array(CalibrationSchema)
    .exactOptional()
    .describe('In the order in which they were made: of several for one time the last one counts. Absent: none'),
})
  .strip()
  .meta({ id: 'Device', description: 'A registered device' });

export const DeviceWithConnection = DeviceResponse.extend({
  clock: DeviceClockSchema.nullable().describe('Null where it is right, or wrong by no steady offset'),
  connection: ClientRecordSchema.nullable().describe('Null where it has not connected since the start of the server'),
}).meta({ id: 'DeviceWithConnection' });

export const NewDevice = DeviceSchema.extend({
  secret: secret.exactOptional().describe('Shown once, here; absent where it had one already'),
})
  .strip()
  .meta({ id: 'NewDevice' });

export const DeviceWithSecret = DeviceResponse.extend({ secret }).meta({ id: 'DeviceWithSecret' });

export const KeyResponse = KeySchema.extend({
  version,
  createdAt: instant.nullable().describe('Null where it is from before this was noted'),
  createdBy: z.string().nullable().describe('Id of the key that made it'),
  expiresAt: instant.nullable(),
  note: z.string(),
  oldSecretUntil,
  lastUsedAt: instant.nullable().describe('To the minute; null where it was never used'),
}).meta({ id: 'Key', description: 'A key of a person or a program' });

export const KeyWithSecret = KeyResponse.extend({ secret }).meta({ id: 'NewKey' });
