import type { DatabaseSync } from 'node:sqlite';
import type { AlertData } from '../events/index.ts';
import { createTicketReader, createWaitingReader } from '../tickets/index.ts';

/** The service that an alert is about, and when it should be resolved. */
interface Incident {
  readonly service: string;
  /** ISO 8601 UTC; null while its ticket waits. */
  readonly dueAt: string | null;
}

/** Returns the ticket of an alert, or the one that waits for a silence, a cause or others; null where it has none. */
export type IncidentReader = (alert: Pick<AlertData, 'rule' | 'group' | 'ticket'>) => Incident | null;

/** Creates the reader over the state file, whose tickets may be newer than the alert that is asked for. */
export function createIncidentReader(state: DatabaseSync): IncidentReader {
  const tickets = createTicketReader(state);
  const waiting = createWaitingReader(state);
  return ({ rule, group, ticket }) => {
    const opened = ticket === null ? null : tickets.get(ticket);
    if (opened !== null) return { service: opened.service, dueAt: opened.dueAt };
    const service = waiting.of({ rule, group })?.service;
    return service === undefined ? null : { service, dueAt: null };
  };
}
