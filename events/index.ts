export {
  type AlertAfter,
  type AlertEvent,
  alertEventOf,
  isAlertEvent,
  isAlertType,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  type SessionData,
  type SessionEvent,
  type SilenceEvent,
  sessionEventOf,
  silenceEventOf,
  type TicketEvent,
  ticketEventOf,
} from './cloudevent.ts';
export { type EventFilter, passes } from './filter.ts';
export { createOutbox, OUTBOX_SCHEMA, type Outbox } from './outbox.ts';
export { publicationsOf, retainedTickets } from './publications.ts';
export { createEventPublisher, type EventPublisher, type EventPublisherDeps } from './publisher.ts';
export { createOutboxReader, type EventQuery, type NumberedEvent, type OutboxReader } from './reader.ts';
export {
  type AlertData,
  AlertDataSchema,
  componentsOf,
  EVENT_SCHEMAS,
  eventName,
  exactly,
  JSON_SCHEMAS,
  type JsonSchema,
  NAMED_SCHEMAS,
  plainly,
  SilenceSchema,
  TicketAlertSchema,
  TicketSchema,
} from './schemas/index.ts';
export { type Kept, placeOf, type ResetReason, resetOf, resumeAt, sseOf } from './sse.ts';
