import { z } from 'zod';
import { TicketSchema } from '../../domain/index.ts';
import { WaitingTicketSchema } from '../../tickets/index.ts';

export { ShownSilenceSchema as SilenceAnswer, WaitingTicketSchema as WaitingAnswer } from '../../tickets/index.ts';

/** A ticket, and what silences its alert. */
export const TicketAnswer = TicketSchema.extend({
  silencedBy: z.array(z.string()).readonly().describe('Ids of the silences that match its alert now'),
}).meta({ id: 'ShownTicket' });

/** What keeps the ticket of an alert back. */
export const Waits = WaitingTicketSchema.pick({ reason: true, cause: true, opensAt: true });
