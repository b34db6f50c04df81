import { z } from 'zod';
import { boundTo, isoOf, LamppostError } from '../../domain/index.ts';
import { OVERSIGHT_KEYS, type OversightKey } from '../../tickets/index.ts';
import { oversightCsv } from '../csv.ts';
import type { ApiDeps } from '../deps.ts';
import { untilGone } from '../queries.ts';
import { OversightResponse } from '../responses/oversight.ts';
import { given, Instant, Names, pageOf, partOf, Short, sendRaw } from '../schema.ts';
import type { App } from './routes.ts';

const By = Names.transform((names, context) => {
  const keys = [...new Set(names)];
  const unknown = keys.find((name) => !OVERSIGHT_KEYS.some((key) => key === name));
  if (unknown === undefined && keys.length > 0) return keys as OversightKey[];
  context.addIssue(`"${unknown ?? ''}" is none of ${OVERSIGHT_KEYS.join(', ')}; several are separated by commas`);
  return z.NEVER;
});

const Query = z
  .object({
    from: Instant.optional(),
    to: Instant.optional(),
    by: By.default(['department', 'service']),
    /** Takes precedence over the Accept header. */
    format: z.enum(['json', 'csv']).optional(),
  })
  .extend(Short.shape);

/** `/api/v1/oversight`. */
export function oversightRoutes(app: App, { oversight, city }: Pick<ApiDeps, 'oversight' | 'city'>): void {
  app.get(
    '/api/v1/oversight',
    {
      config: { permission: 'oversight.read', concurrency: 'queries' },
      schema: {
        tags: ['oversight'],
        summary:
          'Summarizes tickets opened in [from, to) by department, service, district and week: open, overdue, durations, ratings. JSON or CSV; a key of a department gets its own',
        querystring: Query,
        response: { 200: pageOf(OversightResponse) },
      },
    },
    async ({ query: { from: fromMs, to: toMs, by, format, ...page }, headers, reach }, reply) => {
      if (fromMs !== undefined && toMs !== undefined && fromMs > toMs)
        throw new LamppostError('invalid', `from (${isoOf(fromMs)}) is after to (${isoOf(toMs)})`);
      const query = { ...given({ fromMs, toMs }), departments: boundTo(reach), by, timezone: city().timezone };
      const items = await oversight.read(query, untilGone(reply.raw));
      const asCsv = (format ?? (headers.accept?.includes('text/csv') ? 'csv' : 'json')) === 'csv';
      if (!asCsv) return partOf(items, page);
      return sendRaw(reply, 'text/csv; charset=utf-8; header=present', oversightCsv(by, items));
    },
  );
}
