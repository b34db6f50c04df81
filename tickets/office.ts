import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../domain/index.ts';
import { createDesk, type Desk } from './desk.ts';
import { createDueTickets, type DueTickets } from './due.ts';
import { createDueStore } from './due-store.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import { createKeeper, type TicketCity } from './keeper.ts';
import type { FiringAlerts } from './match.ts';
import { createSilenceStore, type SilenceStore } from './silence-store.ts';
import { createTicketStore } from './store.ts';
import { createWaitStore } from './wait-store.ts';

/** The writing side of the tickets: where alerts, people and time act upon them. One thread has it; the caller holds the transaction. */
export interface TicketOffice {
  readonly incidents: Incidents;
  readonly desk: Desk;
  readonly due: DueTickets;
  readonly silences: SilenceStore;
}

interface Deps {
  readonly db: DatabaseSync;
  readonly clock: Clock;
  /** The city in force. */
  readonly city: () => TicketCity;
  readonly firing: FiringAlerts;
}

/** Makes the office over a file that has `TICKET_SCHEMA`. */
export function createTicketOffice({ db, clock, city, firing }: Deps): TicketOffice {
  const tickets = createTicketStore(db);
  const due = createDueStore(db);
  const silences = createSilenceStore(db);
  const keeper = createKeeper({ tickets, due });
  return {
    incidents: createIncidents({ tickets, waits: createWaitStore(db), due, silences, keeper, firing }),
    desk: createDesk({ tickets, keeper, city, clock }),
    due: createDueTickets({ tickets, due, keeper }),
    silences,
  };
}
