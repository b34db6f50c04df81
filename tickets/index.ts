export {
  decideTicket,
  type OpenDecision,
  TICKET_REASONS,
  type TicketContext,
  type TicketDecision,
  type TicketReason,
} from './decide.ts';
export {
  escalateTicket,
  isOpen,
  isoOf,
  OPEN_STATUSES,
  type Opening,
  openTicket,
  resolveTicket,
  updateTicket,
} from './lifecycle.ts';
export { createTicketReader, type TicketQuery, type TicketReader } from './reader.ts';
export { TICKET_SCHEMA } from './schema.ts';
export { conditionsOf, type Filter, positionOf } from './select.ts';
export { createTicketStore, type TicketStore } from './store.ts';
export { renderTitle, renderValue, type TitleFacts, type Titles, titlesOf } from './title.ts';
