import { z } from 'zod';
import {
  QuarantinedInFullSchema,
  QuarantinedSchema,
  QuarantineUsageSchema,
  REASONS,
  type Reason,
} from '../../domain/index.ts';
import { ReplayJobSchema } from '../../ingest/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, given, Id, Instant, Name, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const text = Name.exactOptional();
const Filter = z.strictObject({
  device: text,
  reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]).exactOptional(),
  format: text,
  from: Instant.optional(),
  to: Instant.optional(),
});
const Ids = z.strictObject({ ids: z.array(z.string().max(40)).min(1).max(10_000) });
/** For the ids, bytes. */
const BODY_LIMIT = 512 * 1024;
const Chosen = z.union([Ids, Filter]);
const tags = ['quarantine'];

function filterOf({ from, to, ...rest }: z.infer<typeof Filter>) {
  return given({ ...rest, fromMs: from, toMs: to });
}

/** `/api/v1/quarantine`: refused messages and readings can be read, and replayed or discarded. */
export function quarantineRoutes(app: App, { quarantine }: Pick<ApiDeps, 'quarantine'>): void {
  app.get(
    '/api/v1/quarantine',
    {
      schema: {
        tags,
        summary:
          'Lists what was refused and why, newest first, without the payloads; a page has at most 1 MiB, and may end before its limit where a filter matches little',
        querystring: Paged.extend(Filter.shape).extend({ discarded: z.stringbool().default(false) }),
        response: { 200: pageOf(QuarantinedSchema) },
      },
    },
    async ({ query: { limit, after, discarded, ...filter } }) =>
      quarantine.list({ limit, after, discarded, ...filterOf(filter) }),
  );
  app.get(
    '/api/v1/quarantine/usage',
    {
      schema: {
        tags,
        summary: 'Returns the space that refused messages take, of all or of one device, and what was dropped',
        querystring: z.strictObject({ device: text }),
        response: { 200: QuarantineUsageSchema },
      },
    },
    async ({ query: { device } }) => quarantine.usage(device),
  );
  app.get(
    '/api/v1/quarantine/:id',
    {
      schema: {
        tags,
        summary: 'Returns one refusal: the payload as it was sent, and as its format decodes it',
        params: Id,
        response: { 200: QuarantinedInFullSchema },
      },
    },
    async ({ params: { id } }) => found(quarantine.get(id), `"${id}" in quarantine`),
  );
  app.post(
    '/api/v1/quarantine/replay',
    {
      config: { role: 'operator' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags,
        summary:
          'Replays refused messages: those with the given ids, or all that match the filter; without a body, all',
        body: Chosen.nullish(),
        response: { 202: ReplayJobSchema },
      },
    },
    async ({ body }, reply) => {
      const job = quarantine.replay(body && 'ids' in body ? body : filterOf(body ?? {}));
      return reply.code(202).header('location', `/api/v1/quarantine/replays/${job.id}`).send(job);
    },
  );
  app.get(
    '/api/v1/quarantine/replays/:id',
    { schema: { tags, summary: 'Returns the progress of a replay', params: Id, response: { 200: ReplayJobSchema } } },
    async ({ params: { id } }) => found(quarantine.replayJob(id), `replay "${id}"`),
  );
  app.post(
    '/api/v1/quarantine/discard',
    {
      config: { role: 'operator' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags,
        summary: 'Marks refusals as not worth fixing, with a note; they stay until they expire',
        body: Ids.extend({ note: z.string().min(1).max(1_000) }),
        response: { 200: z.object({ discarded: z.number().int() }) },
      },
    },
    async ({ body: { ids, note }, key }) => ({ discarded: await quarantine.discard(ids, key!.id, note) }),
  );
}
