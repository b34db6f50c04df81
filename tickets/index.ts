export {
  type Actor,
  MOVES,
  refusal,
  refuseAction,
  type Standing,
  standingOf,
  TICKET_ACTIONS,
  type TicketAction,
} from './actions.ts';
export type { Act } from './acts.ts';
export { calendarOf } from './calendars.ts';
export { isoOf } from './change.ts';
export {
  decideTicket,
  TICKET_REASONS,
  type TicketContext,
  type TicketDecision,
  type TicketReason,
} from './decide.ts';
export type { Rating, Request, Split } from './desk.ts';
export type { Incident, IncidentOutcome, Released } from './incidents.ts';
export type { TicketCity } from './keeper.ts';
export { isOpen, OPEN_STATUSES, openTicket } from './lifecycle.ts';
export { createTicketOffice, type TicketOffice } from './office.ts';
export { createTicketReader, type TicketQuery, type TicketReader } from './reader.ts';
export { TICKET_SCHEMA } from './schema.ts';
export { conditionsOf, type Filter, positionOf } from './select.ts';
export { createSilenceStore, type Silence, type SilenceState, silenceState } from './silence-store.ts';
export { createTicketStore, type TicketStore } from './store.ts';
export { renderTitle, renderValue, type TitleFacts, type Titles, titlesOf } from './title.ts';
export { createWaitStore, WAIT_REASONS, type Wait, type WaitReason } from './wait-store.ts';
