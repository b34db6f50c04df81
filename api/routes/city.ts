import { z } from 'zod';
import { TICKET_STATUSES } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, given, Item, Paged, pageOf, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

const Id = z.object({ id: z.string() });
const text = z.string().optional();

/** `/api/v1/ledger`: where every message is. `/api/v1/city/reload`. */
export function ledgerRoutes(app: App, deps: ApiDeps): void {
  app.get(
    '/api/v1/ledger',
    {
      schema: {
        tags: ['ledger'],
        summary: 'received = decoded + quarantined + pending, for the city or one device',
        querystring: z.object({ device: text }),
        response: { 200: Item },
      },
    },
    async ({ query: { device } }) => found(await deps.ledger(device), `message of device "${device}"`) as never,
  );
  app.post(
    '/api/v1/city/reload',
    {
      config: { role: 'admin' },
      schema: {
        tags: ['city'],
        summary:
          'Reads the city folder again; a folder with mistakes leaves the old one in force and says where they are',
        response: { 200: z.object({ changed: z.boolean(), version: z.string() }) },
      },
    },
    async () => deps.reloadCity(),
  );
}

/** `/api/v1/tickets`. */
export function ticketRoutes(app: App, { tickets }: ApiDeps): void {
  const tags = ['tickets'];
  const querystring = Paged.extend({
    status: z.enum(TICKET_STATUSES).optional(),
    department: text,
    district: text,
    severity: SeveritySchema.optional(),
    rule: text,
    group: text,
  });
  app.get(
    '/api/v1/tickets',
    { schema: { tags, summary: 'Tickets, newest first', querystring, response: { 200: pageOf(Item) } } },
    async ({ query }) => tickets.list(given(query)) as never,
  );
  app.get(
    '/api/v1/tickets/:id',
    { schema: { tags, summary: 'One ticket, with its evidence and history', params: Id, response: { 200: Item } } },
    async ({ params: { id } }) => found(tickets.get(id), `ticket "${id}"`) as never,
  );
}
