import { z } from 'zod';
import { SEVERITIES } from '../../domain/index.ts';
import { exactly, SilenceSchema, TicketSchema } from '../../events/index.ts';
import { type ShownSilence, WAIT_REASONS, type WaitingTicket, type WaitReason } from '../../tickets/index.ts';

/** A ticket, and what silences its alert. */
export const TicketAnswer = TicketSchema.extend({
  silencedBy: z.array(z.string()).readonly().describe('Ids of the silences that match its alert, now'),
}).meta({ id: 'ShownTicket' });

const reason = z.enum(Object.keys(WAIT_REASONS) as [WaitReason, ...WaitReason[]]);
const cause = z.string().describe('The silence, the alert that explains it, or what those gathered have in common');
const opensAt = z.iso.datetime().nullable().describe('At the latest; null where the end of the cause decides');

/** What keeps the ticket of an alert back. */
export const Waits = z.object({ reason, cause, opensAt });

/** A firing alert whose ticket waits. */
export const WaitingAnswer = exactly<WaitingTicket>()(
  z
    .object({
      rule: z.string(),
      group: z.string(),
      title: z.string(),
      titleZh: z.string(),
      service: z.string(),
      department: z.string(),
      district: z.string(),
      severity: z.enum(SEVERITIES),
      reason,
      cause,
      since: z.iso.datetime(),
      opensAt,
    })
    .meta({ id: 'WaitingTicket', description: 'A firing alert whose ticket waits' }),
);

/** A silence, and how it stands. */
export const SilenceAnswer = exactly<ShownSilence>()(
  SilenceSchema.extend({ state: z.enum(['pending', 'active', 'pausing', 'expired']) }).meta({ id: 'ShownSilence' }),
);
