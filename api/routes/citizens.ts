import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { refuseReporter } from '../../citizens/index.ts';
import { LamppostError, reachOf, type Ticket } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { RatingResponse, ReporterResponse, RequestResponse } from '../responses/citizens.ts';
import { found, Id } from '../schema.ts';
import type { App } from './routes.ts';
import { seenTicket } from './tickets.ts';

type Deps = Pick<ApiDeps, 'citizens' | 'city' | 'tickets' | 'log'>;

const tags = ['citizens'];

/** What belongs to a ticket that a citizen reported: their rating, the details they gave, and who they are. */
export function citizenRoutes(app: App, deps: Deps): void {
  ratingRoute(app, deps);
  requestRoute(app, deps);
  reporterRoutes(app, deps);
}

/** The largest body of a rating, bytes: its comment has 2,000 characters. */
const MOST_RATING = 16 * 1024;

/** Needs no key: the token is the proof. It has 256 random bits, so there is no limit on attempts. */
function ratingRoute(app: App, { citizens }: Pick<ApiDeps, 'citizens'>): void {
  const body = z.strictObject({
    token: z.string().min(1).max(200),
    stars: z.number().int().min(1).max(5),
    comment: z.string().max(2_000).default(''),
  });
  app.post(
    '/api/v1/tickets/:id/rate',
    {
      config: { permission: 'open' },
      bodyLimit: MOST_RATING,
      schema: {
        tags,
        summary: 'Rates a closed ticket; the token proves that the citizen reported it',
        params: Id,
        body,
        response: { 200: RatingResponse },
      },
    },
    async ({ params, body: { token, stars, comment } }) => {
      const rated = await citizens.rate({ ticket: params.id, token, stars, comment });
      const { id, rating } = citizens.shown.ticket(rated);
      return { id, rating };
    },
  );
}

function requestRoute(app: App, { citizens, city, tickets }: Deps): void {
  app.get(
    '/api/v1/tickets/:id/request',
    {
      config: { permission: 'tickets.read' },
      schema: {
        tags,
        summary:
          "Returns what a citizen's request adds to its ticket: answers to the service's questions, photo, address id",
        params: Id,
        response: { 200: RequestResponse },
      },
    },
    async ({ reach, params: { id } }) => {
      const { service } = seenTicket(tickets, id, reach);
      const request = found(citizens.requests.get(id), `request "${id}"`);
      const { mediaUrl, moreMedia = [], addressId, attributes } = citizens.shown.request(request);
      const asked = new Map(
        city()
          .services.get(service)
          ?.attributes.map((one) => [one.code, one]),
      );
      const answers = Object.entries(attributes).map(([code, answer]) => ({
        code,
        title: asked.get(code)?.title ?? null,
        answer,
      }));
      const mediaUrls = mediaUrl === null ? [] : [mediaUrl, ...moreMedia];
      return { ticket: id, mediaUrl, mediaUrls, addressId, answers };
    },
  );
}

function reporterRoutes(app: App, { citizens, city, tickets, log }: Deps): void {
  /**
   * Returns the ticket. Throws `not-found`, also for those who do not see it, and `forbidden` for all but operators of
   * the responsible department and the city's admins.
   */
  function allowed(id: string, { grants, key }: Pick<FastifyRequest, 'grants' | 'key'>): Ticket {
    const ticket = seenTicket(tickets, id, reachOf(grants, 'tickets.read'));
    // A repeated report belongs to the department that has the first one now.
    const responsible = ticket.relation === 'report' ? (tickets.get(ticket.parent!) ?? ticket) : ticket;
    const { department } = responsible;
    const refusal = refuseReporter(grants, responsible, city().departments.get(department)?.kind);
    if (refusal === null) return ticket;
    log.warn(
      { ticket: id, key: key!.id, department: key!.department, refusal },
      'access to the reporter of a ticket was refused',
    );
    const who =
      refusal === 'not-a-department'
        ? `${department} is no department of the city: only the city's admins`
        : `only operators of ${department} and the city's admins`;
    throw new LamppostError('forbidden', `${who} see who reported ${id}`, {
      reason: refusal === 'not-your-department' ? 'not-your-ticket' : refusal,
    });
  }

  const schema = (summary: string) => ({ tags, summary, params: Id });
  app.get(
    '/api/v1/tickets/:id/reporter',
    {
      config: { permission: 'reporters.read', audited: 'access' },
      schema: {
        ...schema('Returns who reported a ticket; each access is in the audit trail'),
        response: { 200: ReporterResponse },
      },
    },
    async (request) => {
      const { key, params } = request;
      const { id } = params;
      const reporter = found(
        citizens.reporter(allowed(id, request)),
        `reporter of "${id}": no name was given, or it was deleted`,
      );
      log.info({ ticket: id, key: key!.id, department: key!.department }, 'the reporter of a ticket was read');
      return { ticket: id, ...reporter };
    },
  );
  app.delete(
    '/api/v1/tickets/:id/reporter',
    {
      config: { permission: 'reporters.delete' },
      schema: schema('Deletes who reported a ticket and what they wrote, photo included, at once and for good'),
    },
    async (request, reply) => {
      const { key, params } = request;
      const { id } = params;
      const ticket = allowed(id, request);
      const removed = ticket.relation !== 'part' && (await citizens.remove(ticket));
      found(removed || null, `reporter of "${id}": there was none, or it was deleted`);
      log.info({ ticket: id, key: key!.id, department: key!.department }, 'the reporter of a ticket was deleted');
      return reply.code(204).send();
    },
  );
}
