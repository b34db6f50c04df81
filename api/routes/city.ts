import { z } from 'zod';
import { LedgerSchema } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, Name } from '../schema.ts';
import type { App } from './routes.ts';

/** `/api/v1/ledger` and `/api/v1/city/reload`. */
export function cityRoutes(app: App, { ledger, reloadCity }: Pick<ApiDeps, 'ledger' | 'reloadCity'>): void {
  app.get(
    '/api/v1/ledger',
    {
      schema: {
        tags: ['ledger'],
        summary:
          'Counts the messages and readings of the city or of one device: received = decoded + quarantined + pending',
        querystring: z.object({ device: Name.optional() }),
        response: { 200: LedgerSchema },
      },
    },
    async ({ query: { device } }) => found(await ledger(device), `message of device "${device}"`),
  );
  app.post(
    '/api/v1/city/reload',
    {
      config: { role: 'admin' },
      schema: {
        tags: ['city'],
        summary:
          'Reads the city folder again. If it has mistakes, the response lists them and the old city stays in force',
        response: { 200: z.object({ changed: z.boolean(), version: z.string() }) },
      },
    },
    async () => reloadCity(),
  );
}
