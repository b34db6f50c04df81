import { z } from 'zod';
import { REASONS, type Reason } from './errors.ts';
import type { ShapeOf } from './schema.ts';

const count = z.int().min(0);

/** Counts of messages and readings (promise 2), of the city or a device. Both equations hold at every moment. */
export const LedgerSchema = z
  .object({
    messages: z
      .object({
        received: count,
        decoded: count,
        quarantined: count,
        pending: count.describe("In the journal, behind the history's cursor"),
      })
      .describe('received = decoded + quarantined + pending'),
    readings: z
      .object({
        received: count,
        stored: count.describe('Accepted into the history'),
        replaced: count.describe('Of those stored: in the place of an earlier value'),
        duplicate: count,
        quarantined: count,
      })
      .describe('received = stored + duplicate + quarantined'),
  })
  .meta({ id: 'Ledger', description: 'Where every message and reading is' });
export type Ledger = ShapeOf<typeof LedgerSchema>;

/** A refused message (path `$`), or one refused reading of a message. `id` is also the cursor of the list. */
export const QuarantinedSchema = z
  .object({
    id: z.string().describe('{message position}-{ordinal}'),
    device: z.string(),
    topic: z.string(),
    format: z.string().nullable().describe('The format of the topic; null where none is known'),
    receivedAt: z.iso.datetime(),
    scope: z.enum(['message', 'reading']).describe('Whether the whole message or one reading of it was refused'),
    reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
    path: z.string().describe('JSON path of the fault in the payload'),
    detail: z.string(),
    raw: z.string().describe('The payload as it was sent, base64'),
    discarded: z
      .object({ at: z.iso.datetime(), by: z.string(), note: z.string() })
      .nullable()
      .describe('Set where somebody decided that it will not be fixed'),
  })
  .meta({ id: 'Quarantined', description: 'A refused message, or a refused reading of one' });
export type Quarantined = ShapeOf<typeof QuarantinedSchema>;

/** One entry of the quarantine with its payload decoded as far as possible. */
export const QuarantinedInFullSchema = QuarantinedSchema.extend({
  decoded: z.unknown().describe('What its format makes of the payload'),
}).meta({ id: 'QuarantinedInFull' });

/** A page of a list; `next` is the cursor to pass as `after`, null at the end. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
