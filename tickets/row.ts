import type { SQLOutputValue } from 'node:sqlite';
import type { Ticket, TicketChange } from '../domain/index.ts';

type Change = [TicketChange['at'], TicketChange['by'], TicketChange['from'], TicketChange['to'], TicketChange['note']];

type Fields = Omit<Ticket, 'location' | 'evidence' | 'history'>;

/** Selects tickets as `ticketOf` takes them: a ticket and its history in one statement, so that they fit each other. */
export const SELECT_TICKETS = `
  select n, id, status, rule, "group", title, title_zh as titleZh, service, department, district, severity, lat, lon,
    opened_at as openedAt, updated_at as updatedAt, due_at as dueAt, evidence,
    (select json_group_array(json_array(at, "by", "from", "to", note) order by ordinal)
      from ticket_changes where ticket = tickets.id) as history
  from tickets`;

/** The ticket of a row that `SELECT_TICKETS` gave. */
export function ticketOf(row: Readonly<Record<string, SQLOutputValue>>): Ticket {
  const { n: _, lat, lon, evidence, history, ...fields } = row;
  return {
    ...(fields as unknown as Fields),
    location: lat === null ? null : { lat: Number(lat), lon: Number(lon) },
    evidence: JSON.parse(String(evidence)) as Ticket['evidence'],
    history: (JSON.parse(String(history)) as Change[]).map(([at, by, from, to, note]) => ({ at, by, from, to, note })),
  };
}
