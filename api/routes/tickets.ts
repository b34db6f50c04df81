import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import {
  boundTo,
  LamppostError,
  PlaceSchema,
  requireName,
  SEVERITIES,
  TICKET_REFUSALS,
  TICKET_STATUSES,
  type Ticket,
  TicketAlertSchema,
} from '../../domain/index.ts';
import { ACTIONS, WAIT_REASONS, type WaitReason } from '../../tickets/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { etagOf, versionsOf } from '../if-match.ts';
import { TicketChangeResponse, TicketResponse, WaitingResponse } from '../responses/tickets.ts';
import { found, Id, Name, Names, namesOf, Paged, pageOf, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'tickets' | 'held' | 'city'>;

const Note = z.string().max(4_000);
const tags = ['tickets'];
const operator = { role: 'operator', audited: 'action' } as const;

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
});

/** `/api/v1/tickets`. A key of a department sees its own tickets and acts on them. */
export function ticketRoutes(app: App, deps: Deps): void {
  listRoutes(app, deps);
  openRoute(app, deps);
  actionRoutes(app, deps);
}

/**
 * Returns the ticket if the department may see it (null: all of them). Throws `not-found` for any other, as for one
 * that does not exist.
 */
export function seenTicket(tickets: Deps['tickets'], id: string, department: string | null): Ticket {
  const hidden = department !== null && !tickets.sees(department, id);
  return found(hidden ? null : tickets.get(id), `ticket "${id}"`);
}

const shown = (ticket: Ticket, { held }: Deps) => ({ ...ticket, silencedBy: held.silencedBy(ticket) });

/** Sets the ETag of the ticket's version and returns the body. */
function withTag(reply: FastifyReply, ticket: Ticket, deps: Deps) {
  reply.header('etag', etagOf(ticket.version));
  return shown(ticket, deps);
}

function listRoutes(app: App, deps: Deps): void {
  const { tickets, held } = deps;
  app.get(
    '/api/v1/tickets',
    {
      schema: {
        tags,
        summary: 'Lists tickets, newest first; each filter takes several values',
        querystring: Query,
        response: { 200: pageOf(TicketResponse) },
      },
    },
    async ({ query, key }) => {
      const { items, next } = await tickets.listInTurns({ ...query, seenBy: boundTo(key!) });
      return { items: items.map((ticket) => shown(ticket, deps)), next };
    },
  );
  app.get(
    '/api/v1/tickets/waiting',
    {
      schema: {
        tags,
        summary: 'Lists firing alerts whose ticket waits: silenced, inhibited or gathered with others',
        querystring: Paged.extend({
          reason: z.enum(Object.keys(WAIT_REASONS) as [WaitReason, ...WaitReason[]]).exactOptional(),
        }),
        response: { 200: pageOf(WaitingResponse) },
      },
    },
    async ({ query, key }) => held.list({ ...query, seenBy: boundTo(key!) }),
  );
  app.get(
    '/api/v1/tickets/:id',
    {
      schema: {
        tags,
        summary: 'Returns a ticket with its evidence and history',
        params: Id,
        response: { 200: TicketResponse },
      },
    },
    async ({ params, key }, reply) => withTag(reply, seenTicket(tickets, params.id, boundTo(key!)), deps),
  );
  app.get(
    '/api/v1/tickets/:id/alerts',
    listOf('Lists all alerts of a ticket, oldest first', TicketAlertSchema),
    async ({ params, query, key }) => tickets.alerts(seenTicket(tickets, params.id, boundTo(key!)).id, query),
  );
  app.get(
    '/api/v1/tickets/:id/history',
    listOf('Lists all changes of a ticket, oldest first', TicketChangeResponse),
    async ({ params, query, key }) => tickets.history(seenTicket(tickets, params.id, boundTo(key!)).id, query),
  );
}

/** The schema of a list of what one ticket has. */
function listOf<T extends z.ZodType>(summary: string, item: T) {
  return { schema: { tags, summary, params: Id, querystring: Paged, response: { 200: pageOf(item) } } };
}

function openRoute(app: App, deps: Deps): void {
  app.post(
    '/api/v1/tickets',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Opens a ticket by hand for a service and a district',
        body: Opening,
        response: { 201: TicketResponse },
      },
    },
    async (request, reply) => {
      const { body } = request;
      requireName('district', body.district, deps.city().districts);
      const { title, titleZh = title, description = null, location = null, address = null, ...rest } = body;
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
      config: operator,
      schema: {
        tags,
        summary:
          'Acts on a ticket. `assign` names who does the work (`to`, `assignee`), `hand-over` the department that is ' +
          'responsible from now on (`to`), `comment` the text (`note`). `If-Match` limits the action to the versions listed',
        params: Id.extend({ action: z.enum(ACTIONS) }),
        body: z
          .strictObject({ note: Note.optional(), to: Name.optional(), assignee: z.string().max(200).optional() })
          .nullish(),
        response: { 200: TicketResponse },
      },
    },
    async (request, reply) => {
      const { id, action } = request.params;
      const act = { ...request.body, action, ...targetOf(request, id, tickets) };
      if (action === 'comment' && !act.note) throw new LamppostError('invalid', 'note: a comment needs a text');
      return withTag(reply, await tickets.act(act, callerOf(request)), deps);
    },
  );
  app.post(
    '/api/v1/tickets/:id/parts',
    {
      config: operator,
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

interface Target {
  readonly ticket: string;
  readonly version: number | undefined;
}

/** Which ticket is acted on, and which version of it. Throws `not-found` where the key may not see the ticket. */
function targetOf({ key, headers }: FastifyRequest, id: string, tickets: Deps['tickets']): Target {
  const ticket = seenTicket(tickets, id, boundTo(key!));
  return { ticket: id, version: versionIn(versionsOf(headers['if-match']), ticket) };
}

/**
 * Returns the ticket's version if it is listed: the service compares it once more when it decides, as somebody may be
 * faster. Undefined where any version will do. Throws `precondition`: a version that is not listed now is past.
 */
function versionIn(listed: readonly string[] | null, { version }: Ticket): number | undefined {
  if (listed === null) return undefined;
  if (listed.includes(String(version))) return version;
  const detail = `it is at version ${version}, not ${listed.join(', ')}`;
  const reason = 'ticket-changed';
  throw new LamppostError('precondition', `${TICKET_REFUSALS[reason]}: ${detail}`, { reason });
}
