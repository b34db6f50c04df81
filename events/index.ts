export {
  type AlertAfter,
  type AlertEvent,
  alertEventOf,
  clockEventOf,
  isAlertEvent,
  isClockEvent,
  isLoginEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  loginEventOf,
  sessionEventOf,
  silenceEventOf,
  type TicketEvent,
  ticketEventOf,
} from './cloudevent.ts';
export { type EventFilter, passes } from './filter.ts';
export {
  createOutbox,
  createOutboxReader,
  type EventQuery,
  type NumberedEvent,
  OUTBOX_SCHEMA,
  type Outbox,
  type OutboxReader,
} from './outbox.ts';
export { createEventPublisher, publicationsOf, retainedTickets } from './publisher.ts';
export {
  type AlertData,
  AlertDataSchema,
  componentsOf,
  EVENT_SCHEMAS,
  eventName,
  JSON_SCHEMAS,
  NAMED_SCHEMAS,
  plainly,
} from './schemas/index.ts';
export { type Kept, placeOf, resetOf, resumeAt, sseOf } from './sse.ts';
