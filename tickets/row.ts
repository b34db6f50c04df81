import type { SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { Ticket, TicketAlert, TicketChange } from '../domain/index.ts';

/** Columns that hold a field of a ticket unchanged. `FIXED` is set when the ticket opens and never again. */
const FIXED = {
  id: 'id',
  origin: 'origin',
  rule: 'rule',
  group: '"group"',
  title: 'title',
  titleZh: 'title_zh',
  description: 'description',
  address: 'address',
  statement: 'statement',
  asset: 'asset',
  parent: 'parent',
  relation: 'relation',
  openedAt: 'opened_at',
} as const satisfies { readonly [K in keyof Ticket]?: string };

const MOVING = {
  version: 'version',
  status: 'status',
  service: 'service',
  department: 'department',
  district: 'district',
  severity: 'severity',
  leastSeverity: 'least_severity',
  foldedInto: 'folded_into',
  party: 'party',
  assignee: 'assignee',
  reports: 'reports',
  updatedAt: 'updated_at',
  acknowledgedAt: 'acknowledged_at',
  resolvedAt: 'resolved_at',
  closedAt: 'closed_at',
  acknowledgeBy: 'acknowledge_by',
  dueAt: 'due_at',
  reopened: 'reopened',
} as const satisfies { readonly [K in keyof Ticket]?: string };

const LISTED_ALERTS = 50;

const plain = Object.entries({ ...FIXED, ...MOVING }).map(([field, column]) => `${column} as "${field}"`);

/**
 * Selects tickets for `ticketOf`: a ticket, its alerts and its history in one statement, so that they are of one
 * moment.
 */
export const SELECT_TICKETS = `
  select n, ${plain.join(', ')}, lat, lon, offer_to, offer_until, escalated_to, former_departments, stars, rating_statement, rated_at,
    evidence,
    (select json_group_array(json_array(at, "by", action, "from", "to", note, statement) order by ordinal)
      from ticket_changes where ticket = tickets.id) as history,
    (select json_group_array(json_array(rule, "group", state, severity, since) order by ordinal)
      from ticket_alerts where ticket = tickets.id and ordinal < ${LISTED_ALERTS}) as alerts,
    (select coalesce(max(ordinal) + 1, 0) from ticket_alerts where ticket = tickets.id) as alertCount
  from tickets`;

type Change = [string, string, TicketChange['action'], TicketChange['from'], TicketChange['to'], string, string | null];
type Alert = [string, string, TicketAlert['state'], TicketAlert['severity'], string];
type Row = Readonly<Record<string, SQLOutputValue>>;

/** Returns the ticket of a row of `SELECT_TICKETS`. */
export function ticketOf(row: Row): Ticket {
  const {
    n: _,
    lat,
    lon,
    offer_to,
    offer_until,
    escalated_to,
    former_departments,
    stars,
    rating_statement,
    rated_at,
    ...rest
  } = row;
  const { evidence, history, alerts, ...fields } = rest;
  return {
    ...(fields as unknown as Ticket),
    location: lat === null ? null : { lat: Number(lat), lon: Number(lon) },
    offer: offer_to === null ? null : { to: String(offer_to), until: String(offer_until) },
    escalatedTo: JSON.parse(String(escalated_to)) as string[],
    formerDepartments: JSON.parse(String(former_departments)) as string[],
    rating:
      stars === null
        ? null
        : { stars: Number(stars), comment: '', at: String(rated_at), statement: rating_statement as string | null },
    alerts: (JSON.parse(String(alerts)) as Alert[]).map(alertOf),
    evidence: evidence === null ? null : (JSON.parse(String(evidence)) as Ticket['evidence']),
    history: (JSON.parse(String(history)) as Change[]).map(changeOf),
  };
}

function changeOf([at, by, action, from, to, note, statement]: Change): TicketChange {
  return { at, by, action, from, to, note, ...(statement === null ? {} : { statement }) };
}

/** Returns the alert of a row of rule, group, state, severity and since. */
export function alertOf([rule, group, state, severity, since]: Alert): TicketAlert {
  return { rule, group, state, severity, since };
}

type Values = [column: string, value: SQLInputValue][];

/** Returns what is stored of a ticket when it opens, by column. */
export function openingValues(ticket: Ticket): Values {
  const { location, evidence } = ticket;
  return [
    ...Object.entries(FIXED).map(([field, column]): Values[number] => [column, ticket[field as keyof typeof FIXED]]),
    ['lat', location?.lat ?? null],
    ['lon', location?.lon ?? null],
    ['evidence', evidence === null ? null : JSON.stringify(evidence)],
    ...movingValues(ticket),
  ];
}

/** Returns what can change of a ticket, by column. */
export function movingValues(ticket: Ticket): Values {
  const { offer, rating, escalatedTo, formerDepartments } = ticket;
  return [
    ...Object.entries(MOVING).map(([field, column]): Values[number] => [column, ticket[field as keyof typeof MOVING]]),
    ['offer_to', offer?.to ?? null],
    ['offer_until', offer?.until ?? null],
    ['escalated_to', JSON.stringify(escalatedTo)],
    ['former_departments', JSON.stringify(formerDepartments)],
    ['stars', rating?.stars ?? null],
    ['rating_statement', rating?.statement ?? null],
    ['rated_at', rating?.at ?? null],
  ];
}
