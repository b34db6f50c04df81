import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ShownChange } from '../../citizens/index.ts';
import {
  boundTo,
  DeviceCommandSchema,
  isoOf,
  ParametersSchema,
  PlaceSchema,
  type Reach,
  SEVERITIES,
  TICKET_REFUSALS,
  TICKET_STATUSES,
  type Ticket,
  TicketAlertSchema,
} from '../../domain/index.ts';
import {
  ACTIONS,
  TICKET_ORDERS,
  TicketCountsSchema,
  WAIT_REASONS,
  type WaitReason,
  warningsOf,
} from '../../tickets/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { etagOf, versionIn } from '../if-match.ts';
import { TicketChangeResponse, TicketResponse, WaitingResponse } from '../responses/tickets.ts';
import { found, Id, Instant, Name, Names, namesOf, Paged, pageOf, SeveritySchema } from '../schema.ts';
import { Search } from '../search.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'commands' | 'tickets' | 'held' | 'city' | 'citizens' | 'people' | 'clock'>;

const Note = z.string().max(4_000);
const tags = ['tickets'];
const acting = { permission: 'tickets.write', audited: 'action' } as const;

const names = Names.exactOptional();
const Query = Paged.extend({
  status: namesOf(TICKET_STATUSES).exactOptional(),
  origin: namesOf(['sensor', 'citizen', 'operator']).exactOptional(),
  service: names,
  department: names,
  party: names,
  district: names,
  severity: namesOf(SEVERITIES).exactOptional(),
  rule: names,
  group: names,
  parent: names,
  asset: names,
  ...Search,
  sort: z
    .enum(TICKET_ORDERS)
    .exactOptional()
    .describe('The order; with `-` the largest first; absent: `-opened`, the newest first'),
});

const Opening = z.strictObject({
  service: Name,
  title: z.string().min(1).max(200),
  titleZh: z.string().min(1).max(200).optional(),
  description: z.string().max(4_000).optional(),
  district: Name,
  severity: SeveritySchema.default('medium'),
  location: PlaceSchema.optional(),
  address: z.string().max(400).optional(),
  asset: Name.optional(),
});

/** `/api/v1/tickets`. A key of a department sees its own tickets and acts on them. */
export function ticketRoutes(app: App, deps: Deps): void {
  listRoutes(app, deps);
  openRoute(app, deps);
  actionRoutes(app, deps);
  commandRoute(app, deps);
}

/**
 * Returns the ticket if somebody of this reach may see it. Throws `not-found` for any other, as for one
 * that does not exist.
 */
export function seenTicket(tickets: Deps['tickets'], id: string, reach: Reach): Ticket {
  const departments = boundTo(reach);
  const hidden = departments !== null && !tickets.sees(departments, id);
  return found(hidden ? null : tickets.get(id), `ticket "${id}"`);
}

function shown(ticket: Ticket, { tickets, city, held, citizens, people }: Deps) {
  const { history: changes, ...said } = citizens.shown.ticket(ticket);
  const history = changes.map((change) => named(change, people));
  const warnings = warningsOf(ticket, tickets.firing(ticket.id), city().services.get(ticket.service));
  return { ...said, history, warnings, silencedBy: held.silencedBy(ticket) };
}

/** Adds the name of the person who made a change, as it is today. */
function named(change: ShownChange, people: Deps['people']) {
  const [, id] = /^person:(.+)$/.exec(change.by) ?? [];
  const person = id === undefined ? null : people.get(id);
  return person === null ? change : { ...change, byName: person.name };
}

/** Sets the ETag of the ticket's version and returns the body. */
function withTag(reply: FastifyReply, ticket: Ticket, deps: Deps) {
  reply.header('etag', etagOf(ticket.version));
  return shown(ticket, deps);
}

function listRoutes(app: App, deps: Deps): void {
  const { tickets, held, people, clock, citizens } = deps;
  app.get(
    '/api/v1/tickets',
    {
      config: { permission: 'tickets.read' },
      schema: {
        tags,
        summary: 'Lists tickets, newest first or in another order; each filter by names takes several values',
        querystring: Query,
        response: { 200: pageOf(TicketResponse) },
      },
    },
    async ({ query, reach }) => {
      const { items, next } = await tickets.listInTurns({ ...query, seenBy: boundTo(reach) });
      return { items: items.map((ticket) => shown(ticket, deps)), next };
    },
  );
  app.get(
    '/api/v1/tickets/counts',
    {
      config: { permission: 'tickets.read' },
      schema: {
        tags,
        summary: 'Counts tickets by status, and those that are overdue; takes the filters of the list',
        querystring: Query.omit({ limit: true, after: true, sort: true }),
        response: { 200: TicketCountsSchema },
      },
    },
    async ({ query, reach }) => tickets.countsInTurns({ ...query, seenBy: boundTo(reach) }, isoOf(clock.now())),
  );
  app.get(
    '/api/v1/tickets/waiting',
    {
      config: { permission: 'tickets.read' },
      schema: {
        tags,
        summary: 'Lists firing alerts whose ticket waits: silenced, inhibited or gathered with others',
        querystring: Paged.extend({
          reason: z.enum(Object.keys(WAIT_REASONS) as [WaitReason, ...WaitReason[]]).exactOptional(),
        }),
        response: { 200: pageOf(WaitingResponse) },
      },
    },
    async ({ query, reach }) => held.list({ ...query, seenBy: boundTo(reach) }),
  );
  app.get(
    '/api/v1/tickets/:id',
    {
      config: { permission: 'tickets.read' },
      schema: {
        tags,
        summary: 'Returns a ticket with its evidence and history',
        params: Id,
        response: { 200: TicketResponse },
      },
    },
    async ({ params, reach }, reply) => withTag(reply, seenTicket(tickets, params.id, reach), deps),
  );
  app.get(
    '/api/v1/tickets/:id/alerts',
    listOf('Lists all alerts of a ticket, oldest first', TicketAlertSchema),
    async ({ params, query, reach }) => tickets.alerts(seenTicket(tickets, params.id, reach).id, query),
  );
  app.get(
    '/api/v1/tickets/:id/history',
    listOf('Lists all changes of a ticket, oldest first', TicketChangeResponse),
    async ({ params, query, reach }) => {
      const { items, next } = tickets.history(seenTicket(tickets, params.id, reach).id, query);
      return { items: items.map((change) => named(citizens.shown.change(change), people)), next };
    },
  );
}

