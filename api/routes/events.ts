import { z } from 'zod';
import { boundTo, EVENT_TYPES, SEVERITIES } from '../../domain/index.ts';
import { EVENT_SCHEMAS } from '../../events/index.ts';
import type { ApiDeps } from '../deps.ts';
import { given, Names, namesOf, Paged, pageOf } from '../schema.ts';
import type { Streams } from '../streams.ts';
import type { App } from './routes.ts';

const Query = Paged.extend({
  after: z
    .string()
    .regex(/^\d{1,15}$/, { error: ({ input }) => `"${input}" is not the next of a page` })
    .nullish()
    .transform((after) => after ?? null),
  type: namesOf(EVENT_TYPES).exactOptional(),
  department: Names.exactOptional(),
  district: Names.exactOptional(),
  severity: namesOf(SEVERITIES).exactOptional(),
  rule: Names.exactOptional(),
  ticket: Names.exactOptional(),
});

const Numbered = z.object({
  n: z.int().describe('Its number, the position to resume after'),
  event: z.union(Object.values(EVENT_SCHEMAS)),
});

type Deps = Pick<ApiDeps, 'events' | 'city' | 'people'>;

/** `/api/v1/events`: pages of JSON after a cursor, or a stream (`Accept: text/event-stream`). */
export function eventRoutes(app: App, { events, city, people }: Deps, streams: Streams): void {
  app.get(
    '/api/v1/events',
    {
      config: { permission: 'events.read' },
      schema: {
        tags: ['events'],
        summary:
          'Returns CloudEvents after a cursor as a page of JSON, or as server-sent events that resume by Last-Event-ID. Each filter takes several values. A key of a department gets what it gets over MQTT: alerts and its own tickets',
        querystring: Query,
        response: { 200: pageOf(Numbered) },
      },
    },
    async (request, reply) => {
      const { type: types, limit, after, ...asked } = request.query;
      // The same as over MQTT (promise 7).
      const visibleTo = boundTo(request.reach) ?? undefined;
      const filter = given({ types, ...asked, visibleTo, ownAlerts: !city().publication.shared.alerts });
      if (!(request.headers.accept ?? '').includes('text/event-stream')) {
        return pageInTurns(events, { ...filter, limit, after });
      }
      const last = request.headers['last-event-id'] ?? after;
      const who = request.key!;
      const ofPerson = who.kind === 'person' ? who : null;
      const mayRead = () => ofPerson === null || people.signIn.isOpen(ofPerson);
      const session = ofPerson?.session ?? null;
      const reader = { key: who.id, session, mayRead, source: request.source, filter };
      const begin = streams.admit(reply.raw, { ...reader, last: last === null ? null : String(last) });
      reply.hijack();
      begin();
      return reply;
    },
  );
}

type Events = Pick<ApiDeps['events'], 'page'>;

/** Events that are looked at in one turn of the event loop: a few milliseconds. */
const LOOKED_AT = 2_000;
/** A page with more text ends early. */
const MOST_CHARACTERS = 1024 * 1024;

/** Returns a page; other work of the thread runs while the outbox is searched. */
async function pageInTurns(
  { page }: Events,
  { limit, ...query }: Omit<Parameters<Events['page']>[0], 'within'>,
): Promise<ReturnType<Events['page']>> {
  const items: ReturnType<Events['page']>['items'][number][] = [];
  let { after } = query;
  for (;;) {
    const within = { events: LOOKED_AT, characters: MOST_CHARACTERS };
    const { items: some, next } = page({ ...query, after, limit: limit - items.length, within });
    items.push(...some);
    if (next === null || items.length === limit || some.length > 0) return { items, next };
    after = next;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
