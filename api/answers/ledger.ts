import { z } from 'zod';
import type { Ledger } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';

const count = z.int().min(0);

/** Where every message and reading is. */
export const LedgerAnswer = exactly<Ledger>()(
  z
    .object({
      messages: z
        .object({ received: count, decoded: count, quarantined: count, pending: count })
        .describe('received = decoded + quarantined + pending'),
      readings: z
        .object({
          received: count,
          stored: count,
          replaced: count.describe('Of those stored: in the place of an earlier value'),
          duplicate: count,
          quarantined: count,
        })
        .describe('received = stored + duplicate + quarantined'),
    })
    .meta({ id: 'Ledger', description: 'Where every message and reading is' }),
);
