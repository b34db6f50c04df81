import { z } from 'zod';
import { DROP_REASONS, type DropReason } from '../../domain/index.ts';
import type { SessionData } from '../cloudevent.ts';
import { exactly } from './exactly.ts';

/** What the event of a session that lost messages tells. */
export const SessionDataSchema = exactly<SessionData>()(
  z
    .object({
      session: z.string(),
      key: z.string().describe('Id of the key or device whose session it is'),
      department: z.string().nullable(),
      reason: z.enum(Object.keys(DROP_REASONS) as [DropReason, ...DropReason[]]),
      messages: z.int(),
      from: z.iso.datetime(),
      to: z.iso.datetime(),
    })
    .meta({ id: 'SessionData', description: 'What a cap or its expiry took from a kept MQTT session' }),
);
