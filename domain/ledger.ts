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
        lost: count
          .optional()
          .describe('Of those quarantined: in damaged blocks that a repair passed over. Absent where there is none'),
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
    imported: z
      .object({ received: count, stored: count, refused: count })
      .optional()
      .describe('Readings of the past that were imported: received = stored + refused. Absent where there is none'),
  })
  .meta({ id: 'Ledger', description: 'Where every message and reading is' });
export type Ledger = ShapeOf<typeof LedgerSchema>;

/**
 * A refused message (path `$`), or a refused reading of one; of a message with many faults several readings that were
 * refused for the same reason. `id` is also the cursor of the list. The payload is in `QuarantinedInFullSchema` only:
 * it may be as large as a message, and it is the same for all entries of one message.
 */
export const QuarantinedSchema = z
  .object({
    id: z.string().describe('{message position}-{ordinal}'),
    device: z.string(),
    topic: z.string(),
    format: z.string().nullable().describe('The format of the topic; null where none is known'),
    receivedAt: z.iso.datetime(),
    scope: z.enum(['message', 'reading']).describe('Whether the whole message or readings of it were refused'),
    reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
    path: z.string().describe('JSON path of the fault in the payload; of several, that of the first'),
    detail: z.string(),
    count: count.describe(
      'How many faults it stands for: a message with more than 32 is summed up by reason and field',
    ),
    paths: z.array(z.string()).readonly().describe('JSON paths of the first faults, at most five'),
    bytes: count.describe('Size of the payload; the entry by its own address has it'),
    discarded: z
      .object({ at: z.iso.datetime(), by: z.string(), note: z.string() })
      .nullable()
      .describe('Set where somebody decided that it will not be fixed'),
  })
  .meta({ id: 'Quarantined', description: 'A refused message, or a refused reading of one' });
export type Quarantined = ShapeOf<typeof QuarantinedSchema>;

/** One entry of the quarantine with its payload decoded as far as possible. */
export const QuarantinedInFullSchema = QuarantinedSchema.extend({
  raw: z.string().describe('The payload as it was sent, base64'),
  decoded: z
    .unknown()
    .describe('What its format makes of the payload; `more: true` where that is cut after 1,000 values'),
}).meta({ id: 'QuarantinedInFull' });
export type QuarantinedInFull = ShapeOf<typeof QuarantinedInFullSchema>;

/** What the quarantine takes, of all or of one device. */
export const QuarantineUsageSchema = z
  .object({
    bytes: count.describe('Refused messages that are kept, with all that is noted of them'),
    dropped: z
      .object({ messages: count, readings: count })
      .describe('What was dropped to make room, the oldest first; the ledger goes on counting it as quarantined'),
  })
  .meta({ id: 'QuarantineUsage', description: 'The space that refused messages take' });
export type QuarantineUsage = ShapeOf<typeof QuarantineUsageSchema>;

/** How much is refused of one device for one reason. */
export const QuarantineGroupSchema = z
  .object({
    device: z.string(),
    reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
    entries: count,
    newestAt: z.iso.datetime().describe('When the newest of them was received'),
  })
  .meta({ id: 'QuarantineGroup', description: 'What is refused of one device for one reason' });
export type QuarantineGroup = ShapeOf<typeof QuarantineGroupSchema>;

/** A page of a list; `next` is the cursor to pass as `after`, null at the end. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
