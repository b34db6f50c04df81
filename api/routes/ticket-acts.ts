import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { boundTo, LamppostError } from '../../domain/index.ts';
import { ACTIONS, type ActionRequest, type Actor } from '../../tickets/index.ts';
import { TicketAnswer } from '../answers/tickets.ts';
import type { ApiDeps } from '../deps.ts';
import type { App } from './routes.ts';
import { answerTicket, seenTicket } from './tickets.ts';

const Id = z.object({ id: z.string() });
const Note = z.string().max(4_000);

/** `POST /api/v1/tickets/{id}/{action}`: who may do what is in `MOVES`. With `If-Match`, only to the version that the actor has seen. */
export function ticketActRoutes(app: App, deps: ApiDeps): void {
  const { tickets } = deps;
  const tags = ['tickets'];
  const config = { role: 'operator' } as const;
  app.post(
    '/api/v1/tickets/:id/:action',
    {
      config,
      schema: {
        tags,
        summary:
          'Acts on a ticket: assign names who does the work (`to`, `assignee`), hand-over who answers for it (`to`), comment what to say (`note`)',
        params: Id.extend({ action: z.enum(ACTIONS) }),
        body: z
          .strictObject({ note: Note.optional(), to: z.string().optional(), assignee: z.string().max(200).optional() })
          .nullish(),
        response: { 200: TicketAnswer },
      },
    },
    async (request, reply) => {
      const { id, action } = request.params;
      const actor = actorOf(request);
      seenTicket(deps, id, actor.department);
      const act: ActionRequest = { ...request.body, ticket: id, action, actor, version: versionOf(request) };
      if (action === 'comment' && !act.note) throw new LamppostError('invalid', 'note: a comment says something');
      return answerTicket(reply, await tickets.act(act), deps);
    },
  );
  app.post(
    '/api/v1/tickets/:id/parts',
    {
      config,
      schema: {
        tags,
        summary: 'Makes a part of a ticket for another department, which the whole waits for',
        params: Id,
        body: z.strictObject({ department: z.string(), note: Note.min(1) }),
        response: { 201: TicketAnswer },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const actor = actorOf(request);
      seenTicket(deps, id, actor.department);
      const part = await tickets.split({ ...request.body, ticket: id, actor, version: versionOf(request) });
      reply.code(201).header('location', `/api/v1/tickets/${part.id}`);
      return answerTicket(reply, part, deps);
    },
  );
}

function actorOf({ key }: FastifyRequest): Extract<Actor, { kind: 'key' }> {
  const { id, role } = key!;
  return { kind: 'key', id, role, department: boundTo(key!) };
}

/** The version of `If-Match`; undefined where any will do (RFC 9110 §13.1.1). */
function versionOf({ headers }: FastifyRequest): number | undefined {
  const asked = headers['if-match'];
  if (asked === undefined || asked === '*') return undefined;
  const version = /^"(\d{1,9})"$/.exec(asked)?.[1];
  if (version === undefined) {
    throw new LamppostError('invalid', `If-Match: ${asked} is not the ETag of a ticket, such as "3"`);
  }
  return Number(version);
}
