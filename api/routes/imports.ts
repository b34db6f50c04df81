import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type City, LamppostError } from '../../domain/index.ts';
import { type ImportAsked, ImportReportSchema, PRECISIONS } from '../../ingest/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { decoded, ENCODINGS, isEncoding } from '../edge/index.ts';
import { Name } from '../schema.ts';
import type { App, SchemaTypes } from './routes.ts';

/** A file, or a piece of one, bytes; also without its Content-Encoding. */
const MOST_BYTES = 16 * 1024 * 1024;

const FORMATS = ['csv', 'lines', 'parquet'] as const;

/** Formats by content type. */
const TYPES: Readonly<Record<string, ImportAsked['format']>> = {
  'text/csv': 'csv',
  'text/plain': 'lines',
  'application/vnd.influx.line-protocol': 'lines',
  'application/vnd.apache.parquet': 'parquet',
};

const Query = z.strictObject({
  format: z.enum(FORMATS).optional().describe('Takes precedence over the content type'),
  device: Name.optional().describe('The device of rows that name none'),
  precision: z.enum(PRECISIONS).optional().describe('Of times that are numbers: by default ms, in line protocol ns'),
  rules: z.stringbool().default(false).describe('Whether the rules take the readings, too'),
  train: z.stringbool().default(false).describe('Whether anomalies and forecasts learn from them; nothing fires'),
  file: Name.default('a file').describe('Its name, for the audit trail'),
  line: z.coerce.number().int().min(1).max(4_000_000_000).default(1).describe('The number of its first line'),
});

/** `POST /api/v1/import`: readings of the past, in bulk. */
export function importRoutes(app: App, { imports, city }: Pick<ApiDeps, 'imports' | 'city'>): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    (scope.withTypeProvider<SchemaTypes>() as App).post(
      '/api/v1/import',
      {
        config: { permission: 'readings.import', audited: 'action', encoded: true },
        bodyLimit: MOST_BYTES,
        schema: {
          tags: ['readings'],
          summary:
            'Imports readings of the past: CSV, line protocol or Parquet of at most 16 MiB. Responds when they are ' +
            'stored; the same rows again change nothing',
          querystring: Query,
          response: { 200: ImportReportSchema },
        },
      },
      async (request) => {
        const { format, device = null, precision = null, rules, train, file, line } = request.query;
        const bytes = await bodyOf(request);
        const states = statesOf(city());
        const asked = { format: format ?? formatOf(request), device, precision, rules, train, firstLine: line, states };
        return imports.run({ ...asked, bytes, file }, callerOf(request));
      },
    );
  });
}

function formatOf({ headers }: FastifyRequest): ImportAsked['format'] {
  const type = (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (Object.hasOwn(TYPES, type)) return TYPES[type]!;
  throw new LamppostError('invalid', `say what it is: ?format=${FORMATS.join('|')}, or one of ${Object.keys(TYPES)}`);
}

/** Memory of its own: it moves to another thread. */
async function bodyOf({ headers, body }: FastifyRequest): Promise<Uint8Array> {
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (!isEncoding(encoding)) throw new LamppostError('invalid', `Content-Encoding: send one of ${ENCODINGS}, or none`);
  const bytes = await decoded((body as Buffer | undefined) ?? Buffer.alloc(0), encoding, MOST_BYTES);
  return new Uint8Array(bytes);
}

/** The fields whose values may be texts: states and texts, and what profiles map to them. */
function statesOf({ metrics, profiles }: City): string[] {
  const isState = (id: string) => ['state', 'text'].includes(metrics.get(id)?.kind ?? '');
  const fields = [...profiles.values()].flatMap((profile) => [...profile.fields]);
  const mapped = fields.flatMap(([name, field]) => (field !== 'ignore' && isState(field.metric) ? [name] : []));
  return [...new Set([...[...metrics.keys()].filter(isState), ...mapped])];
}
