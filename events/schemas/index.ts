import {
  DesiredStateSchema,
  DeviceCommandSchema,
  EvidenceSchema,
  TicketAlertSchema,
  TicketSchema,
} from '../../domain/index.ts';
import { ClockDataSchema, LoginDataSchema, SessionDataSchema, SilenceDataSchema } from './event.ts';

export {
  type AlertData,
  AlertDataSchema,
  componentsOf,
  EVENT_SCHEMAS,
  eventName,
  JSON_SCHEMAS,
  plainly,
} from './event.ts';

/** Schemas that other schemas refer to by name. */
export const NAMED_SCHEMAS = {
  ClockData: ClockDataSchema,
  DesiredState: DesiredStateSchema,
  DeviceCommand: DeviceCommandSchema,
  Evidence: EvidenceSchema,
  LoginData: LoginDataSchema,
  SessionData: SessionDataSchema,
  SilenceData: SilenceDataSchema,
  Ticket: TicketSchema,
  TicketAlert: TicketAlertSchema,
};
