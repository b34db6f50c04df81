export { openTicket } from './alert-changes.ts';
export { calendarOf } from './deadlines.ts';
export { decideTicket, TICKET_REASONS, type TicketContext, type TicketDecision } from './decide.ts';
export type { Incident, IncidentOutcome } from './incidents.ts';
export { createInlineStatements, type InlineStatement } from './inline.ts';
export {
  ACTIONS,
  type ActionRequest,
  type Actor,
  alongWith,
  isOfPerson,
  isOpen,
  MOVES,
  OPEN_STATUSES,
  requireReach,
} from './lifecycle.ts';
export {
  createOversight,
  OVERSIGHT_KEYS,
  type Oversight,
  type OversightKey,
  type OversightLine,
  OversightLineSchema,
  type OversightQuery,
} from './oversight.ts';
export {
  type ChangeQuery,
  createPublicTickets,
  createRequestReader,
  type Pause,
  type PublicPage,
  type PublicQuery,
  type PublicTicket,
  PublicTicketSchema,
  type RequestChange,
  type RequestQuery,
  type RequestReader,
} from './public.ts';
export {
  createTicketReader,
  TICKET_ORDERS,
  TicketCountsSchema,
  type TicketQuery,
  type TicketReader,
} from './reader.ts';
export { checkNotFixed, checkRating, checkWriting, notFixedUntil, type Rating, type Saying } from './reporters.ts';
export { TICKET_SCHEMA } from './schema.ts';
export { type Request, type Split, TicketService } from './service.ts';
export type { SilenceChange } from './silence-news.ts';
export {
  createSilenceStore,
  type ShownSilence,
  ShownSilenceSchema,
  type Silence,
  SilenceSchema,
} from './silence-store.ts';
export { createSilences, FROM_NOW, type Silences } from './silences.ts';
export { createTicketStore, type TicketStore } from './store.ts';
export {
  createWaitingReader,
  WAIT_REASONS,
  type WaitingTicket,
  WaitingTicketSchema,
  type WaitReason,
} from './waits.ts';
export { TicketWarningSchema, warningsOf } from './warnings.ts';
export { renderTitle, renderValue, type TitleFacts, type Titles, titlesOf } from './wording.ts';
export { type BacktestCity, wouldBeTickets } from './would-be.ts';
export type { TicketCity } from './writer.ts';
