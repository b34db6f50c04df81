import { z } from 'zod';
import { type Quarantined, REASONS, type Reason } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';
import type { ReplayJob } from '../../ingest/index.ts';

const fields = {
  id: z.string(),
  device: z.string(),
  topic: z.string(),
  format: z.string().nullable().describe('The one that the topic speaks'),
  receivedAt: z.iso.datetime(),
  scope: z.enum(['message', 'reading']),
  reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
  path: z.string().describe('JSON path of the fault in the payload'),
  detail: z.string(),
  raw: z.string().describe('The payload as it was sent, base64'),
  discarded: z.object({ at: z.iso.datetime(), by: z.string(), note: z.string() }).nullable(),
};

/** A refused message or reading. */
export const QuarantinedAnswer = exactly<Quarantined>()(
  z.object(fields).meta({ id: 'Quarantined', description: 'A refused message, or a refused reading of one' }),
);

/** One of them, with its payload decoded as far as it goes. */
export const QuarantinedInFull = QuarantinedAnswer.extend({
  decoded: z.unknown().describe('What its format makes of the payload'),
}).meta({ id: 'QuarantinedInFull' });

/** A replay of refused messages, as it stands. */
export const ReplayAnswer = exactly<ReplayJob>()(
  z
    .object({
      id: z.string(),
      state: z.enum(['running', 'done', 'failed']),
      startedAt: z.iso.datetime(),
      endedAt: z.iso.datetime().nullable(),
      entries: z.int().describe('Entries of the quarantine that were meant when it began'),
      settled: z.int().describe('Of these: gone the way again'),
      refusedAgain: z.int().describe('Of these: refused once more'),
      error: z.string().nullable(),
    })
    .meta({ id: 'Replay', description: 'A replay of refused messages, as it stands' }),
);
