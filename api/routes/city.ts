import { z } from 'zod';
import { LedgerSchema } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found } from '../schema.ts';
import type { App } from './routes.ts';

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
        response: { 200: LedgerSchema },
      },
    },
    async ({ query: { device } }) => found(await deps.ledger(device), `message of device "${device}"`),
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
