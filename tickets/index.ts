export {
  ACTS,
  type Actor,
  MOVES,
} from './actions.ts';
export type { Act } from './acts.ts';
export { calendarOf } from './calendars.ts';
export {
  decideTicket,
  TICKET_REASONS,
  type TicketContext,
  type TicketDecision,
} from './decide.ts';
export type { Rating, Request, Split } from './desk.ts';
export type { TicketCity } from './keeper.ts';
export { isOpen, OPEN_STATUSES, openTicket } from './lifecycle.ts';
export { createTicketOffice, type TicketOffice } from './office.ts';
export {
  createOversight,
  OVERSIGHT_KEYS,
  type Oversight,
  type OversightKey,
  type OversightLine,
  type OversightQuery,
} from './oversight.ts';
export { createPublicTickets, type PublicQuery, type PublicTicket } from './public-tickets.ts';
export { createTicketReader, type TicketQuery, type TicketReader } from './reader.ts';
export { createRequestReader, type RequestQuery, type RequestReader, type ServiceRequest } from './request-reader.ts';
export { TICKET_SCHEMA } from './schema.ts';
export { conditionsOf, type Filter, positionOf } from './select.ts';
export { createSilenceStore, type ShownSilence, type Silence, silenceState } from './silence-store.ts';
export { createTicketStore, type TicketStore } from './store.ts';
export { renderTitle, renderValue, type TitleFacts, type Titles, titlesOf } from './title.ts';
export { WAIT_REASONS, type WaitReason } from './wait-store.ts';
export { createWaitingReader, type WaitingTicket } from './waiting.ts';
