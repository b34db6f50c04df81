import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { boundTo, LamppostError, TICKET_STATUSES, type Ticket, TicketAlertSchema } from '../../domain/index.ts';

import { WAIT_REASONS, type WaitReason } from '../../tickets/index.ts';
import { TicketAnswer, WaitingAnswer } from '../answers/tickets.ts';
import type { ApiDeps } from '../deps.ts';
import { found, given, Names, Paged, pageOf, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

const Id = z.object({ id: z.string() });
const names = Names.optional();

/** A list of one of these, repeated or comma separated. */
const oneOf = <T extends string>(values: readonly T[]) => Names.pipe(z.array(z.enum(values))).optional();

const Query = Paged.extend({
  status: oneOf(TICKET_STATUSES),
  origin: oneOf(['sensor', 'citizen', 'operator']),
  service: names,
  department: names,
  party: names,
  district: names,
  severity: Names.pipe(z.array(SeveritySchema)).optional(),
  rule: names,
  group: names,
  parent: names,
});

/** The version of a ticket, as `If-Match` takes it (RFC 9110 §8.8.3). */
const ticketTag = ({ version }: Pick<Ticket, 'version'>) => `"${version}"`;

/** Answers a ticket with its version and what silences it. */
export function answerTicket(reply: FastifyReply, ticket: Ticket, { held }: Pick<ApiDeps, 'held'>): never {
  return reply.header('etag', ticketTag(ticket)).send({ ...ticket, silencedBy: held.silencedBy(ticket) }) as never;
}

/** The ticket, where the asker may see it; another's is as if it were not there. */
export function seenTicket({ tickets }: Pick<ApiDeps, 'tickets'>, id: string, department: string | null): Ticket {
  const hidden = department !== null && !tickets.sees(department, id);
  return found(hidden ? null : tickets.get(id), `ticket "${id}"`);
}

/** `/api/v1/tickets`: what there is to do, and what is held back. A key of a department sees its own. */
export function ticketRoutes(app: App, deps: ApiDeps): void {
  const { tickets, held } = deps;
  const tags = ['tickets'];
  app.get(
    '/api/v1/tickets',
    {
      schema: {
        tags,
        summary: 'Tickets, newest first; filters take several values; a key of a department sees its own',
        querystring: Query,
        response: { 200: pageOf(TicketAnswer) },
      },
    },
    async ({ query, key }) => {
      const { items, next } = tickets.list({ ...given(query), seenBy: boundTo(key!) });
      return { items: items.map((ticket) => ({ ...ticket, silencedBy: held.silencedBy(ticket) })), next };
    },
  );
  app.get(
    '/api/v1/tickets/waiting',
    {
      schema: {
        tags,
        summary: 'Firing alerts whose ticket waits: silenced, inhibited, or gathered with others',
        querystring: Paged.extend({
          reason: z.enum(Object.keys(WAIT_REASONS) as [WaitReason, ...WaitReason[]]).optional(),
        }),
        response: { 200: pageOf(WaitingAnswer) },
      },
    },
    async ({ query, key }) => held.list({ ...given(query), seenBy: boundTo(key!) }),
  );
  app.get(
    '/api/v1/tickets/:id',
    {
      schema: {
        tags,
        summary: 'One ticket, with its evidence and history',
        params: Id,
        response: { 200: TicketAnswer },
      },
    },
    async ({ params: { id }, key }, reply) => answerTicket(reply, seenTicket(deps, id, boundTo(key!)), deps),
  );
  app.get(
    '/api/v1/tickets/:id/alerts',
    {
      schema: {
        tags,
        summary: 'All alerts behind a ticket, the first first',
        params: Id,
        querystring: Paged,
        response: { 200: pageOf(TicketAlertSchema) },
      },
    },
    async ({ params: { id }, query, key }) => tickets.alerts(seenTicket(deps, id, boundTo(key!)).id, query),
  );
  app.post(
    '/api/v1/tickets',
    {
      config: { role: 'operator' },
      schema: {
        tags,
        summary: 'Opens a ticket by hand, for a service and a district',
        body: z.strictObject({
          service: z.string(),
          title: z.string().min(1).max(200),
          titleZh: z.string().min(1).max(200).optional(),
          description: z.string().max(4_000).optional(),
          district: z.string(),
          severity: SeveritySchema.default('medium'),
          location: z.strictObject({ lat: z.number().min(-90).max(90), lon: z.number().min(-180).max(180) }).optional(),
          address: z.string().max(400).optional(),
        }),
        response: { 201: TicketAnswer },
      },
    },
    async ({ body, key }, reply) => {
      const { districts } = deps.city();
      if (!districts.has(body.district)) {
        const known = [...districts.keys()].join(', ');
        throw new LamppostError('invalid', `unknown district "${body.district}"; the city has ${known}`);
      }
      const { title, titleZh = title, description = null, location = null, address = null, ...rest } = body;
      const asked = { ...rest, title, titleZh, description, location, address, same: null };
      const ticket = await tickets.open({ ...asked, origin: 'operator', by: `key:${key!.id}` });
      reply.code(201).header('location', `/api/v1/tickets/${ticket.id}`);
      return answerTicket(reply, ticket, deps);
    },
  );
}
