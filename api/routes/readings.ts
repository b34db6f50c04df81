import { createReadStream, rm } from 'node:fs';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import {
  AGGREGATES,
  boundTo,
  type City,
  fillOf,
  HOUR_MS,
  isoOf,
  isQuality,
  LamppostError,
  type LatestReading,
  LatestReadingSchema,
  parseDuration,
  QUALITY,
  type ReadingsQuery,
  SeriesSchema,
} from '../../domain/index.ts';
import type { TextOf } from '../../ingest/index.ts';
import { positionOf } from '../../store/index.ts';
import { csvPoints } from '../csv.ts';
import { ownerOf } from '../departments.ts';
import type { ApiDeps } from '../deps.ts';
import { jsonPoints, nameOfValue, textOfPoints, type ValuesOf } from '../points.ts';
import { sendPieces, withinTime } from '../queries.ts';
import { given, Instant, Name, Names, pageOf, Short, sendRaw } from '../schema.ts';
import type { App } from './routes.ts';

const Every = z
  .string()
  .max(100)
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms !== null && ms > 0) return ms;
    context.addIssue(`"${text}" is not an interval; write 30s, 5m, 1h or 1d`);
    return z.NEVER;
  });

const Query = z.object({
  device: Names.optional(),
  metric: Names.optional(),
  district: Name.optional(),
  from: Instant.optional(),
  to: Instant.optional(),
  every: Every.optional(),
  fn: z.enum(AGGREGATES).default('mean'),
  state: Name.optional().describe('Of fn=share: the value whose time counts'),
  /** Intervals without a reading are left out, or null. */
  fill: z.enum(['none', 'null']).optional(),
  /** Takes precedence over the Accept header. */
  format: z.enum(['json', 'csv', 'parquet']).optional(),
  maxPoints: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(100_000)
    .describe('Most points of the response, gaps included; a query with more is refused. At most 1,000,000'),
});

type Needed = 'history' | 'queries' | 'devices' | 'city' | 'textOf';

/** Functions whose points are readings. */
const OF_READINGS: readonly string[] = ['first', 'last'];

/** What names the values of states and texts, and the quality of readings. */
const namesIn =
  ({ metrics }: Pick<City, 'metrics'>, textOf: TextOf): ValuesOf =>
  (metric) => {
    if (isQuality(metric)) return QUALITY.values;
    const known = metrics.get(metric);
    return known?.kind === 'text' ? textOf : known?.values;
  };

/** `/api/v1/readings`. */
export function readingRoutes(app: App, { history, queries, devices, city, textOf }: Pick<ApiDeps, Needed>): void {
  const tags = ['readings'];
  const config = { permission: 'readings.read', concurrency: 'queries' } as const;
  app.get(
    '/api/v1/readings',
    {
      config,
      schema: {
        tags,
        summary:
          'Returns readings of [from, to), raw or one point per interval; by default the last hour. JSON, CSV or Parquet',
        querystring: Query,
        response: { 200: z.object({ series: z.array(SeriesSchema) }) },
      },
    },
    async ({ query, headers, key }, reply) => {
      const { maxPoints, ...wanted } = wantedBy(query);
      const format = query.format ?? accepted(headers.accept ?? '');
      const asked = queries.begin(key!.id, reply.raw);
      try {
        if (format === 'parquet') {
          const path = await history.exportParquet(wanted, { ...asked.options, withinMs: asked.longMs });
          return await sendParquet(reply, path, asked.longMs);
        }
        const slices = history.read({ ...wanted, maxPoints }, asked.options);
        const isOfReadings = query.every === undefined || OF_READINGS.includes(query.fn);
        const valuesOf: ValuesOf = isOfReadings ? namesIn(city(), textOf) : () => undefined;
        const [type, form] = format === 'json' ? [JSON_TYPE, jsonPoints(valuesOf)] : [CSV_TYPE, csvPoints(valuesOf)];
        const text = textOfPoints(slices, { format: form, fill: fillOf(wanted), written: asked.points });
        return await sendPieces(reply, type, text, asked.longMs);
      } finally {
        asked.worked();
      }
    },
  );
  app.get(
    '/api/v1/readings/latest',
    {
      config,
      schema: {
        tags,
        summary: 'Returns the newest reading of each device and metric',
        querystring: Query.pick({ device: true, metric: true, district: true }).extend(Short.shape),
        response: { 200: pageOf(LatestReadingSchema) },
      },
    },
    async ({ query: { device: devices, metric: metrics, district, limit, after }, key }, reply) => {
      const from = positionOf(after, 0);
      const asked = queries.begin(key!.id, reply.raw);
      const items = history.latest(given({ devices, metrics, district }));
      const text = textOfItems(items, {
        written: asked.points,
        valuesOf: namesIn(city(), textOf),
        from,
        to: limit === undefined ? Number.POSITIVE_INFINITY : from + limit,
      });
      return await sendPieces(reply, JSON_TYPE, text, asked.longMs);
    },
  );
  app.get(
    '/api/v1/readings/seen',
    {
      config,
      schema: {
        tags,
        summary: 'Returns the time of the newest reading of each device that has sent one',
        querystring: Query.pick({ device: true, district: true }),
        response: { 200: z.object({ items: z.array(SeenSchema) }) },
      },
    },
    async ({ query: { device: named, district }, key, reach }, reply) => {
      const asked = queries.begin(key!.id, reply.raw);
      const own = boundTo(reach);
      const owns = own === null ? () => true : ownerOf(own, { devices, city });
      const newest = new Map<string, string>();
      for await (const items of history.latest(given({ devices: named, district }))) {
        for (const { device, at } of items) if (at > (newest.get(device) ?? '') && owns(device)) newest.set(device, at);
      }
      asked.points(newest.size);
      return await sendPieces(reply, JSON_TYPE, textOfSeen([...newest]), asked.longMs);
    },
  );
}