/** The schema of a list of what one ticket has. */
function listOf<T extends z.ZodType>(summary: string, item: T) {
  const config = { permission: 'tickets.read' } as const;
  return { config, schema: { tags, summary, params: Id, querystring: Paged, response: { 200: pageOf(item) } } };
}

function openRoute(app: App, deps: Deps): void {
  app.post(
    '/api/v1/tickets',
    {
      config: { permission: 'tickets.open', audited: 'action' },
      schema: {
        tags,
        summary: 'Opens a ticket by hand for a service and a district',
        body: Opening,
        response: { 201: TicketResponse },
      },
    },
    async (request, reply) => {
      const { title, titleZh = title, description = null, location = null, address = null, ...rest } = request.body;
      const wanted = { ...rest, title, titleZh, description, location, address };
      const ticket = await deps.tickets.open(wanted, callerOf(request));
      reply.code(201).header('location', `/api/v1/tickets/${ticket.id}`);
      return withTag(reply, ticket, deps);
    },
  );
}

/**
 * `POST /api/v1/tickets/{id}/{action}`: `MOVES` says who may do what. With `If-Match`, only on a version that is
 * listed.
 */
function actionRoutes(app: App, deps: Deps): void {
  const { tickets } = deps;
  app.post(
    '/api/v1/tickets/:id/:action',
    {
      config: acting,
      schema: {
        tags,
        summary:
          'Acts on a ticket. `assign` names who does the work (`to`, `assignee`), `hand-over` the department that is ' +
          'responsible from now on (`to`), `comment` the text (`note`; with `public` the citizens who reported it and everybody else may read it), `set-severity` the `severity`. `If-Match` limits the action to the versions listed',
        params: Id.extend({ action: z.enum(ACTIONS) }),
        body: z
          .strictObject({
            note: Note.optional(),
            to: Name.optional(),
            assignee: z.string().max(200).optional(),
            severity: SeveritySchema.optional(),
            public: z.boolean().optional(),
          })
          .nullish(),
        response: { 200: TicketResponse },
      },
    },
    async (request, reply) => {
      const { id, action } = request.params;
      const act = { ...request.body, action, ...targetOf(request, id, tickets) };
      return withTag(reply, await tickets.act(act, callerOf(request)), deps);
    },
  );
  app.post(
    '/api/v1/tickets/:id/parts',
    {
      config: acting,
      schema: {
        tags,
        summary: 'Creates a part of a ticket for another department; the ticket waits for its parts',
        params: Id,
        body: z.strictObject({ department: Name, note: Note.min(1) }),
        response: { 201: TicketResponse },
      },
    },
    async (request, reply) => {
      const target = targetOf(request, request.params.id, tickets);
      const part = await tickets.split({ ...request.body, ...target }, callerOf(request));
      reply.code(201).header('location', `/api/v1/tickets/${part.id}`);
      return withTag(reply, part, deps);
    },
  );
}

/**
 * What a person confirms on a ticket: the command that its service names, or another one, to the device of its alert.
 */
function commandRoute(app: App, { tickets, commands }: Deps): void {
  app.post(
    '/api/v1/tickets/:id/run-command',
    {
      config: { permission: 'commands.write', audited: 'action' },
      schema: {
        tags,
        summary: 'Sends the command that the service of a ticket names, or another one, to the device of its alert',
        params: Id,
        body: z
          .strictObject({
            command: Name.optional().describe('Absent: the one that the service names'),
            parameters: ParametersSchema.default({}),
            validUntil: Instant.nullish(),
          })
          .nullish(),
        response: { 201: DeviceCommandSchema },
      },
    },
    async (request, reply) => {
      const { command, parameters, validUntil } = request.body ?? { parameters: {} };
      const asked = command === undefined ? null : { name: command, parameters };
      const target = targetOf(request, request.params.id, tickets);
      const sent = await commands.run({ ...target, asked, validUntilMs: validUntil ?? null }, callerOf(request));
      return reply.code(201).header('location', `/api/v1/devices/${sent.device}/commands/${sent.id}`).send(sent);
    },
  );
}

const CHANGED = ['ticket-changed', TICKET_REFUSALS['ticket-changed']] as const;

interface Target {
  readonly ticket: string;
  readonly version: number | undefined;
}

/** Which ticket is acted on, and which version of it. Throws `not-found` where the key may not see the ticket. */
function targetOf({ reach, headers }: FastifyRequest, id: string, tickets: Deps['tickets']): Target {
  const ticket = seenTicket(tickets, id, reach);
  return { ticket: id, version: versionIn(headers, ticket.version, CHANGED) };
}
