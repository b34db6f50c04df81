export { type AlertData, AlertDataSchema } from './alert.ts';
export { componentsOf, EVENT_SCHEMAS, eventName, JSON_SCHEMAS, plainly } from './event.ts';
export { exactly } from './exactly.ts';
export { SilenceSchema } from './silence.ts';
export { TicketAlertSchema, TicketSchema } from './ticket.ts';

import { EvidenceSchema } from '../../domain/index.ts';
import { SessionDataSchema } from './event.ts';
import { SilenceDataSchema } from './silence.ts';
import { TicketAlertSchema, TicketSchema } from './ticket.ts';

/** Schemas that other schemas refer to by name. */
export const NAMED_SCHEMAS = {
  Evidence: EvidenceSchema,
  SessionData: SessionDataSchema,
  SilenceData: SilenceDataSchema,
  Ticket: TicketSchema,
  TicketAlert: TicketAlertSchema,
};
