import { z } from 'zod';
import { DAY_MS, isoOf, LamppostError, MATCH_KEYS, type MatchKey, TagsSchema } from '../../domain/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { SilenceResponse } from '../responses/tickets.ts';
import { found, Id, Instant, Name, Names, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const names = Names.exactOptional();
const lists = Object.fromEntries(MATCH_KEYS.map((key) => [key, names])) as Record<MatchKey, typeof names>;
const LONGEST_DAYS = 366;

const Body = z
  .strictObject({
    matchers: z
      .strictObject({ ...lists, tags: TagsSchema.exactOptional() })
      .refine(
        (given) => Object.keys(given).length > 0,
        'name at least one matcher; a silence of everything hides the city',
      ),
    startsAt: Instant.optional(),
    endsAt: Instant,
    calendar: Name.nullable().default(null),
    comment: z.string().min(1).max(2_000),
  })
  .superRefine(({ startsAt, endsAt }, context) => {
    const fromMs = startsAt ?? Date.now();
    const issue = (message: string) => context.addIssue({ code: 'custom', path: ['endsAt'], message });
    if (endsAt <= fromMs) issue('a silence ends after it starts, and in the future');
    else if (endsAt - fromMs > LONGEST_DAYS * DAY_MS) issue(`a silence lasts at most ${LONGEST_DAYS} days`);
  });

/** Silences that have not ended. Each alert is compared with all of them. */
const MOST_SILENCES = 1_000;

/** Throws `conflict` where there are as many silences as there may be. */
function refuseTooMany(silences: ApiDeps['silences']): void {
  const { items } = silences.list({ limit: MOST_SILENCES, after: null, ended: false });
  if (items.length < MOST_SILENCES) return;
  throw new LamppostError(
    'conflict',
    `there are ${MOST_SILENCES} silences that have not ended; end some of them first`,
  );
}

/** `/api/v1/silences`: silences and maintenance windows. Alerts that match one go on; their tickets wait. */
export function silenceRoutes(app: App, { silences }: Pick<ApiDeps, 'silences'>): void {
  const tags = ['silences'];
  app.get(
    '/api/v1/silences',
    {
      schema: {
        tags,
        summary: 'Lists silences that have not ended, newest first; with `ended=true` all',
        querystring: Paged.extend({ ended: z.stringbool().default(false) }),
        response: { 200: pageOf(SilenceResponse) },
      },
    },
    async ({ query }) => silences.list(query),
  );
  app.get(
    '/api/v1/silences/:id',
    { schema: { tags, summary: 'Returns a silence and its state', params: Id, response: { 200: SilenceResponse } } },
    async ({ params: { id } }) => found(silences.get(id), `silence "${id}"`),
  );
  app.post(
    '/api/v1/silences',
    {
      config: { role: 'operator', audited: 'action' },
      schema: {
        tags,
        summary:
          'Silences alerts by rule, device, district, profile, severity, service, department or tags; with a calendar only during its times',
        body: Body,
        response: { 201: SilenceResponse },
      },
    },
    async (request, reply) => {
      const { matchers, startsAt, endsAt, calendar, comment } = request.body;
      refuseTooMany(silences);
      const from = isoOf(startsAt ?? Date.now());
      const wanted = { matchers, startsAt: from, endsAt: isoOf(endsAt), calendar, comment };
      const made = await silences.add(wanted, callerOf(request));
      return reply.code(201).header('location', `/api/v1/silences/${made.id}`).send(made);
    },
  );
  app.delete(
    '/api/v1/silences/:id',
    {
      config: { role: 'operator', audited: 'action' },
      schema: { tags, summary: 'Ends a silence now; the tickets that waited for it open', params: Id },
    },
    async (request, reply) => {
      const { id } = request.params;
      found(silences.get(id), `silence "${id}"`);
      await silences.end(id, callerOf(request));
      return reply.code(204).send();
    },
  );
}
