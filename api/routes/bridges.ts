import { BridgeStatusSchema } from '../../bridges/index.ts';
import type { ApiDeps } from '../deps.ts';
import { pageOf, partOf, Short } from '../schema.ts';
import type { App } from './routes.ts';

/** `/api/v1/bridges`. */
export function bridgeRoutes(app: App, { bridges }: Pick<ApiDeps, 'bridges'>): void {
  app.get(
    '/api/v1/bridges',
    {
      config: { permission: 'metrics.read' },
      schema: {
        tags: ['ingest'],
        summary: 'Lists the connections to other brokers: state, lag, counts and last error of each',
        querystring: Short,
        response: { 200: pageOf(BridgeStatusSchema) },
      },
    },
    async ({ query }) => partOf(bridges.list(), query),
  );
}
