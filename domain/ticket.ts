import { z } from 'zod';
import { EvidenceSchema } from './alert.ts';
import { SEVERITIES } from './rule.ts';
import type { ShapeOf } from './schema.ts';

export const TICKET_STATUSES = ['open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed'] as const;
export type TicketStatus = (typeof TICKET_STATUSES)[number];

/** The actions in a ticket's history; each is also the last part of an event type (`city.lamppost.ticket.{action}`). */
export const HISTORY_ACTIONS = [
  'opened',
  'updated',
  'acknowledged',
  'offered',
  'taken',
  'declined',
  'assigned',
  'started',
  'commented',
  'handed-over',
  'split',
  'linked',
  'warned',
  'reminded',
  'folded',
  'escalated',
  'resolved',
  'closed',
  'reopened',
  'rated',
  'replied',
  'wrote',
] as const;
export type HistoryAction = (typeof HISTORY_ACTIONS)[number];

const when = z.iso.datetime();
const name = z.string();
const status = z.enum(TICKET_STATUSES);
const severity = z.enum(SEVERITIES);

/** One change of a ticket. It is never edited. */
export const TicketChangeSchema = z.object({
  at: when,
  by: name.describe(
    '`rule:<id>`, `key:<id>`, `person:<id>`, `reporter`, `reporter:<ticket>` of another report of the same, or `clock`',
  ),
  action: z.enum(HISTORY_ACTIONS),
  from: status.nullable(),
  to: status,
  note: z.string(),
  statement: name.exactOptional().describe('Names what the citizen wrote, which stands apart'),
});
export type TicketChange = ShapeOf<typeof TicketChangeSchema>;

/** An alert of a ticket. */
export const TicketAlertSchema = z
  .object({
    rule: name,
    group: name,
    state: z.enum(['firing', 'resolved']),
    severity,
    since: when.describe('When it fired'),
  })
  .meta({ id: 'TicketAlert', description: 'An alert of a ticket' });
export type TicketAlert = ShapeOf<typeof TicketAlertSchema>;

/** What the citizen who reported a ticket says about the work. */
export const RatingSchema = z.object({
  stars: z.int().min(1).max(5),
  comment: z.string().describe('Empty in events: it stands apart, by `statement`'),
  at: when,
  statement: name.nullable().describe('Names the comment; null where there is none'),
});

/** A service ticket, as the API, its events and its retained topic have it. Times are ISO 8601 UTC. */
export const TicketSchema = z
  .object({
    id: name.describe(
      '`t-{block}-{ordinal}` of the transition that opened it, `r-…` of a citizen, `o-…` of an operator',
    ),
    version: z.int().min(1).describe('The number of entries in its history: grows by one with every change'),
    origin: z.enum(['sensor', 'citizen', 'operator']),
    status,
    rule: name.nullable().describe('Of its first alert; null where it has none'),
    group: name.nullable(),
    title: z.string(),
    titleZh: z.string(),
    description: z
      .string()
      .nullable()
      .describe("In the words of the person who asked for it; null from a rule, and in events of a citizen's ticket"),
    service: name,
    department: name.describe('The department that is responsible'),
    formerDepartments: z.array(name).readonly().describe('Departments that handed it over, the last one last'),
    district: name,
    severity: severity.describe('The highest of its alerts that fire, and at least `leastSeverity`'),
    leastSeverity: severity
      .nullable()
      .describe('Set by a person, or reached before somebody confirmed that it is over; null: its alerts decide alone'),
    location: z.object({ lat: z.number(), lon: z.number() }).nullable(),
    address: z.string().nullable().describe("The place in words; null in events of a citizen's ticket"),
    statement: name
      .nullable()
      .describe('Names what a citizen wrote, which stands apart and can be deleted; null: no citizen asked for it'),
    asset: name.nullable().describe('The pole, bin or manhole that it is about'),
    party: name
      .nullable()
      .describe('The department, contractor or group that does the work; null: the responsible department'),
    assignee: z.string().nullable().describe('The person who does it, as the party names people'),
    offer: z.object({ to: name, until: when }).nullable().describe('The party that may take it now'),
    escalatedTo: z.array(name).readonly().describe('Parties that were notified that it is late'),
    parent: name
      .nullable()
      .describe("The ticket that this is a part of (another department's share) or reports once more (a citizen)"),
    relation: z.enum(['part', 'report']).nullable(),
    foldedInto: name.nullable().describe('The ticket of the alert that explains its own; null: none'),
    alerts: z.array(TicketAlertSchema).readonly().describe('The first 50; `alertCount` counts all'),
    alertCount: z.int().min(0),
    reports: z.int().min(0).describe('Citizens who reported the same'),
    openedAt: when,
    updatedAt: when,
    acknowledgedAt: when.nullable(),
    resolvedAt: when.nullable(),
    closedAt: when.nullable(),
    acknowledgeBy: when.nullable().describe('When it should be acknowledged; null: no deadline, or done'),
    dueAt: when.describe('When it should be resolved'),
    reopened: z.int().min(0).describe('How often it was reopened'),
    rating: RatingSchema.nullable(),
    evidence: EvidenceSchema.extend({ rule: z.string().describe('The rule as its author wrote it (YAML)') })
      .nullable()
      .describe('Of its first alert, as it was when the ticket opened'),
    history: z.array(TicketChangeSchema).readonly().describe('Every change, the first one first'),
  })
  .meta({ id: 'Ticket', description: 'A service ticket' });
export type Ticket = ShapeOf<typeof TicketSchema>;