const SeenSchema = z
  .object({ device: z.string(), at: z.iso.datetime() })
  .meta({ id: 'SeenDevice', description: 'A device, and the time of its newest reading' });

const AT_ONCE = 500;

async function* textOfSeen(seen: readonly (readonly [string, string])[]): AsyncGenerator<string, void, undefined> {
  yield '{"items":[';
  for (let from = 0; from < seen.length; from += AT_ONCE) {
    const some = seen.slice(from, from + AT_ONCE).map(([device, at]) => JSON.stringify({ device, at }));
    yield `${from === 0 ? '' : ','}${some.join()}`;
  }
  yield ']}';
}

/** Returns the query of a request. Throws `invalid` where its parts do not go together. */
function wantedBy(query: z.output<typeof Query>): ReadingsQuery {
  const toMs = query.to ?? Date.now() + 1;
  const fromMs = query.from ?? toMs - HOUR_MS;
  if (fromMs > toMs) throw new LamppostError('invalid', `from (${isoOf(fromMs)}) is after to (${isoOf(toMs)})`);
  if (query.fill === 'null' && query.every === undefined) {
    throw new LamppostError('invalid', 'fill=null needs the length of the intervals, such as every=5m');
  }
  const { device: devices, metric: metrics, district, every: everyMs, fn, state, fill, maxPoints } = query;
  return given({ devices, metrics, district, everyMs, fromMs, toMs, fn, state, fill, maxPoints });
}

interface Items {
  readonly written: (count: number) => void;
  readonly valuesOf: ValuesOf;
  /** The place of the first one, and of the one behind the last. */
  readonly from: number;
  readonly to: number;
}

/** `{items, next}`, some hundreds at a time. */
async function* textOfItems(
  items: AsyncIterable<readonly LatestReading[]>,
  { written, valuesOf, from, to }: Items,
): AsyncGenerator<string, void, undefined> {
  const named = (one: LatestReading): LatestReading => {
    const values = valuesOf(one.metric);
    return values === undefined ? one : { ...one, state: nameOfValue(values, one.value) };
  };
  let before = '{"items":[';
  let [at, next] = [0, 'null'];
  for await (const some of items) {
    const wanted = some.slice(Math.max(0, from - at), Math.max(0, to - at));
    at += some.length;
    if (wanted.length > 0) {
      written(wanted.length);
      yield before + JSON.stringify(wanted.map(named)).slice(1, -1);
      before = ',';
    }
    if (at <= to) continue;
    next = JSON.stringify(String(to));
    break;
  }
  yield `${before === ',' ? '' : before}],"next":${next}}`;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const CSV_TYPE = 'text/csv; charset=utf-8; header=present';
const PARQUET = 'application/vnd.apache.parquet';

function accepted(accept: string): 'json' | 'csv' | 'parquet' {
  if (accept.includes('text/csv')) return 'csv';
  return accept.includes(PARQUET) ? 'parquet' : 'json';
}

/** Sends a file and deletes it when it is sent, or the client disconnects or takes too long. */
async function sendParquet(reply: FastifyReply, path: string, withinMs: number): Promise<FastifyReply> {
  const file = createReadStream(path);
  file.once('close', () => rm(path, { force: true }, () => {}));
  reply.header('content-disposition', 'attachment; filename="readings.parquet"');
  return sendRaw(reply, PARQUET, withinTime(file, withinMs));
}
