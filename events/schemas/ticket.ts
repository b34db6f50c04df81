import { z } from 'zod';
import {
  EvidenceSchema,
  HISTORY_ACTIONS,
  SEVERITIES,
  TICKET_STATUSES,
  type Ticket,
  type TicketAlert,
  type TicketChange,
} from '../../domain/index.ts';
import { exactly } from './exactly.ts';

const when = z.iso.datetime();
const name = z.string();
const status = z.enum(TICKET_STATUSES);

const Change = exactly<TicketChange>()(
  z.object({
    at: when,
    by: name.describe('`rule:<id>`, `key:<id>`, `reporter`, or `clock` for what came due'),
    action: z.enum(HISTORY_ACTIONS),
    from: status.nullable(),
    to: status,
    note: z.string(),
  }),
);

/** An alert behind a ticket. */
export const TicketAlertSchema = exactly<TicketAlert>()(
  z
    .object({
      rule: name,
      group: name,
      state: z.enum(['firing', 'resolved']),
      severity: z.enum(SEVERITIES),
      since: when.describe('When it fired'),
    })
    .meta({ id: 'TicketAlert', description: 'An alert behind a ticket' }),
);

const Evidence = EvidenceSchema.extend({ rule: z.string().describe('The rule as its author wrote it (YAML)') });
const Rating = z.object({ stars: z.int().min(1).max(5), comment: z.string(), at: when });

/** A service ticket, as the API, its events and its retained topic show it. */
export const TicketSchema = exactly<Ticket>()(
  z
    .object({
      id: name,
      version: z.int().min(1).describe('Grows by one with every change'),
      origin: z.enum(['sensor', 'citizen', 'operator']),
      status,
      rule: name.nullable().describe('Of its first alert; null where it has none'),
      group: name.nullable(),
      title: z.string(),
      titleZh: z.string(),
      description: z.string().nullable().describe('In the words of who asked for it'),
      service: name,
      department: name.describe('Who answers for it'),
      formerDepartments: z.array(name).readonly().describe('Who answered for it before, the last last'),
      district: name,
      severity: z.enum(SEVERITIES),
      location: z.object({ lat: z.number(), lon: z.number() }).nullable(),
      address: z.string().nullable(),
      party: name.nullable().describe('Who does the work; null: who answers for it'),
      assignee: z.string().nullable(),
      offer: z.object({ to: name, until: when }).nullable().describe('Who may take it now'),
      escalatedTo: z.array(name).readonly().describe('Who was told that it is late'),
      parent: name.nullable().describe('The ticket that this is a part of, or reports once more'),
      relation: z.enum(['part', 'report']).nullable(),
      alerts: z.array(TicketAlertSchema).readonly().describe('The first 50'),
      alertCount: z.int().min(0),
      reports: z.int().min(0).describe('Citizens who reported the same'),
      openedAt: when,
      updatedAt: when,
      acknowledgedAt: when.nullable(),
      resolvedAt: when.nullable(),
      closedAt: when.nullable(),
      acknowledgeBy: when.nullable(),
      dueAt: when.describe('When it should be resolved'),
      reopened: z.int().min(0),
      rating: Rating.nullable(),
      evidence: Evidence.nullable().describe('Of its first alert, as it was when the ticket opened'),
      history: z.array(Change).readonly().describe('Every change, the first one first'),
    })
    .meta({ id: 'Ticket', description: 'A service ticket' }),
);
