export {
  type AlertAfter,
  type AlertData,
  alertEventOf,
  isAlertEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  sessionEventOf,
  type TicketEvent,
  ticketEventOf,
} from './cloudevent.ts';
export { type EventFilter, passes } from './filter.ts';
export {
  createOutbox,
  createOutboxReader,
  type NumberedEvent,
  OUTBOX_SCHEMA,
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
  NAMED_SCHEMAS,
  plainly,
  SilenceSchema,
  TicketAlertSchema,
  TicketSchema,
} from './schemas/index.ts';
export { type Kept, placeOf, resetOf, resumeAt, sseOf } from './sse.ts';
