export {
  type AlertAfter,
  type AlertData,
  type AlertEvent,
  alertEventOf,
  isAlertEvent,
  isAlertType,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  type SessionEvent,
  type SilenceEvent,
  sessionEventOf,
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
export { createPipeline, type Occurrence, type Pipeline, type PipelineDeps } from './pipeline.ts';
export { createEventPublisher, publicationsOf, retainedTickets } from './publisher.ts';
export {
  AlertDataSchema,
  AlertSchema,
  componentsOf,
  EVENT_SCHEMAS,
  EvidenceSchema,
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
