import { z } from 'zod';
import {
  boundTo,
  QuarantinedInFullSchema,
  QuarantinedSchema,
  QuarantineGroupSchema,
  QuarantineUsageSchema,
  REASONS,
  type Reason,
} from '../../domain/index.ts';
import { ReplayJobSchema } from '../../ingest/index.ts';
import { positionOf } from '../../store/index.ts';
import { callerOf } from '../caller.ts';
import { ownerOf } from '../departments.ts';
import type { ApiDeps } from '../deps.ts';
import { found, given, Id, Instant, Name, Names, Paged, pageOf, partOf } from '../schema.ts';
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
export function quarantineRoutes(app: App, deps: Pick<ApiDeps, 'quarantine' | 'devices' | 'city'>): void {
  const { quarantine } = deps;
  app.get(
    '/api/v1/quarantine',
    {
      config: { permission: 'quarantine.read' },
      schema: {
        tags,
        summary:
          'Lists what was refused and why, newest first, without the payloads; a page has at most 1 MiB, and may end before its limit where a filter matches little',
        querystring: Paged.extend(Filter.shape).extend({ discarded: z.stringbool().default(false) }),
        response: { 200: pageOf(QuarantinedSchema) },
      },
    },
    async ({ query: { limit, after, discarded, ...filter }, reach }) => {
      const own = boundTo(reach);
      const owns = own === null ? undefined : ownerOf(own, deps);
      return quarantine.list({ limit, after, discarded, ...filterOf(filter), ...given({ owns }) });
    },
  );
  app.get(
    '/api/v1/quarantine/groups',
    {
      config: { permission: 'quarantine.read' },
      schema: {
        tags,
        summary: 'Counts what is refused by device and reason, the most first; what was discarded is left out',
        querystring: Paged.extend({ device: Names.exactOptional() }),
        response: { 200: pageOf(QuarantineGroupSchema) },
      },
    },
    async ({ query: { device: devices, ...page }, reach }) => {
      const own = boundTo(reach);
      const owns = own === null ? undefined : ownerOf(own, deps);
      // One more says whether there is another page.
      const limit = positionOf(page.after, 0) + page.limit + 1;
      return partOf(await quarantine.groups({ limit, ...given({ devices, owns }) }), page);
    },
  );
  app.get(
    '/api/v1/quarantine/usage',
    {
      config: { permission: 'quarantine.read' },
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
      config: { permission: 'quarantine.read' },
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
      config: { permission: 'quarantine.write', audited: 'action' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags,
        summary:
          'Replays refused messages: those with the given ids, or all that match the filter; without a body, all',
        body: Chosen.nullish(),
        response: { 202: ReplayJobSchema },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const job = await quarantine.replay(body && 'ids' in body ? body : filterOf(body ?? {}), callerOf(request));
      return reply.code(202).header('location', `/api/v1/quarantine/replays/${job.id}`).send(job);
    },
  );
  app.get(
    '/api/v1/quarantine/replays/:id',
    {
      config: { permission: 'quarantine.read' },
      schema: { tags, summary: 'Returns the progress of a replay', params: Id, response: { 200: ReplayJobSchema } },
    },
    async ({ params: { id } }) => found(quarantine.replayJob(id), `replay "${id}"`),
  );
  app.delete(
    '/api/v1/quarantine/replays/:id',
    {
      config: { permission: 'quarantine.write' },
      schema: {
        tags,
        summary: 'Cancels a replay behind what it sends now; what was not replayed stays in quarantine',
        params: Id,
        response: { 200: ReplayJobSchema },
      },
    },
    async ({ params: { id } }) => found(quarantine.cancelReplay(id), `replay "${id}"`),
  );
  app.post(
    '/api/v1/quarantine/discard',
    {
      config: { permission: 'quarantine.write', audited: 'action' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags,
        summary: 'Marks refusals as not worth fixing, with a note; they stay until they expire',
        body: Ids.extend({ note: z.string().min(1).max(1_000) }),
        response: { 200: z.object({ discarded: z.number().int() }) },
      },
    },
    async (request) => {
      const { ids, note } = request.body;
      return { discarded: await quarantine.discard(ids, note, callerOf(request)) };
    },
  );
}
