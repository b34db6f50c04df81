import { z } from 'zod';
import { AGGREGATES } from '../../domain/index.ts';
import { parseDuration } from '../../ingest/index.ts';
import type { ApiDeps } from '../deps.ts';
import { given, Instant, Item, Names } from '../schema.ts';
import type { App } from './routes.ts';

const HOUR_MS = 3_600_000;
const Every = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  context.addIssue(`"${text}" is not an interval; write 30s, 5m, 1h or 1d`);
  return z.NEVER;
});

const Query = z.object({
  device: Names.optional(),
  metric: Names.optional(),
  district: z.string().optional(),
  from: Instant.optional(),
  to: Instant.optional(),
  every: Every.optional(),
  fn: z.enum(AGGREGATES).default('mean'),
  maxPoints: z.coerce.number().int().min(1).max(1_000_000).default(100_000),
});

/** `/api/v1/readings`. */
export function readingRoutes(app: App, { history }: ApiDeps): void {
  const tags = ['readings'];
  app.get(
    '/api/v1/readings',
    {
      schema: {
        tags,
        summary: 'Readings of [from, to), raw or one point an interval; the last hour where nothing is said',
        querystring: Query,
        response: { 200: z.object({ series: z.array(Item) }) },
      },
    },
    async ({ query }) => {
      const toMs = query.to ?? Date.now() + 1;
      const fromMs = query.from ?? toMs - HOUR_MS;
      const { device: devices, metric: metrics, district, every: everyMs, fn, maxPoints } = query;
      const series = await history.query(given({ devices, metrics, district, everyMs, fromMs, toMs, fn, maxPoints }));
      return { series } as never;
    },
  );
  app.get(
    '/api/v1/readings/latest',
    {
      schema: {
        tags,
        summary: 'The newest reading of each device and metric',
        querystring: Query.pick({ device: true, metric: true, district: true }),
        response: { 200: z.object({ items: z.array(Item), next: z.null() }) },
      },
    },
    async ({ query: { device: devices, metric: metrics, district } }) =>
      ({ items: await history.latest(given({ devices, metrics, district })), next: null }) as never,
  );
}
