import { z } from 'zod';
import { MINUTE_MS, type Service, type ShapeOf, type Ticket } from '../domain/index.ts';
import { ACTIONS, isOpen } from './lifecycle.ts';

/** What somebody should know before an action that is possible. */
export const TicketWarningSchema = z
  .object({
    before: z.array(z.enum(ACTIONS)).readonly().describe('The actions that it is about'),
    reason: z.enum(['alerts-fire']),
    detail: z.string(),
  })
  .meta({ id: 'TicketWarning', description: 'What to know before an action on a ticket' });
export type TicketWarning = ShapeOf<typeof TicketWarningSchema>;

/** Returns what to know before a ticket is resolved or closed by hand while `firing` of its alerts fire. */
export function warningsOf(
  { status }: Pick<Ticket, 'status'>,
  firing: number,
  service: Pick<Service, 'recheckMs' | 'closeMs'> | undefined,
): TicketWarning[] {
  if (firing === 0 || status === 'closed') return [];
  const alerts = firing === 1 ? 'an alert of it fires' : `${firing} of its alerts fire`;
  const before = isOpen(status) ? (['resolve', 'close'] as const) : (['close'] as const);
  return [{ before, reason: 'alerts-fire', detail: `${alerts}: ${consequence(service)}` }];
}

function consequence(service: Pick<Service, 'recheckMs' | 'closeMs'> | undefined): string {
  const recheckMs = service?.recheckMs ?? null;
  if (recheckMs !== null)
    return `resolved now, it opens again after ${Math.ceil(recheckMs / MINUTE_MS)} min if that has not ended`;
  if ((service?.closeMs ?? null) !== null) return 'resolved now, it does not close by itself before that has ended';
  return 'resolved now, nobody is reminded of it';
}
