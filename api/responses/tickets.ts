import { z } from 'zod';
import { TicketChangeSchema, TicketSchema } from '../../domain/index.ts';
import { WaitingTicketSchema } from '../../tickets/index.ts';

export { ShownSilenceSchema as SilenceResponse, WaitingTicketSchema as WaitingResponse } from '../../tickets/index.ts';

/** A ticket, and what silences its alert. */
export const TicketResponse = TicketSchema.extend({
  silencedBy: z.array(z.string()).readonly().describe('Ids of the silences that match its alert now'),
}).meta({ id: 'ShownTicket' });

/** What keeps the ticket of an alert back. */
export const Waits = WaitingTicketSchema.pick({ reason: true, cause: true, opensAt: true });

/** One entry of a ticket's history. */
export const TicketChangeResponse = TicketChangeSchema.meta({
  id: 'TicketChange',
  description: 'A change of a ticket',
});
