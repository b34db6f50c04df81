import { createReadStream, rm } from 'node:fs';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import {
  AGGREGATES,
  HOUR_MS,
  LamppostError,
  LatestReadingSchema,
  parseDuration,
  SeriesSchema,
} from '../../domain/index.ts';
import { readingsCsv } from '../csv.ts';
import type { ApiDeps } from '../deps.ts';
import { given, Instant, Names, sendRaw } from '../schema.ts';
import type { App } from './routes.ts';

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
  /** Intervals without a reading are left out, or null. */
  fill: z.enum(['none', 'null']).optional(),
  /** Takes precedence over the Accept header. */
  format: z.enum(['json', 'csv', 'parquet']).optional(),
  maxPoints: z.coerce.number().int().min(1).max(1_000_000).default(100_000),
});

/** `/api/v1/readings`. */
export function readingRoutes(app: App, { history }: Pick<ApiDeps, 'history'>): void {
  const tags = ['readings'];
  app.get(
    '/api/v1/readings',
    {
      schema: {
        tags,
        summary:
          'Returns readings of [from, to), raw or one point per interval; by default the last hour. JSON, CSV or Parquet',
        querystring: Query,
        response: { 200: z.object({ series: z.array(SeriesSchema) }) },
      },
    },
    async ({ query, headers }, reply) => {
      const toMs = query.to ?? Date.now() + 1;
      const fromMs = query.from ?? toMs - HOUR_MS;
      if (fromMs > toMs) throw new LamppostError('invalid', `from (${fromMs}) is after to (${toMs}), both epoch ms`);
      if (query.fill === 'null' && query.every === undefined) {
        throw new LamppostError('invalid', 'fill=null needs the length of the intervals, such as every=5m');
      }
      const { device: devices, metric: metrics, district, every: everyMs, fn, fill, maxPoints } = query;
      const wanted = given({ devices, metrics, district, everyMs, fromMs, toMs, fn, fill });
      const format = query.format ?? accepted(headers.accept ?? '');
      if (format === 'parquet') return sendParquet(reply, await history.exportParquet(wanted));
      const series = await history.query({ ...wanted, maxPoints });
      if (format === 'json') return { series };
      return sendRaw(reply, 'text/csv; charset=utf-8; header=present', readingsCsv(series));
    },
  );
  app.get(
    '/api/v1/readings/latest',
    {
      schema: {
        tags,
        summary: 'Returns the newest reading of each device and metric',
        querystring: Query.pick({ device: true, metric: true, district: true }),
        response: { 200: z.object({ items: z.array(LatestReadingSchema), next: z.null() }) },
      },
    },
    async ({ query: { device: devices, metric: metrics, district } }) => ({
      items: await history.latest(given({ devices, metrics, district })),
      next: null,
    }),
  );
}

const PARQUET = 'application/vnd.apache.parquet';

function accepted(accept: string): 'json' | 'csv' | 'parquet' {
  if (accept.includes('text/csv')) return 'csv';
  return accept.includes(PARQUET) ? 'parquet' : 'json';
}

/** Sends a file and deletes it when it is sent or the client disconnects. */
function sendParquet(reply: FastifyReply, path: string): FastifyReply {
  const file = createReadStream(path);
  file.once('close', () => rm(path, { force: true }, () => {}));
  reply.header('content-disposition', 'attachment; filename="readings.parquet"');
  return sendRaw(reply, PARQUET, file);
}
