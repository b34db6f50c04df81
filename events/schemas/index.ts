export { type AlertData, AlertDataSchema } from './alert.ts';
export { EVENT_SCHEMAS, eventName } from './event.ts';
export { exactly } from './exactly.ts';
export { componentsOf, JSON_SCHEMAS, type JsonSchema, plainly } from './json.ts';
export { SilenceSchema } from './silence.ts';
export { TicketAlertSchema, TicketSchema } from './ticket.ts';

import { EvidenceSchema } from '../../domain/index.ts';
import { SessionDataSchema } from './session.ts';
import { SilenceDataSchema } from './silence.ts';
import { TicketAlertSchema, TicketSchema } from './ticket.ts';

/** Schemas that others refer to by name. */
export const NAMED_SCHEMAS = {
  Evidence: EvidenceSchema,
  SessionData: SessionDataSchema,
  SilenceData: SilenceDataSchema,
  Ticket: TicketSchema,
  TicketAlert: TicketAlertSchema,
};
