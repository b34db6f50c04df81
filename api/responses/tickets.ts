import { z } from 'zod';
import { TicketChangeSchema, TicketSchema } from '../../domain/index.ts';
import { TicketWarningSchema, WaitingTicketSchema } from '../../tickets/index.ts';

export { ShownSilenceSchema as SilenceResponse, WaitingTicketSchema as WaitingResponse } from '../../tickets/index.ts';

/** One entry of a ticket's history. */
export const TicketChangeResponse = TicketChangeSchema.extend({
  byName: z.string().optional().describe('The name of the person, where a person did it'),
  mediaUrls: z.array(z.string()).readonly().optional().describe('Photos that the citizen sent with it'),
}).meta({ id: 'TicketChange', description: 'A change of a ticket' });

/** A ticket, what silences its alert, and the names of those who worked on it. */
export const TicketResponse = TicketSchema.extend({
  history: z.array(TicketChangeResponse).readonly().describe('Every change, the first one first'),
  warnings: z.array(TicketWarningSchema).readonly().describe('What to know before some actions'),
  silencedBy: z.array(z.string()).readonly().describe('Ids of the silences that match its alert now'),
}).meta({ id: 'ShownTicket' });

/** What keeps the ticket of an alert back. */
export const Waits = WaitingTicketSchema.pick({ reason: true, cause: true, opensAt: true });
