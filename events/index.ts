export {
  type AlertAfter,
  type AlertEvent,
  alertEventOf,
  clockEventOf,
  commandEventOf,
  desiredEventOf,
  isAlertEvent,
  isClockEvent,
  isCommandEvent,
  isCommandType,
  isDesiredEvent,
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
export { createCommandQueue, createMqttOutbox, publicationsOf, retainedTickets } from './mqtt.ts';
export {
  createOutbox,
  createOutboxReader,
  type EventQuery,
  followFirings,
  type NumberedEvent,
  OUTBOX_SCHEMA,
  type Outbox,
  type OutboxReader,
} from './outbox.ts';
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
