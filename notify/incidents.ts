import type { DatabaseSync } from 'node:sqlite';
import type { Ticket } from '../domain/index.ts';
import type { AlertData } from '../events/index.ts';
import { createAlertReader } from '../rules/index.ts';
import { createTicketReader, createWaitingReader, type WaitReason } from '../tickets/index.ts';

/** The service that an alert is about, and when it should be resolved. */
interface Incident {
  readonly service: string;
  /** ISO 8601 UTC; null while its ticket waits. */
  readonly dueAt: string | null;
  /** Why it has no ticket yet; null where it has one. */
  readonly waits: WaitReason | null;
  /** As it is by now; null while it waits. */
  readonly ticket: Ticket | null;
}

/** Returns the ticket of an alert, or the one that waits for a silence, a cause or others; null where it has none. */
export type IncidentReader = (alert: Pick<AlertData, 'rule' | 'group' | 'ticket'>) => Incident | null;

/** Creates the reader over the state file, whose tickets may be newer than the alert that is asked for. */
export function createIncidentReader(state: DatabaseSync): IncidentReader {
  const tickets = createTicketReader(state);
  const waiting = createWaitingReader(state);
  const alerts = createAlertReader(state);
  return ({ rule, group, ticket }) => {
    const waits = ticket === null ? waiting.of({ rule, group }) : null;
    if (waits !== null) return { service: waits.service, dueAt: null, waits: waits.reason, ticket: null };
    const id = ticket ?? alerts.get(rule, group)?.ticket ?? null;
    const opened = id === null ? null : tickets.get(id);
    return opened && { service: opened.service, dueAt: opened.dueAt, waits: null, ticket: opened };
  };
}
